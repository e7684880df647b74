package processor

import (
	"context"
	"errors"
	"fmt"
)

// OffsetReset is an operator's answer to a partition that has stopped because the
// group's offset is not where nudged left it.
type OffsetReset string

// The answers.
const (
	ResetNone    OffsetReset = ""
	ResetKeep    OffsetReset = "keep"    // go on where Redis stands
	ResetRebuild OffsetReset = "rebuild" // make the state anew from the topics
	ResetSkip    OffsetReset = "skip"    // keep the state, go on at the offset that Kafka has
)

// Answers are what an operator says to partitions that have stopped. An answer is
// written into the position before anything else is done, so it survives a crash.
type Answers struct {
	OnOffsetReset   OffsetReset
	AcceptStateLoss bool
}

// maxAnswers is how many stops one claim may answer: one can lie behind another.
const maxAnswers = 4

// settle judges the partition, and answers what stops it as far as there are
// answers: f.k is then the position that the claim commits.
func (c *claiming) settle(ctx context.Context, pr *Processor) error {
	f := &c.finding
	err := f.readPosition()
	for range maxAnswers {
		if err == nil {
			if c.stands, err = f.judge(); err == nil {
				return c.acceptLoss(ctx, pr)
			}
		}
		var stop *StopError
		if !errors.As(err, &stop) {
			return err
		}
		answered, aerr := c.answer(ctx, pr, stop)
		if aerr != nil {
			return aerr
		}
		if !answered {
			return stop
		}
		pr.cfg.Logger.Warn("a stop is answered", "partition", c.input.String(), "reason", stop.Reason,
			"on_offset_reset", string(pr.cfg.OnOffsetReset), "accept_state_loss", pr.cfg.AcceptStateLoss, "position", f.k.Metadata())
		f.kafka.Committed, f.kafka.Offset = true, f.k.Offset
		err = nil
	}
	return err
}

// answer applies the answer to a stop, if there is one.
func (c *claiming) answer(ctx context.Context, pr *Processor, stop *StopError) (answered bool, err error) {
	reset, accept := pr.cfg.OnOffsetReset, pr.cfg.AcceptStateLoss
	f := &c.finding
	switch stop.kind {
	case stopMoved:
		return reset != ResetNone, c.answerMoved(reset)
	case stopForeign, stopExpired, stopUnknown:
		return reset != ResetNone, c.answerUnread(ctx, pr, stop.kind)
	case stopAnew:
		return reset == ResetSkip, c.answerAnew(ctx, pr)
	case stopAbove:
		return reset == ResetSkip, c.answerAbove(pr)
	case stopTorn:
		c.takeOver(f.k.resume(f.k.Offset))
		return true, nil
	case stopBelow:
		if accept {
			f.k.Base, f.k.Lost = max(f.k.Base, f.kafka.Start), true
		}
		return accept, nil
	case stopBaseless:
		if accept {
			f.k.Lost = true
		}
		return accept, nil
	case stopOlder:
		if accept {
			f.k.Lost, f.wipe = true, true
			c.takeOver(f.k.Base)
		}
		return accept, nil
	}
	return false, nil
}

// refuse says why an answer cannot be followed.
func (c *claiming) refuse(answer OffsetReset, format string, args ...any) error {
	return c.finding.stop(stopFinal, "--on-offset-reset %s cannot be followed: %s", answer, fmt.Sprintf(format, args...))(
		"Choose another answer, or " + startOver)
}

// takeOver has the claim give the stored header the present identity, and another
// offset.
func (c *claiming) takeOver(offset int64) {
	if r := c.finding.r; r != nil {
		c.takeover = &Takeover{ID: r.ID, Offset: offset}
		r.ID, r.Offset = c.finding.id, offset
	}
}

// answerMoved answers that the offset was moved while its metadata stayed: that
// tells everything.
func (c *claiming) answerMoved(reset OffsetReset) error {
	f := &c.finding
	switch reset {
	case ResetRebuild:
		c.finding.wipe = true
	case ResetSkip:
		return c.skipTo(f.kafka.Offset)
	}
	return nil
}

