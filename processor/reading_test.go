package processor_test

import (
	"context"
	"errors"
	"testing"

	"github.com/nudged/nudged/processor"
)

// A store that has fallen back, is read from, and comes to itself again before the
// next write is noticed: what was read is of another history. It happens where
// Sentinel fails over to a replica that lags, and back.
func TestStoreFallsBackAndComesToItself(t *testing.T) {
	for name, next := range map[string]event{
		"a state is read": eventAt(3*sec, "a", "u"),
		"timers are read": eventAt(3*hour, "a", "w"),
	} {
		t.Run(name, func(t *testing.T) {
			sc := one(theRules(after(hour, "a")), eventAt(sec, "a", "u"), next)
			s := newStand(t, sc, nil)
			tp := inputPartition(0)
			part := s.claim(tp)
			past := s.store.Snapshot()
			s.consume(part, sc.input[0][:1])
			s.flush(part)
			part = s.claim(tp) // who has it now has nothing of it in memory

			present := s.store.Snapshot()
			s.store.Restore(past)
			err := part.Consume(context.Background(), sc.input[0][1:])
			s.store.Restore(present)
			if err == nil {
				err = part.Flush(context.Background())
			}
			if !errors.Is(err, processor.ErrFenced) {
				t.Errorf("Consume and Flush = %v, want ErrFenced", err)
			}
			part = s.claim(tp)
			s.consume(part, sc.input[0][part.Offset():])
			s.flush(part)
			s.publish()
			checkOutcome(t, sc, s.log, s.store)
		})
	}
}
