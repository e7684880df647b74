package memory

import (
	"maps"
	"slices"

	"github.com/nudged/nudged/processor"
)

// Snapshot is what a Store held at a moment.
type Snapshot struct {
	partitions map[processor.TopicPartition]*partition
}

// Snapshot remembers what the store holds now.
func (s *Store) Snapshot() *Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Snapshot{clone(s.partitions)}
}

// Restore sets the store back, as a Redis does that has lost its last writes.
// Partitions claimed since are gone. A snapshot may be restored more than once.
func (s *Store) Restore(at *Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.partitions = clone(at.partitions)
}

// Clear removes everything, as a Redis that was emptied.
func (s *Store) Clear() { s.Restore(&Snapshot{}) }

// clone copies what changes in place: structs and maps. Slices are shared, without
// their spare room: what is appended to a copy is not written behind the original.
func clone(partitions map[processor.TopicPartition]*partition) map[processor.TopicPartition]*partition {
	out := make(map[processor.TopicPartition]*partition, len(partitions))
	for tp, p := range partitions {
		c := *p
		c.outbox = slices.Clip(p.outbox)
		c.states = maps.Clone(p.states)
		c.timers = make(map[processor.Bucket][]processor.TimerEntry, len(p.timers))
		for b, entries := range p.timers {
			c.timers[b] = slices.Clip(entries)
		}
		c.names = maps.Clone(p.names)
		out[tp] = &c
	}
	return out
}
