package processor_test

import (
	"errors"
	"testing"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/rules"
)

// play consumes everything in one go, closes the batch and publishes it.
func play(t *testing.T, sc *scenario) *stand {
	t.Helper()
	s := newStand(t, sc, nil)
	part := s.claim(inputPartition(0))
	s.consume(part, sc.input[0])
	s.flush(part)
	s.publish()
	checkOutcome(t, sc, s.log, s.store)
	return s
}

// Before an event of time t is applied, what is due at or before t fires, and on
// time: at its due, not at t.
func TestDueFiresBeforeTheEventAndOnTime(t *testing.T) {
	cart := after(10*sec, "a")
	cart.Unless = []rules.Unless{{On: []string{"b"}}}
	s := play(t, one(theRules(cart),
		eventAt(1*sec, "a", "at-once"), eventAt(1*sec, "a", "bystander"),
		eventAt(2*sec, "a", "too-late"),
		eventAt(11*sec, "b", "at-once"), // due at 11 s, to the millisecond: fires first
		eventAt(12*sec-1, "b", "too-late"),
		eventAt(60*sec, "c", "nobody"), eventAt(61*sec, "b", "nobody"),
	))
	expectTold(t, s,
		"rule_0 at-once sent 1970-01-01T00:00:11Z", "rule_0 bystander sent 1970-01-01T00:00:11Z",
		"rule_0 too-late cancelled 1970-01-01T00:00:11.999Z")
	if marks, _ := s.log.records(inputPartition(0)); len(marks) != 5 || marks[0].Cause != processor.ByTimer || marks[0].Position != 3 ||
		marks[0].Clock != 11*sec || marks[4].Cause != processor.ByEvent || marks[4].Position != 4 || marks[4].Clock != 12*sec-1 {
		t.Errorf("marks %+v, want timers at position 3 and 11 s, the cancellation by event 4", marks)
	}
}

// Instances of one moment go by priority, users by name.
func TestSameMoment(t *testing.T) {
	low, high := after(10*sec, "a"), after(10*sec, "a")
	low.Name, high.Name, high.Priority = "low", "high", 5
	s := play(t, one(theRules(low, high), eventAt(sec, "a", "z"), eventAt(sec, "a", "m"), eventAt(11*sec, "a", "later")))
	expectTold(t, s,
		"high m sent 1970-01-01T00:00:11Z", "low m sent 1970-01-01T00:00:11Z",
		"high z sent 1970-01-01T00:00:11Z", "low z sent 1970-01-01T00:00:11Z")
}

// A late event does not turn the clock back. What it starts and is due already
// fires right after it, at its own time.
func TestLateEvents(t *testing.T) {
	cart := after(10*sec, "a")
	s := play(t, one(theRules(cart),
		eventAt(hour, "a", "first"),
		eventAt(30*sec, "a", "late"),      // due long ago
		eventAt(hour-5*sec, "a", "later"), // due in 5 s
		eventAt(hour+4*sec, "a", "x"),
		eventAt(hour+5*sec, "a", "y"),
	))
	expectTold(t, s, "rule_0 late sent 1970-01-01T00:00:40Z", "rule_0 later sent 1970-01-01T01:00:05Z")
	if marks, _ := s.log.records(inputPartition(0)); marks[0].Position != 2 || marks[0].Cause != processor.ByTimer || marks[0].Clock != hour {
		t.Errorf("mark of what a late event started: %+v, want a timer after event 1, at the clock's reading", marks[0])
	}
}

// A timer that comes to lie earlier within the second of one that is waited for
// fires in its own millisecond.
func TestEarlierWithinTheSameSecond(t *testing.T) {
	b := after(1_300, "b")
	b.Unless = []rules.Unless{{On: []string{"c"}}}
	s := play(t, one(theRules(after(1_800, "a"), b),
		eventAt(8_000, "a", "u"),  // due 9,800
		eventAt(8_100, "b", "u"),  // due 9,400
		eventAt(9_500, "c", "u"),  // too late to cancel it
		eventAt(10_000, "a", "v"), // moves the clock on
	))
	expectTold(t, s, "rule_1 u sent 1970-01-01T00:00:09.400Z", "rule_0 u sent 1970-01-01T00:00:09.800Z")
}

// The same where what is left is due just at the clock, and what comes next undoes it:
// an order to forget the user, or an event as late.
func TestCrashBeforeWhatIsDueNow(t *testing.T) {
	const at = 578 // not a whole second: the index leads to the second before
	for name, next := range map[string]func(*scenario){
		"forgotten": func(sc *scenario) { sc.forget("late", hour) },
		"cancelled": func(sc *scenario) { sc.add(eventAt(at+1, "b", "late"), 0) },
	} {
		t.Run(name, func(t *testing.T) {
			last := after(hour, "a")
			last.Unless = []rules.Unless{{On: []string{"b"}}}
			sc := one(theRules(after(sec, "a"), last), eventAt(hour+at, "a", "other"), eventAt(at, "a", "late"))
			next(sc)
			for through := range 4 { // so many batches are written before the crash
				writes := 0
				s := newStand(t, sc, func(c *processor.Config) {
					c.BatchUsers = 1
					c.Store = &hooked{Store: c.Store, before: func(call string, _ processor.TopicPartition) error {
						if call != "write" {
							return nil
						}
						if writes++; writes == through+1 {
							return processor.ErrLost
						}
						return nil
					}}
				})
				if err := s.claim(inputPartition(0)).Consume(t.Context(), sc.input[0][:2]); err != nil && !errors.Is(err, processor.ErrLost) {
					t.Fatal(err)
				}
				writes = through + 1 // no more fail
				part := s.claim(inputPartition(0))
				s.consume(part, sc.input[0])
				s.flush(part)
				s.publish()
				checkOutcome(t, sc, s.log, s.store)
			}
		})
	}
}

// A batch may be closed between two instances that a late event has started: the
// next owner fires the second, though it is due before the clock.
func TestCrashBetweenOverdueInstances(t *testing.T) {
	sc := one(theRules(after(sec, "a"), after(2*sec, "a"), after(3*sec, "a")),
		eventAt(hour, "a", "other"), eventAt(20*sec, "a", "late"))
	for _, users := range []int{1, 2, 100} {
		s := newStand(t, sc, func(c *processor.Config) { c.BatchUsers = users })
		s.consume(s.claim(inputPartition(0)), sc.input[0])
		// Whatever has been flushed by now, the rest is lost in a crash.
		part := s.claim(inputPartition(0))
		checkHints(t, s.sc.set, s.store, inputPartition(0), []string{"late", "other"}, nil)
		s.consume(part, sc.input[0])
		s.flush(part)
		s.publish()
		checkOutcome(t, sc, s.log, s.store)
	}
}
