package rules_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules"
)

// decidedOf is what the evidence tells of the decisions made.
func decidedOf(out *rules.Result) []rules.Decided {
	var told []rules.Decided
	for i := range out.Decisions {
		d := &out.Decisions[i]
		e := rules.Decided{
			Rule: d.Rule, Instance: d.Instance, Step: d.Step, TriggerID: d.Trigger.ID, Outcome: d.Outcome,
			Experiment: d.Experiment, Phase: d.Phase, Arm: d.Arm, Due: d.Due, At: d.At, Partition: d.Trigger.Partition,
			First: d.First, Guardrail: d.Guardrail,
		}
		if d.Send != nil {
			e.Channel, e.Class = d.Send.Channel, d.Send.Class
		}
		told = append(told, e)
	}
	return told
}

// A replay with the evidence leads to the state that the decisions led to, byte
// for byte, and emits nothing, whether the evidence tells of fires or of all.
func TestReplayLeadsToTheSameState(t *testing.T) {
	set := compile(t, everythingRules)
	rapid.Check(t, func(t *rapid.T) {
		user := randomUser(t)
		decided, replayed := &rules.State{}, &rules.State{}
		verbose := rapid.Bool().Draw(t, "decisions: all")
		for i, in := range randomInputs(t, set, 80) {
			out, again := rules.Result{Verbose: verbose}, rules.Result{Verbose: true}
			set.Step(decided, user, in, &out)
			in.Replay, in.Decided = true, decidedOf(&out)
			in.Sweep = nil // what a schedule has started is told like the rest
			if in.Event != nil || len(in.Decided) > 0 {
				set.Step(replayed, user, in, &again)
			}
			if len(again.Decisions) > 0 {
				t.Fatalf("the replay of input %d emits %+v", i, again.Decisions)
			}
			if again.Changed != out.Changed || again.Duplicate != out.Duplicate || again.Unread != out.Unread {
				t.Fatalf("input %d: decided %+v, replayed %+v", i, out, again)
			}
			a, b := decided.Append(nil, set), replayed.Append(nil, set)
			if !bytes.Equal(a, b) {
				t.Fatalf("after input %d, %+v:\ndecided  %x\nreplayed %x", i, in, a, b)
			}
		}
	})
}

// Whether rules are paused or go on after something was decided makes no difference
// to what a replay of it leads to.
func TestReplayAcrossAPause(t *testing.T) {
	running, paused := compile(t, everythingRules), compile(t, everythingRules)
	for _, r := range paused.Rules {
		r.Paused = true
	}
	if err := paused.Index(); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		user := randomUser(t)
		decided, replayed := &rules.State{}, &rules.State{}
		for i, in := range randomInputs(t, running, 80) {
			then, since := running, paused
			if rapid.Bool().Draw(t, "paused then") {
				then, since = paused, running
			}
			out, again := rules.Result{}, rules.Result{}
			then.Step(decided, user, in, &out)
			in.Replay, in.Decided = true, decidedOf(&out)
			in.Sweep = nil // what a schedule has started is told like the rest
			if in.Event != nil || len(in.Decided) > 0 {
				since.Step(replayed, user, in, &again)
			}
			if a, b := decided.Append(nil, then), replayed.Append(nil, since); !bytes.Equal(a, b) {
				t.Fatalf("after input %d, %+v:\ndecided  %x\nreplayed %x", i, in, a, b)
			}
		}
	})
}

