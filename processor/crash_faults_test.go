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
	if w.kind.wall {
		w.timePasses()
	}
	if w.kind.resets && w.budget > 0 && w.d.chance(2) {
		w.budget--
		w.resetOffset()
	}
	if w.kind.losses && w.d.chance(10) {
		w.past = append(w.past, w.store.Snapshot())
	}
	if w.kind.losses && w.budget > 0 && w.d.chance(2) {
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
	return &hooked{Store: w.plant.store(w, p), before: fault(2, errOutOfReach), after: fault(3, errNoReply)}
}

// transaction has sent its offsets: whatever the group does now, it is committed
// or aborted as a whole.
type transaction struct {
	pubs   []*processor.Publication
	txn    *outTxn
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
			w.log.commit(t.txn, t.pubs)
		} else {
			w.log.end(t.txn, false)
		}
		return true
	})
	if w.d.chance(30) || w.budget <= 0 {
		for _, o := range w.log.out {
			o.late = nil
		}
	}
}

// dawdle has markers of a transaction that is committed come late.
func (w *world) dawdle(txn *outTxn) {
	for _, at := range txn.touched {
		if o := w.log.out[at]; o.late == nil && w.d.chance(w.often(w.plant.toStable, 40)) {
			o.late = txn
		}
	}
}

// resetOffset is what somebody does to the group's offset.
func (w *world) resetOffset() {
	w.counts.resets++
	tps := w.log.inputs()
	tp := tps[w.d(len(tps))]
	c, ok := w.log.committed[tp]
	switch {
	case !ok:
	case w.d.chance(40):
		delete(w.log.committed, tp)
	case w.d.chance(50):
		w.log.committed[tp] = commit{int64(w.d(1 + len(w.log.input[tp]))), ""}
	default:
		w.log.committed[tp] = commit{int64(w.d(1 + len(w.log.input[tp]))), c.metadata}
	}
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
			out[tp] = w.plant.inspected(w, tp, in)
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
	if slices.ContainsFunc(w.pending, func(t *transaction) bool { return t.owner == l.p }) {
		w.log.broken = append(w.log.broken, l.name+" begins a transaction while it has another under way")
	}
	w.plant.produced(w)
	txn := w.log.produce(pubs)
	if w.budget > 0 && w.d.chance(8) {
		w.budget--
		w.log.end(txn, false)
		return fmt.Errorf("%w: simulated", processor.ErrNotPublished)
	}
	for i, pub := range pubs {
		if !w.plant.commitsFor(w, pub) && (w.log.owner[pub.Input] != l.name || w.gens[pub.Input] != gens[i]) {
			w.log.end(txn, false)
			return fmt.Errorf("%w: %s", processor.ErrNotOwner, pub.Input)
		}
	}
	t := &transaction{pubs: clonePubs(pubs), txn: txn, commit: w.d.chance(50), owner: l.p}
	w.pending = append(w.pending, t)
	defer func() {
		if r := recover(); r != nil { // died: nobody knows yet what becomes of it
			t.owner = nil
			panic(r)
		}
	}()
	w.point(l.p)
	if w.plant.overlap && w.budget > 0 && w.d.chance(20) {
		w.budget--
		return fmt.Errorf("%w: simulated: the outcome is unknown", processor.ErrNotPublished)
	}
	w.pending = slices.DeleteFunc(w.pending, func(other *transaction) bool { return other == t })
	replied := true
	if w.budget > 0 && w.d.chance(8) {
		w.budget--
		w.counts.unknown++
		replied = false
	}
	w.plant.commit(w, txn, pubs, replied)
	w.dawdle(txn)
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

// Evidence hands out what the topics hold. Between two portions others act.
func (l simLog) Evidence(ctx context.Context, from, until processor.Evidence) (processor.EvidenceReader, error) {
	w := l.w
	w.point(l.p)
	if w.budget > 0 && w.d.chance(2) {
		w.budget--
		return nil, errOutOfReach
	}
	r := &fakeReader{log: w.log, from: from, until: until, many: 1 + w.d(9), toStable: w.plant.toStable}
	return simReader{r, w, l.p}, nil
}

type simReader struct {
	*fakeReader
	w *world
	p *proc
}

func (r simReader) Next(ctx context.Context, send bool) ([]processor.EvidenceRecord, error) {
	r.w.point(r.p)
	if r.w.budget > 0 && r.w.d.chance(2) {
		r.w.budget--
		return nil, errOutOfReach
	}
	recs, err := r.fakeReader.Next(ctx, send)
	for i := range recs {
		r.w.plant.bendEvidence(&recs[i])
	}
	return recs, err
}

// timePasses has records arrive and the wall clock go on.
func (w *world) timePasses() {
	if w.d.chance(30) {
		tps := w.log.inputs()
		tp := tps[w.d(len(tps))]
		w.arrive(tp, w.arrived[tp]+int64(w.d(12)))
	}
	switch {
	case w.d.chance(2):
		w.wall += pick(w.d, hour, day, 7*day)
	case w.d.chance(30):
		w.wall += int64(w.d(1500))
	}
}

func (w *world) arrive(tp processor.TopicPartition, end int64) {
	for at := w.arrived[tp]; at < min(end, int64(len(w.log.input[tp]))); at++ {
		if ev := w.sc.events[tp.Partition][at]; ev != nil {
			w.wall = max(w.wall, ev.Time)
		}
		w.arrived[tp] = at + 1
	}
}
