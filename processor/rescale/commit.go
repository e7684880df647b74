package rescale

import (
	"context"
	"fmt"
	"math"

	"github.com/nudged/nudged/processor"
)

// commit puts all partitions under the present numbers, in one transaction: from then
// on users are where those put them. The move counts as a batch of each partition,
// without records, so that what is from before it is told from what is from after. As
// with a topic that was created anew, the history begins at it: what was decided
// earlier lies below.
func (m *move) commit(ctx context.Context) error {
	sweep := m.sweep()
	pubs := make([]*processor.Publication, len(m.sides))
	for i, s := range m.sides {
		k := *s.k
		seq := max(k.Seq+1, k.First)
		k.History = k.History.With(s.epoch, seq)
		k.Seq, k.First, k.Counts, k.Clock, k.Sweep = seq, seq+1, m.after, s.clock, sweep
		k.Lost, k.Gaps = false, nil
		if m.before.Input != m.after.Input {
			if i >= len(m.old()) {
				k.Recounts = []processor.Recount{{Before: m.before.Input, From: k.Offset, Until: k.Offset}}
			}
			k.Offset = k.Recounts[len(k.Recounts)-1].From
		}
		k.Base = k.Offset
		s.k = &k
		pubs[i] = &processor.Publication{Input: s.input, Commit: k}
	}
	m.progress("commit", 0, 1)
	if err := m.Kafka.Publish(ctx, pubs); err != nil {
		return fmt.Errorf("put topic %s under %d partitions: %w; nothing is lost: run nudged rescale again", m.Topic, m.after.Input, err)
	}
	return nil
}

// sweep is how far schedules have been started for everybody: as far as where they
// are least. Who has had an occurrence remembers it.
func (m *move) sweep() processor.Sweep {
	var w processor.Sweep
	for i, s := range m.old() {
		of := &s.r.Sweep
		if i == 0 {
			w.Rules = of.Rules
		}
		if of.Rules != w.Rules {
			w.Rules = "" // everybody is looked at
		}
		if of.Done > 0 && (w.Done == 0 || of.Done < w.Done) {
			w.Done = of.Done
		}
	}
	return w
}

// finish removes what lies elsewhere and gives the headers the present identity. Where
// Redis has lost copies since they were read back, they are made again.
func (m *move) finish(ctx context.Context) error {
	var todo []*side
	for _, s := range m.sides {
		if s.k == nil {
			return fmt.Errorf("partition %s has no committed offset, others of the topic have: set the group's offsets back to what they were", s.input)
		}
		if s.r != nil && s.r.ID == m.newID() {
			continue
		}
		if s.input.Partition < m.before.Input && (s.r == nil || s.r.Wiping) {
			return fmt.Errorf("partition %s: Redis holds nothing of it, and some of its users may not have been moved yet. Restore a backup of Redis that is not older than the move, or start over under a new group with new send and decision topics", s.input)
		}
		if s.r != nil && s.r.Seq < s.k.First-2 {
			return fmt.Errorf("partition %s: Redis holds batch %d, users were moved after batch %d: it has lost writes from before. Restore a backup that is not older, or start over under a new group with new send and decision topics", s.input, s.r.Seq, s.k.First-2)
		}
		todo = append(todo, s)
	}
	if err := m.reserve(ctx, todo); err != nil {
		return err
	}
	for range 2 { // the second time with the names found in the first
		for _, s := range todo {
			if err := m.claim(ctx, s, m.movingID(), s.epoch-1, s.k.Offset); err != nil {
				return err
			}
		}
	}
	m.setClocks()
	for _, s := range m.fresh() {
		if s.k.Seq == s.k.First-1 {
			s.clock = s.k.Clock
		}
	}
	if len(todo) == len(m.sides) {
		if err := m.mend(ctx); err != nil {
			return err
		}
	}
	sweep := m.sweep()
	for i, s := range todo {
		m.progress("clean", i, len(todo))
		gone, err := m.clean(ctx, s, m.after.Input)
		if err != nil {
			return err
		}
		m.report.Partitions[s.input.Partition].Gone += gone
		if s.r.Seq >= s.k.First-1 {
			continue // it has been written already
		}
		if err := m.write(ctx, s, func(b *processor.Batch) { s.settle(&b.Next, sweep) }); err != nil {
			return err
		}
	}
	for _, s := range todo {
		if err := m.claim(ctx, s, m.newID(), s.epoch, s.r.Offset); err != nil {
			return err
		}
	}
	m.progress("done", len(todo), len(todo))
	return nil
}

// settle fills a header with what it holds right after the move. The position may
// have gone on since, if Redis was set back to before it: what followed is replayed.
func (s *side) settle(h *processor.Header, sweep processor.Sweep) {
	k := s.k
	h.Seq, h.Offset, h.Base, h.Clock, h.Sweep, h.History = k.First-1, k.Base, k.Base, s.clock, sweep, nil
	for _, e := range k.History {
		if e.First < k.First {
			h.History = append(h.History, e)
		}
	}
	h.Evidence = processor.Evidence{}
	if k.Seq == k.First-1 {
		h.Evidence = s.kafka.Evidence
	}
}

// mend copies again where copies are missing, before anything is removed.
func (m *move) mend(ctx context.Context) error {
	missing, _, err := m.compare(ctx)
	if err != nil || missing == 0 {
		return err
	}
	if err := m.copy(ctx); err != nil {
		return err
	}
	return m.verify(ctx)
}

// clean removes from a partition the states of users whom the number of partitions
// puts elsewhere, and their entries in the timer index.
func (m *move) clean(ctx context.Context, s *side, count int32) (removed int64, err error) {
	if m.before.Input == m.after.Input {
		return 0, nil
	}
	var gone []string
	remove := func(enough int) error {
		if len(gone) < enough {
			return nil
		}
		removed += int64(len(gone))
		err := m.write(ctx, s, func(b *processor.Batch) { b.Gone = gone })
		gone = nil
		return err
	}
	err = m.eachUser(ctx, s, func(users []processor.StateWrite) error {
		for _, u := range users {
			if m.Home(u.User, count) == s.input.Partition {
				continue
			}
			gone = append(gone, u.User)
			if err := remove(portion); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = remove(1)
	}
	if err != nil {
		return removed, err
	}
	for _, bucket := range s.buckets {
		if err := m.cleanBucket(ctx, s, bucket, count); err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// cleanBucket writes a bucket of the timer index anew without the entries of users
// who belong elsewhere.
func (m *move) cleanBucket(ctx context.Context, s *side, bucket processor.Bucket, count int32) error {
	var entries []processor.TimerEntry
	err := try(ctx, "read timers of "+s.input.String(), func() (err error) {
		entries, err = m.Store.Timers(ctx, s.input, s.r.Fence(), bucket, 0, math.MaxInt32)
		return err
	})
	if err != nil {
		return err
	}
	var kept []processor.TimerEntry
	for _, e := range entries {
		if m.Home(e.User, count) == s.input.Partition {
			kept = append(kept, e)
		}
	}
	if len(kept) == len(entries) {
		return nil
	}
	return m.write(ctx, s, func(b *processor.Batch) {
		b.Done = []processor.Bucket{bucket}
		if len(kept) > 0 {
			b.Timers = []processor.TimerWrite{{Bucket: bucket, New: true, Entries: kept}}
		}
	})
}
