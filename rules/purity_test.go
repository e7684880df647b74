package rules_test

import (
	"bytes"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules"
)

// The same inputs give the same decisions and the same bytes.
func TestSameInputsSameBytes(t *testing.T) {
	// Compiled twice: nothing may hang on the order of a map or an address.
	one, two := compile(t, everythingRules), compile(t, everythingRules)
	rapid.Check(t, func(t *rapid.T) {
		inputs, user := randomInputs(t, one, 80), randomUser(t)
		a, b := &rules.State{}, &rules.State{}
		if diff := cmp.Diff(stepAll(one, a, user, inputs, nil), stepAll(two, b, user, inputs, nil)); diff != "" {
			t.Fatalf("decisions differ:\n%s", diff)
		}
		if x, y := a.Append(nil, one), b.Append(nil, two); !bytes.Equal(x, y) {
			t.Fatalf("states differ: %x, %x", x, y)
		}
	})
}

// Step neither changes an event nor keeps hold of its memory, which a decoder
// lends from one record to the next.
func TestStepKeepsNothingOfTheEvent(t *testing.T) {
	set := compile(t, everythingRules)
	rapid.Check(t, func(t *rapid.T) {
		inputs, user := randomInputs(t, set, 60), randomUser(t)
		kept := &rules.State{}
		want := stepAll(set, kept, user, inputs, nil)

		lent, memory := &rules.State{}, loan{}
		var got []string
		out := rules.Result{Verbose: true}
		for _, in := range inputs {
			if in.Event != nil {
				in.Event = memory.event(in.Event)
			}
			out.Reset()
			set.Step(lent, user, in, &out)
			got = append(got, inFull(&out)...)
			memory.overwrite()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("decisions on events of their own (-) and on lent ones (+):\n%s", diff)
		}
		if a, b := kept.Append(nil, set), lent.Append(nil, set); !bytes.Equal(a, b) {
			t.Fatalf("the state is %q, on lent events %q", a, b)
		}
	})
}

// loan makes events whose texts lie in memory that is overwritten afterwards.
type loan struct{ texts [][]byte }

func (l *loan) text(s string) string {
	if s == "" {
		return ""
	}
	b := []byte(strings.Clone(s))
	l.texts = append(l.texts, b)
	return unsafe.String(&b[0], len(b))
}

func (l *loan) event(e *rules.Event) *rules.Event {
	c := &rules.Event{ID: l.text(e.ID), Type: l.text(e.Type), User: l.text(e.User), Time: e.Time, Partition: e.Partition, Offset: e.Offset}
	for _, v := range e.Fields {
		switch v.Kind {
		case rules.String:
			v = rules.StringValue(l.text(v.Str()))
		case rules.JSON:
			v = rules.JSONValue(l.text(v.Str()))
		}
		c.Fields = append(c.Fields, v)
	}
	return c
}

func (l *loan) overwrite() {
	for _, b := range l.texts {
		for i := range b {
			b[i] = '#'
		}
	}
	l.texts = nil
}

// An event may be asked under one set and applied under another.
func TestEventsAreNotBoundToASet(t *testing.T) {
	one := compile(t, `rules: [{name: one, on: a, send: {{send}}}]`)
	two := compile(t, `rules: [{name: two, on: a, send: {{send}}}, {name: b, on: b, send: {{send}}}]`)
	e := event(one, "e1", "b", start)
	if one.Reads(e) || !two.Reads(e) || one.Reads(e) {
		t.Error("Reads does not go by the set that is asked")
	}
	e = event(one, "e1", "a", start)
	for _, c := range []struct {
		set  *rules.Set
		want string
	}{{one, "0s one sent"}, {two, "0s two sent"}, {one, "0s one sent"}} {
		p := played{state: &rules.State{}}
		p.step(c.set, rules.Input{Event: e}, false)
		checkLines(t, p.lines, c.want)
	}
}

// A result may be used again after Reset.
func TestResultReset(t *testing.T) {
	set := compile(t, everythingRules)
	out := rules.Result{Verbose: true}
	st := &rules.State{}
	for range 2 { // the second time it is a duplicate
		set.Step(st, "u1", rules.Input{Event: event(set, "x", "a", start, "flag=no")}, &out)
	}
	set.Step(st, "u1", rules.Input{Event: event(set, "y", "profile", start, "flag=no")}, &out)
	if len(out.Decisions) == 0 || !out.Changed || !out.Duplicate || out.Missing == 0 || out.Mismatches == 0 {
		t.Fatalf("the result is not full: %+v", out)
	}
	out.Reset()
	if len(out.Decisions) != 0 || out.Changed || out.Duplicate || out.Missing != 0 || out.Mismatches != 0 || !out.Verbose {
		t.Errorf("after Reset: %+v", out)
	}
}

