package workload

import (
	"encoding/json"
	"hash/fnv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func small() Config {
	cfg := Default()
	cfg.Events, cfg.Users = 50_000, 5_000
	return cfg
}

func each(t *testing.T, cfg Config, visit func(ev *Event)) {
	t.Helper()
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var ev Event
	for g.Next(&ev) {
		visit(&ev)
	}
}

func digest(t *testing.T, cfg Config) uint64 {
	h := fnv.New64a()
	each(t, cfg, func(ev *Event) { h.Write(ev.Value); h.Write([]byte{byte(ev.Partition)}) })
	return h.Sum64()
}

func TestSameSeedSameBytes(t *testing.T) {
	a, b := digest(t, small()), digest(t, small())
	if a != b {
		t.Fatalf("two runs of one seed differ: %x, %x", a, b)
	}
	other := small()
	other.Seed++
	if c := digest(t, other); c == a {
		t.Fatal("another seed gave the same stream")
	}
}

// Loader, oracle and nudged read different forms of one event: the fields of
// Event and its JSON must say the same.
func TestJSONSaysWhatTheEventSays(t *testing.T) {
	n := 0
	each(t, small(), func(ev *Event) {
		n++
		var got struct{ ID, Type, User, Time string }
		if err := json.Unmarshal(ev.Value, &got); err != nil {
			t.Fatalf("%s: %v", ev.Value, err)
		}
		at, err := time.Parse(time.RFC3339Nano, got.Time)
		if err != nil {
			t.Fatal(err)
		}
		if got.ID != ev.ID || got.Type != ev.Type || got.User != ev.User || at.UnixMilli() != ev.TimeMS {
			t.Fatalf("event %+v, JSON %+v", ev, got)
		}
		if l := len(ev.Value); l < 200 || l > 250 {
			t.Fatalf("%d bytes: %s", l, ev.Value)
		}
	})
	if n != small().Events {
		t.Fatalf("%d records, want %d", n, small().Events)
	}
}

func TestShares(t *testing.T) {
	counts := map[string]float64{}
	users := map[string]int{}
	each(t, small(), func(ev *Event) { counts[ev.Type]++; users[ev.User]++ })
	for kind, want := range map[string]float64{Search: .50, ProductView: .35, AddToCart: .10, Purchase: .04, Signup: .01} {
		got := counts[kind] / float64(small().Events)
		if got < want-0.01 || got > want+0.01 {
			t.Errorf("%s is %.3f of the events, want %.2f", kind, got, want)
		}
	}
	if len(users) != small().Users {
		t.Errorf("%d users came, want all %d", len(users), small().Users)
	}
	// Skew: the first hundredth of the population has far more than a hundredth
	// of the events, and no single user a twentieth.
	head, most := 0, 0
	g, err := New(small())
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range g.names {
		if i < len(g.names)/100 {
			head += users[name]
		}
		most = max(most, users[name])
	}
	if head < small().Events/20 {
		t.Errorf("the first hundredth of the users has %d of %d events", head, small().Events)
	}
	if most > small().Events/20 {
		t.Errorf("one user has %d of %d events", most, small().Events)
	}
}

func TestOrderAndSpan(t *testing.T) {
	cfg := small()
	var last, first int64
	seen := map[string]bool{}
	each(t, cfg, func(ev *Event) {
		if first == 0 {
			first = ev.TimeMS
		}
		if seen[ev.ID] {
			return
		}
		seen[ev.ID] = true
		if ev.TimeMS < last {
			t.Fatalf("%s is %d ms before the event ahead of it", ev.ID, last-ev.TimeMS)
		}
		last = ev.TimeMS
	})
	span := time.Duration(last-first) * time.Millisecond
	if span < 9*24*time.Hour || span > 11*24*time.Hour {
		t.Errorf("stream spans %v, want about 10 days", span)
	}
}

// A duplicate is only ignored while its first arrival is among the user's
// recent ids, so it must follow closely, in the same partition.
func TestDuplicates(t *testing.T) {
	cfg := small()
	recent := map[string][]string{}
	inPartition := map[string]int32{}
	ids := map[string]string{}
	n := 0
	each(t, cfg, func(ev *Event) {
		if value, again := ids[ev.ID]; again {
			n++
			if value != string(ev.Value) || inPartition[ev.ID] != ev.Partition {
				t.Fatalf("%s came again, but not the same", ev.ID)
			}
			r := recent[ev.User]
			found := false
			for _, id := range r[max(0, len(r)-16):] {
				found = found || id == ev.ID
			}
			if !found {
				t.Fatalf("%s came again when the user had gone on by more than 16 events", ev.ID)
			}
			return
		}
		ids[ev.ID], inPartition[ev.ID] = string(ev.Value), ev.Partition
		recent[ev.User] = append(recent[ev.User], ev.ID)
	})
	if n < cfg.Events/2000 || n > cfg.Events/500 {
		t.Errorf("%d duplicates among %d records, want about %d", n, cfg.Events, cfg.Events/1000)
	}
}

// Vectors of org.apache.kafka.common.utils.Utils.murmur2 as its own unit test
// publishes them, so that a change of the client's partitioner is noticed.
func TestPartitionerIsKafkas(t *testing.T) {
	for key, hash := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "abc": 479470107,
	} {
		want := int(hash&0x7fffffff) % 12
		got := kgo.StickyKeyPartitioner(nil).ForTopic("").Partition(&kgo.Record{Key: []byte(key)}, 12)
		if got != want {
			t.Errorf("key %q goes to partition %d, Kafka's default puts it in %d", key, got, want)
		}
	}
}

func TestBadConfigNamesEveryField(t *testing.T) {
	_, err := New(Config{})
	if err == nil {
		t.Fatal("the zero Config was taken")
	}
	for _, field := range []string{"events", "users", "partitions", "days", "gap", "start"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("error %q does not name %s", err, field)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	g, err := New(Default())
	if err != nil {
		b.Fatal(err)
	}
	var ev Event
	b.ReportAllocs()
	for b.Loop() {
		if !g.Next(&ev) {
			b.StopTimer()
			if g, err = New(Default()); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	}
}
