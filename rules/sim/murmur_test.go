package sim

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

// The figures of Kafka's own test of its murmur2 (UtilsTest.testMurmur2).
func TestMurmur2Vectors(t *testing.T) {
	for text, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2([]byte(text))); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", text, got, want)
		}
	}
}

// A user lies in the partition that the Kafka client's default partitioner gives
// the user's id as a key.
func TestPartitionOf(t *testing.T) {
	partitioner := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	rapid.Check(t, func(t *rapid.T) {
		user := rapid.OneOf(rapid.String(), rapid.StringN(0, 40, 300)).Draw(t, "user")
		n := rapid.IntRange(1, 200).Draw(t, "partitions")
		got := New(nil, n, false, nil).PartitionOf(user)
		if want := partitioner.Partition(&kgo.Record{Key: []byte(user)}, n); int(got) != want {
			t.Fatalf("partition %d of %d, Kafka's client says %d", got, n, want)
		}
	})
}
