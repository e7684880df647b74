package rescale_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/rescale"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/sim"
)

var seeds = flag.Int("seeds", 12, "how many worlds TestMoveLosesAndRepeatsNothing draws")

const (
	minute = int64(60_000)
	hour   = 60 * minute
	day    = 24 * hour
	began  = 10 * 365 * day
)

// forget is the type of what is no event but an order to forget the user.
const forget = "forget"

// draw makes n events, each a while after the one before. Some users are to be forgotten
// right after an event of theirs: their partition's clock has come to it then, however
// many partitions there are.
func (w *world) draw(n int, from, step int64) []event {
	var out []event
	for range n {
		from += 1 + w.rnd.Int64N(step)
		out = append(out, event{fmt.Sprintf("u%d", w.rnd.IntN(40)), []string{"view", "view", "cart", "cart", "purchase"}[w.rnd.IntN(5)], from})
		if w.rnd.IntN(10) == 0 {
			out = append(out, event{out[len(out)-1].user, forget, from})
		}
	}
	return out
}

// sent is what a send command must agree in.
func sent(value string) string {
	var m struct {
		User, Rule string
		Due, Fired time.Time
	}
	if err := json.Unmarshal([]byte(value), &m); err != nil {
		panic(err)
	}
	return fmt.Sprint(m.User, " ", m.Rule, " ", m.Due.UnixMilli(), " ", m.Fired.UnixMilli())
}

// expect asks the simulation what has to be sent over the events: it knows nothing of
// logs, stores and moves. Where partitions get events in the order of time, it does
// not matter how many there are.
func expect(set *rules.Set, events []event, partitions int32) map[string]int {
	out := map[string]int{}
	s := sim.New(set, int(partitions), false, func(_ int32, d *rules.Decision) {
		if d.Outcome == rules.Sent {
			out[fmt.Sprint(d.User, " ", d.Rule, " ", d.Due, " ", d.At)]++
		}
	})
	for _, e := range events {
		if e.typ == forget {
			s.Forget(e.user, e.time)
			continue
		}
		s.Apply(&rules.Event{ID: fmt.Sprintf("%s %s %d", e.user, e.typ, e.time), Type: e.typ, User: e.user, Time: e.time, Fields: make([]rules.Value, len(set.Fields))})
	}
	return out
}

// flush makes an event for each partition that moves its clock past everything.
func flush(at int64, partitions int32) []event {
	var out []event
	seen := map[int32]bool{}
	for i := 0; int32(len(seen)) < partitions; i++ {
		user := fmt.Sprintf("flush%d", i)
		if p := home(user, partitions); !seen[p] {
			seen[p] = true
			out = append(out, event{user, "purchase", at})
		}
	}
	return out
}

// Whatever interrupts the move, how often and where, what is sent over the whole is
// what the rules say: nothing is missing, nothing is there twice.
func TestMoveLosesAndRepeatsNothing(t *testing.T) {
	for seed := range uint64(*seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { tryMove(t, seed) })
		})
	}
}

func tryMove(t *testing.T, seed uint64) {
	overlap := seed%3 == 2
	file, step := "testdata/timers.yaml", 2*hour
	if overlap {
		file, step = "testdata/overlap.yaml", 10*minute
	}
	former := 1 + int32(seed%4)
	w := newWorld(t, seed, file, former)
	counts := []int32{former, former + 1 + int32(w.rnd.IntN(5))}
	if seed%5 == 0 {
		counts = append(counts, counts[1]+1+int32(w.rnd.IntN(3))) // it grows again later
	}
	var events []event
	clock := began
	for i, n := range counts {
		if i > 0 {
			w.growAndMove(overlap, counts[i-1], n, &events, &clock, step)
		}
		more := w.draw(60, clock, step)
		for _, e := range more {
			w.produce(e, n)
		}
		events, clock = append(events, more...), more[len(more)-1].time
		// Up to some place: the rest is there when the topic grows.
		if err := w.run(t.Context(), kafka{w: w}, w.ends(i < len(counts)-1), nil); err != nil {
			t.Fatalf("run under %d partitions: %v", n, err)
		}
	}
	last := counts[len(counts)-1]
	tail := flush(clock+40*day, last)
	for _, e := range tail {
		w.produce(e, last)
	}
	if err := w.run(t.Context(), kafka{w: w}, w.ends(false), nil); err != nil {
		t.Fatal(err)
	}
	w.requireSends(expect(w.set, append(events, tail...), last))
	w.requirePlaced(last)
	if w.dead > 0 {
		t.Errorf("%d dead letters", w.dead)
	}
}

