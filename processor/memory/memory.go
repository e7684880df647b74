// Package memory keeps states, timers and outboxes of partitions in the process,
// for tests and backtests.
package memory

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/nudged/nudged/processor"
)

// Store is a processor.Store in memory. It may be used by several goroutines.
// The zero value is empty and ready.
type Store struct {
	mu         sync.Mutex
	partitions map[processor.TopicPartition]*partition
}

var _ processor.Store = (*Store)(nil)

// partition is what is kept of one. Elements of slices are never changed in
// place, so that a copy may share them.
type partition struct {
	header  processor.Header
	claimer string
	outbox  []processor.OutboxEntry
	states  map[string][]byte
	timers  map[processor.Bucket][]processor.TimerEntry
	names   map[uint32]string
}

// Peek implements processor.Store.
func (s *Store) Peek(_ context.Context, tp processor.TopicPartition) (*processor.Header, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.partitions[tp]
	if p == nil {
		return nil, nil
	}
	h := p.copyHeader()
	if len(p.outbox) > 0 {
		h.Oldest = p.outbox[0].Seq
	}
	return &h, nil
}

// Claim implements processor.Store.
func (s *Store) Claim(_ context.Context, tp processor.TopicPartition, c processor.Claim) (*processor.Claimed, error) {
	const op = "claim"
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.partitions[tp]
	if p == nil {
		p = &partition{
			header: processor.Header{ID: c.ID, Epoch: c.Epoch, Offset: c.Base, Base: c.Base, Wiping: true},
			names:  map[uint32]string{},
		}
		p.clear()
		p.claimer = c.Claimer
		if s.partitions == nil {
			s.partitions = map[processor.TopicPartition]*partition{}
		}
		s.partitions[tp] = p
	}
	own := p.header.Epoch == c.Epoch && p.claimer == c.Claimer
	switch {
	case p.header.ID != c.ID && (c.Takeover == nil || p.header.ID != c.Takeover.ID):
		return nil, refusal(op, tp, processor.ErrIdentity, "stored is %q, expected %q", p.header.ID, c.ID)
	case !own && p.header.Epoch >= c.Epoch:
		return nil, refusal(op, tp, processor.ErrFenced, "the header holds epoch %d of process %q, the call has %d of %q", p.header.Epoch, p.claimer, c.Epoch, c.Claimer)
	case !own:
		p.header.Epoch, p.header.Version, p.claimer = c.Epoch, 0, c.Claimer
		if c.Takeover != nil {
			p.header.ID, p.header.Offset = c.ID, c.Takeover.Offset
		}
	}
	maps.Copy(p.names, c.Names)
	return &processor.Claimed{
		Header:  p.copyHeader(),
		Outbox:  p.copyOutbox(),
		Names:   maps.Clone(p.names),
		Buckets: p.buckets(),
	}, nil
}

