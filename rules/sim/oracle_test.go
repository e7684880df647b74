package sim_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/sim"
)

const base = int64(1_000_000) // ms; any time will do

// thoroughly checks a property on more runs than rapid's default, which are few
// for so many kinds of rules: the rare ones need a late event at the right place.
func thoroughly(t *testing.T, property func(t *rapid.T)) {
	for range 6 {
		rapid.Check(t, property)
	}
}

var users = []string{"ann", "bob", "cho", "dee"}

// drawEvents draws a stream with ties, late events and repeated ids. Times are
// multiples of 5 ms.
func drawEvents(t *rapid.T, most int) []naiveEvent {
	now := base
	events := make([]naiveEvent, rapid.IntRange(1, most).Draw(t, "events"))
	for i := range events {
		e := &events[i]
		e.t = now + rapid.SampledFrom([]int64{0, 0, 5, 10, 20, 50}).Draw(t, "after")
		if rapid.IntRange(0, 4).Draw(t, "late") == 0 {
			e.t = now - rapid.SampledFrom([]int64{5, 10, 20, 50}).Draw(t, "late by")
		}
		now = max(now, e.t)
		e.user = rapid.SampledFrom(users).Draw(t, "user")
		e.typ = rapid.SampledFrom([]string{"a", "a", "b", "b", "c", "z"}).Draw(t, "type")
		e.id = "e" + strconv.Itoa(i)
		if rapid.IntRange(0, 9).Draw(t, "repeats") == 0 {
			e.id = "e" + strconv.Itoa(rapid.IntRange(0, i).Draw(t, "which"))
		}
		for f := range e.fields {
			if v := rapid.Int64Range(-1, 3).Draw(t, "field"); v >= 0 {
				e.fields[f] = &v
			}
		}
	}
	return events
}

func (e naiveEvent) forEngine() *rules.Event {
	ev := &rules.Event{ID: e.id, Type: e.typ, User: e.user, Time: e.t}
	for _, v := range e.fields {
		if v == nil {
			ev.Fields = append(ev.Fields, rules.Value{})
		} else {
			ev.Fields = append(ev.Fields, rules.IntValue(*v))
		}
	}
	return ev
}

// byUser sorts decisions by partition and user, keeping their order.
func byUser(lines []string) []string {
	lines = append([]string{}, lines...)
	slices.SortStableFunc(lines, func(a, b string) int {
		return strings.Compare(strings.Join(strings.Fields(a)[:2], " "), strings.Join(strings.Fields(b)[:2], " "))
	})
	return lines
}

// On any stream and any rules the simulation decides what the naive interpreter
// decides: of each user the same decisions, in the same order.
func TestSimulationAgainstNaive(t *testing.T) {
	outcomes := map[string]int{}
	thoroughly(t, func(t *rapid.T) {
		s := drawSpec(t)
		partitions, verbose := rapid.IntRange(1, 3).Draw(t, "partitions"), rapid.Bool().Draw(t, "verbose")
		var got []string
		engine := sim.New(compileSpec(s), partitions, verbose, func(p int32, d *rules.Decision) {
			got = append(got, describe(p, d))
		})
		n := newNaive(s, partitions, verbose)
		for _, e := range drawEvents(t, 40) {
			engine.Apply(e.forEngine())
			n.apply(e)
		}
		if rapid.Bool().Draw(t, "advance") {
			end := base + rapid.Int64Range(0, 60).Draw(t, "to")*5
			engine.Advance(end)
			for _, p := range n.partitions {
				n.moveTo(p, end)
			}
		}
		if diff := cmp.Diff(byUser(n.decisions), byUser(got)); diff != "" {
			t.Fatalf("decisions (-naive +engine):\n%s\nunder\n%s", diff, s)
		}
		if c := engine.Counts(); c.Unread != n.unread || c.Duplicates != n.duplicates {
			t.Fatalf("counts %+v, naive has %d unread, %d duplicates", c, n.unread, n.duplicates)
		}
		pending := 0
		for _, p := range n.partitions {
			for _, u := range p.users {
				pending += len(u.pending())
			}
		}
		if engine.Pending() != pending {
			t.Fatalf("%d pending, naive has %d", engine.Pending(), pending)
		}
		for _, line := range n.decisions {
			outcomes[strings.Fields(line)[4]]++
		}
	})
	for _, o := range []string{"sent", "control", "excluded", "condition", "cooldown", "cancelled", "armed"} {
		if outcomes[o] == 0 {
			t.Errorf("no run led to %s: %v", o, outcomes)
		}
	}
}

// The same on the wall clock, which the simulation does not have: events do not
// move it, and what is due fires when it gets there.
func TestWallClockAgainstNaive(t *testing.T) {
	outcomes := map[string]int{}
	thoroughly(t, func(t *rapid.T) {
		s := drawSpec(t)
		set := compileSpec(s)
		n := newNaive(s, 1, true)
		u := &naiveUser{n: n, name: "ann"}
		st, out := &rules.State{}, rules.Result{Verbose: true}
		var got []string
		for _, e := range drawEvents(t, 40) {
			e.user = u.name
			in := rules.Input{Event: e.forEngine()}
			if rapid.IntRange(0, 3).Draw(t, "clock") == 0 {
				in = rules.Input{Until: e.t, Fired: e.t}
				u.fire(e.t, e.t)
			} else if n.reads(e.typ) {
				u.take(&e)
			}
			out.Reset()
			set.Step(st, u.name, in, &out)
			for i := range out.Decisions {
				got = append(got, describe(0, &out.Decisions[i]))
			}
		}
		if diff := cmp.Diff(append([]string{}, n.decisions...), append([]string{}, got...)); diff != "" {
			t.Fatalf("decisions (-naive +engine):\n%s\nunder\n%s", diff, s)
		}
		for _, line := range n.decisions {
			outcomes[strings.Fields(line)[4]]++
		}
	})
	if outcomes["expired"] == 0 {
		t.Errorf("no run led to expired: %v", outcomes)
	}
}
