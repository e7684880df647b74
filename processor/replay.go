package processor

import (
	"context"
	"errors"
	"fmt"

	"github.com/nudged/nudged/rules"
)

// replay brings a partition from where the store has it to where Kafka has it,
// deciding nothing: what was decided on the way is told by the evidence.
type replay struct {
	k        Position // where it ends
	after    Evidence // the records of later batches lie at or above
	open     func(context.Context) (EvidenceReader, error)
	evidence *evidence // nil until the first is asked for, and if there is none
	ended    bool      // of the evidence
	proof    proof
	apart    bool // the newest decision told is of before the base: proof does not look at it
	command  string
	ahead    []told // read, not applied yet
	// overdue are users of whom something is due that the evidence has not told of
	// yet. An entry is out of date once the user has nothing due by the clock.
	overdue dueHeap
}

// beginReplay has the partition replay up to k. rebuild says that the state was
// empty before.
func (p *Partition) beginReplay(k Position, after Evidence, rebuild bool, open func(context.Context, Evidence) (EvidenceReader, error)) {
	if p.cfg.Decisions == DecisionsNone {
		k.Sweep.Next = 0 // whoever had his run and was not sent to is not told of
	}
	from := p.head.Evidence
	r := &replay{k: k, after: after, open: func(ctx context.Context) (EvidenceReader, error) { return open(ctx, from) }}
	r.proof.last = p.head.Last
	r.proof.began = func(m *Mark) bool { return m.Previous < k.First || rebuild && m.Position <= k.Base }
	// Nothing has happened since the newest batch with records: there is nothing to
	// be told.
	r.ended = p.head.Last == k.Last
	p.replay = r
	p.book.evicted = p.book.evicted || !rebuild
}

// Replaying says that the partition does not decide anything yet: it is on its way
// to where Kafka has it. Consume goes on with that, also without records.
func (p *Partition) Replaying() bool { return p.replay != nil }

// replayTo applies records that were applied before, and returns those that were
// not, once it has come to the end of the replay.
func (p *Partition) replayTo(ctx context.Context, recs []Record) (rest []Record, err error) {
	r := p.replay
	for p.offset < r.k.Offset {
		p.offset = r.k.resume(p.offset)
		for len(recs) > 0 && recs[0].Offset < p.offset {
			recs = recs[1:]
		}
		if len(recs) == 0 {
			break
		}
		n := 0
		for n < min(len(recs), chunk) && recs[n].Offset < r.k.Offset {
			n++
		}
		if n == 0 { // there is no record below any more
			p.offset = r.k.Offset
			break
		}
		if err := p.replayChunk(ctx, recs[:n]); err != nil {
			return nil, err
		}
		recs = recs[n:]
	}
	if p.offset < r.k.Offset {
		return nil, nil
	}
	return recs, p.endReplay(ctx)
}

