package rescale_test

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/memory"
	"github.com/nudged/nudged/processor/rescale"
	"github.com/nudged/nudged/rules"
)

// settled makes a world of which everything is taken in, and lets it grow.
func settled(t *testing.T, seed uint64, former, later int32) *world {
	t.Helper()
	w := newWorld(t, seed, "testdata/timers.yaml", former)
	for _, e := range w.draw(150, began, hour) {
		w.produce(e, former)
	}
	if err := w.run(t.Context(), kafka{w: w}, w.ends(false), nil); err != nil {
		t.Fatal(err)
	}
	w.grow(later)
	return w
}

// Each user's state is after the move what it was before, in one place, and what he has
// pending is in the timer index once, also if it was interrupted.
func TestStatesAndTimersArriveAsTheyWere(t *testing.T) {
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			former := 1 + int32(seed%3)
			later := former + 1 + int32(seed%4)
			w := settled(t, seed, former, later)
			before, _ := w.requirePlaced(former)
			for range w.rnd.IntN(5) {
				_, _ = w.rescale(1+w.rnd.IntN(40), w.rnd.IntN(2) == 0)
			}
			if _, err := w.rescale(0, false); err != nil {
				t.Fatal(err)
			}
			after, listed := w.requirePlaced(later)
			if len(after) != len(before) || len(before) < 20 {
				t.Errorf("%d users, before %d", len(after), len(before))
			}
			pending := 0
			for user, state := range before {
				was, _, _ := w.decode(state)
				is, due, ok := w.decode(after[user])
				if !bytes.Equal(was, is) {
					t.Errorf("user %s: the state is another one", user)
				}
				entries := listed[user]
				switch {
				case ok && !slices.ContainsFunc(entries, func(at int64) bool { return at <= max(due, w.header(home(user, later)).Clock) }):
					t.Errorf("user %s is due at %d and listed at %v", user, due, entries)
				case home(user, former) != home(user, later) && len(entries) > 1:
					t.Errorf("user %s has moved and is listed %d times", user, len(entries))
				case home(user, former) != home(user, later) && w.hints(after[user]) > len(entries):
					t.Errorf("user %s has moved, is listed %d times, and his state says %d times", user, len(entries), w.hints(after[user]))
				}
				if ok {
					pending++
				}
			}
			if pending < 5 {
				t.Errorf("%d users have something pending: the test shows little", pending)
			}
		})
	}
}

// hints is how often a state says that the timer index lists it.
func (w *world) hints(state []byte) int {
	w.t.Helper()
	var st rules.State
	if err := st.Decode(state); err != nil {
		w.t.Fatal(err)
	}
	return st.TimerHints()
}

// decode returns a state without what says where the timer index lists it, and without
// which occurrences of schedules it has had, which the move may add.
func (w *world) decode(state []byte) (plain []byte, due int64, ok bool) {
	w.t.Helper()
	var st rules.State
	if err := st.Decode(state); err != nil {
		w.t.Fatal(err)
	}
	due, ok = st.NextDue(w.set)
	st.SpendTimerHints(math.MaxInt64)
	st.MarkSwept(w.set, 1<<45)
	return st.Append(nil, w.set), due, ok
}

// Redis falls back to some moment of the move, or to just before it: at once, after it
// has ended, or after the daemon has gone on from it. The move is made again from what
// is there, and nothing is lost or repeated.
func TestStoreFallsBackDuringTheMove(t *testing.T) {
	for seed := range uint64(16) {
		synctest.Test(t, func(t *testing.T) {
			const former, later = 3, 7
			w := newWorld(t, seed, "testdata/timers.yaml", former)
			events := w.draw(100, began, hour)
			for _, e := range events {
				w.produce(e, former)
			}
			if err := w.run(t.Context(), kafka{w: w}, w.ends(false), nil); err != nil {
				t.Fatal(err)
			}
			w.grow(later)
			remembered := w.store.Snapshot()
			if at := int(seed % 8); at > 0 {
				_, _ = w.rescale(8*at, true)
				remembered = w.store.Snapshot()
			}
			if _, err := w.rescale(0, false); err != nil {
				t.Fatal(err)
			}
			more := w.draw(60, events[len(events)-1].time, hour)
			events = append(events, more...)
			for _, e := range more {
				w.produce(e, later)
			}
			if seed >= 8 {
				if err := w.run(t.Context(), kafka{w: w}, w.ends(true), nil); err != nil {
					t.Fatal(err)
				}
			}
			w.store.Restore(remembered)
			w.requireRefused()
			if _, err := w.rescale(0, false); err != nil {
				t.Fatal(err)
			}
			tail := flush(events[len(events)-1].time+40*day, later)
			for _, e := range tail {
				w.produce(e, later)
			}
			if err := w.run(t.Context(), kafka{w: w}, w.ends(false), nil); err != nil {
				t.Fatal(err)
			}
			w.requireSends(expect(w.set, append(events, tail...), later))
			w.requirePlaced(later)
		})
	}
}

