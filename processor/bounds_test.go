package processor_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/memory"
	"github.com/nudged/nudged/rules"
)

// indexed counts the entries that the timer index of partition 0 holds.
func (s *stand) indexed() (entries int) {
	s.t.Helper()
	ctx := context.Background()
	var copied memory.Store
	copied.Restore(s.store.Snapshot())
	tp := inputPartition(0)
	r, err := copied.Peek(ctx, tp)
	if err != nil || r == nil {
		s.t.Fatalf("peek: %v, %v", r, err)
	}
	claimed, err := copied.Claim(ctx, tp, processor.Claim{ID: r.ID, Epoch: r.Epoch + 1})
	if err != nil {
		s.t.Fatalf("claim: %v", err)
	}
	for _, b := range claimed.Buckets {
		list, err := copied.Timers(ctx, tp, processor.Fence{}, b, 0, 1<<20)
		if err != nil {
			s.t.Fatalf("timers: %v", err)
		}
		entries += len(list)
	}
	return entries
}

// A million times something is armed, moved, fired, ended and armed again, over
// weeks, by rules whose waits lie within each other. However it goes, the index
// holds a handful of entries a user.
func TestIndexDoesNotGrow(t *testing.T) {
	const users, cycles, perCycle = 4, 31_250, 8 // a million events
	moved := after(20*day, "a")
	moved.Restart = true
	ended := after(9*day, "a")
	ended.Unless = []rules.Unless{{On: []string{"b"}}}
	nested := after(6*hour, "a")
	nested.Restart = true
	short := after(2*mins, "c")
	sc := newScenario(theRules(moved, ended, nested, short), processor.DecisionsFires, 1)
	s := newStand(t, sc, nil)
	part := s.claim(inputPartition(0))
	// The records are not the scenario's: its oracle would take as long again.
	offset, clock, most := int64(0), int64(1_700_000_000_000), 0
	recs := make([]processor.Record, 0, users*perCycle)
	for cycle := range cycles {
		recs = recs[:0]
		for n := range perCycle {
			clock += 7 * sec
			for u := range users {
				e := eventAt(clock, []string{"a", "c", "a", "b", "c", "a", "c", "b"}[n], fmt.Sprint("u", u))
				recs = append(recs, processor.Record{Offset: offset, Timestamp: clock, Key: []byte(e.user), Value: e.value()})
				offset++
			}
		}
		if err := part.Consume(t.Context(), recs); err != nil {
			t.Fatal(err)
		}
		s.flush(part)
		if cycle%500 == 0 {
			most = max(most, s.indexed())
			s.publish()
		}
		if cycle == cycles/2 {
			s.log.input[inputPartition(0)] = make([]processor.Record, offset)
			part = s.claim(inputPartition(0)) // whoever takes it over goes on the same way
		}
	}
	if most < 2*users || most > 8*users {
		t.Errorf("the index had up to %d entries for %d users, want some for each and not more than a handful", most, users)
	}
	if n := s.cfg.Counters.Fired.Load(); n < users*cycles/4 {
		t.Errorf("only %d have fired: the test is not what it was", n)
	}
	// What nobody needs any more goes when its time has come.
	for range users {
		clock += 30 * day
		e := eventAt(clock, "b", "u0")
		if err := part.Consume(t.Context(), []processor.Record{{Offset: offset, Timestamp: clock, Key: []byte(e.user), Value: e.value()}}); err != nil {
			t.Fatal(err)
		}
		offset++
		s.flush(part)
	}
	if n := s.indexed(); n != 0 {
		t.Errorf("%d entries are left when nothing is pending", n)
	}
}

