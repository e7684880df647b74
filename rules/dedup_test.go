package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nudged/nudged/rules"
)

const countRules = `
metrics:
  n: {count: a}
rules:
  - {name: r, on: a, send: {channel: push, class: ad, template: t, data: {n: n}}}
`

func TestRepeatedIDs(t *testing.T) {
	for _, c := range []struct {
		name, script, want string
		duplicates         int
	}{
		{"a repeated id is ignored, whatever else the event says", `
			0s a id=x
			1s a id=x
			2s a id=y`, `
			0s r sent n=1
			2s r sent n=2`, 1},
		{"a late repetition is one too", `
			5s a id=x
			0s a id=x`, `5s r sent n=1`, 1},
		{"the id of an event that nothing reads is not remembered", `
			0s b id=x
			1s a id=x`, `1s r sent n=1`, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := play(t, compile(t, countRules), c.script, false)
			checkLines(t, p.lines, c.want)
			if p.duplicates != c.duplicates {
				t.Errorf("%d duplicates, want %d", p.duplicates, c.duplicates)
			}
		})
	}
}

// The latest 16 ids are remembered; a repetition does not refresh its id.
func TestRememberedIDs(t *testing.T) {
	for _, limit := range []int{0, 1, 2, 16, 40} { // 0: the default
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			set := compile(t, countRules)
			set.RecentIDs = limit
			if err := set.Index(); err != nil {
				t.Fatal(err)
			}
			n := limit
			if n == 0 {
				n = 16
			}
			var script strings.Builder
			for i := range n {
				fmt.Fprintf(&script, "0s a id=x%d\n", i)
			}
			full := script.String()
			// All n are remembered: x0, the oldest, still is one of them.
			p := play(t, set, full+"0s a id=x0", false)
			if p.duplicates != 1 || len(p.lines) != n {
				t.Errorf("after %d others: %d duplicates, %d decisions", n-1, p.duplicates, len(p.lines))
			}
			// One more, and x0 is forgotten while x1 is not, if there is room for two.
			p = play(t, set, full+"0s a id=x0\n0s a id=new\n0s a id=x0\n0s a id=new", false)
			wantDuplicates := 2
			if n == 1 {
				wantDuplicates = 1 // x0 has pushed new out
			}
			if p.duplicates != wantDuplicates {
				t.Errorf("beyond %d: %d duplicates, want %d", n, p.duplicates, wantDuplicates)
			}
		})
	}
}

// A duplicate changes nothing at all, not even the user's newest time.
func TestDuplicateChangesNothing(t *testing.T) {
	set := compile(t, countRules)
	st, out := &rules.State{}, rules.Result{}
	set.Step(st, "u1", rules.Input{Event: event(set, "x", "a", start)}, &out)
	before := st.Append(nil, set)
	out.Reset()
	set.Step(st, "u1", rules.Input{Event: event(set, "x", "a", start+day)}, &out)
	if !out.Duplicate || out.Changed || len(out.Decisions) != 0 {
		t.Errorf("result: %+v", out)
	}
	if after := st.Append(nil, set); string(after) != string(before) {
		t.Errorf("the state was %x, is %x", before, after)
	}
	if st.Newest() != start {
		t.Errorf("newest is %d", st.Newest())
	}
}

// An event that nothing in the set reads is not remembered either.
func TestUnreadEventsChangeNothing(t *testing.T) {
	set := compile(t, countRules)
	st, out := &rules.State{}, rules.Result{}
	e := event(set, "x", "b", start)
	if set.Reads(e) || !set.Reads(event(set, "x", "a", start)) {
		t.Error("Reads tells a and b apart wrongly")
	}
	set.Step(st, "u1", rules.Input{Event: e}, &out)
	if !out.Unread || out.Changed || out.Duplicate {
		t.Errorf("result: %+v", out)
	}
	if got, want := st.Append(nil, set), (&rules.State{}).Append(nil, set); string(got) != string(want) {
		t.Errorf("the state is %x, want %x", got, want)
	}
}

func TestStarReadsEverything(t *testing.T) {
	set := compile(t, `
rules:
  - {name: r, on: "*", where: event.id != "no", send: {channel: push, class: ad, template: t, data: {type: trigger.type}}}
  - {name: s, on: named, send: {{send}}}
`)
	checkLines(t, play(t, set, `
		0s a
		1s named
		2s b id=no`, false).lines, `
		0s r sent type=a
		1s r sent type=named
		1s s sent`)
}
