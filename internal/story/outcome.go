// Package story tells people in words what was decided of a user, what is known
// of one, and what is pending: for the command explain, the demo and the
// failures of rule tests. It does no I/O.
package story

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/sinks"
)

// Why says in words what was decided, and why.
func Why(m *sinks.Message) string {
	switch rules.Outcome(m.Decision) {
	case rules.Sent:
		return "sent " + Send(m) + arm(m)
	case rules.ControlArm:
		return fmt.Sprintf("not sent: in the control group of %s (else %s)", m.Experiment, Send(m))
	case rules.HeldOut:
		return "not sent: in the holdout, which gets no nudge at all"
	case rules.Excluded:
		if m.Experiment == "" {
			return "not sent: outside of the experiment" + given(m)
		}
		return "not sent: outside of the experiment " + m.Experiment + given(m)
	case rules.Condition:
		return "not sent: the condition (when) did not hold" + given(m)
	case rules.Cooldown:
		return "not sent: the cooldown since the last send of this rule was not over" + given(m)
	case rules.NoConsent:
		return "not sent: no consent to messages of class " + m.Class + given(m)
	case rules.Quiet:
		return "not sent: quiet hours of the class " + m.Class + given(m)
	case rules.Deferred:
		return "put off: quiet hours of the class " + m.Class + "; asked again when they end" + given(m)
	case rules.Capped:
		return "not sent: the cap on messages was reached" + given(m)
	case rules.Expired:
		if m.Expires == "" {
			return "not sent: too late after it was due"
		}
		return "not sent: too late, it would have been stale from " + m.Expires
	case rules.Cancelled:
		return "ended: an event of its unless came"
	case rules.RuleRemoved:
		return "ended: the rule is gone from the rule files"
	case rules.Armed:
		return "started: due " + m.Due
	case rules.Converted:
		return converted(m)
	case rules.GuardrailHit:
		return hit(m)
	}
	return m.Decision
}

func converted(m *sinks.Message) string {
	text := "reached the goal of " + m.Experiment
	if m.Again {
		text += " once more"
	}
	if m.Arm != "" {
		text += fmt.Sprintf(" (arm %s)", m.Arm)
	}
	if len(m.Value) > 0 {
		text += ", worth " + string(m.Value)
	}
	return text
}

func hit(m *sinks.Message) string {
	text := "hit the guardrail " + m.Guardrail + " of " + m.Experiment
	if m.Arm != "" {
		text += fmt.Sprintf(" (arm %s)", m.Arm)
	}
	return text + ", exposed since " + m.Exposed
}

// Send names the message: its channel and its template.
func Send(m *sinks.Message) string {
	if m.Template == "" {
		return "a message"
	}
	return fmt.Sprintf("%s %q", m.Channel, m.Template)
}

func arm(m *sinks.Message) string {
	if m.Arm == "" {
		return ""
	}
	return fmt.Sprintf(" (arm %s of %s)", m.Arm, m.Experiment)
}

// given lists what an outcome rests on.
func given(m *sinks.Message) string {
	if len(m.Because) == 0 {
		return ""
	}
	return ": " + Values(m.Because)
}

// Values lists named values: "orders_30d is 1, user.age is 17".
func Values(values map[string]json.RawMessage) string {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		text := string(values[name])
		if text == "null" {
			text = "not known"
		}
		names[i] = name + " is " + text
	}
	return strings.Join(names, ", ")
}
