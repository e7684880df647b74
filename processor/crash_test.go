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
	for len(w.pending) > 0 {
		w.settle()
	}
	for round := 0; !w.finished(); round++ {
		if round > 20_000 {
			w.t.Fatalf("it does not come to its end: %s", w.where())
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
			r.History.String() != k.History.String() && !w.log.anyEpoch {
			return false
		}
	}
	return true
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
// its order. A partition that has stopped, because Redis lost more than this
// version can rebuild, must have published a beginning of that, and nothing else.
func (w *world) check() {
	w.t.Helper()
	stops := 0
	for p, want := range w.sc.want {
		tp := inputPartition(int32(p))
		marks, got := w.log.records(tp)
		w.counts.records += len(got)
		k, _ := w.log.position(tp)
		if w.log.anyEpoch {
			k.History = nil
		}
		if err := checkMarks(k, marks); err != nil {
			w.t.Fatalf("%s: %v\n%s", tp, err, w.where())
		}
		stop := w.stopped(tp)
		if stop != nil {
			stops++
			if !w.rollback || !blamesRedis(stop) {
				w.t.Fatalf("%s is stopped: %v\n%s", tp, stop, w.where())
			}
			if want = want[:min(len(want), len(got))]; len(got) > len(want) {
				w.t.Fatalf("%s: %d records are visible, the oracle has %d", tp, len(got), len(want))
			}
		}
		if i := firstDifference(got, want); i >= 0 {
			w.t.Fatalf("%s: %d records are visible, want %d; number %d is\n%s\nwant\n%s\n%s", tp, len(got), len(want), i, at(got, i), at(want, i), w.where())
		}
		if stop == nil {
			checkHints(w.t, w.sc.set, w.store, tp, w.sc.users[p], nil)
		}
	}
	for _, b := range w.log.broken {
		w.t.Fatalf("%s", b)
	}
	if stops == 0 && !w.log.anyEpoch {
		checkOutcome(w.t, w.sc, w.log, w.store)
	}
}

// blamesRedis says that the stop is one that follows from lost writes.
func blamesRedis(stop error) bool {
	for _, reason := range []string{"lost writes", "branch that was never published", "Redis was emptied"} {
		if strings.Contains(stop.Error(), reason) {
			return true
		}
	}
	return false
}

// simulate runs one seed.
func simulate(t failer, seed uint64, rollback bool, plant mistakes) worldCounts {
	w := newWorld(t, seed, rollback, plant)
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
	var total worldCounts
	seeds(t, 2000, func(t failer, seed uint64) { total.add(simulate(t, seed, false, mistakes{})) })
	t.Logf("%+v", total)
	if *crashSeed == 0 && (total.crashes == 0 || total.rebalances == 0 || total.fenced == 0 || total.aborted == 0 || total.unknown == 0 ||
		total.adopted == 0 || total.retried == 0 || total.records == 0) {
		t.Errorf("the simulation does not go through everything: %+v", total)
	}
}

// The same, and Redis falls back to an earlier content, or is emptied: what can go
// on does so, what cannot stops before it says anything wrong.
func TestLostWritesRepeatNothing(t *testing.T) {
	var total worldCounts
	seeds(t, 1000, func(t failer, seed uint64) { total.add(simulate(t, seed, true, mistakes{})) })
	t.Logf("%+v", total)
	if *crashSeed == 0 && (total.rollbacks == 0 || total.lost == 0 || total.stops == 0) {
		t.Errorf("the simulation does not go through everything: %+v", total)
	}
}

var _ processor.Log = simLog{}
