package rules_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules"
)

// oldState is a state as version 1 stored it, and what it led to then.
type oldState struct {
	Name, Rules, State, Then string
	Hint                     int64
	Want                     []string
}

func version1(t testing.TB) (cases []oldState) {
	text, err := os.ReadFile("testdata/states_v1.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

// States of version 1 are read, and go on as they would have then.
func TestStatesOfVersion1(t *testing.T) {
	for _, c := range version1(t) {
		t.Run(c.Name, func(t *testing.T) {
			set := compile(t, c.Rules)
			blob, err := hex.DecodeString(c.State)
			if err != nil {
				t.Fatal(err)
			}
			p := played{state: decoded(t, blob), lines: []string{}}
			if p.state.TimerHint() != c.Hint {
				t.Errorf("hint %d, want %d", p.state.TimerHint(), c.Hint)
			}
			// Nothing but the version has changed in what they hold.
			if now := p.state.Append(nil, set); len(now) != len(blob) || now[0] != 2 || string(now[1:]) != string(blob[1:]) {
				t.Errorf("stored anew as %x, was %x", now, blob)
			}
			p.play(t, set, c.Then, false, true)
			if diff := cmp.Diff(c.Want, p.lines); diff != "" {
				t.Errorf("-version 1 +now:\n%s", diff)
			}
		})
	}
}

// statesOfVersion1 are the stored states of testdata.
func statesOfVersion1(t testing.TB) (states [][]byte) {
	for _, c := range version1(t) {
		blob, err := hex.DecodeString(c.State)
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, blob)
	}
	return states
}

// EmptyFrom names the time from which on nothing of a state is needed.
func TestEmptyFrom(t *testing.T) {
	const never = -1
	for _, c := range []struct {
		name, text, script string
		want               int64
	}{
		{"ids of recent events", `rules: [{name: r, on: go, send: {{send}}}]`, "2d go", 9 * day},
		{"a window", `
metrics: {n: {count: go, within: 30d}}
rules: [{name: r, on: ask, when: n > 0, send: {{send}}}]`, "0s go\n1d go\n2d ask", 38 * day},
		{"a metric without a window", `
metrics: {n: {last: go}}
rules: [{name: r, on: ask, when: n < now, send: {{send}}}]`, "0s go", never},
		{"an attribute", `
attributes: {age: {type: int, from: event.age, on: go}}
rules: [{name: r, on: ask, when: user.age > 0, send: {{send}}}]`, "0s go age=3", never},
		{"a cooldown", `rules: [{name: r, on: go, cooldown: 60d, send: {{send}}}]`, "2d go", 69 * day},
		{"a cap", `
policy: {caps: [{class: ad, max: 1, per: 10d}, {channel: sms, max: 1, per: 90d}]}
rules: [{name: r, on: go, send: {{send}}}]`, "2d go", 19 * day},
		{"an exposure", `
experiments: {x: {arms: [{name: control, weight: 1}, {name: treatment, weight: 1}], goal: {on: buy, within: 1d}}}
rules: [{name: r, on: go, experiment: x, send: {{send}}}]`, "2d go", never},
		{"an instance", `rules: [{name: r, on: go, wait: 9d, send: {{send}}}]`, "2d go", never},
		{"an instance that only runs out", `rules: [{name: r, on: go, steps: [{wait_for: {on: a, within: 9d}, then: [{send: {{send}}}]}, {wait: 1d}]}]`, "2d go", 19 * day},
		{"a schedule, which may start a run for anybody", `
rules: [{name: r, on: go, send: {{send}}}, {name: s, schedule: {cron: "* * * * *"}, send: {{send}}}]`, "2d go", never},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := compile(t, c.text)
			st := play(t, set, c.script, false).state
			at, ok := st.EmptyFrom(set)
			if ok != (c.want != never) || ok && at != start+c.want {
				t.Fatalf("empty from %s %t, want %s", offset(at-start), ok, offset(c.want))
			}
			if st.Empty(set, start+c.want-1) || st.Empty(set, start+c.want) != ok {
				t.Error("Empty does not agree")
			}
		})
	}
}

// A state that may be deleted decides nothing that a new one would not.
func TestEmptyStatesAreNotNeeded(t *testing.T) {
	set := compile(t, `
metrics:
  n: {count: a, within: 1d}
  s: {sum: event.n, on: a, within: 2d}
policy:
  caps: [{class: ad, max: 2, per: 3d}]
rules:
  - {name: ask, on: [a, b], when: n >= 2 || s > 3.0, cooldown: 6h, send: {{send}}}
  - {name: other, on: b, cooldown: 4d, send: {channel: push, class: ad, template: t, data: {n: n, s: s}}}
  - name: led
    on: a
    steps: [{wait_for: {on: b, within: 12h}, then: [{send: {{send}}}]}]
`)
	dropped := 0
	rapid.Check(t, func(t *rapid.T) {
		kept, other := &rules.State{}, &rules.State{}
		now := start
		for i := range rapid.IntRange(1, 30).Draw(t, "events") {
			now += rapid.SampledFrom([]int64{0, hour, 7 * hour, day, 7 * day, 8 * day, 12 * day}).Draw(t, "after")
			if len(other.Instances()) > 0 || other.Newest() > 0 {
				if other.Empty(set, now) {
					other = &rules.State{}
					dropped++
				}
			}
			e := event(set, strconv.Itoa(i), rapid.SampledFrom([]string{"a", "b"}).Draw(t, "type"), now, "n=2")
			var x, y rules.Result
			set.Step(kept, "u1", rules.Input{Event: e}, &x)
			set.Step(other, "u1", rules.Input{Event: e}, &y)
			if diff := cmp.Diff(inFull(&x), inFull(&y)); diff != "" {
				t.Fatalf("decisions of the state (-) and of one begun anew (+):\n%s", diff)
			}
		}
	})
	if dropped == 0 {
		t.Error("no state was ever dropped")
	}
}