// Changed says whether the state has to be stored.
func TestChanged(t *testing.T) {
	set := compile(t, cartRule)
	st := &rules.State{}
	for _, c := range []struct {
		name string
		in   rules.Input
		want bool
	}{
		{"the clock moves with nothing pending", rules.Input{Until: start}, false},
		{"an event", rules.Input{Event: event(set, "e1", "add_to_cart", start)}, true},
		{"its repetition", rules.Input{Event: event(set, "e1", "add_to_cart", start)}, false},
		{"the clock moves, nothing is due", rules.Input{Until: start + 7*day - 1}, false},
		{"something fires", rules.Input{Until: start + 7*day}, true},
		{"an event that nothing reads", rules.Input{Event: event(set, "e2", "other", start)}, false},
		{"an event that matches nothing is remembered", rules.Input{Event: event(set, "e3", "purchase", start)}, true},
	} {
		before := st.Append(nil, set)
		out := rules.Result{}
		set.Step(st, "u1", c.in, &out)
		if out.Changed != c.want {
			t.Errorf("%s: changed is %v", c.name, out.Changed)
		}
		if changed := !bytes.Equal(before, st.Append(nil, set)); changed && !out.Changed {
			t.Errorf("%s: the state changed and Changed is false", c.name)
		}
	}
}

// What a shell asks a state: how far it is, what is pending, when to look again.
func TestStateTellsWhatIsPending(t *testing.T) {
	set := compile(t, `
rules:
  - {name: slow, on: go, key: event.key, wait: 9d, send: {{send}}}
  - {name: fast, on: go, wait: 1d, send: {{send}}}
`)
	st := &rules.State{}
	if due, ok := st.NextDue(set); ok || due != 0 || st.Pending() != 0 || st.Newest() != 0 {
		t.Errorf("an empty state is due at %d", due)
	}
	for i, want := range []struct {
		in      rules.Input
		pending int
		due     int64
	}{
		{rules.Input{Event: event(set, "1", "go", start, "key=k1")}, 2, day},
		{rules.Input{Event: event(set, "2", "go", start-hour, "key=k2")}, 3, day},
		{rules.Input{Until: start + 2*day}, 2, 9*day - hour},
		{rules.Input{Until: start + 9*day - 1}, 1, 9 * day},
	} {
		set.Step(st, "u1", want.in, &rules.Result{})
		if due, ok := st.NextDue(set); !ok || due-start != want.due || st.Pending() != want.pending {
			t.Errorf("step %d: %d pending, next due %s", i, st.Pending(), offset(due-start))
		}
	}
	if st.Newest() != start {
		t.Errorf("the newest event is at %s", offset(st.Newest()-start))
	}
	in := st.Instances()[0]
	if in.RuleName(set) != "slow" || in.Key != "k1" || in.Due != start+9*day || in.Trigger.ID != "1" || in.Trigger.Type(set) != "go" {
		t.Errorf("pending is %+v", in)
	}
}

// A decision tells its coordinates.
func TestDecisionCoordinates(t *testing.T) {
	set := pinned(t, `
experiments:
  x: {arms: [{name: control, weight: 1}, {name: treatment, weight: 1}]}
rules:
  - {name: r, on: go, key: event.key, wait: 1d, expire_after: 2d, experiment: x, send: {channel: sms, class: ad, template: hi}}
`, "treatment")
	st, out := &rules.State{}, rules.Result{}
	e := event(set, "e1", "go", start, "key=k1")
	e.Partition, e.Offset = 7, 991
	set.Step(st, "u1", rules.Input{Event: e}, &out)
	set.Step(st, "u1", rules.Input{Until: start + 2*day, Fired: start + 2*day}, &out)
	if len(out.Decisions) != 1 {
		t.Fatalf("decisions: %+v", out.Decisions)
	}
	d := out.Decisions[0]
	type told struct {
		Outcome                                    rules.Outcome
		Rule, User, Key, Experiment, Arm, Template string
		Trigger, Type                              string
		Time, Offset, Due, At, Expires             int64
		Partition                                  int32
	}
	got := told{d.Outcome, d.Rule, d.User, d.Instance, d.Experiment, d.Arm, d.Send.Template, d.Trigger.ID, d.TriggerType, d.Trigger.Time, d.Trigger.Offset, d.Due, d.At, d.Expires, d.Trigger.Partition}
	want := told{rules.Sent, "r", "u1", "k1", "x", "treatment", "hi", "e1", "go", start, 991, start + day, start + 2*day, start + 3*day, 7}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
