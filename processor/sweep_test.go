package processor_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/rules"
)

// every is a schedule that occurs at from and each period after it.
func every(period, from int64) *rules.Schedule {
	return &rules.Schedule{Next: func(t int64) (int64, bool) {
		if t < from {
			return from, true
		}
		return from + ((t-from)/period+1)*period, true
	}}
}

var scheduledSend = rules.Send{Channel: "push", Class: "ad", Template: "t"}

// withSchedules adds rules that schedules start to a random set.
func withSchedules(d dice, set *rules.Set, start int64) *rules.Set {
	for i := range 1 + d(3) {
		r := &rules.Rule{
			Name: fmt.Sprintf("scheduled_%d", i), Priority: d(3), Cooldown: pick(d, 0, 0, hour),
			Program:  rules.AtOnce(scheduledSend),
			Schedule: every(pick(d, 10*mins, hour, day), start+int64(d(100))*mins),
		}
		if d.chance(40) {
			r.Program = rules.After(pick(d, sec, mins, 5*hour), scheduledSend)
			r.Unless = []rules.Unless{{On: []string{pick(d, readTypes...)}}}
		}
		if d.chance(70) {
			m, least := set.Metrics[d(2)*3], int64(1+d(2))
			r.Schedule.Audience = func(e *rules.Env) rules.Truth { return rules.TruthOf(e.Metric(m).Int() >= least) }
		}
		set.Rules = append(set.Rules, r)
	}
	if err := set.Index(); err != nil {
		panic(err)
	}
	return set
}

// byUser orders messages by user, each user's as they were decided: in which
// order a schedule comes to the users does not matter.
func byUser(list []message) []message {
	out := slices.Clone(list)
	slices.SortStableFunc(out, func(a, b message) int { return strings.Compare(a.key, b.key) })
	return out
}

// On the event clock a partition starts what schedules start as the simulation
// does, wherever its batches are closed and however often it is claimed anew.
func TestSchedulesAgainstTheSimulation(t *testing.T) {
	started := 0
	for seed := range uint64(300) {
		d := dice(rand.New(rand.NewPCG(seed, 1)).IntN)
		w := &walk{d: d, users: 1 + d(12), far: pick(d, 0, 5), near: 50, clock: pick[int64](d, 0, 1_700_000_000_000)}
		sc := newScenario(withSchedules(d, randomSet(d, anyWait), w.clock), pick(d, processor.DecisionsFires, processor.DecisionsAll), 1)
		sc.fill(d, w, 20+d(60))
		s := newStand(t, sc, func(c *processor.Config) { c.BatchUsers = pick(d, 1, 4, 1000) })
		tp := inputPartition(0)
		part := s.claim(tp)
		for at := int(part.Offset()); at < len(sc.input[0]); at = int(part.Offset()) {
			s.consume(part, sc.input[0][at:min(at+1+d(6), len(sc.input[0]))])
			if d.chance(50) {
				s.flush(part)
			}
			if d.chance(30) {
				s.publish()
			}
			if d.chance(20) {
				part = s.claim(tp)
			}
		}
		s.flush(part)
		s.publish()
		marks, got := s.log.records(tp)
		want := byUser(sc.want[0])
		if i := firstDifference(byUser(got), want); i >= 0 {
			t.Fatalf("seed %d: %d records are visible, the simulation has %d; number %d is\n%s\nwant\n%s", seed, len(got), len(want), i, at(byUser(got), i), at(want, i))
		}
		k, _ := s.log.position(tp)
		if err := checkMarks(k, marks, false); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for _, m := range got {
			if strings.Contains(m.value, `"rule":"scheduled_`) && strings.Contains(m.value, `"decision":"sent"`) {
				started++
			}
		}
	}
	if started < 300 {
		t.Errorf("only %d scheduled messages were sent: the test does not go through it", started)
	}
}

// scheduled is a set with one rule that is started every day at noon, for those
// who have had an event "a".
func scheduled(change func(*rules.Rule)) *rules.Set {
	seen := &rules.Metric{Name: "seen", Kind: rules.Count, On: []string{"a"}, Reset: []string{"b"}}
	r := &rules.Rule{
		Name: "noon", Program: rules.AtOnce(scheduledSend), Schedule: every(day, noon),
	}
	r.Schedule.Audience = func(e *rules.Env) rules.Truth { return rules.TruthOf(e.Metric(seen).Int() > 0) }
	if change != nil {
		change(r)
	}
	s := &rules.Set{Fields: []string{"x", "k"}, Version: "sha256:given", Metrics: []*rules.Metric{seen}, Rules: []*rules.Rule{r}}
	if err := s.Index(); err != nil {
		panic(err)
	}
	return s
}

