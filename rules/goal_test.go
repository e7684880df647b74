package rules_test

import (
	"bytes"
	"testing"

	"github.com/nudged/nudged/rules"
)

const goalRules = `
HOLDOUT
experiments:
  x:
    arms: [{name: control, weight: 1}, {name: treatment, weight: 1}]
    phase: PHASE
    goal: {on: [buy, rent], where: event.ok != false, within: 3d, value: event.price}
  plain:
    arms: [{name: control, weight: 1}, {name: treatment, weight: 1}]
    goal: {on: buy, within: 1d}
rules:
  - {name: r, on: go, experiment: x, send: {channel: push, class: transactional, template: t}}
  - {name: other, on: [other, again], experiment: x, send: {channel: push, class: transactional, template: t}}
  - {name: p, on: plain, experiment: plain, send: {channel: push, class: transactional, template: t}}
  - {name: at_goal, on: buy, priority: 9, send: {channel: push, class: transactional, template: t}}
  - {name: ends, on: go, wait: 9d, unless: [{on: buy}], send: {channel: push, class: transactional, template: t}}
`

func goalSet(t *testing.T, arm, percent, phase string) *rules.Set {
	holdout := ""
	if percent != "0" {
		holdout = "holdout: {percent: " + percent + ", salt: s}"
	}
	return pinned(t, replace(replace(goalRules, "HOLDOUT", holdout), "PHASE", phase), arm)
}

func TestGoals(t *testing.T) {
	for _, c := range []struct{ name, arm, script, want string }{
		{"inside of the window, with its value; later ones are marked", "treatment", `
			0s     go
			1d     rent price=9.5 ok=true
			2d     rent price=1 ok=true
			3d     rent price=2 ok=true
			3d1ms  rent price=3 ok=true
			8d     clock`, `
			0s r sent arm=treatment
			1d r converted arm=treatment worth 9.5
			2d r converted arm=treatment worth 1 again
			3d r converted arm=treatment worth 2 again`},
		{"the control arm's virtual send is an exposure too", "control", `
			0s go
			1d rent price=1 ok=true`, `
			0s r control arm=control
			1d r converted arm=control worth 1`},
		{"at the moment of the exposure is not after it", "treatment", `
			0s go
			0s rent price=1 ok=true`, `
			0s r sent arm=treatment`},
		{"where it does not hold is no goal, without a value it has none", "treatment", `
			0s go
			1s rent ok=false
			2s rent ok=true`, `
			0s r sent arm=treatment
			2s r converted arm=treatment`},
		{"the first exposure counts, of whichever rule", "treatment", `
			0s other
			2d go
			4d rent ok=true`, `
			0s other sent arm=treatment
			2d r sent arm=treatment`},
		{"a late goal counts by its own time", "treatment", `
			0s go
			9d other
			2d rent price=1 ok=true`, `
			0s r sent arm=treatment
			9d ends sent
			9d other sent arm=treatment
			2d r converted arm=treatment worth 1`},
		{"after unless, before what the event starts, each experiment for itself", "treatment", `
			0s go
			1s plain
			2s buy ok=true`, `
			0s r sent arm=treatment
			1s p sent arm=treatment
			2s ends cancelled
			2s r converted arm=treatment
			2s p converted arm=treatment
			2s at_goal sent`},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkLines(t, play(t, goalSet(t, c.arm, "0", "1"), c.script, false).lines, c.want)
		})
	}
	t.Run("the held out are an arm of their own", func(t *testing.T) {
		checkLines(t, play(t, goalSet(t, "treatment", "100", "1"), "0s other\n1d rent price=3 ok=true", false).lines, `
			0s other holdout arm=holdout
			1d other converted arm=holdout worth 3`)
	})
}

// A phase has exposures and conversions of its own.
func TestPhases(t *testing.T) {
	one, two := goalSet(t, "treatment", "0", "1"), goalSet(t, "control", "0", "2")
	p := played{state: &rules.State{}}
	p.play(t, one, "0s other id=a\n1d rent ok=true id=b", false, true)
	p.play(t, two, "2d other id=c\n3d rent ok=true id=d\n4d again id=e\n5d rent ok=true id=f", false, true)
	checkLines(t, p.lines, `
		0s other sent arm=treatment
		1d other converted arm=treatment
		2d other control arm=control
		3d other converted arm=treatment again
		3d other converted arm=control
		4d other control arm=control
		5d other converted arm=control again`)
	ids := map[string]bool{}
	for i, id := range p.commandIDs {
		if ids[id] {
			t.Errorf("decision %d has an id that was there before", i)
		}
		ids[id] = true
	}
	set, d := goalSet(t, "treatment", "0", "7"), rules.Result{}
	st := &rules.State{}
	set.Step(st, "u1", rules.Input{Event: event(set, "a", "other", start)}, &d)
	set.Step(st, "u1", rules.Input{Event: event(set, "b", "rent", start+1, "ok=true")}, &d)
	if last := d.Decisions[1]; last.Phase != 7 || last.CommandID != rules.NewCommandID("other", "u1", "x/7", 0, "b") || last.Due != start+1 || last.Trigger.ID != "b" || last.TriggerType != "rent" {
		t.Errorf("converted: %+v", last)
	}
}

// Once the window of an exposure is long over, no more is kept of it than that it
// was; the next one is still not the first.
func TestExposuresAreKeptAsLongAsNeeded(t *testing.T) {
	set := goalSet(t, "treatment", "0", "1")
	st, out := &rules.State{}, rules.Result{}
	step := func(id, typ string, at int64) int {
		out.Reset()
		set.Step(st, "u1", rules.Input{Event: event(set, id, typ, start+at, "ok=true")}, &out)
		return len(st.Append(nil, set))
	}
	step("a", "other", 0)
	full := step("b", "other", 33*day)
	short := step("c", "other", 33*day+1)
	if full-short < 10 { // and one event id more
		t.Errorf("%d bytes with the exposure, %d when it is over", full, short)
	}
	if step("d", "rent", 34*day); len(out.Decisions) != 0 {
		t.Errorf("a later exposure counts: %+v", out.Decisions)
	}
	// Nor does a goal that comes later than LateGoals behind.
	if step("e", "rent", day); len(out.Decisions) != 0 {
		t.Errorf("a goal that comes a month late counts: %+v", out.Decisions)
	}
	// Of an older phase nothing has to be known any more.
	next := goalSet(t, "treatment", "0", "2")
	if blob, less := st.Append(nil, set), st.Append(nil, next); len(less) >= len(blob) {
		t.Errorf("in the next phase %x, before %x", less, blob)
	}
}

// Without a goal nothing is kept of an exposure.
func TestNoGoalNoExposure(t *testing.T) {
	const text = `
experiments:
  x: {arms: [{name: control, weight: 1}, {name: treatment, weight: 1}]GOAL}
rules:
  - {name: r, on: go, experiment: x, send: {channel: push, class: transactional, template: t}}
`
	var blobs [2][]byte
	for i, goal := range []string{"", ", goal: {on: buy, within: 1d}"} {
		set := pinned(t, replace(text, "GOAL", goal), "treatment")
		blobs[i] = play(t, set, "0s go", false).state.Append(nil, set)
	}
	if len(blobs[0]) >= len(blobs[1]) || bytes.Contains(blobs[0], []byte("treatment")) {
		t.Errorf("without a goal %x, with one %x", blobs[0], blobs[1])
	}
}
