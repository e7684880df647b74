package sim

import "github.com/nudged/nudged/rules"

// State returns what is known of a user, nil if nothing is: to be looked at
// until the next Apply or Advance, not to be changed.
func (s *Sim) State(user string) *rules.State {
	u := s.parts[s.PartitionOf(user)].users[user]
	if u == nil {
		return nil
	}
	return &u.state
}
