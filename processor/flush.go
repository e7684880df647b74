package processor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/nudged/nudged/rules"
)

// Open reports whether the open batch has anything to write.
func (p *Partition) Open() bool { return p.wrote && p.replay == nil }

// Urgent reports whether the open batch has records that wait to go out.
func (p *Partition) Urgent() bool { return p.out.size() > 0 }

// Flush closes the open batch with one atomic write to the store and hands its
// records to the publisher. ErrFenced and ErrLost mean that the partition must
// be recovered; after any other error than the context's it cannot go on.
func (p *Partition) Flush(ctx context.Context) error {
	if !p.Open() {
		return nil
	}
	// Batches below First are of before the base, whatever offsets they name.
	seq := max(p.head.Seq+1, p.publishing.base.First)
	b := Batch{Epoch: p.head.Epoch, Version: p.head.Version, Next: p.head}
	next := &b.Next
	next.Seq, next.Offset, next.Clock = seq, p.offset, p.clock
	next.History = p.head.History.With(p.head.Epoch, seq)
	next.Version++
	p.passed(p.clock)
	next.Sweep = p.sweep.Sweep
	entry, marked := p.out.close(p.head.Epoch, seq, p.head.Last)
	if marked > 0 {
		next.Last = seq
	}
	if entry != nil {
		b.Outbox = &OutboxEntry{Seq: seq, Records: entry}
	}
	b.Published, next.Evidence = p.settled()
	if invariants {
		p.checkBatch(next)
	}
	if err := p.writeStates(&b); err != nil {
		return err
	}
	b.Done = p.timers.over(p.clock, b.Timers)
	if err := p.eraseTimers(ctx, &b); err != nil {
		return err
	}
	computed := p.obs.now()

	err := p.retry(ctx, "write batch", func() error { return p.cfg.Store.Write(ctx, p.input, &b) })
	if err != nil {
		return err
	}
	p.count.batches++
	p.stored(&b)
	p.obs.written(seq, len(b.States), marked, computed) // before anybody can publish it
	if entry != nil {
		p.hand(seq, p.head, entry)
	} else {
		p.hand(seq, p.head)
	}
	return nil
}

// stored notes that the store has applied the write.
func (p *Partition) stored(b *Batch) {
	for _, done := range b.Done {
		delete(p.timers.buckets, done)
	}
	p.head = b.Next
	p.wrote = false
	p.book.settle()
	p.erased(b)
	clear(p.armed)
	p.armed = p.armed[:0]
	p.count.written += int64(len(b.States))
	p.count.addTo(p.cfg.Counters)
}

// writeStates lists the changed states, and the index entries for what they
// have pending.
func (p *Partition) writeStates(b *Batch) error {
	if err := p.indexArmed(b); err != nil {
		return err
	}
	p.putBack()
	b.States = make([]StateWrite, 0, len(p.book.changed))
	p.book.eachChanged(func(user string, state []byte) {
		if len(state) == 0 {
			b.Gone = append(b.Gone, user)
			return
		}
		b.States = append(b.States, StateWrite{user, state})
	})
	return nil
}

// indexArmed gives what was armed in the batch and is still pending an entry in
// the timer index.
func (p *Partition) indexArmed(b *Batch) error {
	byBucket := map[Bucket]int{}
	for _, a := range p.armed {
		p.putBack()
		k := keyOf(a.user)
		if !p.book.disarm(k) {
			continue // a second time for the same user
		}
		p.at, _ = p.book.find(k)
		blob := p.book.use(p.at)
		if len(blob) == 0 {
			continue // deleted since
		}
		if err := p.st.Decode(blob); err != nil {
			return p.stop(fmt.Sprintf("the state of %s cannot be read: %v", Hidden(a.user), err))
		}
		due, ok := p.st.NextDue(p.set)
		before, hints := p.st.TimerHint(), p.st.TimerHints()
		p.st.DropTimerHint()
		p.st.SpendTimerHints(p.clock)
		// What was armed may have ended within the batch, or an entry that is there
		// come up in time.
		h := p.st.TimerHint()
		write := ok && (h == 0 || h > due)
		at := Second(due)
		if write {
			p.st.AddTimerHint(at)
		}
		if p.st.TimerHint() != before || p.st.TimerHints() != hints {
			p.keep(a.user, false)
		}
		if a.at != due && ok {
			p.timers.push(due, a.user)
		}
		if !write {
			continue
		}
		bucket := BucketFor(at, p.clock)
		i, ok := byBucket[bucket]
		if !ok {
			i = len(b.Timers)
			byBucket[bucket] = i
			b.Timers = append(b.Timers, TimerWrite{Bucket: bucket, New: !p.timers.buckets[bucket]})
			p.timers.buckets[bucket] = true
		}
		b.Timers[i].Entries = append(b.Timers[i].Entries, TimerEntry{At: at, User: a.user})
	}
	return nil
}

