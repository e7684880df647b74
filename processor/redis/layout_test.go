package redis_test

import (
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/cespare/xxhash/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/redis"
)

// What is stored is what the package says. A store that is filled already must be
// read by every later version: whoever changes this test changes that.
func TestLayout(t *testing.T) {
	for name, connectTo := range map[string]func(testing.TB) goredis.UniversalClient{"Embedded": embeddedClient, "Real": realClient} {
		for path, large := range map[string]int{"Script": never, "Transaction": always} {
			t.Run(name+path, func(t *testing.T) { testLayout(t, open(t, connectTo(t), 2), large) })
		}
	}
}

func testLayout(t *testing.T, s *store, large int) {
	redis.SetLargeBatch(s.Store, large)
	if _, err := s.Claim(t.Context(), tp, processor.Claim{
		ID: "the id", Epoch: 1795, Claimer: "0123abcd", Base: 40, Names: map[uint32]string{4_000_000_000: "a name"},
	}); err != nil {
		t.Fatal(err)
	}
	header := map[string]string{
		"id": "the id", "e": "1795", "v": "0", "w": "0123abcd", "s": "0", "h": "", "l": "0", "o": "40", "c": "0", "b": "40",
		"x": "0,0,0,0", "u": "2", "wipe": "1",
	}
	names := map[string]string{"4000000000": "a name"}
	same(t, "after a claim", s.content(t), map[string]any{"clicks:3}:h": header, "clicks:3}:n": names})

	if err := s.Wipe(t.Context(), tp, 1795); err != nil {
		t.Fatal(err)
	}
	version := s.version(t)
	requireTimers(t, s, 0)
	far := processor.Bucket{Start: 3 * processor.FarBucket, Width: processor.FarBucket} // minute 720
	near := processor.Bucket{Start: 721 * processor.MinuteBucket, Width: processor.MinuteBucket}
	err := s.Write(t.Context(), tp, &processor.Batch{
		Epoch: 1795, Version: version,
		Next: processor.Header{
			Seq: 7, Last: 6, Offset: 50, Clock: 12345, Base: 41, History: processor.History{{Epoch: 1, First: 1}, {Epoch: 1795, First: 7}},
			Evidence: processor.Evidence{SendPartition: 1, SendOffset: 20, DecisionPartition: 3, DecisionOffset: 40},
			Sweep:    processor.Sweep{Done: 900, At: 1000, Next: 1, Of: 2, Rules: "abc"},
		},
		States: []processor.StateWrite{{User: "ann", State: []byte("A")}, {User: "bob", State: []byte{0, 1}}, {User: "", State: nil}},
		Timers: []processor.TimerWrite{
			{Bucket: far, New: true, Entries: []processor.TimerEntry{{At: far.Start + 200_000, User: "ann"}, {At: far.Start, User: ""}}},
			{Bucket: near, New: true, Entries: []processor.TimerEntry{{At: near.Start + 1000, User: "bob"}}},
		},
		Outbox: &processor.OutboxEntry{Seq: 7, Records: []byte("the records")},
	})
	if err != nil {
		t.Fatal(err)
	}
	requireTimers(t, s, 3)
	users := [2]map[string]string{{}, {}}
	for u, state := range map[string]string{"ann": "A", "bob": "\x00\x01", "": ""} {
		users[xxhash.Sum64String(u)%2][u] = state
	}
	want := map[string]any{
		"clicks:3}:h": map[string]string{
			"id": "the id", "e": "1795", "v": strconv.FormatInt(version+1, 10), "w": "0123abcd", "s": "7", "h": "1:1,1795:7", "l": "6", "o": "50", "c": "12345", "b": "41",
			"x": "1,20,3,40", "u": "2", "y": "900,1000,1,2,abc",
		},
		"clicks:3}:n":      names,
		"clicks:3}:o":      []string{"7", "the records"},
		"clicks:3}:t":      map[string]struct{}{"1440": {}, "1443": {}},
		"clicks:3}:t:1440": []string{"\xc8\x01ann", "\x00"},
		"clicks:3}:t:1443": []string{"\x01bob"},
	}
	for i, u := range users {
		if len(u) > 0 {
			want[fmt.Sprintf("clicks:3}:u:%d", i)] = u
		}
	}
	same(t, "after a batch", s.content(t), want)
}

// The number of user buckets is the header's, not that of who reads it.
func TestUserBucketsStay(t *testing.T) {
	client := embeddedClient(t)
	s := owned(t, client) // with 4 buckets
	other, err := redis.New(client, redis.Options{Group: s.group, UserBuckets: 7})
	if err != nil {
		t.Fatal(err)
	}
	check := func(want string) {
		t.Helper()
		got, err := other.States(t.Context(), tp, processor.Fence{}, []string{"user 0", "user 1", "nobody"})
		if err != nil || string(got[0]) != want+"0" || string(got[1]) != want+"1" || got[2] != nil {
			t.Fatalf("States = %q, %v, want %s0, %s1 and nil", got, err, want, want)
		}
	}
	check("state 0 ") // without a claim
	if _, err := other.Claim(t.Context(), tp, processor.Claim{ID: "id", Epoch: 2, Claimer: "other"}); err != nil {
		t.Fatal(err)
	}
	check("state 0 ")
	b := batch(3)
	b.Epoch, b.Version = 2, 0
	if err := other.Write(t.Context(), tp, b); err != nil {
		t.Fatal(err)
	}
	check("state 3 ")
	if n := len(s.content(t)); n > 4+4+1 { // h, o, t, n is empty; 4 buckets; one timer list
		t.Errorf("%d keys: states lie outside of the 4 buckets", n)
	}
}

// Owners of several partitions share a store.
func TestConcurrentOwners(t *testing.T) {
	s := open(t, embeddedClient(t), 4)
	redis.SetLargeBatch(s.Store, 3)
	var wg sync.WaitGroup
	for p := range int32(8) {
		wg.Go(func() {
			tp := processor.TopicPartition{Topic: "clicks", Partition: p}
			if _, err := s.Claim(t.Context(), tp, processor.Claim{ID: "id", Epoch: 1, Claimer: "me"}); err != nil {
				t.Error(err)
			}
			if err := s.Wipe(t.Context(), tp, 1); err != nil {
				t.Error(err)
			}
			_, version, err := s.Fence(t.Context(), tp)
			if err != nil {
				t.Error(err)
			}
			for n := range int64(30) {
				b := batch(n)
				b.Version = version + n
				for i := range b.States {
					b.States[i].State = fmt.Append(nil, p, n, i)
				}
				if err := s.Write(t.Context(), tp, b); err != nil {
					t.Error(err)
				}
				got, err := s.States(t.Context(), tp, processor.Fence{}, []string{"user 0", "user 1"})
				if err != nil || string(got[0]) != fmt.Sprint(p, n, 0) || string(got[1]) != fmt.Sprint(p, n, 1) {
					t.Errorf("States = %q, %v in partition %d after batch %d", got, err, p, n)
				}
			}
		})
	}
	wg.Wait()
}

func requireTimers(t *testing.T, s *store, want int64) {
	t.Helper()
	if n, err := s.CountTimers(t.Context(), tp); err != nil || n != want {
		t.Errorf("%d timers, %v; want %d", n, err, want)
	}
}
