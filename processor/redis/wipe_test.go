package redis_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/redis"
)

// An owner that is overtaken while it empties a partition takes nothing from the
// next one.
func TestOvertakenWipe(t *testing.T) {
	undisturbed := &fault{}
	s, clean := faulty(t, embeddedClient, undisturbed)
	leave(t, clean)
	if err := s.Wipe(t.Context(), tp, 0); err != nil {
		t.Fatal(err)
	}
	for k := range undisturbed.calls {
		var after map[string]any
		f := &fault{}
		s, clean := faulty(t, embeddedClient, f)
		leave(t, clean)
		f.around = func(call int, _ []goredis.Cmder, send func() error) error {
			if call == k {
				overtake(t, clean)
				after = clean.content(t)
			}
			return send()
		}
		if err := s.Wipe(t.Context(), tp, 0); !errors.Is(err, processor.ErrFenced) {
			t.Errorf("Wipe, overtaken before call %d = %v, want ErrFenced", k, err)
		}
		same(t, fmt.Sprintf("after it was overtaken before call %d", k), clean.content(t), after)
	}
}

// A Redis that falls back while a partition is emptied is noticed, or has lost
// nothing of it.
func TestLossDuringWipe(t *testing.T) {
	undisturbed := &fault{}
	s, clean := faulty(t, embeddedClient, undisturbed)
	leave(t, clean)
	if err := s.Wipe(t.Context(), tp, 0); err != nil {
		t.Fatal(err)
	}
	noticed := 0
	for back := range undisturbed.calls {
		for k := back + 1; k < undisturbed.calls; k++ {
			var rewind func()
			f := &fault{}
			s, clean := faulty(t, embeddedClient, f)
			leave(t, clean)
			f.around = func(call int, _ []goredis.Cmder, send func() error) error {
				switch call {
				case back:
					rewind = clean.Mark(t)
				case k:
					rewind()
				}
				return send()
			}
			err := s.Wipe(t.Context(), tp, 0)
			switch left := clean.keys(t); {
			case errors.Is(err, processor.ErrLost):
				noticed++
			case err != nil:
				t.Errorf("Wipe with Redis back at call %d before call %d = %v", back, k, err)
			case len(left) != 1:
				t.Errorf("Wipe with Redis back at call %d before call %d has left %q", back, k, left)
			}
		}
	}
	if noticed == 0 {
		t.Error("no loss was noticed: has any occurred?")
	}
}

// overtake is the next owner, who has emptied the partition and written a batch.
func overtake(t *testing.T, s *store) {
	t.Helper()
	empty(t, s, 2, "next")
	b := batch(1)
	b.Epoch, b.Version = 2, s.version(t)
	if err := s.Write(t.Context(), tp, b); err != nil {
		t.Fatal(err)
	}
}

// A scan that misses keys, as one does whose Redis fails over meanwhile, misses
// nothing that counts.
func TestWipeWithoutScan(t *testing.T) {
	scans := 0
	f := &fault{around: func(_ int, cmds []goredis.Cmder, send func() error) error {
		if scan, ok := cmds[0].(*goredis.ScanCmd); ok {
			scans++
			scan.SetVal(nil, 0)
			return nil
		}
		return send()
	}}
	s, clean := faulty(t, embeddedClient, f)
	leave(t, clean)
	if err := s.Wipe(t.Context(), tp, 0); err != nil {
		t.Fatal(err)
	}
	if scans == 0 {
		t.Fatal("no SCAN was seen")
	}
	if left := clean.keys(t); len(left) != 1 || !strings.HasSuffix(left[0], ":h") {
		t.Errorf("keys %q are left, want the header", left)
	}
}

// Emptying removes what a partition should not have, too, and touches no other,
// however alike the names.
func TestWipeLeftovers(t *testing.T) {
	for name, connectTo := range map[string]func(testing.TB) goredis.UniversalClient{"Embedded": embeddedClient, "Real": realClient} {
		t.Run(name, func(t *testing.T) {
			client := connectTo(t)
			s := owned(t, client)
			// A group that the group's name, taken for a pattern, matches.
			alike, err := redis.New(client, redis.Options{Group: "test-xxa!" + s.group[len("test-*[a]?"):]})
			if err != nil {
				t.Fatal(err)
			}
			other := &store{Store: alike, client: client, group: "alike", prefix: "nudged:{test-xxa!" + s.group[len("test-*[a]?"):] + ":"}
			t.Cleanup(func() { other.removeAll(t) })
			leave(t, other)
			next := processor.TopicPartition{Topic: "clicks", Partition: 31}
			if _, err := s.Claim(t.Context(), next, processor.Claim{ID: "id", Epoch: 1}); err != nil {
				t.Fatal(err)
			}
			before := other.content(t)

			p := s.prefix + "clicks:3}:"
			do(t, client, "HSET", p+"u:4711", "ann", "of more buckets")
			do(t, client, "RPUSH", p+"t:99", "of no bucket")
			do(t, client, "SADD", p+"t", "not a number")
			do(t, client, "SET", p+"something", "else")
			if err := s.Wipe(t.Context(), tp, 1); err != nil {
				t.Fatal(err)
			}
			for _, k := range s.keys(t) {
				switch k {
				case p + "h", s.prefix + "clicks:31}:h":
				default:
					t.Errorf("key %q is left", k)
				}
			}
			same(t, "the group with a similar name", other.content(t), before)
		})
	}
}
