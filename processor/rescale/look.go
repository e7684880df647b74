package rescale

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/rules"
)

// phase is where the move of a topic stands.
type phase int

const (
	nothing   phase = iota // the numbers have not changed
	moving                 // positions are under the former numbers
	finishing              // positions are under the present ones, something is left to be removed
)

// move is the move of one topic's users.
type move struct {
	*Config
	phase         phase
	before, after processor.Counts
	sides         []*side // by partition, of the larger number
	names         map[uint32]string
	report        *Report
	copied        uint64 // sum of hashes of what was copied; 0: nothing was
}

// side is one partition.
type side struct {
	input   processor.TopicPartition
	kafka   processor.Inspection
	k       *processor.Position // nil: nothing committed
	r       *processor.Header   // nil: nothing stored
	buckets []processor.Bucket  // of the timer index, as the last claim found them
	epoch   int64               // the second of two that the position reserves
	clock   int64               // that it goes on with, ms
}

// old are the partitions of the former number.
func (m *move) old() []*side { return m.sides[:m.before.Input] }

// fresh are those that the topic has got.
func (m *move) fresh() []*side { return m.sides[m.before.Input:] }

// The identities of a header before, during and after.
func (m *move) oldID() string { return m.id(fmt.Sprint(m.before.Input)) }

func (m *move) movingID() string {
	return m.id(fmt.Sprintf("%d>%d", m.before.Input, m.after.Input))
}
func (m *move) newID() string { return m.id(fmt.Sprint(m.after.Input)) }
func (m *move) id(count string) string {
	return processor.Identity(m.Group, m.sides[0].kafka.TopicID, count)
}

// countOf is the part of a header's identity that tells the number of partitions.
func countOf(id string) string { return id[strings.LastIndexByte(id, ' ')+1:] }

// isMoving says that the header is under a moving identity, and between which numbers.
func isMoving(r *processor.Header) (from, to int32, ok bool) {
	if r == nil {
		return 0, 0, false
	}
	was, is, ok := strings.Cut(countOf(r.ID), ">")
	f, err := strconv.ParseInt(was, 10, 32)
	t, err1 := strconv.ParseInt(is, 10, 32)
	return int32(f), int32(t), ok && err == nil && err1 == nil
}

// look reads what Kafka and the store hold, and tells where the move stands.
func (c *Config) look(ctx context.Context) (*move, error) {
	m := &move{Config: c, names: map[uint32]string{}}
	first := []processor.TopicPartition{{Topic: c.Topic}}
	kafka, err := c.Kafka.Inspect(ctx, first)
	if err != nil {
		return nil, err
	}
	m.after = kafka[first[0]].Counts
	for p := range m.after.Input {
		m.sides = append(m.sides, &side{input: processor.TopicPartition{Topic: c.Topic, Partition: p}})
	}
	if err := m.read(ctx); err != nil {
		return nil, err
	}
	if err := m.judge(); err != nil {
		return nil, err
	}
	m.report = &Report{Topic: c.Topic, Before: m.before, After: m.after, Needed: m.phase != nothing}
	for _, s := range m.sides {
		unread := int64(0)
		if s.k != nil {
			unread = s.kafka.End - s.k.Offset
		}
		m.report.Partitions = append(m.report.Partitions, Partition{Partition: s.input.Partition, Unread: unread})
	}
	return m, nil
}

// read reads positions and headers.
func (m *move) read(ctx context.Context) error {
	tps := make([]processor.TopicPartition, len(m.sides))
	for i, s := range m.sides {
		tps[i] = s.input
	}
	kafka, err := m.Kafka.Inspect(ctx, tps)
	if err != nil {
		return err
	}
	for _, s := range m.sides {
		s.kafka, s.k = kafka[s.input], nil
		if s.kafka.Committed {
			k, err := processor.ParsePosition(s.kafka.Metadata)
			switch {
			case err != nil:
				return fmt.Errorf("partition %s: the metadata of the committed offset %d cannot be used: %w", s.input, s.kafka.Offset, err)
			case k.Offset != s.kafka.Offset:
				return fmt.Errorf("partition %s: the committed offset is %d, its metadata says %d: somebody has moved it. Set it back to %d with the metadata %q", s.input, s.kafka.Offset, k.Offset, k.Offset, k.Metadata())
			case k.TopicID != s.kafka.TopicID:
				return fmt.Errorf("partition %s was processed as topic id %s, the topic now has the id %s: it was created anew, and what was not read of the former one is gone. Start over under a new group with new send and decision topics", s.input, k.TopicID, s.kafka.TopicID)
			}
			s.k = &k
		}
		if s.r, err = m.Store.Peek(ctx, s.input); err != nil {
			return fmt.Errorf("read the stored header of %s: %w", s.input, err)
		}
	}
	return nil
}