// Redis that has lost everything since, or everything, is not taken for a move that was
// interrupted.
func TestStoreThatLacksMoreIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := settled(t, 1, 2, 3)
		old := (&memory.Store{}).Snapshot()
		if _, err := w.rescale(0, false); err != nil {
			t.Fatal(err)
		}
		w.store.Restore(old)
		err := w.run(t.Context(), kafka{w: w}, w.ends(false), nil)
		if err == nil || !strings.Contains(err.Error(), "--accept-state-loss") {
			t.Errorf("a daemon goes on without states: %v", err)
		}
	})
}

// What cannot be moved is refused before anything is changed, with the reason.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(w *world, c *rescale.Config)
		says  []string
	}{
		"another partitioner": {func(_ *world, c *rescale.Config) {
			c.Home = func(user string, n int32) int32 { return (home(user, n) + 1) % n }
		}, []string{"users do not lie where", "murmur2", "Nothing was changed"}},
		"a record that neither number puts here": {func(w *world, _ *rescale.Config) {
			w.log[0] = append(w.log[0], processor.Record{Offset: int64(len(w.log[0])), Key: []byte(elsewhere(0, 2, 3))})
		}, []string{"clicks/0 offset", "has a key"}},
		"a producer that goes by the former number": {func(w *world, c *rescale.Config) {
			c.Settle = 300_000
			user := "u0"
			for i := 0; home(user, 2) == home(user, 3); i++ {
				user = fmt.Sprint("u", i)
			}
			w.produce(event{user, "view", time.Now().UnixMilli() - 1000}, 2)
		}, []string{"1s ago", "--settle 0s", "metadata.max.age.ms"}},
		"fewer partitions": {func(w *world, _ *rescale.Config) { w.counts.Sends = 1 }, []string{"partitions are missing"}},
		"an offset that was moved": {func(w *world, _ *rescale.Config) {
			k, _ := processor.ParsePosition(w.k[at(0)])
			w.k[at(0)] = strings.Replace(w.k[at(0)], fmt.Sprintf(";o=%d;", k.Offset), ";o=1;", 1)
			w.moved = k.Offset
		}, []string{"somebody has moved it"}},
		"no offset": {func(w *world, _ *rescale.Config) { clear(w.k) }, []string{"no committed offset"}},
		"different numbers": {func(w *world, _ *rescale.Config) {
			k, _ := processor.ParsePosition(w.k[at(0)])
			k.Counts.Input = 3
			w.k[at(2)] = k.Metadata()
		}, []string{"different numbers of partitions"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := settled(t, 1, 2, 3)
				config := w.config()
				c.spoil(w, &config)
				before := fmt.Sprint(w.k)
				_, err := rescale.Run(t.Context(), config)
				if err == nil {
					t.Fatal("it was not refused")
				}
				for _, part := range c.says {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("the error does not say %q:\n%v", part, err)
					}
				}
				if fmt.Sprint(w.k) != before {
					t.Error("positions were changed")
				}
			})
		})
	}
}

// elsewhere is a key that neither number puts into the partition.
func elsewhere(p, before, after int32) string {
	for i := 0; ; i++ {
		if key := fmt.Sprint("k", i); home(key, before) != p && home(key, after) != p {
			return key
		}
	}
}

// The send topic alone gets more partitions: nobody moves, and what is decided from now
// on goes where it belongs.
func TestOnlyOutputsGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := settled(t, 1, 2, 2)
		w.counts.Sends = 5
		w.requireRefused2()
		for i := 1; ; i++ {
			if _, err := w.rescale(i, i%2 == 0); err == nil {
				break
			}
		}
		for _, e := range flush(began+1000*day, 2) {
			w.produce(e, 2)
		}
		if err := w.run(t.Context(), kafka{w: w}, w.ends(false), nil); err != nil {
			t.Fatal(err)
		}
	})
}

// requireRefused2 fails if a daemon goes on.
func (w *world) requireRefused2() {
	w.t.Helper()
	if err := w.run(w.t.Context(), kafka{w: w}, w.ends(false), nil); err == nil || !strings.Contains(err.Error(), "nudged rescale") {
		w.t.Fatalf("a daemon goes on: %v", err)
	}
}
