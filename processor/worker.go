package processor

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"
)

// worker runs one partition: it claims it, feeds it, moves its clock and closes
// its batches, and recovers it when it has to.
type worker struct {
	pr     *Processor
	input  TopicPartition
	wake   chan struct{} // something to do
	done   chan struct{}
	cancel context.CancelFunc
	// anywhere says that users of the input lie elsewhere than the partitioner says.
	anywhere bool

	mu     sync.Mutex
	part   *Partition // nil while it is not claimed
	inbox  [][]Record
	bytes  int   // of the inbox
	paused bool  // delivery is paused
	end    int64 // of the log, as far as known
	probe  clockProbe
	failed context.CancelCauseFunc // ends the session
	status Status
	finish bool // close the batch and end
}

// clockProbe says that the log ended at end when the wall clock read now.
type clockProbe struct {
	now, end int64
}

// Status is what can be told of a partition.
type Status struct {
	Input TopicPartition
	// Ready says that the partition is claimed and being processed.
	Ready bool
	// Stopped is why it cannot go on, nil if it can.
	Stopped *StopError
	// Trouble is the latest error that is being retried, "" if there is none.
	Trouble string
	// Replaying says that it is being brought from where Redis has it to where Kafka
	// has it; it is ready after that.
	Replaying bool
	Offset    int64 // next offset to apply
	End       int64 // of the log, as far as known
	Clock     int64 // ms
	NextDue   int64 // ms, 0: none soon
	// Stamp is the timestamp of the newest record applied, ms; 0: none since the
	// claim.
	Stamp int64
}

// fenceCheck is how often an idle partition looks whether Redis still stands
// where it left it.
const fenceCheck = time.Second

// tellCrowded is how often a partition tells of what was refused.
const tellCrowded = time.Minute

// recordBytes is what a record takes beside its key and value.
const recordBytes = 128

// defaultInbox is how many bytes may wait for a worker before delivery pauses,
// unless the configuration says so.
const defaultInbox = 4 << 20

func newWorker(pr *Processor, input TopicPartition) *worker {
	return &worker{
		pr: pr, input: input, wake: make(chan struct{}, 1), done: make(chan struct{}),
		end: -1, status: Status{Input: input},
	}
}

func (w *worker) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// deliver takes records in. end is the end of the log as the fetch saw it.
func (w *worker) deliver(recs []Record, end int64) {
	w.mu.Lock()
	for i := range recs {
		w.bytes += len(recs[i].Value) + len(recs[i].Key) + recordBytes
	}
	w.inbox = append(w.inbox, recs)
	w.end = max(w.end, end)
	if w.bytes > cmp.Or(w.pr.cfg.InboxBytes, defaultInbox) && !w.paused {
		w.paused = true
		w.pr.cfg.Source.Pause(w.input)
	}
	w.mu.Unlock()
	w.signal()
}

// run lives as long as the partition is assigned.
func (w *worker) run(ctx context.Context) {
	defer close(w.done)
	wait := 50 * time.Millisecond
	for ctx.Err() == nil {
		started := time.Now()
		err := w.session(ctx)
		if ctx.Err() != nil || err == nil {
			return
		}
		if errors.Is(err, errRulesChanged) {
			w.pr.cfg.Logger.Info("partition goes on under new rules", "partition", w.input.String())
			continue
		}
		w.setStatus(func(s *Status) { s.Ready, s.Trouble = false, err.Error() })
		var stop *StopError
		if errors.As(err, &stop) {
			w.setStatus(func(s *Status) { s.Stopped, s.Trouble = stop, "" })
			w.pr.stopped(stop)
			<-ctx.Done()
			return
		}
		var astray *errAstray
		if errors.As(err, &astray) {
			w.anywhere = true // unless the claim finds that there are more partitions now
		}
		if errors.Is(err, ErrFenced) || errors.Is(err, ErrLost) {
			w.pr.cfg.Counters.Fenced.Add(1)
		}
		w.pr.cfg.Logger.Warn("partition is recovered", "partition", w.input.String(), "reason", err.Error())
		if time.Since(started) > 10*time.Second {
			wait = 50 * time.Millisecond
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, 2*time.Second)
	}
}