// skipTo passes over the input up to the offset.
func (c *claiming) skipTo(to int64) error {
	f, from := &c.finding, c.finding.k.Offset
	stands := from
	if f.r != nil {
		stands = max(stands, f.r.Offset)
	}
	if to < stands {
		return c.refuse(ResetSkip, "the committed offset is %d, everything below %d is applied, and skip goes only forwards", to, stands)
	}
	if to > from {
		gaps := append(f.k.Gaps, Gap{from, to})
		f.k.Gaps, f.k.Offset = gaps[max(0, len(gaps)-maxGaps):], to
	}
	return nil
}

// answerUnread answers that Kafka's position is not there, or not ours.
func (c *claiming) answerUnread(ctx context.Context, pr *Processor, kind stopKind) error {
	f := &c.finding
	switch pr.cfg.OnOffsetReset {
	case ResetNone:
	case ResetRebuild:
		return c.rebuild(ctx, pr)
	case ResetKeep:
		return c.keep(ctx, pr)
	case ResetSkip:
		if kind != stopForeign {
			return c.refuse(ResetSkip, "Kafka holds no offset to go on at")
		}
		to := f.kafka.Offset
		if err := c.keep(ctx, pr); err != nil {
			return err
		}
		f.k.Offset = max(f.k.Offset, f.r.Offset)
		return c.skipTo(to)
	}
	return nil
}

// blank is a position of which only identity and base are known.
func (c *claiming) blank(base int64) Position {
	kafka := &c.finding.kafka
	return Position{TopicID: kafka.TopicID, Counts: kafka.Counts, Offset: base, Base: base}
}

// keep makes the position from what Redis holds, and from what the evidence says
// is published of it.
func (c *claiming) keep(ctx context.Context, pr *Processor) error {
	f, r := &c.finding, c.finding.r
	if r == nil || r.Wiping {
		return c.refuse(pr.cfg.OnOffsetReset, "Redis holds no state to keep")
	}
	s, err := pr.survey(ctx, f, r.Evidence, nil)
	if err != nil {
		return err
	}
	k := c.blank(r.Base)
	switch {
	case s.found:
		n := &s.newest
		if epoch, ok := r.History.EpochAt(n.Seq); n.Seq > r.Seq || !ok || epoch != n.Epoch {
			return c.refuse(pr.cfg.OnOffsetReset, "the send and decision topics hold batch %d of epoch %d, decided at offset %d, which Redis (batch %d, offset %d) does not know; rebuild takes it in",
				n.Seq, n.Epoch, n.Position, r.Seq, r.Offset)
		}
		k.Seq, k.Last, k.Offset, k.Clock = n.Seq, n.Seq, n.next(), n.Clock
		if n.Seq == r.Seq {
			k.Offset, k.Clock = r.Offset, r.Clock
		}
	case r.Oldest == 0, s.cutAbove(r.Evidence) && pr.cfg.AcceptStateLoss:
		k.Seq, k.Last, k.Offset, k.Clock = r.Seq, r.Last, r.Offset, r.Clock
	case s.cutAbove(r.Evidence):
		return c.finding.stop(stopFinal, "whether the last batches in Redis (from %d on) were published cannot be told: retention has removed records from the send or decision topic", r.Oldest)(
			"Add --accept-state-loss to take them for published; or " + startOver)
	default:
		// None of what waits in the outbox is visible; what is visible lies below.
		if s, err = pr.survey(ctx, f, Evidence{}, nil); err != nil {
			return err
		}
		switch n := &s.newest; {
		case s.found:
			k.Seq, k.Last, k.Offset, k.Clock = n.Seq, n.Seq, n.next(), n.Clock
		case s.cutAbove(Evidence{}):
			k.Seq, k.Last = r.Oldest-1, min(r.Last, r.Oldest-1)
		}
	}
	if k.Seq == 0 {
		k = c.blank(r.Base) // nothing is published; Redis may be ahead of that
	}
	for _, h := range r.History {
		if h.First <= k.Seq {
			k.History = append(k.History, h)
		}
	}
	f.k = &k
	return nil
}

// next is the offset from which on the records of an input are not decided yet, as
// far as the mark tells.
func (m *Mark) next() int64 {
	if m.Cause == ByEvent {
		return m.Position + 1
	}
	return m.Position
}

