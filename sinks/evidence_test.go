package sinks_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/sinks"
)

// What a message tells of a decision is what was decided, whatever the texts hold.
func TestEvidenceRoundTrip(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", `"`, `\`, "\x00\x1f", "바람막이", `{"user":1}`}))
	at := rapid.Int64Range(0, 253_402_300_799_999)
	rapid.Check(t, func(t *rapid.T) {
		d := sent()
		d.Outcome = rapid.SampledFrom([]rules.Outcome{rules.Sent, rules.ControlArm, rules.Cancelled, rules.Deferred}).Draw(t, "outcome")
		for _, p := range []*string{&d.Rule, &d.User, &d.Instance, &d.Experiment, &d.Arm, &d.Send.Channel, &d.Send.Class, &d.Trigger.ID} {
			*p = text.Draw(t, "text")
		}
		d.Phase = rapid.IntRange(1, 3).Draw(t, "phase")
		if d.Experiment == "" {
			d.Phase = 0
		}
		d.Trigger.Partition = rapid.Int32Min(0).Draw(t, "partition")
		d.Step, d.Due, d.At = rapid.IntRange(0, 99).Draw(t, "step"), at.Draw(t, "due"), at.Draw(t, "at")
		d.Data = []rules.Datum{{Name: "user", Value: rules.StringValue(text.Draw(t, "value"))}}
		if rapid.Bool().Draw(t, "the rule is gone") {
			d.Send = nil
		}
		for _, decision := range []bool{false, true} {
			want := sinks.Evidence{User: d.User, CommandID: d.CommandID.String(), Decided: rules.Decided{
				Rule: d.Rule, Instance: d.Instance, Step: d.Step, TriggerID: d.Trigger.ID, Outcome: rules.Sent,
				Experiment: d.Experiment, Phase: d.Phase, Arm: d.Arm, Due: d.Due, At: d.At, Partition: d.Trigger.Partition,
			}}
			if d.Send != nil {
				want.Decided.Channel, want.Decided.Class = d.Send.Channel, d.Send.Class
			}
			if decision {
				want.Decided.Outcome = d.Outcome
			}
			got, err := sinks.ParseEvidence(appendMessage(nil, d, origin, decision))
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Fatalf("%v, -decided +told:\n%s", err, diff)
			}
		}
	})
}

func TestEvidenceRefuses(t *testing.T) {
	whole := string(sinks.AppendDecision(nil, sent(), origin))
	for name, message := range map[string]string{
		"empty":     "",
		"no object": "[]",
		"cut short": whole[:len(whole)-1],
		"no fields": "{}",
		"a number":  `{"rule":1}`,
		"no time":   `{"rule":"r","user":"u","trigger":{"id":"t"},"due":"soon","fired":"2026-01-01T00:00:00Z"}`,
	} {
		if e, err := sinks.ParseEvidence([]byte(message)); err == nil {
			t.Errorf("%s is read as %+v", name, e)
		}
	}
}