func (p *Partition) replayChunk(ctx context.Context, recs []Record) error {
	events, refused := p.room(len(recs))
	for i := range recs {
		refused[i] = p.decode(ctx, &events[i], &recs[i])
		if refused[i] != nil && ctx.Err() != nil {
			return ctx.Err() // it may have been refused for that alone
		}
		switch {
		case refused[i] != nil:
		case isOrder(&recs[i]):
			p.want(string(recs[i].Key))
		case p.set.Reads(&events[i]):
			p.want(events[i].User)
		}
	}
	if err := p.load(ctx); err != nil {
		return err
	}
	for i := range recs {
		if recs[i].Offset < p.offset {
			continue // in a gap
		}
		if err := p.replayRecord(ctx, &recs[i], &events[i], refused[i]); err != nil {
			return err
		}
		if err := p.flushFull(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *Partition) replayRecord(ctx context.Context, rec *Record, ev *rules.Event, refusal error) error {
	if err := p.tellBefore(ctx, rec.Offset); err != nil {
		return err
	}
	switch {
	case refusal != nil, rec.Control:
	case isOrder(rec):
		if _, err := p.decidedBy(ctx, rec.Offset, string(rec.Key)); err != nil {
			return err
		}
		if err := p.forgetTold(ctx, string(rec.Key)); err != nil {
			return err
		}
	case p.set.Reads(ev) && p.refuseAstray(ev.User) == nil:
		if err := p.replayEvent(ctx, ev); err != nil {
			return err
		}
	}
	p.offset = p.replay.k.resume(rec.Offset + 1)
	p.count.replayed++
	return nil
}

// decidedBy takes what was decided by the user's record at the offset.
func (p *Partition) decidedBy(ctx context.Context, offset int64, user string) (decided []rules.Decided, err error) {
	for {
		t, err := p.nextTold(ctx)
		if err != nil {
			return nil, err
		}
		if t == nil || t.mark.Cause != ByEvent || t.mark.Position != offset {
			return decided, nil
		}
		if t.user != user {
			return nil, p.stopEvidence(damaged("the record at offset %d is of %s, the evidence tells of %s", offset, Hidden(user), Hidden(t.user)))
		}
		if t.decides {
			decided = append(decided, t.decided)
		}
		if err := p.taken(); err != nil {
			return nil, err
		}
	}
}

// forgetTold forgets a user as it was done then.
func (p *Partition) forgetTold(ctx context.Context, user string) error {
	if _, err := p.state(ctx, user); err != nil {
		return err
	}
	p.forget(user)
	return nil
}

// replayEvent applies an event with what was decided by it then.
func (p *Partition) replayEvent(ctx context.Context, ev *rules.Event) error {
	decided, err := p.decidedBy(ctx, ev.Offset, ev.User)
	if err != nil {
		return err
	}
	now := ev.Time
	if p.cfg.EventClock {
		if err := p.passTo(ctx, ev.Time); err != nil {
			return err
		}
		now = p.clock
	}
	if err := p.decideUntold(ctx, now); err != nil {
		return err
	}
	st, err := p.state(ctx, ev.User)
	if err != nil {
		return err
	}
	before, _ := st.NextDue(p.set)
	p.result.Reset()
	in := rules.Input{Event: ev, Replay: true, Decided: decided, SendsOnly: p.cfg.Decisions == DecisionsNone}
	p.set.Step(st, ev.User, in, &p.result)
	p.told(st, ev.User, before, p.result.Changed)
	return nil
}

// tellBefore applies what was decided before the event at the offset: by the
// clock, and by events that are not in the input any more.
func (p *Partition) tellBefore(ctx context.Context, offset int64) error {
	for {
		t, err := p.nextTold(ctx)
		if err != nil || t == nil {
			return err
		}
		m := &t.mark
		if m.Seq >= p.replay.k.First && (m.Position > offset || m.Position == offset && m.Cause == ByEvent) {
			return nil
		}
		switch {
		case t.decides:
			err = p.applyTold(ctx, t)
		case t.decided.Outcome == rules.Forgotten:
			err = p.forgetTold(ctx, t.user)
		}
		if err != nil {
			return err
		}
		if err := p.taken(); err != nil {
			return err
		}
		if err := p.flushFull(ctx); err != nil {
			return err
		}
	}
}

// applyTold applies what was decided by the clock.
func (p *Partition) applyTold(ctx context.Context, t *told) error {
	// Everything due earlier had been looked at then, whatever the clock read:
	// something due later may not have been.
	if err := p.passTo(ctx, min(t.mark.Clock, t.decided.Due)); err != nil {
		return err
	}
	if err := p.decideUntold(ctx, t.decided.Due-1); err != nil {
		return err
	}
	st, err := p.state(ctx, t.user)
	if err != nil {
		return err
	}
	before, _ := st.NextDue(p.set)
	p.result.Reset()
	d := t.decided
	p.set.Step(st, t.user, rules.Input{Until: d.Due, Fired: d.At, Replay: true, Decided: []rules.Decided{d}}, &p.result)
	p.told(st, t.user, before, p.result.Changed)
	return nil
}

// lookaheadTold is how many decisions are read ahead, so that their users are
// loaded together.
const lookaheadTold = 512

// nextTold returns the next decision of the evidence without taking it, nil if
// there is none.
func (p *Partition) nextTold(ctx context.Context) (*told, error) {
	r := p.replay
	if len(r.ahead) == 0 {
		if err := p.readAhead(ctx); err != nil {
			return nil, err
		}
		if len(r.ahead) == 0 {
			return nil, nil
		}
	}
	return &r.ahead[0], nil
}

func (p *Partition) readAhead(ctx context.Context) error {
	r := p.replay
	if r.ended {
		return nil
	}
	if r.evidence == nil {
		reader, err := r.open(ctx)
		if err != nil {
			return fmt.Errorf("read what was decided from %s: %w", p.input, err)
		}
		newest := p.head.Seq
		r.evidence = newEvidence(reader, p.cfg.Group, p.input, func(m *Mark) bool {
			epoch, known := r.k.History.EpochAt(m.Seq)
			return m.Seq > newest && m.Seq <= r.k.Seq && (!known || epoch == m.Epoch)
		})
	}
	for len(r.ahead) < lookaheadTold {
		v, err := r.evidence.next(ctx)
		if errors.Is(err, ErrEvidenceEnd) {
			r.ended = true
			break
		}
		if err != nil {
			return p.stopEvidence(err)
		}
		t, err := readTold(&v, &r.command)
		if err != nil {
			return p.stopEvidence(err)
		}
		if t.decides {
			p.want(t.user)
		}
		r.ahead = append(r.ahead, t)
	}
	return p.load(ctx)
}

// taken drops the decision that was applied.
func (p *Partition) taken() error {
	r := p.replay
	m := &r.ahead[0].mark
	if m.Seq < r.k.First {
		r.apart = true
		r.proof.last, r.proof.left = m.Seq, m.Count-m.Index-1
	} else {
		if r.apart {
			r.apart, r.proof.left = false, 0
		}
		if err := r.proof.take(m); err != nil {
			return p.stopEvidence(err)
		}
	}
	r.ahead = r.ahead[1:]
	return nil
}

// endReplay comes to where Kafka has the partition: from now on it decides.
func (p *Partition) endReplay(ctx context.Context) error {
	r := p.replay
	if err := p.tellBefore(ctx, r.k.Offset); err != nil {
		return err
	}
	t, err := p.nextTold(ctx)
	if err != nil {
		return err
	}
	if t != nil {
		return p.stopEvidence(damaged("record %d of batch %d was decided at offset %d, Kafka has committed offset %d", t.mark.Index, t.mark.Seq, t.mark.Position, r.k.Offset))
	}
	if r.k.Last >= r.k.First {
		if err := r.proof.end(r.k.Last); err != nil {
			return p.stopEvidence(err)
		}
	}
	p.offset = r.k.resume(p.offset)
	if err := p.passTo(ctx, r.k.Clock); err != nil {
		return err
	}
	// What is due at the very moment may not have been looked at then.
	if err := p.decideUntold(ctx, r.k.Clock-1); err != nil {
		return err
	}
	if err := p.startUntold(ctx, r.k.Sweep.Done); err != nil {
		return err
	}
	if r.k.Lost {
		if err := p.endUntold(ctx); err != nil {
			return err
		}
	}
	if err := p.flushReplay(ctx, true); err != nil {
		return err
	}
	for _, d := range r.overdue {
		p.timers.push(d.at, d.user)
	}
	p.closeReplay()
	p.replay = nil
	p.initSweep(r.k.Sweep, p.clock)
	p.publishing.resume(r.after)
	if p.cfg.EventClock {
		return p.fireUntil(ctx, p.clock)
	}
	return nil
}

// closeReplay lets go of what is being read.
func (p *Partition) closeReplay() {
	if r := p.replay; r != nil && r.evidence != nil {
		r.evidence.close()
		r.evidence = nil
	}
}

// flushFull writes what the replay has come to if the batch is full and a write may
// end here: not between the records of one batch, which after a crash would count
// as history in part, and not behind the newest batch before its offset is reached.
func (p *Partition) flushFull(ctx context.Context) error {
	r := p.replay
	if !p.full() || r.proof.left > 0 || r.proof.last >= r.k.Seq {
		return nil
	}
	return p.flushReplay(ctx, false)
}

// flushReplay writes what was taken in again: as a batch is written, but without
// outgoing records and without a number of its own.
func (p *Partition) flushReplay(ctx context.Context, last bool) error {
	r := p.replay
	b := Batch{Epoch: p.head.Epoch, Version: p.head.Version, Next: p.head, Published: r.k.Seq}
	next := &b.Next
	next.Version++
	next.Offset, next.Base, next.History = p.offset, r.k.Base, r.k.History
	next.Seq, next.Last = max(p.head.Seq, r.proof.last), max(p.head.Last, r.proof.last)
	// What is due and not told yet must be come across by whoever goes on after a
	// crash: the clock does not pass it.
	next.Clock = max(p.head.Clock, p.clock)
	at, overdue, err := p.firstOverdue(ctx)
	if err != nil {
		return err
	}
	if overdue {
		next.Clock = max(p.head.Clock, min(next.Clock, at-1))
	}
	if p.cfg.Decisions == DecisionsNone {
		next.Sweep = p.sweep.Sweep // as far as startUntold has come
	}
	if last {
		next.Seq, next.Last, next.Evidence, next.Sweep = r.k.Seq, r.k.Last, r.after, r.k.Sweep
	}
	if invariants {
		p.checkReplay(next, last)
	}
	if err := p.writeStates(&b); err != nil {
		return err
	}
	b.Done = p.timers.over(next.Clock, b.Timers)
	if err := p.eraseTimers(ctx, &b); err != nil {
		return err
	}
	if err := p.retry(ctx, "write replay", func() error { return p.cfg.Store.Write(ctx, p.input, &b) }); err != nil {
		return err
	}
	p.stored(&b)
	return nil
}

// stopEvidence turns damage to the evidence into a reason to stop; anything else
// passes and is tried again.
func (p *Partition) stopEvidence(err error) error {
	var d damagedEvidence
	if !errors.As(err, &d) {
		return fmt.Errorf("read what was decided from %s: %w", p.input, err)
	}
	return &StopError{
		Input: p.input, Group: p.cfg.Group, kind: stopUntold,
		Reason: fmt.Sprintf("the state in Redis (batch %d, offset %d) is behind Kafka (batch %d, offset %d), and the send and decision topics do not tell all that was decided between: %v",
			p.head.Seq, p.head.Offset, p.replay.k.Seq, p.replay.k.Offset, err),
		Wayout: untoldWayout,
	}
}