// rebuild makes the position from the evidence alone.
func (c *claiming) rebuild(ctx context.Context, pr *Processor) error {
	f := &c.finding
	base := f.kafka.Start
	if f.r != nil && f.r.ID == f.id {
		base = f.r.Base
	}
	s, err := pr.survey(ctx, f, Evidence{}, nil)
	if err != nil {
		return err
	}
	k := c.blank(base)
	if s.found {
		k.Seq, k.Last, k.Offset, k.Clock, k.History = s.newest.Seq, s.newest.Seq, max(base, s.newest.next()), s.newest.Clock, s.history
		if f.r != nil && f.r.ID == f.id && f.r.Seq == k.Seq && agreement(f.r.History, k.History, k.Seq) == k.Seq {
			k.Offset, k.Clock = f.r.Offset, f.r.Clock // how far that batch went is known
		}
	}
	whole := s.damage == nil && (!s.found || s.first.Previous == 0 || s.first.Position <= base)
	switch {
	case whole:
	case pr.cfg.AcceptStateLoss:
		k.First, k.Lost = s.whole, true
	default:
		what := fmt.Errorf("the oldest batch there is %d, decided at offset %d", s.first.Seq, s.first.Position)
		if s.damage != nil {
			what = s.damage
		}
		return f.stop(stopFinal, "--on-offset-reset rebuild cannot be followed: the send and decision topics do not tell all that was decided: %v", what)(
			"Add --accept-state-loss to go on all the same: what may have been decided ends without a decision; or " + startOver)
	}
	f.k, f.wipe = &k, true
	return nil
}

// answerAnew keeps the state and goes on with a topic that was created anew. Its
// offsets have nothing to do with the former ones.
func (c *claiming) answerAnew(ctx context.Context, pr *Processor) error {
	f := &c.finding
	if pr.cfg.OnOffsetReset != ResetSkip {
		return nil
	}
	if f.k == nil {
		if _, _, count, _ := splitIdentity(f.r.ID); count != fmt.Sprint(f.kafka.Counts.Input) {
			return f.stop(stopFinal, "the topic was created anew with %d partitions, its state in Redis is of %s", f.kafka.Counts.Input, count)(
				"Create it with as many as before, or " + startOver)
		}
		if err := c.keep(ctx, pr); err != nil {
			return err
		}
	}
	if r := f.r; r != nil && !r.Wiping {
		if m := agreement(r.History, f.k.History, min(r.Seq, f.k.Seq)); m < f.k.Seq {
			return c.refuse(ResetSkip, "Redis (batch %d) is behind Kafka (batch %d), and the events between are gone with the former topic", r.Seq, f.k.Seq)
		}
	}
	base := f.kafka.Start
	if pr.cfg.StartLatest {
		base = f.kafka.End
	}
	c.beginAt(base)
	f.k.TopicID = f.kafka.TopicID
	return nil
}

// beginAt has the history go on at an offset that has nothing to do with the ones
// before.
func (c *claiming) beginAt(offset int64) {
	k := c.finding.k
	// Batches that Redis holds and that are not published yet are of before, too.
	newest := k.Seq
	if r := c.finding.r; r != nil && !r.Wiping {
		newest = max(newest, r.Seq)
	}
	k.Base, k.Offset, k.First, k.Lost, k.Gaps = offset, offset, newest+1, false, nil
	c.takeOver(offset)
}

// answerAbove goes on at the end of a log that has lost its newest records.
func (c *claiming) answerAbove(pr *Processor) error {
	f := &c.finding
	if pr.cfg.OnOffsetReset != ResetSkip {
		return nil
	}
	if r := f.r; r != nil && !r.Wiping {
		if m := agreement(r.History, f.k.History, min(r.Seq, f.k.Seq)); m < f.k.Seq {
			return c.refuse(ResetSkip, "Redis (batch %d) is behind Kafka (batch %d), and events between are gone", r.Seq, f.k.Seq)
		}
	}
	c.beginAt(f.kafka.End)
	return nil
}

