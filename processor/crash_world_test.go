package processor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

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
	t       failer
	sc      *scenario
	d       dice
	log     *fakeLog
	store   *memory.Store
	procs   []*proc
	now     int64 // wall clock, ms
	born    int   // processes so far
	budget  int   // faults still to come
	depth   int   // of processes that wait within a call while others act
	kind    worldKind
	past    []*memory.Snapshot
	gens    map[processor.TopicPartition]int // assignments so far
	pending []*transaction                   // offsets sent, outcome to come
	plant   mistakes
	counts  worldCounts
	// On the wall clock: what it reads, and how many records of each partition have
	// arrived.
	wall      int64
	arrived   map[processor.TopicPartition]int64
	inherited map[processor.TopicPartition]bool  // the owner has its generation from the one before
	claimed   map[processor.TopicPartition]int64 // generations as epochs, of the last claims
	reset     processor.OffsetReset              // how stops are answered
}

// worldKind says what may happen in a run beside crashes and rebalances.
type worldKind struct {
	losses bool // Redis falls back to an earlier content, or is emptied
	wall   bool // the wall clock drives the timers
	resets bool // somebody moves or deletes the group's offsets
	// language draws rules with every key; without it rules are made by hand.
	language bool
}

// worldCounts tell what a run, or many, went through.
type worldCounts struct {
	crashes, rebalances, claims, fenced, lost, aborted, unknown, adopted, retried, rollbacks, stops, records, replays, resets, answered int
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
	c.replays += o.replays
	c.resets += o.resets
	c.answered += o.answered
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
	stops  map[processor.TopicPartition]error
	terms  map[processor.TopicPartition]int // assignments of each
	busy   bool                             // waits within a call
	answer processor.OffsetReset            // that it was started with
	skew   int64
}

// crash is what a process panics with when it dies.
type crash struct{ p *proc }

func newWorld(t failer, seed uint64, kind worldKind, plant mistakes) *world {
	d := dice(rand.New(rand.NewPCG(seed, 7)).IntN)
	w := &world{
		t: t, d: d, store: &memory.Store{}, now: 1, budget: 8 + d(40), kind: kind, plant: plant,
		gens: map[processor.TopicPartition]int{}, arrived: map[processor.TopicPartition]int64{},
		inherited: map[processor.TopicPartition]bool{}, claimed: map[processor.TopicPartition]int64{},
	}
	level := pick(d, processor.DecisionsFires, processor.DecisionsAll, processor.DecisionsNone)
	if kind.wall && level == processor.DecisionsNone {
		level = processor.DecisionsFires // what does not become visible cannot be held against anything
	}
	if kind.language {
		w.sc = languageScenario(d, level, 1+d(2), false)
	} else {
		w.sc = randomScenarioAt(d, level, 1+d(3), 1+d(12), 30+d(90))
	}
	if kind.resets {
		w.reset = pick(d, processor.ResetKeep, processor.ResetRebuild)
	}
	w.log = newFakeLog(w.sc.input)
	w.log.anyEpoch = plant.epochsFromRedis || plant.noEpochs
	w.log.anyPosition = kind.resets
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
	p.answer = w.reset
	p.name = fmt.Sprintf("process-%d", w.born)
	p.parts, p.stops = map[processor.TopicPartition]*processor.Partition{}, map[processor.TopicPartition]error{}
	p.doomed, p.stale, p.terms = map[processor.TopicPartition]bool{}, map[processor.TopicPartition]bool{}, map[processor.TopicPartition]int{}
	settings := w.sc.settings(w.storeOf(p), fmt.Sprintf("%08x", w.born))
	settings.EventClock = !w.kind.wall
	settings.BatchUsers, settings.BatchBytes = pick(w.d, 1, 4, 1000), pick(w.d, 1, 3000, 1<<20)
	p.pr = processor.New(processor.Config{
		Settings: settings, Log: w.logOf(p), Answers: processor.Answers{OnOffsetReset: w.reset},
		Logger: slog.New(slog.DiscardHandler),
		Now: func() int64 {
			if w.plant.epochsFromRedis {
				return 0
			}
			w.now += int64(w.d(3))
			if w.kind.resets {
				// Where Kafka and Redis forget an epoch both, the wall clock alone keeps
				// the next one apart from it.
				w.now++
				return w.now
			}
			return w.now - p.skew
		},
	})
}

// often is the percentage of something, higher where a mistake is planted that
// only shows by it.
func (w *world) often(planted bool, percent int) int {
	if planted {
		return 90
	}
	return percent
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
	// A static member that is replaced hands its generation on; whoever comes next
	// gets another.
	if w.inherited[tp] = !w.inherited[tp] && !q.busy && w.d.chance(w.often(w.plant.generations, 20)); !w.inherited[tp] {
		w.gens[tp]++
	}
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
		if p.stops[tp] != nil && p.answer != w.reset {
			panic(crash{p}) // to come back with it
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
	if w.kind.wall && !part.Replaying() && part.Offset() >= w.arrived[tp] && w.d.chance(40) {
		_, err := part.MoveClock(ctx, w.wall-p.skew, 1+w.d(5))
		p.handle(tp, part, err)
		return
	}
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
		p.handle(tp, part, part.Trim(ctx))
		if p.parts[tp] == part && !w.plant.neverLooks {
			p.handle(tp, part, part.CheckFence(ctx))
		}
	default:
		recs := w.sc.input[tp.Partition]
		if w.kind.wall {
			recs = recs[:w.arrived[tp]]
		}
		from := part.Offset()
		to := min(from+1+int64(w.d(25)), int64(len(recs)))
		from = max(0, min(from, to)-int64(w.d(3)))
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
			p.stop(tp, errs[i])
		}
		if errs[i] == nil {
			p.parts[tp] = parts[i]
			if parts[i].Replaying() {
				w.counts.replays++
			}
			if _, records := parts[i].Unpublished(); records {
				w.counts.adopted++
			}
		}
	}
}

// stop notes that a partition does not go on. Where offsets are reset, somebody
// starts the processes anew with another answer.
func (p *proc) stop(tp processor.TopicPartition, why error) {
	w := p.w
	w.counts.stops++
	p.stops[tp] = why
	if strings.Contains(why.Error(), "do not tell all") {
		w.t.Fatalf("%v\n%s", why, w.where()) // whoever comes next may be luckier
	}
	if w.kind.resets && w.reset == processor.ResetKeep {
		w.reset = processor.ResetRebuild
		w.counts.answered++
	}
}

// stopped is why the owner of the partition does not go on, nil if it does.
func (w *world) stopped(tp processor.TopicPartition) error {
	for _, p := range w.procs {
		if p.name == w.log.owner[tp] && p.answer == w.reset {
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
		p.stop(tp, err)
	case errors.Is(err, errPending), errors.Is(err, errOutOfReach):
	default:
		w.t.Fatalf("%s, %s: %v", p.name, tp, err)
	}
	if p.parts[tp] == part {
		p.end(tp)
	}
}
