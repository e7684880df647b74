package processor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// listedEvidence is an EvidenceReader over lists.
type listedEvidence struct {
	sides [2][]EvidenceRecord
	many  int
}

func (l *listedEvidence) Next(_ context.Context, send bool) ([]EvidenceRecord, error) {
	s := &l.sides[1]
	if send {
		s = &l.sides[0]
	}
	if len(*s) == 0 {
		return nil, ErrEvidenceEnd
	}
	n := min(l.many, len(*s))
	out := (*s)[:n]
	*s = (*s)[n:]
	return out, nil
}
func (l *listedEvidence) Start() Evidence { return Evidence{} }
func (l *listedEvidence) Close()          {}

var evidenceInput = TopicPartition{"clicks", 3}

// drawEvidence draws a history of batches, each with some records, and the topics
// that hold them: with records of other groups and inputs, and of nobody, between.
func drawEvidence(t *rapid.T) (marks []Mark, topics *listedEvidence) {
	topics = &listedEvidence{many: rapid.IntRange(1, 5).Draw(t, "many")}
	put := func(m *Mark) {
		side := rapid.IntRange(0, 1).Draw(t, "topic")
		topics.sides[side] = append(topics.sides[side], EvidenceRecord{Mark: m.Append(nil)})
	}
	seq, previous, position := int64(0), int64(0), int64(0)
	for range rapid.IntRange(0, 6).Draw(t, "batches") {
		seq += rapid.Int64Range(1, 3).Draw(t, "step")
		count := rapid.IntRange(1, 4).Draw(t, "records")
		for i := range count {
			position += rapid.Int64Range(0, 2).Draw(t, "on")
			m := Mark{Group: "shop", Input: evidenceInput, Epoch: 10 + seq/3, Seq: seq, Index: i, Count: count, Previous: previous, Cause: ByTimer, Position: position}
			marks = append(marks, m)
			put(&m)
			switch other := m; rapid.IntRange(0, 9).Draw(t, "between") {
			case 0:
				other.Group = "boutique"
				put(&other)
			case 1:
				other.Input.Partition = 13
				put(&other)
			case 2:
				other.Input.Topic = "a" + other.Input.Topic
				put(&other)
			case 3:
				topics.sides[i%2] = append(topics.sides[i%2], EvidenceRecord{})
			}
		}
		previous = seq
	}
	return marks, topics
}

func readAll(t *rapid.T, topics *listedEvidence) ([]Mark, error) {
	e := newEvidence(topics, "shop", evidenceInput, nil)
	var got []Mark
	for {
		v, err := e.next(context.Background())
		if errors.Is(err, ErrEvidenceEnd) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		got = append(got, v.mark)
	}
}

// The records of two topics come out in the order in which they were decided, and
// of a history that is whole nothing is found missing.
func TestEvidenceInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, topics := drawEvidence(t)
		got, err := readAll(t, topics)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%v\ngot  %+v\nwant %+v", err, got, want)
		}
		if err := prove(got, 0, want); err != nil {
			t.Fatal(err)
		}
	})
}

// prove checks marks against the newest batch that there must be.
func prove(marks []Mark, after int64, whole []Mark) error {
	c := proof{last: after}
	for i := range marks {
		if err := c.take(&marks[i]); err != nil {
			return err
		}
	}
	last := after
	if n := len(whole); n > 0 {
		last = whole[n-1].Seq
	}
	return c.end(last)
}

// Whichever record is missing, it is noticed.
func TestMissingEvidenceIsNoticed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		marks, _ := drawEvidence(t)
		if len(marks) == 0 {
			return
		}
		i := rapid.IntRange(0, len(marks)-1).Draw(t, "missing")
		less := slices.Delete(slices.Clone(marks), i, i+1)
		var d damagedEvidence
		if err := prove(less, 0, marks); !errors.As(err, &d) {
			t.Fatalf("without record %d of %+v: %v, want damage", i, marks, err)
		}
		// Nor is a survey taken in: it says from where on nothing is missing.
		s, c := &survey{}, proof{}
		for j := range less {
			s.take(&c, &less[j])
		}
		if c.left > 0 || marks[i].Seq == marks[len(marks)-1].Seq {
			return // of the newest batch: what follows it would tell
		}
		if len(less) > 0 && s.found && s.whole <= marks[i].Seq && !(s.first.Seq > marks[i].Seq) {
			t.Fatalf("without record %d of %+v nothing is missing from batch %d on", i, marks, s.whole)
		}
	})
}

// A topic that holds batches out of their order is none that a replay can follow.
func TestEvidenceOutOfOrder(t *testing.T) {
	a := Mark{Group: "shop", Input: evidenceInput, Epoch: 1, Seq: 2, Count: 1, Cause: ByEvent}
	b := a
	b.Seq = 1
	for name, marks := range map[string][]Mark{"back": {a, b}, "twice": {a, a}} {
		topics := &listedEvidence{many: 9}
		for _, m := range marks {
			topics.sides[0] = append(topics.sides[0], EvidenceRecord{Mark: m.Append(nil)})
		}
		e := newEvidence(topics, "shop", evidenceInput, nil)
		_, err := e.next(t.Context())
		if err == nil {
			_, err = e.next(t.Context())
		}
		var d damagedEvidence
		if !errors.As(err, &d) {
			t.Errorf("%s: %v, want damage", name, err)
		}
	}
}

// cutReader is a connection that is closed before anything is read.
type cutReader struct{ listedEvidence }

func (*cutReader) Next(context.Context, bool) ([]EvidenceRecord, error) {
	return nil, fmt.Errorf("read: the broker closed the connection: %w", io.EOF)
}

// A connection that is closed is no end of the evidence: else a partition would stop
// because a broker is restarted.
func TestClosedConnectionIsNoEndOfEvidence(t *testing.T) {
	_, err := newEvidence(&cutReader{}, "shop", evidenceInput, nil).next(t.Context())
	if err == nil || errors.Is(err, ErrEvidenceEnd) || !errors.Is(err, io.EOF) {
		t.Errorf("it reads as: %v", err)
	}
}
