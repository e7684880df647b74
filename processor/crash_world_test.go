package processor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/memory"
)

// The crash simulation runs some processes on one input topic in one goroutine.
// A seeded generator chooses who does what next, and at every call to the log or
// the store, before and after its effect, whether the process dies there, the
// call fails, its reply is lost, or others get on meanwhile. The same seed takes
// the same way.

// world is one run.
type world struct {
	t        failer
	sc       *scenario
	d        dice
	log      *fakeLog
	store    *memory.Store
	procs    []*proc
	now      int64 // wall clock, ms
	born     int   // processes so far
	budget   int   // faults still to come
	depth    int   // of processes that wait within a call while others act
	rollback bool  // Redis may lose writes
	past     []*memory.Snapshot
	gens     map[processor.TopicPartition]int // assignments so far
	pending  []*transaction                   // offsets sent, outcome to come
	plant    mistakes
	counts   worldCounts
}

// worldCounts tell what a run, or many, went through.
type worldCounts struct {
	crashes, rebalances, claims, fenced, lost, aborted, unknown, adopted, retried, rollbacks, stops, records int
}

func (c *worldCounts) add(o worldCounts) {
	c.crashes += o.crashes
	c.rebalances += o.rebalances
	c.claims += o.claims
	c.fenced += o.fenced
	c.lost += o.lost
	c.aborted += o.aborted
	c.unknown += o.unknown
	c.adopted += o.adopted
	c.retried += o.retried
	c.rollbacks += o.rollbacks
	c.stops += o.stops
	c.records += o.records
}

// proc is one process: what it believes to own, and what it has open.
type proc struct {
	w     *world
	name  string // of this incarnation
	pr    *processor.Processor
	parts map[processor.TopicPartition]*processor.Partition // nil: assigned, to be claimed
	// doomed are partitions that the publisher has given up and whose sessions
	// have not ended yet.
	doomed map[processor.TopicPartition]bool
	// stale are partitions that belong to somebody else, which this process has
	// not heard of yet.
	stale map[processor.TopicPartition]bool
	// stops are why partitions do not go on, for as long as they are assigned.
	stops map[processor.TopicPartition]error
	terms map[processor.TopicPartition]int // assignments of each
	busy  bool                             // waits within a call
	skew  int64
}

// crash is what a process panics with when it dies.
type crash struct{ p *proc }

func newWorld(t failer, seed uint64, rollback bool, plant mistakes) *world {
	d := dice(rand.New(rand.NewPCG(seed, 7)).IntN)
	w := &world{
		t: t, d: d, store: &memory.Store{}, now: 1, budget: 8 + d(40), rollback: rollback, plant: plant,
		gens: map[processor.TopicPartition]int{},
	}
	w.sc = randomScenario(d, 1+d(3), 1+d(12), 30+d(90))
	w.log = newFakeLog(w.sc.input)
	w.log.anyEpoch = plant.epochsFromRedis || plant.noEpochs
	for range 2 + d(2) {
		p := &proc{w: w, skew: int64(d(3)) * 1000}
		w.procs = append(w.procs, p)
		w.start(p)
	}
	for _, tp := range w.log.inputs() {
		w.give(tp, w.procs[d(len(w.procs))])
	}
	return w
}

// start brings a process up under a new name, owning nothing.
func (w *world) start(p *proc) {
	w.born++
	p.name = fmt.Sprintf("process-%d", w.born)
	p.parts, p.stops = map[processor.TopicPartition]*processor.Partition{}, map[processor.TopicPartition]error{}
	p.doomed, p.stale, p.terms = map[processor.TopicPartition]bool{}, map[processor.TopicPartition]bool{}, map[processor.TopicPartition]int{}
	settings := w.sc.settings(w.storeOf(p), fmt.Sprintf("%08x", w.born))
	settings.BatchUsers, settings.BatchBytes = pick(w.d, 1, 4, 1000), pick(w.d, 1, 3000, 1<<20)
	p.pr = processor.New(processor.Config{
		Settings: settings, Log: w.logOf(p),
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Now: func() int64 {
			if w.plant.epochsFromRedis {
				return 0
			}
			w.now += int64(w.d(3))
			return w.now - p.skew
		},
	})
}

// give makes q the owner of the partition. The owner before may or may not hear
// of it at once.
func (w *world) give(tp processor.TopicPartition, q *proc) {
	for _, p := range w.procs {
		if _, ok := p.parts[tp]; !ok || p == q {
			continue
		}
		if w.d.chance(50) {
			p.revoked(tp)
		} else {
			p.stale[tp] = true
		}
	}
	q.revoked(tp) // a process hears of a loss before it hears of a gain
	w.gens[tp]++
	w.log.assign(tp, q.name)
	q.parts[tp] = nil
	q.own(tp)
}