// A user gone wild is bounded: further starts are refused and counted, restarts
// and what needs no place go on.
func TestPendingInstancesAreBounded(t *testing.T) {
	set := compile(t, `
policy:
  quiet_hours: {class: ad, from: "00:00", to: "12:00", default_timezone: UTC, then: defer}
rules:
  - {name: r, on: go, key: event.k, wait: 1d, restart: true, send: {channel: push, class: transactional, template: t}}
  - {name: atonce, on: ask, send: {channel: push, class: transactional, template: t}}
  - {name: night, on: night, send: {{send}}}
  - {name: s, schedule: {cron: "* * * * *"}, send: {channel: push, class: transactional, template: t}}
  - name: led
    on: led
    steps: [{send: {channel: push, class: transactional, template: t}}, {wait: 1h}, {send: {{send}}}]
`)
	set.MaxPending = 3
	p := played{state: &rules.State{}}
	refused := 0
	step := func(in rules.Input) {
		out := rules.Result{}
		set.Step(p.state, "u1", in, &out)
		refused += out.Refused
		for i := range out.Decisions {
			p.lines = append(p.lines, describe(&out.Decisions[i]))
		}
	}
	for i, c := range []struct {
		typ     string
		k       string
		refused int
		pending int
	}{
		{"go", "k=1", 0, 1},
		{"go", "k=2", 0, 2},
		{"go", "k=3", 0, 3},
		{"go", "k=4", 1, 3},
		{"go", "k=2", 1, 3},
		{"ask", "", 1, 3},
		{"night", "", 2, 3},
		{"led", "", 3, 3},
	} {
		step(rules.Input{Event: event(set, strconv.Itoa(i), c.typ, start, c.k)})
		if refused != c.refused || p.state.Pending() != c.pending {
			t.Errorf("%d: %d refused, %d pending; want %d, %d", i, refused, p.state.Pending(), c.refused, c.pending)
		}
	}
	step(rules.Input{Sweep: set.Rules[3], Until: start + minute})
	if refused != 4 {
		t.Errorf("the schedule started a run")
	}
	step(rules.Input{Until: start + day})
	checkLines(t, p.lines, `
		0s atonce sent
		0s night quiet_hours
		1d r/1 sent
		1d r/2 sent
		1d r/3 sent`)
}

// What a user's pending instances keep of their events is bounded too: beyond that
// nothing starts, and nothing is moved that would keep more.
func TestWhatPendingInstancesKeepIsBounded(t *testing.T) {
	set := compile(t, `
rules:
  - {name: r, on: go, key: event.k, wait: 1d, restart: true, send: {channel: push, class: transactional, template: t, data: {note: trigger.note}}}
`)
	set.MaxPendingBytes = 1000
	st, refused := &rules.State{}, 0
	for i, c := range []struct {
		k       string
		note    int
		refused int
		pending int
	}{
		{"1", 300, 0, 1}, {"2", 300, 0, 2}, {"1", 400, 0, 2}, {"3", 900, 0, 3}, // the one that goes beyond it
		{"4", 1, 1, 3}, {"1", 400, 2, 3},
	} {
		out := rules.Result{}
		set.Step(st, "u1", rules.Input{Event: event(set, strconv.Itoa(i), "go", start+int64(i)*minute, "k="+c.k, "note="+strings.Repeat("x", c.note))}, &out)
		if refused += out.Refused; refused != c.refused || st.Pending() != c.pending {
			t.Errorf("%d: %d refused, %d pending; want %d, %d", i, refused, st.Pending(), c.refused, c.pending)
		}
	}
	if due, _ := st.NextDue(set); due != start+day+minute {
		t.Errorf("next due after %d minutes, want that of the second start: what was moved before stays moved, what was refused does not move", (due-start-day)/minute)
	}
	// Once something has fired there is room.
	out := rules.Result{}
	set.Step(st, "u1", rules.Input{Until: start + day + 3*minute}, &out)
	if len(out.Decisions) != 3 || st.Pending() != 0 {
		t.Errorf("%d decisions, %d pending", len(out.Decisions), st.Pending())
	}
}

// A thousand instances that one event ends, leads on or fires take no time that
// grows with their square.
func BenchmarkThousandInstances(b *testing.B) {
	set := compile(b, `
rules:
  - {name: r, on: go, key: event.k, wait: 1d, unless: [{on: stop}], send: {channel: push, class: transactional, template: t}}
`)
	full := &rules.State{}
	out := rules.Result{}
	for i := range 1000 {
		set.Step(full, "u1", rules.Input{Event: event(set, strconv.Itoa(i), "go", start, "k="+strconv.Itoa(i))}, &out)
	}
	blob := full.Append(nil, set)
	for name, in := range map[string]rules.Input{
		"ended": {Event: event(set, "x", "stop", start)}, "fired": {Until: start + day}, "untouched": {Event: event(set, "y", "go", start, "k=1")},
	} {
		b.Run(name, func(b *testing.B) {
			st := &rules.State{}
			for b.Loop() {
				if err := st.Decode(blob); err != nil {
					b.Fatal(err)
				}
				out.Reset()
				set.Step(st, "u1", in, &out)
			}
		})
	}
}