// acceptLoss looks at the evidence of a replay before it begins, where an operator
// accepts that it is incomplete: what is missing is noted in the position.
func (c *claiming) acceptLoss(ctx context.Context, pr *Processor) error {
	f := &c.finding
	if !pr.cfg.AcceptStateLoss || !c.stands.replays() || f.k == nil || f.k.Seq == 0 {
		return nil
	}
	from, last, seq := Evidence{}, int64(0), int64(0)
	rebuild := c.stands != standsBehind
	if !rebuild {
		from, last, seq = f.r.Evidence, f.r.Last, f.r.Seq
	}
	if last == f.k.Last {
		return nil
	}
	k := f.k
	s, err := pr.survey(ctx, f, from, func(m *Mark) bool { return k.tells(m, seq) && m.Seq >= k.First })
	if err != nil {
		return err
	}
	began := s.found && (s.first.Previous == last || s.first.Previous < k.First || rebuild && s.first.Position <= k.Base)
	switch {
	case s.damage == nil && began && s.newest.Seq == k.Last, !s.found && k.Last < k.First:
		return nil
	case !s.found, s.newest.Seq != k.Last:
		k.First = max(k.First, k.Seq+1)
	default:
		k.First = max(k.First, s.whole)
	}
	k.Lost = true
	pr.cfg.Logger.Warn("evidence is missing, what may have been decided ends without a decision", "partition", c.input.String(), "from_batch_on_complete", k.First)
	return nil
}

// tells says that a record is part of the history of k after batch seq.
func (p *Position) tells(m *Mark, seq int64) bool {
	epoch, known := p.History.EpochAt(m.Seq)
	return m.Seq > seq && m.Seq <= p.Seq && (!known || epoch == m.Epoch)
}

// survey is what a look through the evidence has found.
type survey struct {
	found   bool
	first   Mark // the first record
	newest  Mark // the last record of the newest complete batch
	history History
	whole   int64 // seq of the batch from which on nothing is missing
	damage  error // what is missing last
	start   Evidence
	others  []string // groups that have decided from the input too
}

// cutAbove says that records that lay at or above x may have been removed.
func (s *survey) cutAbove(x Evidence) bool {
	return s.start.SendOffset > x.SendOffset || s.start.DecisionOffset > x.DecisionOffset
}

// survey looks through the evidence of a partition up to its present end.
func (pr *Processor) survey(ctx context.Context, f *finding, from Evidence, only func(*Mark) bool) (*survey, error) {
	from.SendPartition, from.DecisionPartition = f.kafka.Evidence.SendPartition, f.kafka.Evidence.DecisionPartition
	reader, err := pr.cfg.Log.Evidence(ctx, from, f.kafka.Evidence)
	if err != nil {
		return nil, fmt.Errorf("read what was decided from %s: %w", f.input, err)
	}
	e := newEvidence(reader, f.group, f.input, only)
	defer e.close()
	s := &survey{start: reader.Start()}
	var c proof
	for {
		v, err := e.next(ctx)
		if errors.Is(err, ErrEvidenceEnd) {
			break
		}
		var d damagedEvidence
		switch {
		case errors.As(err, &d):
			return nil, f.stop(stopFinal, "the send and decision topics do not tell what was decided: %v", err)("Check who else writes to them; or " + startOver)
		case err != nil:
			return nil, fmt.Errorf("read what was decided from %s: %w", f.input, err)
		}
		s.take(&c, &v.mark)
	}
	if c.left > 0 {
		s.damage = c.end(c.last)
		s.whole = c.open.Seq + 1
	}
	for g := range e.others {
		s.others = append(s.others, g)
	}
	return s, nil
}

func (s *survey) take(c *proof, m *Mark) {
	if !s.found {
		s.found, s.first, s.whole = true, *m, m.Seq
		c.last = m.Previous
	}
	if err := c.take(m); err != nil {
		s.damage, s.whole = err, m.Seq
		*c = proof{last: m.Previous}
		if again := c.take(m); again != nil { // its beginning is missing
			s.whole = m.Seq + 1
			*c = proof{last: m.Seq, open: *m, left: m.Count - m.Index - 1}
		}
	}
	if c.left == 0 {
		s.newest = *m
	}
	s.history = s.history.With(m.Epoch, m.Seq)
}