// What was decided under rules that are gone since still counts.
func TestReplayUnderEditedRules(t *testing.T) {
	set := compile(t, `
rules:
  - {name: r, on: go, wait: 2d, cooldown: 5d, send: {{send}}}
  - {name: other, on: go, wait: 1d, send: {{send}}}
`)
	p := played{state: &rules.State{}}
	sent := rules.Decided{Rule: "r", TriggerID: "e0", Outcome: rules.Sent, Channel: "push", Class: "ad", Due: start, At: start}
	p.step(set, rules.Input{Until: start, Fired: start, Replay: true, Decided: []rules.Decided{sent}}, true)
	p.step(set, rules.Input{Event: event(set, "e1", "go", start+day), Replay: true, Decided: []rules.Decided{
		{Rule: "nobody knows it", TriggerID: "e1", Outcome: rules.Sent, At: start + day},
	}}, true)
	checkLines(t, p.lines, ``)
	// The instances were begun as usual; the send that no instance is left of
	// holds the next one back.
	p.step(set, rules.Input{Until: start + 3*day}, false)
	checkLines(t, p.lines, `
		2d other sent
		3d r cooldown`)
}

// What is not named decides nothing, however due it is.
func TestReplayDecidesNothing(t *testing.T) {
	set := compile(t, `
rules:
  - {name: r, on: go, wait: 2d, unless: [{on: stop}], send: {{send}}}
  - {name: atonce, on: stop, send: {{send}}}
`)
	p := played{state: &rules.State{}}
	p.step(set, rules.Input{Event: event(set, "e1", "go", start), Replay: true}, true)
	p.step(set, rules.Input{Until: start + 9*day, Fired: start + 9*day, Replay: true}, true)
	p.step(set, rules.Input{Event: event(set, "e2", "stop", start+9*day), Replay: true}, true)
	checkLines(t, p.lines, ``)
	if n := p.state.Pending(); n != 1 {
		t.Fatalf("%d pending, want 1", n)
	}
	p.step(set, rules.Input{Until: start + 10*day, Fired: start + 10*day}, false)
	checkLines(t, p.lines, `10d r sent`)
}

// With "decisions: none" the evidence tells of sends alone. What an event brought
// about beside them is worked out anew, to the same state, and sends nothing.
func TestReplayFromSendsAlone(t *testing.T) {
	set := compile(t, everythingRules)
	rapid.Check(t, func(t *rapid.T) {
		user := randomUser(t)
		decided, replayed := &rules.State{}, &rules.State{}
		for i, in := range randomInputs(t, set, 80) {
			if in.Event == nil {
				continue // what the clock held back is seen to after the replay
			}
			out, again := rules.Result{}, rules.Result{Verbose: true}
			set.Step(decided, user, in, &out)
			in.Replay, in.SendsOnly = true, true
			for _, d := range decidedOf(&out) {
				if d.Outcome == rules.Sent {
					in.Decided = append(in.Decided, d)
				}
			}
			set.Step(replayed, user, in, &again)
			if len(again.Decisions) > 0 {
				t.Fatalf("the replay of input %d emits %+v", i, again.Decisions)
			}
			if a, b := decided.Append(nil, set), replayed.Append(nil, set); !bytes.Equal(a, b) {
				t.Fatalf("after input %d, %+v:\ndecided  %x\nreplayed %x", i, in, a, b)
			}
		}
	})
}

// Without the send in the evidence nothing is sent, whatever the rules of today
// say.
func TestReplayFromSendsAloneSendsNothing(t *testing.T) {
	set := compile(t, `
rules:
  - {name: r, on: go, cooldown: 1d, send: {{send}}}
  - {name: w, on: go, wait: 1d, unless: [{on: stop}], send: {{send}}}
`)
	st, out := &rules.State{}, rules.Result{}
	for i, typ := range []string{"go", "stop"} {
		set.Step(st, "u1", rules.Input{Event: event(set, typ, typ, start+int64(i)), Replay: true, SendsOnly: true}, &out)
	}
	if len(out.Decisions) != 0 || st.Pending() != 0 {
		t.Errorf("decided %+v, %d pending", out.Decisions, st.Pending())
	}
	set.Step(st, "u1", rules.Input{Event: event(set, "x", "go", start+2)}, &out)
	if len(out.Decisions) != 1 || out.Decisions[0].Outcome != rules.Sent {
		t.Errorf("then %+v", out.Decisions)
	}
}