// session claims the partition and serves it until it has to be recovered. It
// returns nil only when it was asked to finish.
func (w *worker) session(ctx context.Context) error {
	reply := make(chan claimReply, 1)
	select {
	case w.pr.claims <- claimRequest{w.input, w, reply}:
	case <-ctx.Done():
		return ctx.Err()
	}
	var p *Partition
	select {
	case r := <-reply:
		if r.err != nil {
			return r.err
		}
		p = r.partition
		p.anywhere = w.anywhere
	case <-ctx.Done():
		return ctx.Err()
	}
	sctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w.mu.Lock()
	w.part, w.failed, w.probe = p, cancel, clockProbe{}
	w.mu.Unlock()
	if p.cfg != w.pr.settings() {
		w.recover(p, errRulesChanged) // while it was claimed
		p.closeReplay()
		return errRulesChanged
	}
	w.setStatus(func(s *Status) { s.Ready, s.Replaying, s.Trouble, s.Stopped = !p.Replaying(), p.Replaying(), "", nil })
	w.pr.cfg.Source.Start(w.input, p.Offset())
	w.pr.publishSoon()
	err := w.serve(sctx, p)
	if err != nil && p.obs.by != nil {
		p.obs.by.Closed(err)
	}
	p.closeReplay()
	w.pr.cfg.Source.Stop(w.input)
	w.mu.Lock()
	if err != nil {
		w.part = nil // what it had to publish is published after the next claim
	}
	w.failed, w.inbox, w.bytes, w.paused = nil, nil, 0, false
	w.mu.Unlock()
	if cause := context.Cause(sctx); err != nil && cause != nil && ctx.Err() == nil {
		return cause
	}
	return err
}

// recover ends the session: the partition is claimed anew.
func (w *worker) recover(part *Partition, cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.part != part {
		return
	}
	// At once, not when the session has ended: what waits to be published may be
	// visible already, only a claim can tell.
	w.part = nil
	if w.failed != nil {
		w.failed(cause)
	}
}

// serve applies what comes in and closes batches, until an error.
func (w *worker) serve(ctx context.Context, p *Partition) error {
	cfg := w.pr.cfg
	now := time.Now()
	lastFlush, opened, checked, told := time.Time{}, now, now, time.Time{}
	if err := p.Consume(ctx, nil); err != nil { // a replay may need no records
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		recs, probe, end, finish := w.take(p)
		before := p.head.Seq
		for _, r := range recs {
			if err := p.Consume(ctx, r); err != nil {
				return err
			}
		}
		more := false
		if !p.Replaying() {
			if cfg.Draining {
				if err := p.finishSweep(ctx); err != nil {
					return err
				}
			}
			var err error
			if more, err = p.lookAround(ctx); err != nil {
				return err
			}
		}
		if probe.now > 0 && !p.Replaying() && p.Offset() >= probe.end {
			firing, err := p.MoveClock(ctx, probe.now, cfg.FiresPerBatch)
			if err != nil {
				return err
			}
			if err := p.retire(ctx); err != nil {
				return err
			}
			w.probed(probe, firing)
			more = more || firing
		}
		now = time.Now()
		if p.crowded.starts > 0 && now.Sub(told) >= tellCrowded {
			told = now
			w.tellCrowded(p)
		}
		if !p.Open() {
			opened = now
		}
		caughtUp := p.Offset() >= end
		// Records go out at once; progress without any may wait for its commit.
		gap := cfg.CommitInterval
		if p.Urgent() {
			gap = cfg.FlushGap
		}
		wait := time.Second
		switch {
		case !p.Open():
		case finish, now.Sub(opened) >= cfg.BatchAge, p.full(),
			caughtUp && now.Sub(lastFlush) >= gap:
			if err := p.Flush(ctx); err != nil {
				return err
			}
			lastFlush, opened, checked = now, now, now
		case caughtUp:
			wait = gap - now.Sub(lastFlush)
		default:
			wait = cfg.BatchAge - now.Sub(opened)
		}
		if p.head.Seq > before { // full batches are closed on the way
			w.pr.handedOver(caughtUp)
		}
		if err := p.trim(ctx); err != nil {
			return err
		}
		w.note(p, end)
		if finish {
			return nil
		}
		if now.Sub(checked) >= fenceCheck {
			checked = now
			if err := p.checkFence(ctx); err != nil {
				return err
			}
		}
		if w.hasMore() && w.mayGoOn(p) || more {
			continue
		}
		select {
		case <-ctx.Done():
		case <-w.wake:
		case <-time.After(wait):
		}
	}
}