// growAndMove lets the topic grow while it is written to, and moves its users.
func (w *world) growAndMove(overlap bool, before, after int32, events *[]event, clock *int64, step int64) {
	w.grow(after)
	w.requireRefused()
	if overlap {
		// Each user's producer learns of it when it happens to.
		knows := map[string]bool{}
		for _, e := range w.draw(60, *clock, step) {
			if w.rnd.IntN(4) == 0 {
				knows[e.user] = true
			}
			n := before
			if knows[e.user] {
				n = after
			}
			w.produce(e, n)
			*events, *clock = append(*events, e), e.time
		}
	}
	plan, err := rescale.Plan(w.t.Context(), w.config())
	if err != nil || !plan.Needed {
		w.t.Fatalf("Plan = %+v, %v", plan, err)
	}
	for deaths := w.rnd.IntN(6); ; deaths-- {
		fuse := 0
		if deaths > 0 {
			fuse = 1 + w.rnd.IntN(60)
		}
		_, err := w.rescale(fuse, w.rnd.IntN(2) == 0)
		if err == nil {
			break
		}
		if w.rnd.IntN(2) == 0 {
			w.requireRefused()
		}
	}
	again, err := rescale.Run(w.t.Context(), w.config())
	if err != nil || again.Needed {
		w.t.Fatalf("once more: %+v, %v", again, err)
	}
}

// requireRefused fails if a daemon goes on from where the move stands, unless it is
// over.
func (w *world) requireRefused() {
	w.t.Helper()
	for p := range w.counts.Input {
		if h, _ := w.store.Peek(w.t.Context(), at(p)); h != nil && strings.HasSuffix(h.ID, fmt.Sprintf(" %d", w.counts.Input)) {
			return
		}
	}
	before := fmt.Sprint(w.sends)
	err := w.run(w.t.Context(), kafka{w: w}, w.ends(false), nil)
	if err == nil || !strings.Contains(err.Error(), "nudged rescale") || fmt.Sprint(w.sends) != before {
		w.t.Fatalf("a daemon goes on: %v", err)
	}
}

func (w *world) requireSends(want map[string]int) {
	w.t.Helper()
	got := map[string]int{}
	for value, n := range w.sends {
		got[sent(value)] += n
	}
	if len(want) == 0 {
		w.t.Fatal("nothing is expected, which proves nothing")
	}
	for s, n := range want {
		if got[s] != n {
			w.t.Errorf("sent %d times instead of %d: %s", got[s], n, s)
		}
	}
	for s, n := range got {
		if want[s] == 0 {
			w.t.Errorf("sent %d times, not expected: %s", n, s)
		}
	}
}

// requirePlaced fails unless each user is where the number of partitions puts him, once,
// and no timer lists somebody who is elsewhere.
func (w *world) requirePlaced(partitions int32) (states map[string][]byte, listed map[string][]int64) {
	w.t.Helper()
	states, listed = map[string][]byte{}, map[string][]int64{}
	for p := range partitions {
		for slice, of := 0, 1; slice < of; slice++ {
			users, n, err := w.store.Users(w.t.Context(), at(p), processor.Fence{}, slice)
			if err != nil {
				w.t.Fatal(err)
			}
			of = n
			for _, u := range users {
				if home(u.User, partitions) != p || states[u.User] != nil {
					w.t.Errorf("user %s is in partition %d of %d", u.User, p, partitions)
				}
				states[u.User] = u.State
			}
		}
		snapshot := w.store.Snapshot()
		claimed, err := w.store.Claim(w.t.Context(), at(p), processor.Claim{ID: w.header(p).ID, Epoch: 1 << 50})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, b := range claimed.Buckets {
			entries, err := w.store.Timers(w.t.Context(), at(p), processor.Fence{}, b, 0, math.MaxInt32)
			if err != nil {
				w.t.Fatal(err)
			}
			for _, e := range entries {
				if home(e.User, partitions) != p {
					w.t.Errorf("partition %d lists %s", p, e.User)
				}
				listed[e.User] = append(listed[e.User], e.At)
			}
		}
		w.store.Restore(snapshot)
	}
	return states, listed
}

func (w *world) header(p int32) *processor.Header {
	w.t.Helper()
	h, err := w.store.Peek(w.t.Context(), at(p))
	if err != nil || h == nil {
		w.t.Fatalf("header of partition %d: %v, %v", p, h, err)
	}
	return h
}
