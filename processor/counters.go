package processor

import (
	"sync/atomic"

	"github.com/nudged/nudged/rules"
)

// Counters count what a process has done since it started.
type Counters struct {
	Events       atomic.Int64 // decoded
	Unread       atomic.Int64 // of a type that no rule looks at
	Duplicates   atomic.Int64 // repeated event ids
	DeadLetters  atomic.Int64
	PulledBack   atomic.Int64 // event times ahead of max_ahead
	Missing      atomic.Int64 // expressions that read what is not there
	Mismatches   atomic.Int64 // attribute values of a wrong type
	Replayed     atomic.Int64 // records taken in again after Redis had lost something
	Untold       atomic.Int64 // instances ended because nothing tells what became of them
	Refused      atomic.Int64 // instances not started: the user has too much pending
	Fired        atomic.Int64 // looks at users by timers
	Decisions    atomic.Int64
	Sent         atomic.Int64
	Batches      atomic.Int64
	Written      atomic.Int64 // states written to the store
	Retired      atomic.Int64 // states deleted that nothing needed any more
	Forgotten    atomic.Int64 // users forgotten because somebody ordered it
	Loaded       atomic.Int64 // users asked of the store
	Transactions atomic.Int64
	Aborted      atomic.Int64 // transactions not committed
	Fenced       atomic.Int64 // writes refused: fenced or lost
	StoreErrors  atomic.Int64 // calls to the store that were repeated
}

// tally counts within one batch without atomics.
type tally struct {
	events, unread, duplicates, deadLetters, pulledBack, missing, mismatches, refused, fired int64
	decisions, sent, batches, written, retired, replayed, untold, forgotten                  int64
}

func (t *tally) decided(o rules.Outcome) {
	t.decisions++
	if o == rules.Sent {
		t.sent++
	}
}

func (t *tally) addTo(c *Counters) {
	c.Events.Add(t.events)
	c.Unread.Add(t.unread)
	c.Duplicates.Add(t.duplicates)
	c.DeadLetters.Add(t.deadLetters)
	c.PulledBack.Add(t.pulledBack)
	c.Missing.Add(t.missing)
	c.Mismatches.Add(t.mismatches)
	c.Refused.Add(t.refused)
	c.Fired.Add(t.fired)
	c.Decisions.Add(t.decisions)
	c.Sent.Add(t.sent)
	c.Batches.Add(t.batches)
	c.Written.Add(t.written)
	c.Retired.Add(t.retired)
	c.Replayed.Add(t.replayed)
	c.Untold.Add(t.untold)
	c.Forgotten.Add(t.forgotten)
	*t = tally{}
}
