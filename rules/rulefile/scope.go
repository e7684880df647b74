package rulefile

import (
	"slices"

	"cel.dev/cel-go/cel"

	"github.com/nudged/nudged/rules"
)

// triggerMode says what trigger.* means in an expression.
type triggerMode uint8

const (
	noTrigger      triggerMode = iota // there is no instance
	triggerIsEvent                    // the triggering event is the event at hand
	triggerIsKept                     // what the instance kept of it
)

// scope is what an expression can see. Attributes and now are always there.
type scope struct {
	event     bool
	trigger   triggerMode
	noEvent   string // the way out where event is not there; %s is the field
	noTrigger string // the way out where trigger is not there
	noMetrics string // why metrics are not there, "" if they are
	noKeyed   string // why counts by a field are not there, "" if they are
	noFields  string // why the trigger has no fields of its own, "" if it has

	uses *usage // notes the trigger's fields, if it is kept
	// keepEvent says that the event at hand is the trigger, and that the
	// expression may be asked again when it is at hand no more.
	keepEvent bool
	reads     *[]rules.Named // notes metrics and attributes, if not nil
}

// usage is what a rule's instances have to keep.
type usage struct {
	triggerSlots []int
}

func (u *usage) keep(slot int) {
	if !slices.Contains(u.triggerSlots, slot) {
		u.triggerSlots = append(u.triggerSlots, slot)
	}
}

// note records that the expression reads a metric or an attribute.
func (s *scope) note(name string, read rules.Expr) {
	if s.reads == nil || slices.ContainsFunc(*s.reads, func(n rules.Named) bool { return n.Name == name }) {
		return
	}
	*s.reads = append(*s.reads, rules.Named{Name: name, Expr: read})
}

// envelope are the fields that every event has.
var envelope = []string{"id", "type", "user", "time"}

func triggerNames() []string {
	names := make([]string, len(envelope))
	for i, field := range envelope {
		names[i] = triggerName + "." + field
	}
	return names
}

// eventField reads a field of the event at hand. A rule without a wait reads its
// trigger as the event at hand; where it fires later, as a message that was put
// off does, what the instance kept of it stands in.
func eventField(e *rules.Env, slot int) rules.Value {
	if e.Event == nil {
		return e.TriggerField(slot)
	}
	return e.Event.Field(slot)
}

// eventVariable is event.field, field one of the event's own or of the envelope.
func (c *compiler) eventVariable(field string) *variable {
	v := &variable{name: "event." + field, slot: -1}
	kept := c.triggerVariable
	switch field {
	case "id":
		v.typ = cel.StringType
		v.read = atHand(func(e *rules.Env) rules.Value { return rules.StringValue(e.Event.ID) }, kept(field, nil))
	case "type":
		v.typ = cel.StringType
		v.read = atHand(func(e *rules.Env) rules.Value { return rules.StringValue(e.Event.Type) }, kept(field, nil))
	case "user":
		v.typ = cel.StringType
		v.read = atHand(func(e *rules.Env) rules.Value { return rules.StringValue(e.Event.User) }, kept(field, nil))
	case "time":
		v.typ = cel.TimestampType
		v.read = atHand(func(e *rules.Env) rules.Value { return rules.TimeValue(e.Event.Time) }, kept(field, nil))
	default:
		slot := c.slotOf(field)
		v.typ, v.slot = cel.DynType, slot
		v.read = func(e *rules.Env) rules.Value { return eventField(e, slot) }
	}
	return v
}

// atHand reads the event if there is one, else the trigger, else nothing.
func atHand(read rules.Expr, kept *variable) rules.Expr {
	return func(e *rules.Env) rules.Value {
		switch {
		case e.Event != nil:
			return read(e)
		case e.Trigger != nil:
			return kept.read(e)
		}
		return rules.Value{}
	}
}

// triggerVariable is trigger.field of an instance that waits.
func (c *compiler) triggerVariable(field string, uses *usage) *variable {
	v := &variable{name: "trigger." + field, slot: -1}
	switch field {
	case "id":
		v.typ = cel.StringType
		v.read = func(e *rules.Env) rules.Value { return rules.StringValue(e.Trigger.ID) }
	case "type":
		v.typ = cel.StringType
		v.read = func(e *rules.Env) rules.Value { return rules.StringValue(e.Trigger.Type(e.Set)) }
	case "user":
		v.typ = cel.StringType
		v.read = func(e *rules.Env) rules.Value { return rules.StringValue(e.User) }
	case "time":
		v.typ = cel.TimestampType
		v.read = func(e *rules.Env) rules.Value { return rules.TimeValue(e.Trigger.Time) }
	default:
		slot := c.slotOf(field)
		uses.keep(slot)
		v.typ = cel.DynType
		v.read = func(e *rules.Env) rules.Value { return e.TriggerField(slot) }
	}
	return v
}

func attributeVariable(a *rules.Attribute) *variable {
	typ := cel.DynType
	switch a.Kind {
	case rules.Int:
		typ = cel.IntType
	case rules.Float:
		typ = cel.DoubleType
	case rules.String:
		typ = cel.StringType
	case rules.Bool:
		typ = cel.BoolType
	case rules.Time:
		typ = cel.TimestampType
	}
	return &variable{
		name: "user." + a.Name, typ: typ, slot: -1,
		read: func(e *rules.Env) rules.Value { return e.Attribute(a) },
	}
}

func metricVariable(m *rules.Metric) *variable {
	typ := cel.DynType
	switch m.Kind {
	case rules.Count, rules.Distinct:
		typ = cel.IntType
	case rules.Sum:
		typ = cel.DoubleType
	case rules.First, rules.Last:
		typ = cel.TimestampType
	}
	return &variable{
		name: m.Name, typ: typ, slot: -1,
		read: func(e *rules.Env) rules.Value { return e.Metric(m) },
	}
}

func nowVariable() *variable {
	return &variable{
		name: nowName, typ: cel.TimestampType, slot: -1,
		read: func(e *rules.Env) rules.Value { return rules.TimeValue(e.Now) },
	}
}

// presence is has(v).
func presence(v *variable) *variable {
	return &variable{
		name: "has " + v.name, typ: cel.BoolType, slot: -1,
		read: func(e *rules.Env) rules.Value { return rules.BoolValue(v.read(e).Present()) },
	}
}
