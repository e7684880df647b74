package sim_test

import (
	"bytes"
	"fmt"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/sim"
	"github.com/nudged/nudged/rules/sim/naive/draw"
)

// waitSet has one rule: 100 ms after an a, unless there is a b.
func waitSet(t testing.TB) *rules.Set {
	t.Helper()
	set := &rules.Set{Rules: []*rules.Rule{{Name: "r", On: []string{"a"}, Program: rules.After(100, rules.Send{}), Restart: true, Unless: []rules.Unless{{On: []string{"b"}}}}}}
	if err := set.Index(); err != nil {
		t.Fatal(err)
	}
	return set
}

// run is a simulation that notes its decisions as "partition user outcome at".
type run struct {
	*sim.Sim
	lines []string
	n     int
}

func newRun(t testing.TB, partitions int) *run {
	r := &run{lines: []string{}}
	r.Sim = sim.New(waitSet(t), partitions, false, func(p int32, d *rules.Decision) {
		r.lines = append(r.lines, fmt.Sprintf("%d %s %s %d", p, d.User, d.Outcome, d.At))
	})
	return r
}

func (r *run) apply(user, typ string, at int64) *rules.Event {
	r.n++
	e := &rules.Event{ID: fmt.Sprint("e", r.n), Type: typ, User: user, Time: at}
	r.Apply(e)
	return e
}

func (r *run) want(t *testing.T, lines ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, lines...), r.lines); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
}

// Of three partitions ann lies in 2, bob and dan in 0, as the client places them.
func TestUsersOfTheTests(t *testing.T) {
	for user, want := range map[string]int{"ann": 2, "bob": 0, "dan": 0} {
		if got := kafkaPartition(user, 3); got != want {
			t.Errorf("%s lies in %d", user, got)
		}
	}
}

// Each partition has a clock of its own, the highest event time seen in it.
func TestPartitionClocksAreApart(t *testing.T) {
	r := newRun(t, 3)
	r.apply("ann", "a", 1000)
	r.apply("bob", "a", 1000)
	r.apply("dan", "a", 5000) // moves partition 0, not 2
	r.want(t, "0 bob sent 1100")
	r.apply("ann", "b", 1050)
	r.want(t, "0 bob sent 1100", "2 ann cancelled 1050")
}

// Before an event of time t is applied everything due at or before t fires, on
// time.
func TestTheClockMovesBeforeTheEvent(t *testing.T) {
	r := newRun(t, 1)
	r.apply("ann", "a", 1000)
	r.apply("bob", "a", 1010)
	r.apply("ann", "b", 1100)
	r.want(t, "0 ann sent 1100")
	r.apply("bob", "b", 1109)
	r.want(t, "0 ann sent 1100", "0 bob cancelled 1109")
}

// The order among users: due time, then the name.
func TestOrderAmongUsers(t *testing.T) {
	r := newRun(t, 1)
	r.apply("dee", "a", 1000)
	r.apply("bob", "a", 1000)
	r.apply("cho", "a", 999)
	r.apply("ann", "a", 1001)
	r.Advance(9000)
	r.want(t, "0 cho sent 1099", "0 bob sent 1100", "0 dee sent 1100", "0 ann sent 1101")
}

// A late event does not move the clock back, and what it arms in the past is due
// at once.
func TestLateEvents(t *testing.T) {
	r := newRun(t, 1)
	r.apply("bob", "b", 1000)
	r.apply("ann", "a", 950)
	r.apply("cho", "a", 900)
	r.want(t, "0 cho sent 1000")
	r.apply("bob", "b", 1049)
	r.want(t, "0 cho sent 1000")
	r.apply("bob", "b", 1050)
	r.want(t, "0 cho sent 1000", "0 ann sent 1050")
}

// At the end of the input the clock stays where it is: later timers are pending.
func TestEndOfInputLeavesTimersPending(t *testing.T) {
	r := newRun(t, 3)
	r.apply("ann", "a", 1000)
	r.apply("bob", "a", 1000)
	r.apply("bob", "b", 1050)
	r.want(t, "0 bob cancelled 1050")
	if r.Pending() != 1 || r.Users() != 2 {
		t.Errorf("%d pending of %d users, want 1 of 2", r.Pending(), r.Users())
	}
	r.Advance(1099)
	r.want(t, "0 bob cancelled 1050")
	r.Advance(1100)
	r.want(t, "0 bob cancelled 1050", "2 ann sent 1100")
	if r.Pending() != 0 {
		t.Errorf("%d pending", r.Pending())
	}
	// Advance moved all clocks: what is armed below them is due at once.
	r.apply("bob", "a", 990)
	r.want(t, "0 bob cancelled 1050", "2 ann sent 1100", "0 bob sent 1090")
	r.Advance(10) // backwards does nothing
	r.apply("ann", "a", 995)
	r.want(t, "0 bob cancelled 1050", "2 ann sent 1100", "0 bob sent 1090", "2 ann sent 1095")
}

