package processor_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/rules"
)

func onWallClock(c *processor.Config) { c.EventClock = false }

// moveClock moves the partition's clock and fails the test on an error.
func (s *stand) moveClock(p *processor.Partition, now int64, limit int) (more bool) {
	s.t.Helper()
	more, err := p.MoveClock(context.Background(), now, limit)
	if err != nil {
		s.t.Fatalf("move the clock to %d: %v", now, err)
	}
	return more
}

func (s *stand) closeAndPublish(p *processor.Partition) {
	s.t.Helper()
	s.flush(p)
	s.publish()
}

func clockText(ms int64) string {
	if ms%1000 == 0 {
		return time.UnixMilli(ms).UTC().Format(time.RFC3339)
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// On the wall clock an event fires nothing of what was armed before: a backlog is
// applied whole, and then the clock moves.
func TestBacklogGoesBeforeTheClock(t *testing.T) {
	cart := after(10*sec, "a")
	cart.Unless = []rules.Unless{{On: []string{"b"}}}
	sc := one(theRules(cart), eventAt(1*sec, "a", "buyer"), eventAt(2*sec, "a", "waiter"), eventAt(500*sec, "b", "buyer"))
	s := newStand(t, sc, onWallClock)
	part := s.claim(inputPartition(0))
	s.consume(part, sc.input[0])
	if part.Clock() != 0 {
		t.Errorf("the clock stands at %d, events must not move it", part.Clock())
	}
	if s.moveClock(part, 600*sec, 100) {
		t.Error("more to fire after everything has fired")
	}
	s.closeAndPublish(part)
	expectTold(t, s, "rule_0 buyer cancelled 1970-01-01T00:08:20Z", "rule_0 waiter sent 1970-01-01T00:10:00Z")
}

// With nothing to read the clock moves and fires, also after a reopening, and
// never goes back.
func TestIdlePartitionFires(t *testing.T) {
	base := int64(1_700_000_000_000)
	sc := one(theRules(after(250, "a"), after(3*hour, "a"), after(9*day, "a")), eventAt(base, "a", "u"))
	s := newStand(t, sc, onWallClock)
	part := s.claim(inputPartition(0))
	s.consume(part, sc.input[0])
	s.closeAndPublish(part)
	reopen := func() { part = s.claim(inputPartition(0)) }
	for _, step := range []struct {
		now    int64
		told   int
		reopen bool
	}{
		{base + 249, 0, false},
		{base + 250, 1, false},
		{base + hour, 1, true},
		{base + 3*hour - 1, 1, false},
		{base + 3*hour + 7, 2, true},
		{base + 3*hour, 2, false},
		{base + 9*day - 1, 2, true},
		{base + 9*day, 3, false},
		{base + 10*day, 3, true},
	} {
		before := part.Clock()
		s.moveClock(part, step.now, 10)
		if part.Clock() != max(before, step.now) {
			t.Fatalf("moved from %d to %d, the clock stands at %d", before, step.now, part.Clock())
		}
		s.closeAndPublish(part)
		checkHints(t, s.sc.set, s.store, inputPartition(0), sc.users[0], part)
		if got := s.told(); len(got) != step.told {
			t.Fatalf("at %s %d have fired, want %d: %v", clockText(step.now), len(got), step.told, got)
		}
		if step.reopen {
			reopen()
		}
	}
	expectTold(t, s, "rule_0 u sent "+clockText(base+250), "rule_1 u sent "+clockText(base+3*hour+7), "rule_2 u sent "+clockText(base+9*day))
}

// What fires later than expire_after past its due is told as expired, to the
// millisecond.
func TestOverdueExpire(t *testing.T) {
	rule := after(sec, "a")
	rule.ExpireAfter = hour
	sc := one(theRules(rule), eventAt(10*sec-1, "a", "stale"), eventAt(10*sec, "a", "just"), eventAt(20*sec, "a", "fresh"))
	s := newStand(t, sc, onWallClock)
	part := s.claim(inputPartition(0))
	s.consume(part, sc.input[0])
	s.moveClock(part, 11*sec+hour, 100)
	s.closeAndPublish(part)
	expectTold(t, s, "rule_0 stale expired 1970-01-01T01:00:11Z", "rule_0 just sent 1970-01-01T01:00:11Z", "rule_0 fresh sent 1970-01-01T01:00:11Z")
}

// A bounded look at the clock leaves it just before what it did not get to, so
// that whoever opens the partition next finds the rest.
func TestBoundedFiresLoseNothing(t *testing.T) {
	const users = 50
	sc := newScenario(theRules(after(sec, "a")), processor.DecisionsFires, 1)
	var want []string
	for i := range int64(users) {
		sc.add(eventAt(10*sec+i/3*400, "a", fmt.Sprintf("user-%02d", i)), 0) // three at a time
	}
	s := newStand(t, sc, onWallClock)
	part := s.claim(inputPartition(0))
	s.consume(part, sc.input[0])
	s.closeAndPublish(part)
	now := 500 * sec
	for i := range int64(users) {
		want = append(want, fmt.Sprintf("rule_0 user-%02d sent %s", i, clockText(now)))
	}
	for round := 1; s.moveClock(part, now, 4); round++ {
		s.closeAndPublish(part)
		fired := len(s.told())
		if fired > 4*round || round > 3*users {
			t.Fatalf("%d have fired in %d rounds of 4", fired, round)
		}
		// The first that did not fire is due at 11 s and 400 ms for every three.
		if next := 11*sec + int64(fired/3*400); fired == users || part.Clock() >= next || part.Clock() < next-1000 {
			t.Fatalf("after %d the clock stands at %d and there are more, want it before %d", fired, part.Clock(), next)
		}
		checkHints(t, s.sc.set, s.store, inputPartition(0), sc.users[0], part)
		if round%5 == 0 {
			part = s.claim(inputPartition(0))
		}
	}
	if part.Clock() != now {
		t.Errorf("the clock stands at %d, want %d", part.Clock(), now)
	}
	s.closeAndPublish(part)
	expectTold(t, s, want...)
}

// A late event on the wall clock arms what is due already: it fires with it.
func TestLateEventOnTheWallClock(t *testing.T) {
	sc := one(theRules(after(10*sec, "a")), eventAt(5*sec, "a", "u"))
	s := newStand(t, sc, onWallClock)
	part := s.claim(inputPartition(0))
	s.moveClock(part, hour, 10)
	s.consume(part, sc.input[0])
	s.closeAndPublish(part)
	expectTold(t, s, "rule_0 u sent 1970-01-01T01:00:00Z")
}

// Random streams, clocks, bounds, flushes and crashes: each instance fires exactly
// once, not before it is due, and by the time the clock has passed it.
func TestWallClockFiresEachOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapidDice(t)
		var list []*rules.Rule
		for range 1 + d(3) {
			list = append(list, after(pick(d, 1, 400, 1_700, 30*sec, 20*mins, 2*hour, 6*hour), "a"))
			list[len(list)-1].Key = field(slotX)
		}
		sc := newScenario(theRules(list...), processor.DecisionsFires, 1)
		now := int64(1_700_000_000_000)
		due := map[string]int64{} // by instance
		s := newStand(t, sc, onWallClock)
		part := s.claim(inputPartition(0))
		flush := func() {
			s.closeAndPublish(part)
			checkHints(t, s.sc.set, s.store, inputPartition(0), sc.users[0], nil)
		}
		for n := range int64(1 + d(60)) {
			switch d(6) {
			case 0:
				now += pick(d, 1, 100, 900, 10*sec, 10*mins, hour, 5*hour)
			case 1:
				s.moveClock(part, now, 1+d(4))
			case 2:
				flush()
			case 3:
				part = s.claim(inputPartition(0))
				s.consume(part, sc.input[0])
			default:
				e := event{typ: "a", user: fmt.Sprintf("user-%d", d(4)), id: fmt.Sprint(n), x: n, time: now - pick(d, 0, 0, 0, 5, 1_200, hour, 8*hour)}
				sc.add(e, 0)
				s.log.input[inputPartition(0)] = sc.input[0]
				for i, r := range list {
					due[fmt.Sprintf("rule_%d %d", i, n)] = e.time + r.Program[0].Wait
				}
				s.consume(part, sc.input[0])
			}
		}
		for s.moveClock(part, now, 3) {
			if d.chance(20) {
				flush()
				part = s.claim(inputPartition(0))
			}
		}
		flush()
		s.checkFiredOnce(due, now)
	})
}

func (s *stand) checkFiredOnce(due map[string]int64, now int64) {
	s.t.Helper()
	_, messages := s.log.records(inputPartition(0))
	fired := map[string]int64{}
	for _, m := range messages {
		if m.topic != "decisions" {
			continue
		}
		instance := field1(m.value, "rule") + " " + field1(m.value, "instance")
		at, err := time.Parse(time.RFC3339, field1(m.value, "fired"))
		if _, again := fired[instance]; again || err != nil || field1(m.value, "decision") != "sent" {
			s.t.Fatalf("%s is told once more, %v: %s", instance, err, m)
		}
		fired[instance] = at.UnixMilli()
	}
	var lost []string
	for instance, d := range due {
		at, ok := fired[instance]
		if ok && at < d {
			s.t.Fatalf("%s was due at %d and fired at %d", instance, d, at)
		}
		if !ok && d <= now {
			lost = append(lost, fmt.Sprintf("%s due at %d", instance, d))
		}
	}
	if slices.Sort(lost); len(lost) > 0 {
		s.t.Fatalf("the clock stands at %d, and these have not fired: %v", now, lost)
	}
}
