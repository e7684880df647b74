package redis

import (
	"context"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/sinks"
)

// Mentions is what a partition holds of one user.
type Mentions struct {
	State  int // bytes, 0: there is none
	Timers int // entries of the timer index
	Outbox int // records in the outbox
}

// Any says that there is something.
func (m Mentions) Any() bool { return m != Mentions{} }

// timersAtOnce is how many entries are read with one call.
const timersAtOnce = 10_000

// Find looks through a partition for a user. It reads the whole timer index and the
// outbox, and need not be of one moment.
func (s *Store) Find(ctx context.Context, tp processor.TopicPartition, user string) (Mentions, error) {
	const op = "looking for a user"
	var m Mentions
	states, err := s.States(ctx, tp, processor.Fence{}, []string{user})
	if err != nil {
		return m, err
	}
	m.State = len(states[0])
	p := newPartition(s.group, tp)
	numbers, err := s.client.SMembers(ctx, p.timers).Result()
	if err != nil {
		return m, s.failure(op, p, err)
	}
	for _, n := range numbers {
		for from := int64(0); ; from += timersAtOnce {
			members, err := s.client.LRange(ctx, p.prefix+"t:"+n, from, from+timersAtOnce-1).Result()
			if err != nil {
				return m, s.failure(op, p, err)
			}
			for _, member := range members {
				if userOf(member) == user {
					m.Timers++
				}
			}
			if len(members) < timersAtOnce {
				break
			}
		}
	}
	outbox, err := s.client.LRange(ctx, p.outbox, 0, -1).Result()
	if err != nil {
		return m, s.failure(op, p, err)
	}
	for i := 1; i < len(outbox); i += 2 { // seq, records, seq, ...
		err := processor.EachRecord([]byte(outbox[i]), func(r *sinks.Record) error {
			if string(r.Key) == user {
				m.Outbox++
			}
			return nil
		})
		if err != nil {
			return m, s.failure(op, p, &damage{err})
		}
	}
	return m, nil
}