// retry repeats a call to the store until there is an answer. The call is
// repeated as it is: its outcome may be that it was carried out.
func (p *Partition) retry(ctx context.Context, what string, call func() error) error {
	wait := retryWaits()
	for {
		err := call()
		switch {
		case err == nil, errors.Is(err, ErrFenced), errors.Is(err, ErrLost), errors.Is(err, ErrIdentity):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		p.cfg.Counters.StoreErrors.Add(1)
		if p.cfg.trouble != nil {
			p.cfg.trouble(p.input, what, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait.NextBackOff()):
		}
	}
}

// decodeRecord decodes a record, again and again while the decoder says that it
// may do better the next time. Only ctx ends that.
func (p *Partition) decodeRecord(ctx context.Context, ev *rules.Event, rec *Record) error {
	wait := retryWaits()
	for {
		err := p.recs.DecodeRecord(ctx, ev, rec.Value, rec.Headers)
		var passing interface{ Temporary() bool }
		if err == nil || !errors.As(err, &passing) || !passing.Temporary() || ctx.Err() != nil {
			return err
		}
		if p.cfg.trouble != nil {
			p.cfg.trouble(p.input, "decode", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait.NextBackOff()):
		}
	}
}

func retryWaits() *backoff.ExponentialBackOff {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval = 20 * time.Millisecond
	wait.MaxInterval = 2 * time.Second
	return wait
}

// publishing is the side of a partition that the publisher sees. It is shared
// between the worker and the publisher.
type publishing struct {
	mu        sync.Mutex
	base      Position // identity, base and claim; the rest is per batch
	queue     []*handed
	published int64
	evidence  Evidence
}

// handed is a batch that is written and waits to be published.
type handed struct {
	seq     int64
	entries [][]byte // outbox entries
	commit  Position
}

func (s *publishing) init(base Position, h Header) {
	s.base = base
	s.published = base.Seq
	s.evidence = h.Evidence
}

// resume notes the end of a replay: the records of later batches lie at or above
// after.
func (s *publishing) resume(after Evidence) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.evidence = after
}

// settled returns what a batch tells the store: the newest published seq, and
// from where on the records of later ones lie.
func (s *publishing) settled() (int64, Evidence) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.published, s.evidence
}

// hand gives a written batch to the publisher, with its outbox entries. h is the
// header after it.
func (s *publishing) hand(seq int64, h Header, entries ...[]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.base
	k.Offset, k.Seq, k.History, k.Last, k.Clock, k.Sweep = h.Offset, seq, h.History, h.Last, h.Clock, h.Sweep
	if invariants {
		s.checkQueue(seq)
	}
	s.queue = append(s.queue, &handed{seq, entries, k})
}

// Pending returns what is written and not published, as one publication, nil if
// there is nothing. It stays pending until Settle.
func (s *publishing) Pending() *Publication {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return nil
	}
	pub := &Publication{Commit: s.queue[len(s.queue)-1].commit}
	for _, h := range s.queue {
		pub.Entries = append(pub.Entries, h.entries...)
	}
	return pub
}

// Unpublished is the number of batches that are written and not published, and
// whether any of them has records.
func (s *publishing) Unpublished() (batches int, records bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.queue {
		records = records || len(h.entries) > 0
	}
	return len(s.queue), records
}

// Settle notes that the publication is visible.
func (s *publishing) Settle(pub *Publication) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if invariants {
		must(pub.Commit.Seq >= s.published, 6, "batch %d is published after batch %d", pub.Commit.Seq, s.published)
	}
	s.published = pub.Commit.Seq
	for len(s.queue) > 0 && s.queue[0].seq <= s.published {
		s.queue[0] = nil
		s.queue = s.queue[1:]
	}
	s.evidence.SendOffset = max(s.evidence.SendOffset, pub.AckedSend)
	s.evidence.DecisionOffset = max(s.evidence.DecisionOffset, pub.AckedDecision)
}
