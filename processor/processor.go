package processor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nudged/nudged/sinks"
)

// Config is what a Processor is made of.
type Config struct {
	Settings
	Log    Log
	Source Source
	Answers
	Sinks  []sinks.Sink // told of commands once they are visible
	Logger *slog.Logger
	// Now reads the wall clock, ms.
	Now func() int64

	StartLatest    bool          // a new group starts at the end of the topic
	CommitInterval time.Duration // at most this long goes a batch without records unpublished
	SendGap        time.Duration // at least this long between two transactions
	BacklogGap     time.Duration // the same while partitions lag behind
	FlushGap       time.Duration // at least this long between two batches of a partition that is caught up; CommitInterval if there are no records
	BatchAge       time.Duration // after which a batch is closed in a backlog
	FiresPerBatch  int           // users whose timers fire before events go on
	InboxBytes     int           // of records that may wait for a partition before it is fetched no more; 0: 4 MiB
	// Draining: the wall clock stands still and what schedules have begun is brought
	// to its end.
	Draining bool
	// Targets, if any, are the offsets at which partitions stop taking in.
	Targets map[TopicPartition]int64
}

// Processor runs the partitions that a process owns.
type Processor struct {
	cfg     Config
	targets map[TopicPartition]int64
	claims  chan claimRequest
	publish chan struct{}

	// txn holds a value over a transaction: the publisher and claims take turns.
	txn   chan struct{}
	inTxn atomic.Bool // only invariants look at it

	mu      sync.Mutex
	current *Settings // cfg.Settings, until SetRules
	workers map[TopicPartition]*worker
	ctx     context.Context
	backlog bool  // the latest batch came from a partition that lags behind
	fatal   error // why the process cannot go on
	failed  chan struct{}
}

// New returns a processor. Run starts it.
func New(cfg Config) *Processor {
	pr := &Processor{
		cfg: cfg, targets: cfg.Targets,
		claims: make(chan claimRequest), publish: make(chan struct{}, 1), txn: make(chan struct{}, 1),
		workers: map[TopicPartition]*worker{}, failed: make(chan struct{}),
	}
	pr.cfg.Settings.trouble = pr.trouble
	pr.current = &pr.cfg.Settings
	return pr
}

// trouble notes that a call to the store failed and is repeated. It is logged
// once, until the partition gets on.
func (pr *Processor) trouble(tp TopicPartition, what string, err error) {
	pr.mu.Lock()
	w := pr.workers[tp]
	pr.mu.Unlock()
	if w == nil {
		return
	}
	first := false
	w.setStatus(func(s *Status) { first, s.Trouble = s.Trouble == "", what+": "+err.Error() })
	if first {
		pr.cfg.Logger.Warn("a call is repeated until it succeeds", "partition", tp.String(), "call", what, "error", err.Error())
	}
}

// Run claims, publishes and moves clocks until the context ends or the process
// cannot go on. Partitions come and go by Assign and Revoke.
func (pr *Processor) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pr.mu.Lock()
	pr.ctx = ctx
	for _, w := range pr.workers {
		pr.start(w)
	}
	pr.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { pr.claimLoop(ctx) })
	wg.Go(func() { pr.publishLoop(ctx) })
	if !pr.cfg.Draining {
		wg.Go(func() { pr.clockLoop(ctx) })
	}
	select {
	case <-ctx.Done():
	case <-pr.failed:
	}
	cancel()
	for _, w := range pr.all() {
		<-w.done
	}
	wg.Wait()
	pr.mu.Lock()
	defer pr.mu.Unlock()
	return pr.fatal
}

// start runs the worker; pr.mu is held.
func (pr *Processor) start(w *worker) {
	ctx, cancel := context.WithCancel(pr.ctx)
	w.cancel = cancel
	go w.run(ctx)
}

// Assign takes partitions on.
func (pr *Processor) Assign(tps []TopicPartition) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	for _, tp := range tps {
		if pr.workers[tp] != nil {
			continue
		}
		w := newWorker(pr, tp)
		pr.workers[tp] = w
		if pr.ctx != nil {
			pr.start(w)
		}
	}
}

