package rules_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nudged/nudged/rules"
)

// What an edit of the rules does to a state that was stored before it.

const beforeEdit = `
attributes:
  age: {type: int, from: event.age, on: go}
metrics:
  n: {count: go, within: 30d}
rules:
  - {name: gone, on: go, key: event.key, wait: 3d, send: {{send}}}
  - {name: stays, on: go, wait: 5d, cooldown: 90d, send: {channel: push, class: ad, template: t, data: {n: n, age: user.age}}}
`

const afterEdit = `
rules:
  - {name: new, on: ping, wait: 1d, send: {{send}}}
  - {name: stays, on: ping, wait: 1d, when: 1 == 2, send: {{send}}}
`

// armed is a state with an instance of each rule of beforeEdit, stored.
func armed(t *testing.T) (before *rules.Set, blob []byte) {
	t.Helper()
	before = compile(t, beforeEdit)
	p := play(t, before, "0s go key=k1 age=20", false)
	if p.state.Pending() != 2 {
		t.Fatalf("%d instances are pending, want 2", p.state.Pending())
	}
	return before, p.state.Append(nil, before)
}

func decoded(t *testing.T, blob []byte) *rules.State {
	t.Helper()
	st := &rules.State{}
	if err := st.Decode(blob); err != nil {
		t.Fatal(err)
	}
	return st
}

// A rule that is gone ends its instances; the others run on under the new text.
func TestRuleRemovedByTheClock(t *testing.T) {
	before, blob := armed(t)
	after := compile(t, afterEdit).WithNames(before.Names())
	for _, c := range []struct {
		name string
		in   rules.Input
		want string
	}{
		{"not before it is due", rules.Input{Until: start + 3*day - 1}, ``},
		{"when it is due", rules.Input{Until: start + 3*day}, `3d gone/k1 rule_removed`},
		{"at the reading of the wall clock", rules.Input{Until: start + 4*day, Fired: start + 4*day}, `4d gone/k1 rule_removed`},
		{"beside one that fires under its new condition", rules.Input{Until: start + 9*day}, `
			3d gone/k1 rule_removed
			5d stays condition`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := played{state: decoded(t, blob)}
			p.step(after, c.in, false)
			checkLines(t, p.lines, c.want)
		})
	}
}

// Each of several ends at its own due time, in whatever order they were begun.
func TestRulesRemovedByTheClock(t *testing.T) {
	before := compile(t, `
rules:
  - {name: slow, on: go, wait: 3d, send: {{send}}}
  - {name: fast, on: go, wait: 1d, send: {{send}}}
`)
	blob := play(t, before, "0s go", false).state.Append(nil, before)
	after := compile(t, afterEdit).WithNames(before.Names())
	for _, c := range []struct {
		name string
		in   rules.Input
		want string
	}{
		{"on time", rules.Input{Until: start + 9*day}, `
			1d fast rule_removed
			3d slow rule_removed`},
		{"at the reading of the wall clock", rules.Input{Until: start + 9*day, Fired: start + 9*day}, `
			9d fast rule_removed
			9d slow rule_removed`},
		{"by an event", rules.Input{Event: event(after, "e9", "ping", start+2*day)}, `
			2d fast rule_removed
			2d slow rule_removed`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := played{state: decoded(t, blob)}
			p.step(after, c.in, false)
			slices.Sort(p.lines) // in which order they are told does not matter
			checkLines(t, p.lines, c.want)
		})
	}
}

// An event of the user ends it at once, at the event's time.
func TestRuleRemovedByAnEvent(t *testing.T) {
	before, blob := armed(t)
	after := compile(t, afterEdit).WithNames(before.Names())
	p := played{state: decoded(t, blob)}
	p.step(after, rules.Input{Event: event(after, "e9", "ping", start+day)}, false)
	checkLines(t, p.lines, `1d gone/k1 rule_removed`)
	if n := p.state.Pending(); n != 2 { // stays ignored the trigger, new has one
		t.Errorf("%d instances are pending, want 2", n)
	}
}

