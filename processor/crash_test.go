package processor_test

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nudged/nudged/processor"
)

var (
	crashSeed  = flag.Uint64("seed", 0, "run the crash simulation with this seed only")
	crashSeeds = flag.Uint64("seeds", 0, "run the crash simulation with so many seeds")
)

// run lets the processes act until the faults are used up, then to the end of the
// input.
func (w *world) run() {
	for range 4000 {
		if w.budget <= 0 {
			break
		}
		w.meanwhile()
	}
	w.budget = 0
	w.calm()
	for round := 0; !w.finished(); round++ {
		if round > 5_000 {
			w.t.Fatalf("it does not come to its end: %s", w.where())
		}
		if w.d.chance(30) {
			w.settle()
		}
		w.step(w.procs[w.d(len(w.procs))])
	}
}

// finished says that every partition that goes on is published to its end, and
// that what Redis has lost has been noticed.
func (w *world) finished() bool {
	for _, tp := range w.log.inputs() {
		if w.stopped(tp) != nil {
			continue
		}
		k, ok := w.log.position(tp)
		r, err := w.store.Peek(context.Background(), tp)
		if !ok || err != nil || r == nil || k.Offset != int64(len(w.sc.input[tp.Partition])) || r.Seq != k.Seq ||
			r.History.String() != k.History.String() && !w.log.anyEpoch && !w.log.anyPosition {
			return false
		}
		if w.kind.wall && !w.clockAtEnd(tp) {
			return false
		}
		for _, user := range w.sc.forgotten(int(tp.Partition)) {
			if len(mentions(w.t, w.store, tp, user)) > 0 {
				return false // the outbox is trimmed when it is published
			}
		}
	}
	return true
}

// clockAtEnd says that the partition's clock has come to where the wall clock
// stands, and that nothing waits to be written.
func (w *world) clockAtEnd(tp processor.TopicPartition) bool {
	for _, p := range w.procs {
		if part := p.parts[tp]; part != nil && w.log.owner[tp] == p.name {
			return part.Clock() >= w.wall-p.skew && !part.Open()
		}
	}
	return false
}

func (w *world) where() string {
	var b strings.Builder
	for _, tp := range w.log.inputs() {
		k, _ := w.log.position(tp)
		r, _ := w.store.Peek(context.Background(), tp)
		fmt.Fprintf(&b, "%s of %d records, owner %s, stopped by %v: K %+v, R %+v\n", tp, len(w.sc.input[tp.Partition]), w.log.owner[tp], w.stopped(tp), k, r)
	}
	return b.String()
}

// check holds what has become visible against the oracle: everything, once, in
// its order.
func (w *world) check() {
	w.t.Helper()
	for p := range w.sc.input {
		tp := inputPartition(int32(p))
		marks, got := w.log.records(tp)
		w.counts.records += len(got)
		if stop := w.stopped(tp); stop != nil {
			w.t.Fatalf("%s is stopped: %v\n%s", tp, stop, w.where())
		}
		k, _ := w.log.position(tp)
		if w.log.anyEpoch {
			k.History = nil
		}
		if err := checkMarks(k, marks, w.kind.wall); err != nil && !w.plant.dropKnown {
			w.t.Fatalf("%s: %v\n%s", tp, err, w.where())
		}
		if w.kind.wall {
			w.checkTold(tp)
		} else if err := w.sc.compare(p, got); err != nil {
			w.t.Fatalf("%s: %v\n%s", tp, err, w.where())
		}
		checkHints(w.t, w.sc.set, w.store, tp, w.sc.users[p], nil)
	}
	for _, b := range w.log.broken {
		w.t.Fatalf("%s", b)
	}
	if !w.log.anyEpoch && !w.kind.wall {
		if !w.kind.resets { // a reset repeats dead letters
			checkOutcome(w.t, w.sc, w.log, w.store)
		}
		w.checkStates()
	}
}

// simulate runs one seed.
func simulate(t failer, seed uint64, kind worldKind, plant mistakes) worldCounts {
	w := newWorld(t, seed, kind, plant)
	w.run()
	w.check()
	return w.counts
}

// seeds calls f with the seeds to run, inside a bubble: calls that are repeated
// wait in its time.
func seeds(t *testing.T, n uint64, f func(t failer, seed uint64)) {
	switch {
	case *crashSeeds > 0:
		n = *crashSeeds
	case testing.Short():
		n /= 10
	}
	from, to := uint64(1), n+1
	if *crashSeed != 0 {
		from, to = *crashSeed, *crashSeed+1
	}
	synctest.Test(t, func(t *testing.T) {
		for seed := from; seed < to; seed++ {
			f(seeded{t, seed}, seed)
		}
	})
}

// Processes die, hang, lose their partitions and replies at every step of the
// protocol: each command and decision becomes visible exactly once.
func TestCrashesLoseAndRepeatNothing(t *testing.T) {
	total := simulateAll(t, 1000, worldKind{})
	if *crashSeed == 0 && (total.crashes == 0 || total.rebalances == 0 || total.fenced == 0 || total.aborted == 0 || total.unknown == 0 ||
		total.adopted == 0 || total.retried == 0 || total.records == 0) {
		t.Errorf("the simulation does not go through everything: %+v", total)
	}
}

// The same, and Redis falls back to an earlier content, or is emptied: what is
// visible is the same as if it had not.
func TestLossesLoseAndRepeatNothing(t *testing.T) {
	total := simulateAll(t, 500, worldKind{losses: true})
	if *crashSeed == 0 && (total.rollbacks == 0 || total.lost == 0 || total.replays == 0) {
		t.Errorf("the simulation does not go through everything: %+v", total)
	}
}

// On the wall clock it depends on the run what is decided. But it is decided once,
// nothing that is due is left, and it is what the rules say of a history that went
// as the visible records tell.
func TestWallClockCrashesLoseAndRepeatNothing(t *testing.T) {
	total := simulateAll(t, 500, worldKind{wall: true, losses: true})
	if *crashSeed == 0 && (total.rollbacks == 0 || total.lost == 0 || total.replays == 0 || total.records == 0) {
		t.Errorf("the simulation does not go through everything: %+v", total)
	}
}

// Somebody resets or deletes the group's offsets too, and answers what stops: no
// command is repeated or lost.
func TestResetsLoseAndRepeatNothing(t *testing.T) {
	total := simulateAll(t, 500, worldKind{losses: true, resets: true})
	if *crashSeed == 0 && (total.resets == 0 || total.stops == 0 || total.answered == 0) {
		t.Errorf("the simulation does not go through everything: %+v", total)
	}
}

func simulateAll(t *testing.T, n uint64, kind worldKind) worldCounts {
	var total worldCounts
	seeds(t, n, func(t failer, seed uint64) { total.add(simulate(t, seed, kind, mistakes{})) })
	t.Logf("%+v", total)
	return total
}

// calm brings what is under way to an end, and all records into the topic.
func (w *world) calm() {
	for _, t := range w.pending {
		t.owner = nil
	}
	w.settle()
	if w.kind.resets { // what was done to an idle partition is noticed by its next claim
		for _, p := range w.procs {
			for tp := range p.parts {
				p.end(tp)
			}
		}
	}
	if !w.kind.wall {
		return
	}
	for _, tp := range w.log.inputs() {
		w.arrive(tp, int64(len(w.log.input[tp])))
	}
	w.wall += 90 * day
}

var _ processor.Log = simLog{}
