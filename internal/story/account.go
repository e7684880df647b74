package story

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/go-faster/jx"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/eventtime"
	"github.com/nudged/nudged/sinks"
)

// Account is all that can be said of one user. Times are RFC 3339 in UTC.
type Account struct {
	User string `json:"user"`
	// AsOf is the moment that is told of. Past says that it lies back: what was
	// known then is not kept, so that States are empty and Pending is what the
	// decisions tell.
	AsOf   string  `json:"as_of"`
	Past   bool    `json:"past,omitempty"`
	States []State `json:"states,omitempty"`
	// Pending is what was pending at AsOf, as far as decisions made later, and
	// what is pending now, tell.
	Pending   []Started  `json:"pending,omitempty"`
	Events    []Happened `json:"events,omitempty"` // where they are at hand
	Decisions []Told     `json:"decisions"`

	asOf int64
}

// State is what is known of the user in one input partition.
type State struct {
	Topic     string     `json:"topic"`
	Partition int32      `json:"partition"`
	Known     bool       `json:"known"` // there is a state
	LastEvent string     `json:"last_event,omitempty"`
	Values    []Value    `json:"attributes,omitempty"`
	Metrics   []Value    `json:"metrics,omitempty"`
	LastSends []LastSend `json:"last_sends,omitempty"`
	Exposures []Exposure `json:"exposures,omitempty"`
	Pending   []Pending  `json:"pending,omitempty"`
}

// Value is an attribute or a metric. Words say what it is.
type Value struct {
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"` // null: not known
	Words string          `json:"words,omitempty"`
}

// LastSend is when a rule with a cooldown sent last.
type LastSend struct {
	Rule string `json:"rule"`
	At   string `json:"at"`
}

// Exposure is the user's part in an experiment.
type Exposure struct {
	Experiment string `json:"experiment"`
	Phase      int    `json:"phase"`
	Rule       string `json:"rule,omitempty"`
	Arm        string `json:"arm,omitempty"`
	At         string `json:"at,omitempty"` // absent: long ago
	Converted  bool   `json:"converted,omitempty"`
	// Hits are the guardrails of the experiment that the user has hit.
	Hits []string `json:"guardrails_hit,omitempty"`
}

// Pending is a run that waits for something.
type Pending struct {
	Rule     string        `json:"rule"`
	Instance string        `json:"instance,omitempty"`
	Due      string        `json:"due"`
	Trigger  sinks.Trigger `json:"trigger"`
	Fields   []Value       `json:"fields,omitempty"` // kept of the trigger
	Words    string        `json:"words"`            // what it waits for, and what then
	Ends     []string      `json:"ends"`             // what would end it before
	since    int64
}

// Started is a run that was under way at some time.
type Started struct {
	Rule     string        `json:"rule"`
	Instance string        `json:"instance,omitempty"`
	Trigger  sinks.Trigger `json:"trigger"`
	Words    string        `json:"words"` // what came of it
}

// Happened is an event in words.
type Happened struct {
	At    string `json:"at"`
	Words string `json:"words"`
}

// Told is a decision with its words.
type Told struct {
	sinks.Message
	Words string `json:"words"`
}

// NewAccount begins an account of a user as of a moment, ms.
func NewAccount(user string, asOf int64) *Account {
	return &Account{User: user, AsOf: stamp(asOf), asOf: asOf, Decisions: []Told{}}
}

// Know adds what a state says. known is false where there is no state. rule, if
// it is not empty, leaves other rules out.
func (a *Account) Know(topic string, partition int32, known bool, k *rules.Known, rule string) {
	s := State{Topic: topic, Partition: partition, Known: known}
	if known {
		if k.Newest != 0 {
			s.LastEvent = stamp(k.Newest)
		}
		for _, d := range k.Attributes {
			s.Values = append(s.Values, Value{Name: d.Name, Value: raw(d.Value)})
		}
		for i := range k.Metrics {
			m := &k.Metrics[i]
			s.Metrics = append(s.Metrics, Value{m.Metric.Name, raw(m.Value), metricWords(m.Metric)})
		}
		for _, l := range k.Sends {
			if rule == "" || l.Rule == rule {
				s.LastSends = append(s.LastSends, LastSend{l.Rule, stamp(l.At)})
			}
		}
		for i := range k.Exposures {
			e := &k.Exposures[i]
			if rule != "" && e.Rule != rule {
				continue
			}
			told := Exposure{Experiment: e.Experiment, Phase: e.Phase, Rule: e.Rule, Arm: e.Arm, Converted: e.Converted, Hits: e.Hits}
			if !e.Over {
				told.At = stamp(e.At)
			}
			s.Exposures = append(s.Exposures, told)
		}
		for i := range k.Pending {
			if in := &k.Pending[i]; rule == "" || in.Rule == rule {
				s.Pending = append(s.Pending, a.pending(topic, in))
			}
		}
		slices.SortStableFunc(s.Pending, func(x, y Pending) int { return cmp.Compare(moment(x.Due), moment(y.Due)) })
	}
	a.States = append(a.States, s)
}