// Revoke drops partitions. When it returns nothing of them runs any more. What
// they have written and not published is published by the next owner.
func (pr *Processor) Revoke(tps []TopicPartition) {
	var gone []*worker
	pr.mu.Lock()
	for _, tp := range tps {
		if w := pr.workers[tp]; w != nil {
			delete(pr.workers, tp)
			if w.cancel != nil {
				w.cancel()
				gone = append(gone, w)
			}
		}
	}
	pr.mu.Unlock()
	for _, w := range gone {
		<-w.done
	}
}

// Deliver hands records of a partition to its worker. end is the end of the
// partition as far as the source knows.
func (pr *Processor) Deliver(tp TopicPartition, recs []Record, end int64) {
	pr.mu.Lock()
	w := pr.workers[tp]
	pr.mu.Unlock()
	if w != nil {
		w.deliver(recs, end)
	}
}

// Fault says that a partition cannot be read where it stands: it is claimed
// anew, and the claim tells why.
func (pr *Processor) Fault(tp TopicPartition, err error) {
	pr.mu.Lock()
	w := pr.workers[tp]
	pr.mu.Unlock()
	if w != nil {
		w.recover(w.partition(), fmt.Errorf("read %s: %w", tp, err))
	}
}

// Finish closes the open batches and publishes them: what a graceful stop does
// before Run's context is cancelled. It gives up when ctx ends; nothing is lost
// by that.
func (pr *Processor) Finish(ctx context.Context) error {
	workers := pr.all()
	for _, w := range workers {
		w.stopGently()
	}
	for _, w := range workers {
		if w.Status().Stopped != nil || !w.Status().Ready {
			continue
		}
		select {
		case <-w.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return pr.publishAll(ctx)
}

// Status returns what can be told of each partition.
func (pr *Processor) Status() []Status {
	var out []Status
	for _, w := range pr.all() {
		out = append(out, w.Status())
	}
	return out
}

// AtTargets says that every partition owned here that has a target has reached
// it, and has published what it decided on the way.
func (pr *Processor) AtTargets() bool {
	for _, w := range pr.all() {
		target, ok := pr.targets[w.input]
		p := w.partition()
		if !ok {
			continue
		}
		if p == nil || w.Status().Offset < target {
			return false
		}
		if n, _ := p.Unpublished(); n > 0 {
			return false
		}
	}
	return true
}

func (pr *Processor) all() []*worker {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	out := make([]*worker, 0, len(pr.workers))
	for _, w := range pr.workers {
		out = append(out, w)
	}
	return out
}

// stopped says loudly that a partition has stopped.
func (pr *Processor) stopped(e *StopError) {
	pr.cfg.Logger.Error("partition is stopped", "partition", e.Input.String(), "reason", e.Reason, "wayout", e.Wayout)
	if e.User != "" {
		pr.cfg.Logger.Debug("whose state stops the partition", "partition", e.Input.String(), "user", e.User)
	}
}

// fail ends the process.
func (pr *Processor) fail(err error) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if pr.fatal == nil {
		pr.fatal = err
		close(pr.failed)
	}
}

// clockTick is how often the wall clock is looked at, countTick how often the
// numbers of partitions are while no clock asks for the ends of the logs.
const (
	clockTick = 50 * time.Millisecond
	countTick = time.Second
)

// clockLoop moves the clocks of the partitions: it asks for the ends of the logs
// and tells the workers, which follow once they have applied what was there. A
// clock does not move where the topic has got more partitions: what concerns the
// partition's users may lie in them.
func (pr *Processor) clockLoop(ctx context.Context) {
	every := clockTick
	if pr.cfg.EventClock {
		every = countTick
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := pr.cfg.Now()
		var tps []TopicPartition
		workers := map[TopicPartition]*worker{}
		for _, w := range pr.all() {
			if pr.cfg.EventClock || w.wantsClock(now) {
				tps = append(tps, w.input)
				workers[w.input] = w
			}
		}
		if len(tps) == 0 {
			continue
		}
		ends, err := pr.cfg.Source.Ends(ctx, tps)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
				pr.cfg.Logger.Warn("the clocks wait: the ends of the input partitions cannot be read", "error", err.Error())
			}
			continue
		}
		counts := map[string]int32{}
		for tp := range ends {
			counts[tp.Topic]++
		}
		for tp, w := range workers {
			if w.recounted(counts[tp.Topic]) || pr.cfg.EventClock {
				continue
			}
			w.setProbe(clockProbe{now, ends[tp]})
		}
	}
}
