package sinks

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/go-faster/jx"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/eventtime"
)

// Trigger tells of the event that started an instance.
type Trigger struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	Time      string `json:"time"`
	Topic     string `json:"topic,omitempty"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// Message is what a consumer reads: a send command, or a decision, which has the
// same coordinates. Times are RFC 3339 in UTC.
type Message struct {
	CommandID  string `json:"command_id"`
	Decision   string `json:"decision,omitempty"` // decisions only
	Rule       string `json:"rule"`
	User       string `json:"user"`
	Instance   string `json:"instance"`
	Step       int    `json:"step"`
	Experiment string `json:"experiment,omitempty"`
	Arm        string `json:"arm,omitempty"`
	// Phase is the experiment's; the first goes without saying.
	Phase    int    `json:"phase,omitempty"`
	Channel  string `json:"channel,omitempty"`
	Class    string `json:"class,omitempty"`
	Template string `json:"template,omitempty"`
	// Label is a text that the message has to be marked with.
	Label string `json:"label,omitempty"`
	// Data are the values of the send; of a decision only for sent and control.
	Data    map[string]json.RawMessage `json:"data,omitempty"`
	Because map[string]json.RawMessage `json:"because,omitempty"` // decisions only
	// Value is what a conversion is worth, if its goal says so. Again marks those
	// after the first of a user in a phase of an experiment.
	Value json.RawMessage `json:"value,omitempty"`
	Again bool            `json:"again,omitempty"`
	// FirstExposure marks the exposure of a user that counts, in an experiment with
	// guardrails or a rule that asks for auto_pause.
	FirstExposure bool `json:"first_exposure,omitempty"`
	// Guardrail of the experiment that an event has hit, Exposed when the user was
	// first exposed.
	Guardrail string `json:"guardrail,omitempty"`
	Exposed   string `json:"exposed,omitempty"`
	// DataDropped says that the message was too large and went without its data.
	DataDropped bool    `json:"data_dropped,omitempty"`
	Trigger     Trigger `json:"trigger"`
	Due         string  `json:"due"`
	// Fired is when it was decided.
	Fired        string `json:"fired"`
	Expires      string `json:"expires,omitempty"`
	RulesVersion string `json:"rules_version"`
}

// Origin is what a message says of where it was made.
type Origin struct {
	Topic        string // input topic; empty for a file
	RulesVersion string
}

// Both messages carry this header with this value.
const (
	ContentTypeHeader = "content-type"
	ContentType       = "application/json"
)

// MaxMessage bounds a message in bytes. A larger one goes out without its data,
// marked "data_dropped": brokers refuse records above 1 MiB, and a record that
// cannot be produced would stop the partition.
const MaxMessage = 900_000

// AppendCommand appends the JSON of the send command of a Sent decision.
func AppendCommand(dst []byte, d *rules.Decision, o Origin) []byte {
	return appendMessage(dst, d, o, false)
}

// AppendDecision appends the JSON of a decision.
func AppendDecision(dst []byte, d *rules.Decision, o Origin) []byte {
	return appendMessage(dst, d, o, true)
}

func appendMessage(dst []byte, d *rules.Decision, o Origin, decision bool) []byte {
	start := len(dst)
	out := writeMessage(dst, d, o, decision, false)
	if len(out)-start > MaxMessage {
		out = writeMessage(dst[:start], d, o, decision, true)
	}
	return out
}

func writeMessage(dst []byte, d *rules.Decision, o Origin, decision, dropData bool) []byte {
	w := writer{jx.Writer{Buf: dst}}
	w.Buf = append(w.Buf, `{"command_id":"`...)
	w.Buf = append(w.Buf, d.CommandID.String()...)
	w.Buf = append(w.Buf, '"')
	if decision {
		w.field("decision", string(d.Outcome))
	}
	w.field("rule", d.Rule)
	w.field("user", d.User)
	w.field("instance", d.Instance)
	w.name("step")
	w.Int(d.Step)
	w.optional("experiment", d.Experiment)
	w.optional("arm", d.Arm)
	if d.Phase > 1 {
		w.name("phase")
		w.Int(d.Phase)
	}
	if d.Send != nil {
		w.field("channel", d.Send.Channel)
		w.field("class", d.Send.Class)
		w.field("template", d.Send.Template)
		w.optional("label", d.Label)
	}
	switch {
	case dropData:
		w.name("data_dropped")
		w.Bool(true)
	case !decision || len(d.Data) > 0:
		w.name("data")
		w.data(d.Data)
	}
	if decision && len(d.Because) > 0 && !dropData {
		w.name("because")
		w.data(d.Because)
	}
	if d.Worth.Present() {
		w.name("value")
		w.value(d.Worth)
	}
	if d.Again {
		w.name("again")
		w.Bool(true)
	}
	if d.First {
		w.name("first_exposure")
		w.Bool(true)
	}
	if d.Guardrail != "" {
		w.field("guardrail", d.Guardrail)
		w.time("exposed", d.Exposed)
	}
	w.trigger(d, o)
	w.time("due", d.Due)
	w.time("fired", d.At)
	if d.Expires != 0 {
		w.time("expires", d.Expires)
	}
	w.field("rules_version", o.RulesVersion)
	return append(w.Buf, '}')
}