// What is told of an instance whose rule is gone: everything but the message.
func TestRuleRemovedDecision(t *testing.T) {
	before, blob := armed(t)
	for _, c := range []struct {
		name, rule, trigger string
		set                 *rules.Set
	}{
		{"the names of the earlier set are known", "gone", "go", compile(t, afterEdit).WithNames(before.Names())},
		{"they are not: the ids are told", idOf(t, before, "rule gone"), idOf(t, before, "type go"), compile(t, afterEdit)},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := rules.Result{}
			c.set.Step(decoded(t, blob), "u1", rules.Input{Until: start + 3*day}, &out)
			if len(out.Decisions) != 1 || !out.Changed {
				t.Fatalf("result: %+v", out)
			}
			d := out.Decisions[0]
			type told struct {
				Rule, Type, Key, Trigger string
				Due, At                  int64
				HasSend                  bool
			}
			want := told{c.rule, c.trigger, "k1", "e0", start + 3*day, start + 3*day, false}
			got := told{d.Rule, d.TriggerType, d.Instance, d.Trigger.ID, d.Due, d.At, d.Send != nil}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// idOf is how a name is written that no set knows any more.
func idOf(t *testing.T, s *rules.Set, name string) string {
	t.Helper()
	for id, full := range s.Names() {
		if full == name {
			return fmt.Sprintf("#%08x", uint32(id))
		}
	}
	t.Fatalf("the set does not know %q: %v", name, s.Names())
	return ""
}

// Storing under the new set drops what it does not read, and nothing else.
func TestStateForgetsWhatIsNotRead(t *testing.T) {
	before, blob := armed(t)
	after := compile(t, replace(afterEdit, "1 == 2", "1 == 1"))
	st := decoded(t, blob)
	p := played{state: decoded(t, st.Append(nil, after))}
	p.step(after, rules.Input{Until: start + 9*day}, false)
	p.step(after, rules.Input{Event: event(after, "e0", "ping", start)}, false)
	if p.duplicates != 1 {
		t.Error("the recent ids were dropped")
	}
	if !equal(p.lines, []string{"3d " + idOf(t, before, "rule gone") + "/k1 rule_removed", "5d stays sent"}) {
		t.Errorf("decisions: %q", p.lines)
	}
	// Back under the old set attribute and metric are not there any more.
	back := played{state: decoded(t, decoded(t, blob).Append(nil, after))}
	back.step(before, rules.Input{Until: start + 9*day}, false)
	checkLines(t, back.lines, `
		3d gone/k1 sent
		5d stays sent n=0`)
}

// A metric that becomes another kind begins anew.
func TestMetricOfAnotherKindBeginsAnew(t *testing.T) {
	const text = `
metrics:
  m: {KIND: go}
rules:
  - {name: r, on: go, when: true, send: {channel: push, class: ad, template: t, data: {m: m}}}
`
	count, last := compile(t, replace(text, "KIND", "count")), compile(t, replace(text, "KIND", "last"))
	st := play(t, count, "0s go\n1s go", false).state
	blob := st.Append(nil, count)
	p := played{state: decoded(t, blob)}
	p.step(last, rules.Input{Event: event(last, "x", "go", start+2*second)}, false)
	p.step(count, rules.Input{Event: event(count, "y", "go", start+3*second)}, false)
	checkLines(t, p.lines, `
		2s r sent m=2s
		3s r sent m=1`)
}

// A rule that does not wait any more still has the instances that waited. They
// fire by the clock, and what fires by the clock always writes a decision;
// replaying a stretch of the input relies on it. What the new text reads of the
// event is what the instance kept of its trigger.
func TestRuleThatDoesNotWaitAnyMore(t *testing.T) {
	const text = `
metrics:
  n: {count: go, within: 30d}
rules:
  - {name: r, on: go, WAIT when: WHEN, send: {{send}}}
`
	before := compile(t, replace(replace(text, "WAIT", "wait: 1d,"), "WHEN", "n > 0 && trigger.key == 'k1'"))
	blob := play(t, before, "0s go price=20 key=k1", false).state.Append(nil, before)
	for _, c := range []struct{ when, want string }{
		{"n > 0", `1d r sent`},
		{"n > 1", `1d r condition because n=1`},
		{"event.price > 10", `1d r condition`},
		{"event.type == 'nothing'", `1d r condition`},
		{"event.type == 'go' && event.user == 'u1' && event.id == 'e0' && event.key == 'k1'", `1d r sent`},
	} {
		t.Run(c.when, func(t *testing.T) {
			after := compile(t, replace(replace(text, "WAIT", ""), "WHEN", c.when))
			p := played{state: decoded(t, blob)}
			defer func() {
				if r := recover(); r != nil {
					t.Errorf("panic: %v", r)
				}
			}()
			p.step(after, rules.Input{Until: start + day}, false)
			checkLines(t, p.lines, c.want)
		})
	}
}