func (p *proc) own(tp processor.TopicPartition) {
	p.terms[tp]++
	term, pr := p.terms[tp], p.pr
	pr.Own(tp, func(error) {
		if p.pr == pr && p.terms[tp] == term && p.parts[tp] != nil {
			p.doomed[tp] = true
		}
	})
}

// revoked is what a process does when it hears that a partition is not its own
// any more.
func (p *proc) revoked(tp processor.TopicPartition) {
	delete(p.parts, tp)
	delete(p.doomed, tp)
	delete(p.stale, tp)
	delete(p.stops, tp)
	p.pr.Disown(tp)
}

// end ends a session: the partition is to be claimed anew.
func (p *proc) end(tp processor.TopicPartition) {
	if _, assigned := p.parts[tp]; assigned {
		p.parts[tp] = nil
		delete(p.doomed, tp)
		p.pr.Forget(tp)
	}
}

// step lets the process act once. Its death ends the step.
func (w *world) step(p *proc) {
	if p.busy {
		return
	}
	p.busy = true
	defer func() {
		p.busy = false
		switch r := recover().(type) {
		case nil:
		case crash:
			if r.p != p {
				panic(r)
			}
			w.buried(p)
		default:
			panic(r)
		}
	}()
	p.act()
}

// buried restarts a process that has died. Its partitions go to whoever is there.
func (w *world) buried(p *proc) {
	w.counts.crashes++
	var orphans []processor.TopicPartition
	for _, tp := range w.log.inputs() {
		if w.log.owner[tp] == p.name {
			orphans = append(orphans, tp)
		}
	}
	w.start(p)
	for _, tp := range orphans {
		w.give(tp, w.procs[w.d(len(w.procs))])
	}
}

func (p *proc) tps() []processor.TopicPartition {
	return slices.SortedFunc(maps.Keys(p.parts), func(a, b processor.TopicPartition) int { return int(a.Partition - b.Partition) })
}

func (p *proc) act() {
	w := p.w
	var missing, open []processor.TopicPartition
	for _, tp := range p.tps() {
		switch {
		case p.stale[tp] && w.d.chance(20):
			p.revoked(tp)
			continue
		case p.doomed[tp] && w.d.chance(40):
			p.end(tp)
		}
		if p.parts[tp] != nil {
			open = append(open, tp)
		} else if p.stops[tp] == nil {
			missing = append(missing, tp)
		}
	}
	if len(missing) > 0 && w.d.chance(80) {
		p.claim(missing[:1+w.d(len(missing))])
		return
	}
	if len(open) == 0 {
		return
	}
	tp := open[w.d(len(open))]
	part := p.parts[tp]
	ctx := context.Background()
	switch w.d(8) {
	case 0, 1:
		p.handle(tp, part, part.Flush(ctx))
	case 2, 3:
		// Which partitions it concerned, and that they are to be recovered, is told
		// by the callbacks.
		if err := p.pr.PublishNow(ctx); err != nil {
			w.counts.aborted++
		}
	case 4:
		p.handle(tp, part, part.CheckFence(ctx))
	default:
		recs := w.sc.input[tp.Partition]
		from := part.Offset()
		to := min(from+1+int64(w.d(25)), int64(len(recs)))
		from = max(0, from-int64(w.d(3)))
		p.handle(tp, part, part.Consume(ctx, recs[from:to]))
	}
}

func (p *proc) claim(tps []processor.TopicPartition) {
	w := p.w
	w.counts.claims++
	terms := make([]int, len(tps))
	for i, tp := range tps {
		terms[i] = p.terms[tp]
	}
	parts, errs := p.pr.ClaimNow(context.Background(), tps...)
	for i, tp := range tps {
		if _, still := p.parts[tp]; !still || p.terms[tp] != terms[i] {
			continue // revoked meanwhile
		}
		var stop *processor.StopError
		if errors.As(errs[i], &stop) {
			w.counts.stops++
			p.stops[tp] = errs[i]
		}
		if errs[i] == nil {
			p.parts[tp] = parts[i]
			if _, records := parts[i].Unpublished(); records {
				w.counts.adopted++
			}
		}
	}
}

// stopped is why the owner of the partition does not go on, nil if it does.
func (w *world) stopped(tp processor.TopicPartition) error {
	for _, p := range w.procs {
		if p.name == w.log.owner[tp] {
			return p.stops[tp]
		}
	}
	return nil
}

// handle does what a worker does about an error.
func (p *proc) handle(tp processor.TopicPartition, part *processor.Partition, err error) {
	w := p.w
	var stop *processor.StopError
	switch {
	case err == nil:
		return
	case errors.Is(err, processor.ErrFenced):
		w.counts.fenced++
	case errors.Is(err, processor.ErrLost):
		w.counts.lost++
	case errors.As(err, &stop):
		p.stops[tp] = err
	default:
		w.t.Fatalf("%s, %s: %v", p.name, tp, err)
	}
	if p.parts[tp] == part {
		p.end(tp)
	}
}