// An hour's timers are overdue when the process comes back. They fire in the order
// in which they were due, so many at a time, with events between, and only some of
// them are ever in memory.
func TestOverdueTimersFireInBoundedBatches(t *testing.T) {
	const due, limit, keep, events = 3600, 250, 300, 10
	base := int64(1_700_000_000_000)
	sc := newScenario(theRules(after(2*day, "a"), after(30*mins, "b")), processor.DecisionsFires, 1)
	for i := range int64(due) {
		kind, wait := "a", 2*day
		if i%3 == 0 {
			kind, wait = "b", 30*mins
		}
		at := base + (i*1009%due)*hour/due // out of order
		sc.add(eventAt(at-wait, kind, fmt.Sprintf("u%05d", i)), 0)
	}
	s := newStand(t, sc, func(c *processor.Config) { onWallClock(c); c.MaxHints = keep })
	part := s.claim(inputPartition(0))
	s.moveClock(part, base-2*day, limit)
	s.consume(part, sc.input[0])
	s.closeAndPublish(part)
	now := base + hour
	part = s.claim(inputPartition(0)) // after the hour
	rounds, took := 0, 0
	for more := true; more; rounds++ {
		if rounds < events { // they do not wait
			sc.add(eventAt(now, "c", fmt.Sprint("late", rounds)), 0)
			s.log.input[inputPartition(0)] = sc.input[0]
			s.consume(part, sc.input[0][part.Offset():])
		}
		more = s.moveClock(part, now, limit)
		s.closeAndPublish(part)
		fired := len(s.told())
		if fired > limit*(rounds+1) {
			t.Fatalf("%d have fired in %d rounds of %d", fired, rounds+1, limit)
		}
		took = max(took, len(part.Hints()))
	}
	if rounds < due/limit {
		t.Errorf("all have fired in %d rounds", rounds)
	}
	if took > 2*keep+limit {
		t.Errorf("%d hints were in memory, %d are to be kept", took, keep)
	}
	_, messages := s.log.records(inputPartition(0))
	seen := map[string]bool{}
	var dues []int64
	for _, m := range messages {
		if m.topic != "sends" {
			continue
		}
		if seen[m.key] {
			t.Fatalf("%s is told twice", m.key)
		}
		seen[m.key] = true
		at, err := time.Parse(time.RFC3339, field1(m.value, "due"))
		if err != nil {
			t.Fatal(err)
		}
		dues = append(dues, at.UnixMilli())
	}
	if len(seen) != due {
		t.Errorf("%d have fired, %d were due", len(seen), due)
	}
	if !slices.IsSorted(dues) {
		t.Error("they were not fired in the order in which they were due")
	}
	checkHints(t, s.sc.set, s.store, inputPartition(0), sc.users[0], part)
}

// A user gone wild, with 100,000 events of which 10,000 would start something:
// what is pending of him is bounded, it is said, and the others get theirs.
func TestAUserGoneWildIsBounded(t *testing.T) {
	const events, starts, bystanders = 100_000, 10_000, 200
	rule := after(day, "a")
	rule.Key = field(slotX)
	set := theRules(rule)
	sc := newScenario(set, processor.DecisionsFires, 1)
	var said bytes.Buffer
	s := newStand(t, sc, func(c *processor.Config) { c.Logger = slog.New(slog.NewTextHandler(&said, nil)) })
	part := s.claim(inputPartition(0))
	base := int64(1_700_000_000_000)
	recs := make([]processor.Record, 0, events+bystanders)
	add := func(e event) {
		recs = append(recs, processor.Record{Offset: int64(len(recs)), Timestamp: e.time, Key: []byte(e.user), Value: e.value()})
	}
	for i := range int64(events) {
		add(event{typ: "a", user: "wild", id: fmt.Sprint("w", i), time: base + i, x: i % starts})
		if i%(events/bystanders) == 0 {
			add(event{typ: "a", user: fmt.Sprint("calm", i), id: fmt.Sprint("c", i), time: base + i, x: i})
		}
	}
	if err := part.Consume(t.Context(), recs); err != nil {
		t.Fatal(err)
	}
	s.flush(part)
	blobs, err := s.store.States(t.Context(), inputPartition(0), processor.Fence{}, []string{"wild"})
	if err != nil {
		t.Fatal(err)
	}
	var st rules.State
	if err := st.Decode(blobs[0]); err != nil {
		t.Fatal(err)
	}
	if st.Pending() != rules.DefaultMaxPending || len(blobs[0]) > 128<<10 {
		t.Errorf("%d instances are pending, in %d bytes", st.Pending(), len(blobs[0]))
	}
	// Each of his keys comes ten times; those that have got in are not started again.
	want := int64(events - 10*rules.DefaultMaxPending)
	if n := s.cfg.Counters.Refused.Load(); n != want {
		t.Errorf("%d starts were refused, want %d", n, want)
	}
	part.Tell(s.pr)
	for _, w := range []string{"starts are refused", "user #", fmt.Sprint("refused=", want), "clicks/0", "wayout"} {
		if !strings.Contains(said.String(), w) {
			t.Errorf("the log does not say %q: %s", w, said.String())
		}
	}
	add(event{typ: "a", user: "last", id: "last", time: base + 2*day}) // the clock passes what is due
	if err := part.Consume(t.Context(), recs); err != nil {
		t.Fatal(err)
	}
	s.closeAndPublish(part)
	calm, wild := 0, 0
	for _, line := range s.told() {
		switch {
		case strings.Contains(line, " calm") && strings.Contains(line, " sent "):
			calm++
		case strings.Contains(line, " wild sent "):
			wild++
		}
	}
	if calm != bystanders || wild != rules.DefaultMaxPending {
		t.Errorf("of %d bystanders %d got theirs, of the user gone wild %d went out", bystanders, calm, wild)
	}
}