// judge tells the phase.
func (m *move) judge() error {
	m.before = m.after
	var counts []processor.Counts
	for _, s := range m.sides {
		switch {
		case s.k != nil && !slices.Contains(counts, s.k.Counts):
			counts = append(counts, s.k.Counts)
		case s.k == nil && s.r != nil:
			return fmt.Errorf("partition %s: Redis holds its state up to offset %d, Kafka holds no committed offset: the offsets have expired or the group was deleted, and what was published cannot be told. Start over under a new group with new send and decision topics", s.input, s.r.Offset)
		}
	}
	switch len(counts) {
	case 0:
		return nil // the group has never processed the topic
	case 1:
	default:
		return fmt.Errorf("topic %s: partitions were processed under different numbers of partitions (input, sends, decisions): %v: an older version of nudged has begun the new ones on its own. Start over under a new group with new send and decision topics", m.Topic, counts)
	}
	now := counts[0]
	for _, s := range m.sides {
		if before, ok := m.interrupted(s, now); ok {
			m.phase, m.before.Input = finishing, before
			// It is carried through to where it was going, also if there are more since.
			m.after, m.sides = now, m.sides[:now.Input]
			return nil
		}
	}
	if now == m.after {
		return nil
	}
	if now.Input > m.after.Input || now.Sends > m.after.Sends || now.Decisions > m.after.Decisions {
		return fmt.Errorf("topic %s: the numbers of partitions (input, sends, decisions) were %v and are %v now: partitions are missing, and what they held is gone. Start over under a new group with new send and decision topics", m.Topic, now, m.after)
	}
	m.phase, m.before = moving, now
	return nil
}

// interrupted says that the partition's position is under numbers that its header is
// not under yet, or not any more, and under how many it was before.
func (m *move) interrupted(s *side, now processor.Counts) (before int32, ok bool) {
	if s.k == nil || s.r == nil {
		return 0, false
	}
	if from, to, ok := isMoving(s.r); ok {
		return from, to == now.Input && (s.k.Rescaled() || now == m.after)
	}
	if !s.k.Rescaled() {
		return 0, false
	}
	before = s.k.Recounts[len(s.k.Recounts)-1].Before
	return before, countOf(s.r.ID) == fmt.Sprint(before)
}

// applied is the offset from which on nothing of the partition has been applied.
func (s *side) applied() int64 {
	switch {
	case s.k == nil:
		return s.kafka.Start
	case s.r == nil || s.r.Wiping:
		return s.k.Offset
	}
	return max(s.k.Offset, s.r.Offset)
}

// eachUser reads the users of a partition, slice by slice.
func (m *move) eachUser(ctx context.Context, s *side, f func([]processor.StateWrite) error) error {
	for slice, of := 0, 1; slice < of; slice++ {
		var users []processor.StateWrite
		err := try(ctx, "read users of "+s.input.String(), func() (err error) {
			users, of, err = m.Store.Users(ctx, s.input, s.r.Fence(), slice)
			return err
		})
		if err != nil {
			return err
		}
		if err := f(users); err != nil {
			return err
		}
	}
	return nil
}

// survey counts the users and sees that each lies where the former number puts him.
// lenient passes over copies that an interrupted move has left.
func (m *move) survey(ctx context.Context, lenient bool) error {
	if m.before.Input == m.after.Input {
		return nil
	}
	for i := range m.report.Partitions {
		p := &m.report.Partitions[i]
		p.Users, p.MovedOut, p.MovedIn, p.Timers, p.Bytes = 0, 0, 0, 0, 0
	}
	var st rules.State
	strange, all, example := 0, 0, ""
	for i, s := range m.old() {
		m.progress("survey", i, int(m.before.Input))
		if s.r == nil {
			continue
		}
		err := m.eachUser(ctx, s, func(users []processor.StateWrite) error {
			for j := range users {
				u := &users[j]
				here, to := m.Home(u.User, m.before.Input), m.Home(u.User, m.after.Input)
				if here != s.input.Partition {
					if lenient && to == s.input.Partition {
						continue
					}
					if strange++; strange == 1 {
						example = fmt.Sprintf("%s lies in %s, the partitioner puts him into %d of %d", processor.Hidden(u.User), s.input, here, m.before.Input)
					}
					continue
				}
				all++
				m.report.Partitions[s.input.Partition].Users++
				if to == s.input.Partition {
					continue
				}
				if err := st.Decode(u.State); err != nil {
					return fmt.Errorf("the state of %s in %s cannot be read: %w; run the version of nudged that wrote it", processor.Hidden(u.User), s.input, err)
				}
				m.moves(s.input.Partition, to, u, st.Pending() > 0)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if strange > 0 {
		return fmt.Errorf("topic %s: %d of %d users do not lie where Kafka's default partitioner (murmur2 of the key) puts the user's id: %s. Nothing was changed. Users can only be moved if records are keyed by the user's id and written with that partitioner (librdkafka: partitioner=murmur2_random). Else start over under a new group with new send and decision topics", m.Topic, strange, strange+all, example)
	}
	return nil
}

// moves counts a user who moves.
func (m *move) moves(from, to int32, u *processor.StateWrite, pending bool) {
	m.report.Partitions[from].MovedOut++
	p := &m.report.Partitions[to]
	p.MovedIn++
	p.Bytes += int64(len(u.User) + len(u.State))
	if pending {
		p.Timers++
	}
}
