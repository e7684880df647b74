package oracle

import (
	"fmt"
	"strings"
	"testing"
)

func owed() (Result, Send) {
	r := run(ev("1", "search", searchTreatment, 0), ev("2", "search", searchTreatment, 0), ev("3", "search", searchTreatment, 0))
	for _, s := range r.Sends {
		return r, s
	}
	panic("the scenario owes a send")
}

func commandJSON(s Send) string {
	return fmt.Sprintf(`{"command_id":%q,"rule":%q,"user":%q,"step":0,"experiment":%q,"arm":%q,`+
		`"trigger":{"id":%q,"partition":%d},"due":"2026-01-01T00:00:00.000Z"}`,
		s.CommandID, s.Rule, s.User, s.Experiment, s.Arm, s.TriggerID, s.Partition)
}

func TestVerdict(t *testing.T) {
	r, s := owed()
	good := commandJSON(s)
	for _, tc := range []struct {
		name  string
		sends []string
		key   string
		want  Verdict
	}{
		{"as owed", []string{good}, s.User, Verdict{Seen: 1}},
		{"missing", nil, s.User, Verdict{Missing: 1}},
		{"twice", []string{good, good}, s.User, Verdict{Seen: 2, Twice: 1}},
		{"extra", []string{good, strings.Replace(good, s.CommandID, "00", 1)}, s.User, Verdict{Seen: 2, Extra: 1}},
		{"not JSON", []string{good, "{"}, s.User, Verdict{Seen: 2, Extra: 1}},
		{"other user's key", []string{good}, "somebody", Verdict{Seen: 1, Wrong: 1}},
		{"arm", []string{strings.Replace(good, Treatment, Control, 1)}, s.User, Verdict{Seen: 1, Wrong: 1}},
		{"rule", []string{strings.Replace(good, SearchNoView, CartAbandoned, 1)}, s.User, Verdict{Seen: 1, Wrong: 1}},
		{"due", []string{strings.Replace(good, ".000Z", ".001Z", 1)}, s.User, Verdict{Seen: 1, Wrong: 1}},
		{"no due", []string{strings.Replace(good, `"due"`, `"later"`, 1)}, s.User, Verdict{Seen: 1, Wrong: 1}},
		{"trigger", []string{strings.Replace(good, `"id":"3"`, `"id":"2"`, 1)}, s.User, Verdict{Seen: 1, Wrong: 1}},
		{"step", []string{strings.Replace(good, `"step":0`, `"step":1`, 1)}, s.User, Verdict{Seen: 1, Wrong: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := NewChecker(r)
			for _, value := range tc.sends {
				c.Send([]byte(tc.key), []byte(value))
			}
			c.Decision([]byte(`{"decision":"sent"}`))
			got := c.Verdict()
			if got.OK() != (tc.name == "as owed") {
				t.Errorf("OK() is %v", got.OK())
			}
			if !got.OK() && len(got.Examples) == 0 {
				t.Error("no example of what is wrong")
			}
			tc.want.Expected, tc.want.Owed, tc.want.Decisions = 1, r.Decisions, Decisions{Sent: 1}
			got.Examples = nil
			if fmt.Sprint(got) != fmt.Sprint(tc.want) {
				t.Errorf("got  %v\nwant %v", got, tc.want)
			}
		})
	}
}

func TestDecisionsMustAgree(t *testing.T) {
	r, s := owed()
	for _, tc := range []struct {
		decisions []string
		ok        bool
	}{
		{[]string{"sent"}, true},
		{nil, false},
		{[]string{"sent", "control"}, false},
		{[]string{"sent", "cooldown"}, false},
		{[]string{"sent", "cancelled"}, false},
		{[]string{"sent", "expired"}, false},
		{[]string{"sent", "sent"}, false},
	} {
		c := NewChecker(r)
		c.Send([]byte(s.User), []byte(commandJSON(s)))
		for _, d := range tc.decisions {
			c.Decision([]byte(`{"decision":"` + d + `"}`))
		}
		if v := c.Verdict(); v.OK() != tc.ok {
			t.Errorf("decisions %q: OK() is %v: %v", tc.decisions, v.OK(), v)
		}
	}
}

func TestDeadLettersAreFound(t *testing.T) {
	c := NewChecker(run())
	if v := c.Verdict(); !v.OK() {
		t.Fatalf("nothing owed, nothing seen, but: %v", v)
	}
	c.DeadLetter([]byte("{"))
	if v := c.Verdict(); v.OK() || v.DeadLetters != 1 {
		t.Fatalf("a dead letter passed: %v", v)
	}
}