func metricWords(m *rules.Metric) string {
	on := strings.Join(m.On, ", ")
	if on == rules.AnyType {
		on = "any event"
	}
	words := map[rules.MetricKind]string{
		rules.Count: "count of ", rules.Last: "last ", rules.First: "first ", rules.Sum: "sum over ", rules.Distinct: "different values in ", rules.Latest: "value in the last ",
	}[m.Kind] + on
	if m.Within > 0 {
		words += " in the last " + Span(m.Within)
	}
	if m.Keyed {
		words += ", all values together"
	}
	return words
}

// pending tells of one run.
func (a *Account) pending(topic string, k *rules.KnownInstance) Pending {
	p := Pending{Rule: k.Rule, Instance: k.Key, Due: stamp(k.Due), Ends: []string{}, since: k.Trigger.Time, Trigger: sinks.Trigger{
		ID: k.Trigger.ID, Type: k.TriggerType, Time: stamp(k.Trigger.Time), Topic: topic, Partition: k.Trigger.Partition, Offset: k.Trigger.Offset,
	}}
	for _, f := range k.Fields {
		p.Fields = append(p.Fields, Value{Name: f.Name, Value: raw(f.Value)})
	}
	due := stamp(k.Due) + " (" + apart(k.Due, a.asOf) + ")"
	if k.Removed {
		p.Words = "its rule, or the step at which it stood, is gone: it ends at " + due
		return p
	}
	switch {
	case k.Op.Kind == rules.OpWaitFor:
		p.Words = "waits for " + events(k.Op.For.On, k.Op.For.Text) + " until " + due
	case k.Op.Kind == rules.OpSend:
		p.Words = "put off until " + due
	default:
		p.Words = "waits until " + due
	}
	switch {
	case k.Send == nil:
		p.Words += "; then it goes on and sends nothing more unless something happens"
	case k.Decides != k.Due:
		p.Words += "; if nothing happens it decides at " + stamp(k.Decides) + " on " + sendWords(k)
	default:
		p.Words += "; then it decides on " + sendWords(k)
	}
	if k.Paused {
		p.Words += "; the rule is paused and does not fire"
	}
	for _, u := range k.Unless {
		p.Ends = append(p.Ends, events(u.On, u.Text))
	}
	return p
}

func sendWords(k *rules.KnownInstance) string {
	words := fmt.Sprintf("%s %q", k.Send.Channel, k.Send.Template)
	if k.WhenText != "" {
		words += " if " + k.WhenText
	}
	return words
}

// events names event types and their condition.
func events(on []string, where string) string {
	words := strings.Join(on, " or ")
	if len(on) == 1 && on[0] == rules.AnyType {
		words = "any event"
	}
	if where != "" {
		words += " where " + where
	}
	return words
}

// Decide adds decisions, in the order in which they are told: by time.
func (a *Account) Decide(list []sinks.Message) {
	for _, m := range list {
		a.Decisions = append(a.Decisions, Told{m, Why(&m)})
	}
	slices.SortStableFunc(a.Decisions, func(x, y Told) int { return cmp.Compare(moment(x.Fired), moment(y.Fired)) })
}

// Since makes the account one of the past: what is known now is turned into what
// was pending then, decisions after AsOf are left out. It comes after Know and
// Decide.
func (a *Account) Since() {
	a.Past = true
	type run struct{ rule, instance, trigger string }
	seen := map[run]bool{}
	add := func(rule, instance string, t sinks.Trigger, words string) {
		if r := (run{rule, instance, t.ID}); !seen[r] {
			seen[r] = true
			a.Pending = append(a.Pending, Started{rule, instance, t, words})
		}
	}
	kept := a.Decisions[:0]
	for _, d := range a.Decisions {
		switch {
		case moment(d.Fired) <= a.asOf:
			kept = append(kept, d)
		case d.Decision != string(rules.Converted) && d.Decision != string(rules.GuardrailHit) && moment(d.Trigger.Time) <= a.asOf:
			add(d.Rule, d.Instance, d.Trigger, "decided at "+d.Fired+": "+d.Words)
		}
	}
	a.Decisions = kept
	for _, s := range a.States {
		for _, p := range s.Pending {
			if p.since <= a.asOf {
				add(p.Rule, p.Instance, p.Trigger, "still pending: "+p.Words)
			}
		}
	}
	a.States = nil
}

// moment reads a time of a message; what is none comes first.
func moment(text string) int64 {
	ms, _ := eventtime.ParseRFC3339([]byte(text))
	return ms
}

func stamp(ms int64) string { return string(eventtime.AppendRFC3339(nil, ms)) }

// raw writes a value as JSON.
func raw(v rules.Value) json.RawMessage {
	switch v.Kind {
	case rules.Absent:
		return json.RawMessage("null")
	case rules.JSON:
		return json.RawMessage(v.Str())
	case rules.Bool, rules.Int:
		text, _ := v.Text()
		return json.RawMessage(text)
	case rules.Float:
		if b, err := json.Marshal(v.Float()); err == nil {
			return b
		}
	}
	text, _ := v.Text()
	w := jx.Writer{}
	w.Str(text)
	return w.Buf
}
