package sim

import "github.com/nudged/nudged/rules"

// State returns what is known of a user, nil if nothing is: to be looked at
// until the next Apply or Advance, not to be changed.
func (s *Sim) State(user string) *rules.State { return s.StateAt(s.PartitionOf(user), user) }

// StateAt is State for a user of a given partition.
func (s *Sim) StateAt(partition int32, user string) *rules.State {
	u := s.parts[partition].users[user]
	if u == nil {
		return nil
	}
	return &u.state
}

// PartitionOf returns the partition that Kafka's default partitioner gives a user
// in a topic of so many.
func PartitionOf(user string, partitions int) int32 {
	return int32(murmur2([]byte(user))&0x7fffffff) % int32(partitions)
}