// Write implements processor.Store. Next.Version is not looked at: the header
// has Version+1 afterwards. TimerWrite.New is not looked at either: a bucket
// exists while it has entries.
func (s *Store) Write(_ context.Context, tp processor.TopicPartition, b *processor.Batch) error {
	const op = "write"
	for i := range b.Timers {
		if err := checkTimers(&b.Timers[i]); err != nil {
			return fmt.Errorf("memory: %s of partition %s: %w", op, tp, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.partitions[tp]
	if err := p.fenced(op, tp, b.Epoch); err != nil {
		return err
	}
	h := &p.header
	switch {
	case h.Wiping:
		return refusal(op, tp, processor.ErrLost, "the partition is being emptied")
	case h.Version == b.Version+1 && h.Seq == b.Next.Seq && h.Offset == b.Next.Offset && h.Clock == b.Next.Clock:
		return nil // this very call was applied before
	case h.Version != b.Version:
		return refusal(op, tp, processor.ErrLost, "the header holds version %d of epoch %d, the call has version %d", h.Version, h.Epoch, b.Version)
	}
	p.apply(b)
	return nil
}

func (p *partition) apply(b *processor.Batch) {
	next := b.Next
	next.ID, next.Epoch, next.Version, next.Wiping = p.header.ID, p.header.Epoch, b.Version+1, false
	next.History = slices.Clone(next.History)
	p.header = next
	for _, d := range b.Done {
		delete(p.timers, d)
	}
	for i := range b.Erased {
		w := &b.Erased[i]
		left := slices.DeleteFunc(slices.Clone(p.timers[w.Bucket]), func(e processor.TimerEntry) bool { return slices.Contains(w.Entries, e) })
		if p.timers[w.Bucket] = left; len(left) == 0 {
			delete(p.timers, w.Bucket)
		}
	}
	for i := range b.Timers {
		if w := &b.Timers[i]; len(w.Entries) > 0 {
			p.timers[w.Bucket] = append(p.timers[w.Bucket], w.Entries...)
		}
	}
	for i := range b.States {
		p.states[b.States[i].User] = copyOf(b.States[i].State)
	}
	for _, u := range b.Gone {
		delete(p.states, u)
	}
	for len(p.outbox) > 0 && p.outbox[0].Seq <= b.Published {
		p.outbox = p.outbox[1:]
	}
	if b.Outbox != nil {
		p.outbox = append(p.outbox, processor.OutboxEntry{Seq: b.Outbox.Seq, Records: copyOf(b.Outbox.Records)})
	}
}

// Fence implements processor.Store.
func (s *Store) Fence(_ context.Context, tp processor.TopicPartition) (epoch, version int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.partitions[tp]
	if p == nil {
		return 0, 0, refusal("reading the fence", tp, processor.ErrLost, "there is no header")
	}
	return p.header.Epoch, p.header.Version, nil
}

// States implements processor.Store. The states returned are the caller's.
func (s *Store) States(_ context.Context, tp processor.TopicPartition, at processor.Fence, users []string) ([][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.partitions[tp].holds("reading states", tp, at); err != nil {
		return nil, err
	}
	out := make([][]byte, len(users))
	if p := s.partitions[tp]; p != nil {
		for i, u := range users {
			if state, ok := p.states[u]; ok {
				out[i] = copyOf(state)
			}
		}
	}
	return out, nil
}

// userSlices is how many slices the users of a partition are in: few, so that tests
// go from one to the next.
const userSlices = 3

// Users implements processor.Store.
func (s *Store) Users(_ context.Context, tp processor.TopicPartition, at processor.Fence, slice int) ([]processor.StateWrite, int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.partitions[tp].holds("reading users", tp, at); err != nil {
		return nil, 0, err
	}
	var users []processor.StateWrite
	if p := s.partitions[tp]; p != nil {
		for u, state := range p.states {
			if int(xxhash.Sum64String(u)%userSlices) == slice {
				users = append(users, processor.StateWrite{User: u, State: copyOf(state)})
			}
		}
	}
	slices.SortFunc(users, func(a, b processor.StateWrite) int { return cmp.Compare(a.User, b.User) })
	return users, userSlices, nil
}

// Timers implements processor.Store. Entries come in the order they were written.
func (s *Store) Timers(_ context.Context, tp processor.TopicPartition, at processor.Fence, b processor.Bucket, from, n int) ([]processor.TimerEntry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.partitions[tp].holds("reading timers", tp, at); err != nil {
		return nil, err
	}
	p := s.partitions[tp]
	if p == nil || from >= len(p.timers[b]) {
		return nil, nil
	}
	return slices.Clone(p.timers[b][from:min(from+n, len(p.timers[b]))]), nil
}

// Wipe implements processor.Store. Names of rules stay, since the claim has
// written them. The header's version is a higher one afterwards, which Peek tells,
// so that a store that falls back to before the emptying is noticed.
func (s *Store) Wipe(_ context.Context, tp processor.TopicPartition, epoch int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.partitions[tp]
	if err := p.fenced("wipe", tp, epoch); err != nil {
		return err
	}
	h := p.header
	p.header = processor.Header{ID: h.ID, Epoch: h.Epoch, Version: h.Version + 1, Offset: h.Base, Base: h.Base}
	p.clear()
	return nil
}

func (p *partition) clear() {
	p.outbox = nil
	p.states = map[string][]byte{}
	p.timers = map[processor.Bucket][]processor.TimerEntry{}
}

// fenced refuses a call under another epoch than that of the last claim, or on a
// partition that is not there.
func (p *partition) fenced(op string, tp processor.TopicPartition, epoch int64) error {
	if p == nil {
		return refusal(op, tp, processor.ErrLost, "there is no header")
	}
	if p.header.Epoch != epoch {
		return refusal(op, tp, processor.ErrFenced, "the header holds epoch %d, the call has %d", p.header.Epoch, epoch)
	}
	return nil
}

// holds refuses to read from another content than the fence names.
func (p *partition) holds(op string, tp processor.TopicPartition, at processor.Fence) error {
	if at == (processor.Fence{}) {
		return nil
	}
	if err := p.fenced(op, tp, at.Epoch); err != nil {
		return err
	}
	if p.header.Version != at.Version {
		return refusal(op, tp, processor.ErrLost, "the header holds version %d of epoch %d, the call has version %d", p.header.Version, at.Epoch, at.Version)
	}
	return nil
}

func refusal(op string, tp processor.TopicPartition, why error, format string, args ...any) error {
	return fmt.Errorf("memory: %s of partition %s: %w: %s", op, tp, why, fmt.Sprintf(format, args...))
}

func checkTimers(w *processor.TimerWrite) error {
	for _, e := range w.Entries {
		if e.At < w.Bucket.Start || e.At >= w.Bucket.End() || e.At%1000 != 0 {
			return fmt.Errorf("timer at %d ms is not a whole second within its bucket, %d to %d ms", e.At, w.Bucket.Start, w.Bucket.End())
		}
	}
	return nil
}

func (p *partition) copyHeader() processor.Header {
	h := p.header
	h.History = slices.Clone(h.History)
	return h
}

func (p *partition) copyOutbox() []processor.OutboxEntry {
	out := make([]processor.OutboxEntry, len(p.outbox))
	for i, e := range p.outbox {
		out[i] = processor.OutboxEntry{Seq: e.Seq, Records: copyOf(e.Records)}
	}
	return out
}

// buckets lists the timer buckets, ascending.
func (p *partition) buckets() []processor.Bucket {
	return slices.SortedFunc(maps.Keys(p.timers), func(a, b processor.Bucket) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Width, b.Width))
	})
}

// copyOf returns a copy that is never nil: an empty state is one.
func copyOf(b []byte) []byte { return append(make([]byte, 0, len(b)), b...) }