const noon = 12 * hour

// Quiet users get theirs on the wall clock, in steps, while events go on: who has
// an event meanwhile is told by what was known before it.
func TestScheduleOnTheWallClock(t *testing.T) {
	sc := newScenario(scheduled(nil), processor.DecisionsFires, 1)
	for i := range 30 {
		sc.add(eventAt(hour+int64(i), "a", fmt.Sprint("u", i)), 0)
	}
	before := len(sc.input[0])
	sc.add(eventAt(noon+sec, "b", "u7"), 0)    // is out from here on
	sc.add(eventAt(noon+sec, "a", "late"), 0)  // was not there at noon
	sc.add(eventAt(noon+2*sec, "a", "u8"), 0)  // changes nothing
	sc.add(eventAt(noon+2*sec, "b", "u29"), 0) // is out from here on
	for _, limit := range []int{1, 7, 1000} {
		for _, eventsAfter := range []int{0, 1, 2, 3} { // steps of the clock
			s := newStand(t, sc, onWallClock)
			part := s.claim(inputPartition(0))
			s.consume(part, sc.input[0][:before])
			for s.moveClock(part, noon-1, 1000) {
			}
			s.closeAndPublish(part)
			if _, got := s.log.records(inputPartition(0)); len(got) != 0 {
				t.Fatalf("before noon: %v", got)
			}
			more := true
			for n := 0; n < eventsAfter && more; n++ {
				more = s.moveClock(part, noon+3*sec, limit)
			}
			if eventsAfter == 0 {
				more = s.moveClock(part, noon, limit) // it has begun
			}
			s.consume(part, sc.input[0][before:])
			for more || part.Clock() < noon+3*sec {
				more = s.moveClock(part, noon+3*sec, limit)
			}
			s.closeAndPublish(part)
			sent := map[string]int{}
			_, got := s.log.records(inputPartition(0))
			for _, m := range got {
				if m.topic == "sends" {
					sent[m.key]++
				}
			}
			for i := range 30 {
				if u := fmt.Sprint("u", i); sent[u] != 1 {
					t.Errorf("limit %d, events after %d steps: %s was sent to %d times", limit, eventsAfter, u, sent[u])
				}
			}
			if sent["late"] != 0 {
				t.Errorf("limit %d, events after %d steps: somebody who was not there at noon was sent to", limit, eventsAfter)
			}
		}
	}
}

// After an outage only the latest occurrence of a rule is started.
func TestScheduleAfterAnOutage(t *testing.T) {
	sc := newScenario(scheduled(nil), processor.DecisionsFires, 1)
	sc.add(eventAt(hour, "a", "u"), 0)
	s := newStand(t, sc, onWallClock)
	part := s.claim(inputPartition(0))
	s.consume(part, sc.input[0])
	for s.moveClock(part, 2*hour, 100) {
	}
	s.closeAndPublish(part)
	part = s.claim(inputPartition(0))
	for s.moveClock(part, 3*day+13*hour, 100) {
	}
	s.closeAndPublish(part)
	expectTold(t, s, "noon u sent 1970-01-04T13:00:00Z")
}

// A processor that runs starts the occurrence on time, once, and goes on where it
// was when it is claimed anew in the middle.
func TestScheduleOfARunningProcessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().UnixMilli()
		at := now + 10*sec
		set := scheduled(func(r *rules.Rule) { r.Schedule.Next = every(1000*day, at).Next })
		sc := newScenario(set, processor.DecisionsFires, 2)
		for i := range 40 {
			sc.add(eventAt(now-hour, "a", fmt.Sprint("u", i)), 0)
		}
		r := start(t, sc, func(r *running) { r.cfg.EventClock, r.cfg.FiresPerBatch = false, 3 })
		r.untilFinished(r.log.inputs()...)
		time.Sleep(time.Until(time.UnixMilli(at)) - time.Millisecond)
		if _, ok := r.toldAt("u1", "sent"); ok {
			t.Fatal("it was started before its time")
		}
		time.Sleep(time.Second)
		for i := range 40 {
			told, ok := r.toldAt(fmt.Sprint("u", i), "sent")
			if late := told.UnixMilli() - at; !ok || late < 0 || late > 500 {
				t.Errorf("u%d: due %d, fired %v (visible after a second: %v)", i, at, told, ok)
			}
		}
		time.Sleep(time.Hour)
		r.stop()
		total := 0
		for _, tp := range r.log.inputs() {
			marks, _ := r.log.records(tp)
			total += len(marks)
		}
		if total != 80 {
			t.Errorf("%d records, want a send and a decision for each of 40 users", total)
		}
	})
}

