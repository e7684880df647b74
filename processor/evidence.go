package processor

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/sinks"
)

// evidence is the committed records that were decided from one input partition by
// one group, in the order in which they were decided: those of the send and of the
// decision topic merged by batch and index. Nothing is held but what was read and
// not taken yet.
type evidence struct {
	reader EvidenceReader
	group  string
	input  TopicPartition
	// only, if not nil, chooses among the records of the group and input.
	only   func(*Mark) bool
	needle []byte // what the marks of the input hold
	sides  [2]evidenceSide
	others map[string]bool // groups that have decided from the input too
}

// evidenceSide is one of the two topics.
type evidenceSide struct {
	recs    []EvidenceRecord
	head    markedValue
	ready   bool // head is the next record
	over    bool
	last    Mark // of the record before
	started bool
}

// markedValue is one record of the evidence.
type markedValue struct {
	mark  Mark
	send  bool
	value []byte
}

// damagedEvidence says that the topics do not hold what they must.
type damagedEvidence struct{ error }

func damaged(format string, args ...any) error {
	return damagedEvidence{fmt.Errorf(format, args...)}
}

func newEvidence(reader EvidenceReader, group string, input TopicPartition, only func(*Mark) bool) *evidence {
	return &evidence{reader: reader, group: group, input: input, only: only, needle: []byte(";t=" + input.String() + ";"), others: map[string]bool{}}
}

// next returns the next record, ErrEvidenceEnd after the last.
func (e *evidence) next(ctx context.Context) (markedValue, error) {
	best := -1
	for i := range e.sides {
		if err := e.fill(ctx, i); err != nil {
			return markedValue{}, err
		}
		if s := &e.sides[i]; s.ready && (best < 0 || s.head.mark.before(&e.sides[best].head.mark)) {
			best = i
		}
	}
	if best < 0 {
		return markedValue{}, ErrEvidenceEnd
	}
	e.sides[best].ready = false
	return e.sides[best].head, nil
}

// before says that m was decided earlier than o.
func (m *Mark) before(o *Mark) bool {
	return m.Seq < o.Seq || m.Seq == o.Seq && m.Index < o.Index
}

// fill looks for the next record of one topic: of sends (0) or of decisions (1).
func (e *evidence) fill(ctx context.Context, i int) error {
	s := &e.sides[i]
	for !s.ready && !s.over {
		if len(s.recs) == 0 {
			recs, err := e.reader.Next(ctx, i == 0)
			if errors.Is(err, ErrEvidenceEnd) {
				s.over = true
				return nil
			}
			if err != nil {
				return err
			}
			s.recs = recs
			continue
		}
		r := s.recs[0]
		s.recs = s.recs[1:]
		if !bytes.Contains(r.Mark, e.needle) {
			continue
		}
		m, err := ParseMark(string(r.Mark))
		switch {
		case err != nil:
			return damaged("a record decided from %s cannot be understood: %w", e.input, err)
		case m.Input != e.input:
			continue
		case m.Group != e.group:
			e.others[m.Group] = true
			continue
		case e.only != nil && !e.only(&m):
			continue
		case s.started && !s.last.before(&m):
			return damaged("record %d of batch %d comes after record %d of batch %d", m.Index, m.Seq, s.last.Index, s.last.Seq)
		}
		s.head, s.ready, s.last, s.started = markedValue{m, i == 0, r.Value}, true, m, true
	}
	return nil
}

func (e *evidence) close() { e.reader.Close() }

// proof checks that of a sequence of batches nothing is missing: each names the one
// before, and each of its records how many there are.
type proof struct {
	last int64 // seq of the newest batch that is complete
	open Mark  // newest record of the batch under way
	left int   // records that it lacks
	// began is nil until the first batch has been let through by it: what comes
	// before need not be there.
	began func(*Mark) bool
}

// take adds the next record.
func (c *proof) take(m *Mark) error {
	if c.left > 0 {
		if o := &c.open; m.Seq != o.Seq || m.Index != o.Index+1 || m.Count != o.Count || m.Epoch != o.Epoch {
			return damaged("of batch %d the records from %d of %d on are missing", o.Seq, o.Index+1, o.Count)
		}
	} else {
		first := c.began != nil
		if m.Previous != c.last && !(first && c.began(m)) {
			return damaged("batch %d came after batch %d, the newest before it here is %d", m.Seq, m.Previous, c.last)
		}
		if m.Index != 0 {
			return damaged("of batch %d the records up to %d of %d are missing", m.Seq, m.Index, m.Count)
		}
		c.began = nil
	}
	c.open, c.left = *m, m.Count-m.Index-1
	if c.left == 0 {
		c.last = m.Seq
	}
	return nil
}

// end checks that nothing is missing after the newest.
func (c *proof) end(last int64) error {
	if c.left > 0 {
		return damaged("of batch %d the records from %d of %d on are missing", c.open.Seq, c.open.Index+1, c.open.Count)
	}
	if c.last != last {
		return damaged("the newest batch is %d, Kafka has committed %d", c.last, last)
	}
	return nil
}

// told is one decision of the evidence.
type told struct {
	mark    Mark
	user    string
	decided rules.Decided
	// decides is false for what is no decision of its own: the decision "sent" beside
	// its command, and the news that something was started or somebody forgotten.
	decides bool
}

// readTold reads what a record says. command is the id of the latest command.
func readTold(v *markedValue, command *string) (told, error) {
	m, err := sinks.ParseEvidence(v.value)
	if err != nil {
		return told{}, damaged("record %d of batch %d: %w", v.mark.Index, v.mark.Seq, err)
	}
	t := told{v.mark, m.User, m.Decided, true}
	switch {
	case v.send:
		*command = m.CommandID
	case m.Decided.Outcome == rules.Sent && m.CommandID == *command,
		m.Decided.Outcome == rules.Armed && v.mark.Cause == ByEvent, // the event starts it again
		m.Decided.Outcome == rules.Forgotten:
		t.decides = false
	}
	return t, nil
}
