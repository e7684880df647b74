package naive

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Event is one event. Partition and Offset are set by Run.Apply.
type Event struct {
	ID, Type, User string
	Time           int64
	Fields         map[string]Value
	Partition      int32
	Offset         int64
}

// field is a field of the event; every event has id, type, user and time.
func (e *Event) field(name string) Value {
	switch {
	case e == nil:
		return Value{}
	case name == "id":
		return S(e.ID)
	case name == "type":
		return S(e.Type)
	case name == "user":
		return S(e.User)
	case name == "time":
		return T(e.Time)
	}
	return e.Fields[name]
}

// Decision is one decision.
type Decision struct {
	Outcome          string
	CommandID        string
	User             string
	Rule, Instance   string
	Step             int
	Experiment, Arm  string
	Phase            int
	Send             *Send // of what fired
	Data             []Field
	Label            string
	Trigger          *Event
	Due, At, Expires int64
	Worth            Value
	Again            bool
	First            bool   // the exposure counts
	Guardrail        string // that was hit
	Exposed          int64
}

// Field is a value of a message.
type Field struct {
	Name  string
	Value Value
}

// String is the decision on one line, without what follows from the rest.
func (d *Decision) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s/%s#%d %s due %s by %s at %d/%d", d.User, stamp(d.At), d.Rule, d.Instance, d.Step, d.Outcome, stamp(d.Due), d.Trigger.ID, d.Trigger.Partition, d.Trigger.Offset)
	if d.Experiment != "" {
		fmt.Fprintf(&b, " experiment %s phase %d arm %s", d.Experiment, d.Phase, d.Arm)
	}
	if d.Send != nil {
		fmt.Fprintf(&b, " %s/%s/%s", d.Send.Channel, d.Send.Class, d.Send.Template)
	}
	for _, f := range d.Data {
		fmt.Fprintf(&b, " %s=%s", f.Name, f.Value)
	}
	if d.Label != "" {
		fmt.Fprintf(&b, " label %q", d.Label)
	}
	if d.Expires != 0 {
		fmt.Fprintf(&b, " expires %s", stamp(d.Expires))
	}
	if d.Outcome == "converted" {
		fmt.Fprintf(&b, " worth %s again %t", d.Worth, d.Again)
	}
	if d.First {
		b.WriteString(" first")
	}
	if d.Guardrail != "" {
		fmt.Fprintf(&b, " guardrail %s exposed %s", d.Guardrail, stamp(d.Exposed))
	}
	return b.String() + " id " + d.CommandID
}

// JSON is the event as a record of the input topic has it. A double keeps its
// point, so that it is read as one.
func (e *Event) JSON() []byte {
	b := []byte("{")
	put := func(name, value string) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(append(b, quoted(name)...), ':'), value...)
	}
	put("id", quoted(e.ID))
	put("type", quoted(e.Type))
	put("user", quoted(e.User))
	put("time", quoted(stamp(e.Time)))
	for _, name := range slices.Sorted(maps.Keys(e.Fields)) {
		switch v := e.Fields[name]; v.Kind {
		case Bool, Int:
			text, _ := v.Key()
			put(name, text)
		case Float:
			put(name, Lit(v).String())
		case Text:
			put(name, quoted(v.S))
		}
	}
	return append(b, '}')
}

func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}
