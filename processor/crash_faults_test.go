package processor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nudged/nudged/processor"
)

var (
	errOutOfReach = errors.New("simulated: out of reach")
	errNoReply    = errors.New("simulated: the reply is lost")
	errUnstable   = errors.New("simulated: a transaction of an earlier owner is pending")
)

// point is a moment within a call of p: it may die there, or others act.
func (w *world) point(p *proc) {
	if w.budget <= 0 {
		return
	}
	if w.d.chance(3) {
		w.budget--
		panic(crash{p})
	}
	if w.depth < 2 && w.d.chance(12) {
		w.depth++
		defer func() { w.depth-- }()
		for range 1 + w.d(12) {
			w.meanwhile()
		}
	}
}

// meanwhile is something that happens on its own: a process acts, the group
// rebalances, a transaction whose process has died is settled, Redis forgets.
func (w *world) meanwhile() {
	if w.budget > 0 && w.d.chance(8) {
		w.budget--
		w.counts.rebalances++
		tps := w.log.inputs()
		w.give(tps[w.d(len(tps))], w.procs[w.d(len(w.procs))])
	}
	if w.d.chance(30) {
		w.settle()
	}
	if w.rollback && w.d.chance(10) {
		w.past = append(w.past, w.store.Snapshot())
	}
	if w.rollback && w.budget > 0 && w.d.chance(2) {
		w.budget--
		w.counts.rollbacks++
		if len(w.past) == 0 || w.d.chance(20) {
			w.store.Clear()
		} else {
			w.store.Restore(w.past[w.d(len(w.past))])
		}
	}
	w.step(w.procs[w.d(len(w.procs))])
}

// storeOf is the store as a process reaches it.
func (w *world) storeOf(p *proc) processor.Store {
	fault := func(percent int, err error) func(string, processor.TopicPartition) error {
		return func(string, processor.TopicPartition) error {
			w.point(p)
			if w.budget > 0 && w.d.chance(percent) {
				w.budget--
				w.counts.retried++
				return err
			}
			return nil
		}
	}
	return &hooked{Store: w.plant.store(w), before: fault(2, errOutOfReach), after: fault(3, errNoReply)}
}

// transaction has sent its offsets: whatever the group does now, it is committed
// or aborted as a whole.
type transaction struct {
	pubs   []*processor.Publication
	commit bool
	owner  *proc // nil once the process has died
}

// settle brings a transaction of a dead process to its end.
func (w *world) settle() {
	w.pending = slices.DeleteFunc(w.pending, func(t *transaction) bool {
		if t.owner != nil {
			return false
		}
		if t.commit {
			w.log.apply(t.pubs)
		}
		return true
	})
}

// simLog is the log as a process reaches it.
type simLog struct {
	member
	w *world
	p *proc
}

func (w *world) logOf(p *proc) processor.Log { return simLog{member{w.log, p.name}, w, p} }

func (l simLog) Inspect(ctx context.Context, tps []processor.TopicPartition) (map[processor.TopicPartition]processor.Inspection, error) {
	w := l.w
	w.point(l.p)
	if w.budget > 0 && w.d.chance(2) {
		w.budget--
		return nil, errOutOfReach
	}
	if !w.plant.readUnstable && slices.ContainsFunc(tps, w.unstable) {
		return nil, errUnstable
	}
	out, err := l.member.Inspect(ctx, tps)
	for tp, in := range out {
		if w.plant != (mistakes{}) {
			out[tp] = w.plant.inspected(in)
		}
	}
	w.point(l.p)
	return out, err
}

// unstable says that a transaction is pending that will commit the partition.
func (w *world) unstable(tp processor.TopicPartition) bool {
	return slices.ContainsFunc(w.pending, func(t *transaction) bool {
		return slices.ContainsFunc(t.pubs, func(p *processor.Publication) bool { return p.Input == tp })
	})
}

// Publish goes the way of a transaction: the records are produced, the offsets
// are sent under the assignment that was in force at the beginning, the end is
// asked for, the reply comes.
func (l simLog) Publish(_ context.Context, pubs []*processor.Publication) error {
	w := l.w
	gens := make([]int, len(pubs))
	for i, pub := range pubs {
		gens[i] = w.gens[pub.Input]
	}
	w.point(l.p)
	if w.budget > 0 && w.d.chance(8) {
		w.budget--
		return fmt.Errorf("%w: simulated", processor.ErrNotPublished)
	}
	for i, pub := range pubs {
		if !w.plant.anyOwner && (w.log.owner[pub.Input] != l.name || w.gens[pub.Input] != gens[i]) {
			return fmt.Errorf("%w: %s", processor.ErrNotOwner, pub.Input)
		}
	}
	t := &transaction{pubs: clonePubs(pubs), commit: w.d.chance(50), owner: l.p}
	w.pending = append(w.pending, t)
	defer func() {
		if r := recover(); r != nil { // died: nobody knows yet what becomes of it
			t.owner = nil
			panic(r)
		}
	}()
	w.point(l.p)
	w.pending = slices.DeleteFunc(w.pending, func(other *transaction) bool { return other == t })
	replied := true
	if w.budget > 0 && w.d.chance(8) {
		w.budget--
		w.counts.unknown++
		replied = false
	}
	w.plant.commit(w, pubs, replied)
	w.point(l.p)
	if !replied {
		return fmt.Errorf("%w: simulated: the outcome was unknown", processor.ErrNotPublished)
	}
	return nil
}

// clonePubs keeps what a transaction holds: the broker has bytes of its own.
func clonePubs(pubs []*processor.Publication) []*processor.Publication {
	out := make([]*processor.Publication, len(pubs))
	for i, p := range pubs {
		c := *p
		c.Entries = make([][]byte, len(p.Entries))
		for j, entry := range p.Entries {
			c.Entries[j] = slices.Clone(entry)
		}
		out[i] = &c
	}
	return out
}