func TestNextDue(t *testing.T) {
	r := newRun(t, 3)
	check := func(want int64, pending bool) {
		t.Helper()
		if due, ok := r.NextDue(); due != want || ok != pending {
			t.Errorf("next due %d, %v, want %d, %v", due, ok, want, pending)
		}
	}
	check(0, false)
	r.apply("ann", "a", 1000)
	check(1100, true)
	r.apply("bob", "a", 990) // another partition, earlier
	check(1090, true)
	r.apply("bob", "a", 1020) // restarted
	check(1100, true)
	r.apply("ann", "b", 1050)
	check(1120, true)
	r.apply("bob", "a", 990) // moved back, late
	check(1090, true)
	r.Advance(1090)
	check(0, false)
	// Step by step from one due time to the next all that is pending fires.
	for i, u := range draw.Users {
		r.apply(u, "a", 2000+int64(i))
	}
	for due, ok := r.NextDue(); ok; due, ok = r.NextDue() {
		r.Advance(due)
	}
	if len(r.lines) != 2+len(draw.Users) || r.Pending() != 0 {
		t.Errorf("decisions %v, %d pending", r.lines, r.Pending())
	}
}

// Events get the coordinates that they would have in the topic.
func TestCoordinates(t *testing.T) {
	r := newRun(t, 3)
	for i, want := range []struct {
		user, typ string
		partition int32
		offset    int64
	}{{"ann", "a", 2, 0}, {"bob", "a", 0, 0}, {"dan", "unread", 0, 1}, {"bob", "b", 0, 2}, {"ann", "a", 2, 1}} {
		if e := r.apply(want.user, want.typ, 1000); e.Partition != want.partition || e.Offset != want.offset {
			t.Errorf("event %d is at %d/%d, want %d/%d", i, e.Partition, e.Offset, want.partition, want.offset)
		}
	}
}

func TestCounts(t *testing.T) {
	set := &rules.Set{
		Fields:     []string{"f"},
		Attributes: []*rules.Attribute{{Name: "n", Kind: rules.Int, On: []string{"a"}, From: func(e *rules.Env) rules.Value { return e.Event.Field(0) }}},
		Rules:      []*rules.Rule{{Name: "r", On: []string{"a"}, Where: func(*rules.Env) rules.Truth { return rules.Unknown }}},
	}
	if err := set.Index(); err != nil {
		t.Fatal(err)
	}
	s := sim.New(set, 2, false, func(_ int32, d *rules.Decision) { t.Errorf("decided %+v", d) })
	for _, e := range []rules.Event{
		{ID: "1", Type: "a", User: "ann"},
		{ID: "1", Type: "a", User: "ann"},
		{ID: "1", Type: "a", User: "bob", Fields: []rules.Value{rules.StringValue("x")}},
		{ID: "2", Type: "other", User: "cho"},
	} {
		s.Apply(&e)
	}
	if got, want := s.Counts(), (sim.Counts{Events: 4, Unread: 1, Duplicates: 1, Missing: 2, Mismatches: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if s.Users() != 2 {
		t.Errorf("%d users have a state, want 2", s.Users())
	}
}

// The simulation keeps no hold of an event's memory, the user's name included.
func TestKeepsNothingOfTheEvent(t *testing.T) {
	r := newRun(t, 1)
	lent := []byte("ann a e1")
	text := func(from, to int) string { return unsafe.String(&lent[from], to-from) }
	r.Apply(&rules.Event{User: text(0, 3), Type: text(4, 5), ID: text(6, 8), Time: 1000})
	copy(lent, bytes.Repeat([]byte("#"), len(lent)))
	r.Advance(2000)
	r.want(t, "0 ann sent 1100")
	if r.Users() != 1 {
		t.Errorf("%d users", r.Users())
	}
}