// What a paused rule has kept waiting fires once rules without the pause are in
// force, though nothing else happens to the user.
func TestUnpausedRulesFireForQuietUsers(t *testing.T) { unpause(t, 1) }

// The same if the partitions are claimed anew again and again, at any moment of the
// look at everybody.
func TestUnpausedRulesFireThroughClaims(t *testing.T) { unpause(t, 60) }

// unpause has the rules without the pause come into force by so many claims.
func unpause(t *testing.T, claims int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().UnixMilli()
		make := func(paused bool, version string) *rules.Set {
			r := after(10*sec, "a")
			r.Paused = paused
			s := theRules(r)
			s.Version = version
			return s
		}
		sc := newScenario(make(false, "sha256:one"), processor.DecisionsFires, 2)
		for i := range 20 {
			sc.add(eventAt(now, "a", fmt.Sprint("u", i)), 0)
		}
		r := start(t, sc, func(r *running) { r.cfg.EventClock = false })
		r.untilFinished(r.log.inputs()...)
		decoder := func() processor.Decoder { return textDecoder{} }
		r.pr.SetRules(make(true, "sha256:two"), decoder)
		time.Sleep(time.Hour)
		if _, ok := r.toldAt("u1", "sent"); ok {
			t.Fatal("it has fired although its rule is paused")
		}
		resumed := time.Now()
		for i := range claims {
			r.pr.SetRules(make(false, "sha256:three"), decoder)
			time.Sleep(time.Duration(i) * time.Millisecond)
		}
		time.Sleep(30 * time.Second)
		for i := range 20 {
			if told, ok := r.toldAt(fmt.Sprint("u", i), "sent"); !ok || told.Before(resumed.Truncate(time.Second)) {
				t.Errorf("u%d: sent %v, at %v; the rule goes on since %v", i, ok, told, resumed)
			}
		}
		r.stop()
	})
}

// A state that nothing needs any more is deleted within a day of the clock, one
// that something needs stays.
func TestStatesAreRetired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().UnixMilli()
		soon := after(sec, "a")
		late := after(30*day, "b")
		sc := newScenario(theRules(soon, late), processor.DecisionsFires, 2)
		for i := range 20 {
			sc.add(eventAt(now, "a", fmt.Sprint("gone-", i)), 0)
			sc.add(eventAt(now, "b", fmt.Sprint("waits-", i)), 0)
		}
		const haste = 600 // the wall clock runs so many times as fast
		began := time.Now()
		r := start(t, sc, func(r *running) {
			r.cfg.EventClock = false
			r.cfg.Now = func() int64 { return now + time.Since(began).Milliseconds()*haste }
		})
		states := func() (gone, waits int) {
			for _, tp := range r.log.inputs() {
				for n, of := 0, 1; n < of; n++ {
					var users []processor.StateWrite
					users, of, _ = r.store.Users(t.Context(), tp, processor.Fence{}, n)
					for _, u := range users {
						if strings.HasPrefix(u.User, "gone-") {
							gone++
						} else {
							waits++
						}
					}
				}
			}
			return gone, waits
		}
		remembered := time.Duration(rules.RememberIDs) * time.Millisecond
		time.Sleep((remembered - time.Hour) / haste)
		if gone, waits := states(); gone != 20 || waits != 20 {
			t.Errorf("before anything may go there are %d and %d states", gone, waits)
		}
		time.Sleep(26 * time.Hour / haste)
		if gone, waits := states(); gone != 0 || waits != 20 {
			t.Errorf("a day later there are %d states that nothing needs, and %d of 20 others", gone, waits)
		}
		r.stop()
	})
}

func TestSweepRoundTrip(t *testing.T) {
	for _, s := range []processor.Sweep{{}, {Done: 5}, {Done: -1, At: 1 << 50, Next: 3, Of: 1024, Rules: "0123456789ab"}} {
		got, err := processor.ParseSweep(s.String())
		if err != nil || got != s {
			t.Errorf("%q is read as %+v, %v", s.String(), got, err)
		}
	}
	for _, text := range []string{",", "1,2,3,4", "1,2,3,2,", "a,0,0,0,", "0,0,-1,0,", "0,0,0,99999999999,"} {
		if s, err := processor.ParseSweep(text); err == nil {
			t.Errorf("%q is read as %+v", text, s)
		}
	}
}

