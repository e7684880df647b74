package rules_test

import (
	"bytes"
	"testing"

	"github.com/nudged/nudged/rules"
)

// The trace of the event that set a timer is there when it fires, whatever became
// of the event's memory and of the state since; without one the state is what it
// was before there were traces.
func TestTriggerKeepsTheTrace(t *testing.T) {
	set := compile(t, cartRule)
	const day = 24 * 60 * 60 * 1000
	fire := func(trace string) (stored []byte, decided rules.Decision) {
		var st rules.State
		var r rules.Result
		memory := []byte(trace)
		e := event(set, "e1", "add_to_cart", day)
		e.Trace = string(memory)
		set.Step(&st, "u", rules.Input{Event: e}, &r)
		stored = st.Append(nil, set)
		var again rules.State
		if err := again.Decode(stored); err != nil {
			t.Fatal(err)
		}
		r.Reset()
		set.Step(&again, "u", rules.Input{Until: 9 * day}, &r)
		if len(r.Decisions) != 1 {
			t.Fatalf("%d decisions, want 1", len(r.Decisions))
		}
		return stored, r.Decisions[0]
	}
	without, d := fire("")
	if d.Trigger.Trace != "" {
		t.Errorf("trace %q from nowhere", d.Trigger.Trace)
	}
	for _, trace := range []string{"-", "\x00\x01twenty-four bytes of id"} {
		with, d := fire(trace)
		if d.Trigger.Trace != trace || d.Trigger.ID != "e1" {
			t.Errorf("trigger %+v, want trace %q", d.Trigger, trace)
		}
		if len(with) != len(without)+1+len(trace) || !bytes.Contains(with, []byte(trace)) {
			t.Errorf("the state has %d bytes, without trace %d", len(with), len(without))
		}
	}
}