// writer adds the few shapes that messages need to jx's.
type writer struct{ jx.Writer }

func (w *writer) name(name string) {
	w.Buf = append(w.Buf, ',', '"')
	w.Buf = append(w.Buf, name...)
	w.Buf = append(w.Buf, '"', ':')
}

func (w *writer) field(name, value string) {
	w.name(name)
	w.Str(value)
}

func (w *writer) optional(name, value string) {
	if value != "" {
		w.field(name, value)
	}
}

func (w *writer) time(name string, ms int64) {
	w.name(name)
	w.quotedTime(ms)
}

func (w *writer) quotedTime(ms int64) {
	w.Buf = append(w.Buf, '"')
	w.Buf = eventtime.AppendRFC3339(w.Buf, ms)
	w.Buf = append(w.Buf, '"')
}

func (w *writer) trigger(d *rules.Decision, o Origin) {
	w.name("trigger")
	w.Buf = append(w.Buf, `{"id":`...)
	w.Str(d.Trigger.ID)
	w.field("type", d.TriggerType)
	w.time("time", d.Trigger.Time)
	w.optional("topic", o.Topic)
	w.name("partition")
	w.Int(int(d.Trigger.Partition))
	w.name("offset")
	w.Int64(d.Trigger.Offset)
	w.Buf = append(w.Buf, '}')
}

func (w *writer) data(data []rules.Datum) {
	w.Buf = append(w.Buf, '{')
	for i, f := range data {
		if i > 0 {
			w.Buf = append(w.Buf, ',')
		}
		w.Str(f.Name)
		w.Buf = append(w.Buf, ':')
		w.value(f.Value)
	}
	w.Buf = append(w.Buf, '}')
}

// json writes the text of a field as the event had it, on one line.
func (w *writer) json(text string) {
	if !strings.ContainsAny(text, "\n\r") {
		w.Buf = append(w.Buf, text...)
		return
	}
	b := bytes.NewBuffer(w.Buf)
	// It has been parsed before: compacting cannot fail.
	_ = json.Compact(b, []byte(text))
	w.Buf = b.Bytes()
}

func (w *writer) value(v rules.Value) {
	switch v.Kind {
	case rules.Absent:
		w.Null()
	case rules.Bool:
		w.Bool(v.Bool())
	case rules.Int:
		w.Int64(v.Int())
	case rules.Float:
		w.Float64(v.Float())
	case rules.String:
		w.Str(v.Str())
	case rules.Time:
		w.quotedTime(v.Int())
	case rules.JSON:
		w.json(v.Str())
	}
}
