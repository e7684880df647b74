package rules

import (
	"math"

	"github.com/cespare/xxhash/v2"
)

// Truth is the value of a condition. An expression that reads what is not
// there, or compares what cannot be compared, is Unknown, and a condition that
// ends Unknown does not hold.
type Truth int8

// The three truth values; And, Or and Not follow CEL: one operand that decides
// hides an error in the other.
const (
	False Truth = iota
	True
	Unknown
)

// TruthOf returns True or False.
func TruthOf(b bool) Truth {
	if b {
		return True
	}
	return False
}

// Cond is a compiled condition, Expr a compiled value expression; Absent is the
// value of an expression that has none.
type (
	Cond func(*Env) Truth
	Expr func(*Env) Value
)

// Env is what an expression can see.
type Env struct {
	Set     *Set
	State   *State
	User    string
	Event   *Event   // nil when the clock fires
	Trigger *Trigger // nil outside of an instance
	Now     int64    // the event's time, or the due time of what fires
	// started says that Event is the triggering event itself, of which Trigger
	// does not keep the fields yet.
	started bool
	// upper ends windows: at Now for an event, open for a firing, so that what
	// became known between due and fired counts.
	upper int64
}

// TriggerField returns a kept field of the triggering event.
func (e *Env) TriggerField(slot int) Value {
	if e.started {
		return e.Event.Field(slot)
	}
	if e.Trigger == nil {
		return Value{}
	}
	id := e.Set.fieldIDs[slot]
	for i := range e.Trigger.Fields {
		if e.Trigger.Fields[i].ID == id {
			return e.Trigger.Fields[i].Value
		}
	}
	return Value{}
}

// Attribute returns the user's attribute.
func (e *Env) Attribute(a *Attribute) Value {
	for i := range e.State.attrs {
		if e.State.attrs[i].ID == a.ID {
			return e.State.attrs[i].Value
		}
	}
	return Value{}
}

// Metric returns the metric's value as of Now: an Int for a count and a
// distinct, a Float for a sum, a Time or Absent for a last and a first, a value
// of any kind or Absent for a value seen last.
func (e *Env) Metric(m *Metric) Value {
	ms := e.State.metric(m)
	var window []point
	if ms != nil {
		window = ms.inWindow(m, e.State.newest, e.Now, e.upper)
	}
	switch m.Kind {
	case Count:
		key, ok := e.metricKey(m)
		if !ok {
			return Value{}
		}
		return IntValue(count(window, key))
	case Sum:
		return FloatValue(sum(window))
	case Distinct:
		return IntValue(distinct(window))
	case Last, First:
		if len(window) > 0 {
			return TimeValue(window[0].t)
		}
	case Latest:
		if len(window) > 0 {
			return ms.value
		}
	}
	return Value{}
}

// metricKey returns the key under which a keyed metric counts the event at hand,
// false if that lacks the field.
func (e *Env) metricKey(m *Metric) (uint64, bool) {
	if !m.Keyed {
		return 0, true
	}
	v := e.TriggerField
	if e.Event != nil {
		v = e.Event.Field
	}
	text, ok := v(m.BySlot).Text()
	return hash48(text), ok
}

// hash48 is how ids and keys are remembered: 48 bits of xxhash64.
func hash48(s string) uint64 { return xxhash.Sum64String(s) & (1<<(8*idBytes) - 1) }

const endOfTime = math.MaxInt64
