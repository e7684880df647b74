package rescale

import (
	"context"
	"fmt"
	"time"

	"github.com/nudged/nudged/processor"
)

// drainAll has applied what was written under the former number, before users move.
// Producers may go on writing so meanwhile: it ends when nothing of that kind is left.
func (m *move) drainAll(ctx context.Context) error {
	const rounds = 20
	ends := map[processor.TopicPartition]int64{}
	for range rounds {
		late, err := m.mark(ctx, ends)
		if err != nil {
			return err
		}
		if late == 0 && len(ends) > 0 && !m.behind(ends) {
			return m.settled(ends)
		}
		for _, s := range m.old() {
			ends[s.input] = s.kafka.End
			if n := len(s.recounts()); n > 0 && m.before.Input != m.after.Input {
				ends[s.input] = s.k.Recounts[n-1].Until
			}
		}
		m.progress("drain", 0, int(m.before.Input))
		if err := m.Kafka.Drain(ctx, m.before, ends); err != nil {
			return fmt.Errorf("take in what was written under %d partitions: %w", m.before.Input, err)
		}
		if err := m.read(ctx); err != nil {
			return err
		}
	}
	return fmt.Errorf("topic %s: producers go on writing under %d partitions: restart them, so that they learn of the new number, and run nudged rescale again", m.Topic, m.before.Input)
}

// recounts are those of the position, none without one.
func (s *side) recounts() []processor.Recount {
	if s.k == nil {
		return nil
	}
	return s.k.Recounts
}

// behind says that a partition has not been applied up to its end.
func (m *move) behind(ends map[processor.TopicPartition]int64) bool {
	for _, s := range m.old() {
		if s.k == nil || s.k.Offset < ends[s.input] || s.k.Sweep.At != 0 {
			return true
		}
	}
	return false
}

// settled sees that position and header of each partition agree and that nothing
// waits to be published.
func (m *move) settled(ends map[processor.TopicPartition]int64) error {
	for _, s := range m.old() {
		switch r := s.r; {
		case r == nil || r.Wiping || r.ID != m.oldID() || r.Seq != s.k.Seq || r.Offset != s.k.Offset || r.History.String() != s.k.History.String():
			return fmt.Errorf("partition %s: Redis and Kafka do not agree after all was taken in: Redis has lost something, or another process is at work. Stop all processes of the group and run nudged rescale again", s.input)
		case s.k.Offset != ends[s.input]:
			return fmt.Errorf("partition %s was taken in up to offset %d instead of %d: another process is at work. Stop all processes of the group and run nudged rescale again", s.input, s.k.Offset, ends[s.input])
		}
	}
	return nil
}

// mark looks through what lies above what is applied, or above from, and writes into
// the positions where records of both layouts lie side by side. It returns how many
// were written under the former number for users who move.
func (m *move) mark(ctx context.Context, from map[processor.TopicPartition]int64) (late int64, err error) {
	if m.before.Input == m.after.Input {
		return 0, nil // nobody moves
	}
	var pubs []*processor.Publication
	for i, s := range m.old() {
		m.progress("look for the last records of the former layout", i, int(m.before.Input))
		k := m.position(s)
		begin, first := max(s.applied(), from[s.input]), int64(-1)
		if n := len(k.Recounts); n > 0 && k.Recounts[n-1].Before == m.before.Input {
			marked := k.Recounts[n-1]
			begin = max(marked.Until, from[s.input])
			if marked.From < marked.Until {
				first = marked.From
			}
		}
		found, err := m.scan(ctx, s, begin)
		if err != nil {
			return 0, err
		}
		late += found.late
		if len(from) > 0 && found.late == 0 && s.k != nil {
			continue // what has come since can wait
		}
		// No further than needed: what is behind the last record of the former layout
		// is taken in in its order.
		c := processor.Recount{Before: m.before.Input, Until: max(begin, found.lastLate+1)}
		if c.From = first; first < 0 {
			c.From = min(found.firstEarly, c.Until)
		}
		k.Recounts = k.WithRecount(c)
		s.k = &k
		pubs = append(pubs, &processor.Publication{Input: s.input, Commit: k})
	}
	if err := m.waitOut(); err != nil {
		return 0, err
	}
	if len(pubs) == 0 {
		return 0, nil
	}
	if err := m.Kafka.Publish(ctx, pubs); err != nil {
		return 0, fmt.Errorf("commit where the layouts of topic %s meet: %w", m.Topic, err)
	}
	return late, nil
}

// position returns K of a partition, or what a daemon would begin with.
func (m *move) position(s *side) processor.Position {
	if s.k != nil {
		return *s.k
	}
	return processor.Position{TopicID: s.kafka.TopicID, Counts: m.before, Offset: s.kafka.Start, Base: s.kafka.Start}
}

// found is what a look through a partition has found.
type found struct {
	late                 int64 // records written under the former number for users who move
	lastLate, firstEarly int64 // offsets; -1, and the end, if there is none
}

// scan looks through the records from an offset on for those of which the number of
// partitions tells that they were written under the one number or the other.
func (m *move) scan(ctx context.Context, s *side, from int64) (found, error) {
	p := &m.report.Partitions[s.input.Partition]
	f := found{lastLate: -1, firstEarly: s.kafka.End}
	err := m.Kafka.Scan(ctx, s.input, from, s.kafka.End, func(r *processor.Record) error {
		if r.Key == nil {
			return nil
		}
		key := string(r.Key)
		was, is := m.Home(key, m.before.Input), m.Home(key, m.after.Input)
		switch here := s.input.Partition; {
		case was == here && is != here:
			f.late++
			f.lastLate = r.Offset
			p.newest = max(p.newest, r.Timestamp)
		case was != here && is == here:
			p.Early++
			f.firstEarly = min(f.firstEarly, r.Offset)
		case was != here:
			return fmt.Errorf("the record at %s offset %d has a key (%s) that Kafka's default partitioner (murmur2) puts into partition %d of %d or %d of %d. Users can only be moved if records are written with that partitioner (librdkafka: partitioner=murmur2_random), and if the topic has grown once since; else start over under a new group with new send and decision topics",
				s.input, r.Offset, processor.Hidden(key), was, m.before.Input, is, m.after.Input)
		}
		return nil
	})
	p.Late += f.late
	return f, err
}

// waitOut refuses to go on while a producer may still go by the former number.
func (m *move) waitOut() error {
	for i := range m.report.Partitions {
		p := &m.report.Partitions[i]
		if ago := m.Now() - p.newest; p.newest > 0 && ago < m.Settle {
			return fmt.Errorf("topic %s: %s ago a record was written to partition %d for a user who lies elsewhere among %d partitions: a producer may still go by %d. Restart the producers, or wait: they ask for the number within metadata.max.age.ms, 5 minutes unless set. Nothing was moved; run nudged rescale again, with --settle 0s if no producer goes by the former number any more",
				m.Topic, time.Duration(ago)*time.Millisecond, p.Partition, m.after.Input, m.before.Input)
		}
	}
	return nil
}
