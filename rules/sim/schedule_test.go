package sim_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/sim"
)

// scheduled is a run of the rules that notes its decisions.
func scheduled(t testing.TB, partitions int, list ...*rules.Rule) *run {
	t.Helper()
	set := &rules.Set{Rules: list}
	if err := set.Index(); err != nil {
		t.Fatal(err)
	}
	r := &run{lines: []string{}}
	r.Sim = sim.New(set, partitions, false, func(p int32, d *rules.Decision) {
		r.lines = append(r.lines, fmt.Sprintf("%d %s %s %s %d", p, d.User, d.Rule, d.Outcome, d.At))
	})
	return r
}

func send() []rules.Op {
	return rules.AtOnce(rules.Send{Channel: "push", Class: "ad"})
}

// every occurs at the multiples of a span.
func every(span int64) *rules.Schedule {
	return &rules.Schedule{Next: func(t int64) (int64, bool) { return (t/span + 1) * span, true }}
}

// When a partition's clock passes an occurrence, everybody in it is started, by
// the order of ids: after what is due by then, before the event.
func TestSchedules(t *testing.T) {
	r := scheduled(t, 3,
		&rules.Rule{Name: "timer", On: []string{"a"}, Program: rules.After(100, rules.Send{})},
		&rules.Rule{Name: "low", Schedule: every(100), Priority: -1, Program: send()},
		&rules.Rule{Name: "half", Schedule: every(50), Program: send()},
		&rules.Rule{Name: "atonce", On: []string{"b"}, Program: send()},
	)
	r.apply("dan", "a", 100) // nobody was there at 100
	r.apply("bob", "b", 101)
	r.apply("ann", "b", 149)
	r.apply("bob", "b", 200)
	r.want(t,
		"0 bob atonce sent 101",
		"2 ann atonce sent 149",
		"0 bob half sent 150", "0 dan half sent 150",
		"0 dan timer sent 200",
		"0 bob half sent 200", "0 dan half sent 200",
		"0 bob low sent 200", "0 dan low sent 200",
		"0 bob atonce sent 200")
	// ann's partition stands at 149 until its clock moves.
	r.lines = nil
	r.Advance(170)
	r.want(t, "2 ann half sent 150")
	r.Advance(170)
	r.Advance(200)
	r.want(t, "2 ann half sent 150", "2 ann half sent 200", "2 ann low sent 200")
	if due, ok := r.NextDue(); ok {
		t.Errorf("a schedule counts as pending: %d", due)
	}
}

// A schedule that has no next time is asked no more, and a late event starts
// nothing.
func TestScheduleOnce(t *testing.T) {
	asked := 0
	once := &rules.Schedule{Next: func(t int64) (int64, bool) { asked++; return 150, t < 150 }}
	r := scheduled(t, 1, &rules.Rule{Name: "once", Schedule: once, Program: send()}, &rules.Rule{Name: "r", On: []string{"a"}, Program: send()})
	for i := range 100 {
		r.apply("ann", "a", 100+int64(i))
	}
	r.apply("bob", "a", 140)
	var got []string
	for _, l := range r.lines {
		if l[:10] == "0 ann once" || l[:10] == "0 bob once" {
			got = append(got, l)
		}
	}
	if diff := cmp.Diff([]string{"0 ann once sent 150"}, got); diff != "" {
		t.Error(diff)
	}
	if asked > 4 {
		t.Errorf("the schedule was asked %d times", asked)
	}
}