// A process dies when it has come to an occurrence and has started it for nobody:
// whoever takes over starts it for all, though events come in before the clock
// moves.
func TestScheduleTakenOverAtItsTime(t *testing.T) {
	sc := newScenario(scheduled(nil), processor.DecisionsFires, 1)
	sc.add(eventAt(hour, "a", "u"), 0)
	sc.add(eventAt(2*hour, "a", "u"), 0)
	s := newStand(t, sc, onWallClock)
	part := s.claim(inputPartition(0))
	for s.moveClock(part, hour, 100) {
	}
	s.consume(part, sc.input[0][:1])
	if !s.moveClock(part, noon, 0) {
		t.Fatal("it does not stop at the occurrence")
	}
	part = s.claim(inputPartition(0))
	s.consume(part, sc.input[0][1:])
	s.closeAndPublish(part)
	for s.moveClock(part, noon+sec, 100) {
	}
	s.closeAndPublish(part)
	expectTold(t, s, "noon u sent 1970-01-01T12:00:01Z")
}

// Under "decisions: none" nothing tells of a run that a schedule has started and
// that has not sent yet. When Redis has lost it, it is started again, and ends if
// an event has ended it since.
func TestLostRunsOfASchedule(t *testing.T) {
	sc := newScenario(scheduled(func(r *rules.Rule) {
		r.Program, r.Unless = rules.After(hour, scheduledSend), []rules.Unless{{On: []string{"b"}}}
	}), processor.DecisionsNone, 1)
	for i, user := range []string{"u", "ended", "v"} {
		sc.add(eventAt(hour+int64(i), "a", user), 0)
	}
	before := len(sc.input[0])
	sc.add(eventAt(noon+mins, "b", "ended"), 0)
	for _, emptied := range []bool{false, true} {
		s := newStand(t, sc, onWallClock)
		lost := s.store.Snapshot()
		part := s.claim(inputPartition(0))
		for s.moveClock(part, hour, 100) {
		}
		s.consume(part, sc.input[0][:before])
		s.closeAndPublish(part)
		if !emptied {
			lost = s.store.Snapshot()
		}
		for s.moveClock(part, noon+sec, 100) {
		}
		s.closeAndPublish(part)
		s.consume(part, sc.input[0][before:])
		s.closeAndPublish(part)
		s.store.Restore(lost)
		part = s.claim(inputPartition(0))
		s.consume(part, sc.input[0][part.Offset():])
		for s.moveClock(part, noon+2*hour, 100) {
		}
		s.closeAndPublish(part)
		_, got := s.log.records(inputPartition(0))
		var users []string
		for _, m := range got {
			users = append(users, m.topic+" "+m.key)
		}
		slices.Sort(users)
		if !slices.Equal(users, []string{"sends u", "sends v"}) {
			t.Errorf("Redis emptied %t: visible are %v, want a send for u and one for v", emptied, users)
		}
	}
}

// Whoever was found overdue after an edit, and has not fired yet, is found again by
// the next owner: in the index nobody looks behind the clock.
func TestOverdueAfterAnEditSurvivesAClaim(t *testing.T) {
	const users, hour = 20, 3600 * sec
	began := int64(1_800_000_000_000)
	rulesOf := func(paused bool, version string) *rules.Set {
		r := after(10*sec, "a")
		r.Paused = paused
		s := theRules(r)
		s.Version = version
		return s
	}
	var events []event
	for i := range users {
		events = append(events, eventAt(began, "a", fmt.Sprint("u", i)))
	}
	sc := one(rulesOf(true, "sha256:paused"), events...)
	s := newStand(t, sc, func(c *processor.Config) { c.EventClock = false })
	tp, ctx := inputPartition(0), t.Context()
	move := func(p *processor.Partition, to int64) {
		t.Helper()
		if _, err := p.MoveClock(ctx, to, 1000); err != nil {
			t.Fatal(err)
		}
	}
	p := s.claim(tp)
	s.consume(p, sc.input[0])
	move(p, began+hour)
	s.flush(p)
	s.publish()

	s.cfg.Set = rulesOf(false, "sha256:goes-on")
	s.pr = processor.New(s.cfg)
	s.pr.Own(tp, func(err error) { t.Fatalf("%s has to be recovered: %v", tp, err) })
	for range 3 { // each owner is gone after the batch that has found them
		p = s.claim(tp)
		if err := p.LookAround(ctx); err != nil {
			t.Fatal(err)
		}
		s.flush(p)
	}
	p = s.claim(tp)
	if err := p.LookAround(ctx); err != nil {
		t.Fatal(err)
	}
	move(p, began+hour+sec)
	s.flush(p)
	s.publish()
	sent := 0
	for _, line := range s.told() {
		if strings.Contains(line, "sent") {
			sent++
		}
	}
	if sent != users {
		t.Errorf("%d messages, want %d: %v", sent, users, s.told())
	}
}