// tellCrowded says that a user has too much pending.
func (w *worker) tellCrowded(p *Partition) {
	w.pr.cfg.Logger.Warn("starts are refused: a user has as much pending as is allowed",
		"partition", w.input.String(), "user", Hidden(p.crowded.user), "refused", p.crowded.starts, "next_offset", p.Offset(),
		"wayout", "look at the events of the partition before that offset; leave that user's out, or give the rule no key, or an unless")
	p.crowded = crowded{}
}

// mayGoOn says that not too much waits to be published.
func (w *worker) mayGoOn(p *Partition) bool {
	batches, _ := p.Unpublished()
	return batches < w.pr.cfg.OutboxLimit
}

// take empties the inbox, unless too much waits to be published.
func (w *worker) take(p *Partition) (recs [][]Record, probe clockProbe, end int64, finish bool) {
	goOn := w.mayGoOn(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	if goOn {
		recs = w.inbox
		w.inbox, w.bytes = nil, 0
		if w.paused {
			w.paused = false
			w.pr.cfg.Source.Resume(w.input)
		}
	}
	end = w.end
	if target, ok := w.pr.targets[w.input]; ok {
		// What came after the end that was asked for is left alone.
		for i, r := range recs {
			for len(r) > 0 && r[len(r)-1].Offset >= target {
				r = r[:len(r)-1]
			}
			recs[i] = r
		}
		end = target
	}
	return recs, w.probe, end, w.finish
}

func (w *worker) hasMore() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.inbox) > 0
}

// probed drops a probe that was followed.
func (w *worker) probed(followed clockProbe, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !more && w.probe == followed {
		w.probe = clockProbe{}
	}
}

// setProbe notes where the log ended at a reading of the wall clock. One that is
// not followed yet stands: in a backlog the end would run away.
func (w *worker) setProbe(p clockProbe) {
	w.mu.Lock()
	if w.probe.now == 0 {
		w.probe = p
	}
	w.end = max(w.end, p.end)
	w.mu.Unlock()
	w.signal()
}

var errRecounted = errors.New("the number of partitions of the topic has changed")

// recounted has the partition claimed anew if its topic does not have the number of
// partitions any more under which it was claimed: the claim says what to do.
func (w *worker) recounted(now int32) bool {
	part := w.partition()
	if part == nil || part.base.Counts.Input == now {
		return false
	}
	w.recover(part, errRecounted)
	return true
}

// wantsClock says that the wall clock should be probed for this partition.
func (w *worker) wantsClock(now int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.part == nil || w.probe.now != 0 {
		return false
	}
	s := &w.status
	return !s.Replaying && (s.NextDue != 0 && s.NextDue <= now || now-s.Clock >= 1000)
}

func (w *worker) note(p *Partition, end int64) {
	due, _ := p.NextDue()
	w.setStatus(func(s *Status) {
		s.Offset, s.End, s.Clock, s.NextDue, s.Stamp, s.Trouble = p.Offset(), end, p.Clock(), due, p.stamp, ""
		s.Ready, s.Replaying = !p.Replaying(), p.Replaying()
	})
}

func (w *worker) setStatus(f func(*Status)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.status)
}

// Status returns what can be told of the partition now.
func (w *worker) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}

// stopGently asks the worker to close its batch and end.
func (w *worker) stopGently() {
	w.mu.Lock()
	w.finish = true
	w.mu.Unlock()
	w.signal()
}

// checkFence compares what the store holds with what was written: an idle
// partition would not notice a loss, and its timers with it.
func (p *Partition) checkFence(ctx context.Context) error {
	return p.retry(ctx, "check the fence", func() error {
		e, v, err := p.cfg.Store.Fence(ctx, p.input)
		switch {
		case err != nil:
			return err
		case e != p.head.Epoch:
			return ErrFenced
		case v != p.head.Version:
			return ErrLost
		}
		return nil
	})
}
