package naive

import "maps"

// user is what is known of one user: all that ever happened.
type user struct {
	run       *Run
	name      string
	partition int32
	taken     []taken
	sends     []sent
	exposures []*exposure
	pending   []*instance // in the order of their start
	started   map[string]int64
}

// taken is an event that was taken in, with the attributes as they were then.
type taken struct {
	*Event
	attributes map[string]Value
}

// sent is a message that went out, or would have but for the control arm.
type sent struct {
	rule, class, channel string
	at                   int64
}

// exposure is the first one of a user to a phase of an experiment.
type exposure struct {
	experiment string
	phase      int
	rule, arm  string
	at         int64
	converted  bool
}

// newest is the time of the user's newest event.
func (u *user) newest() int64 {
	var t int64
	for _, e := range u.taken {
		t = max(t, e.Time)
	}
	return t
}

// attributes are the user's attributes now.
func (u *user) attributes() map[string]Value {
	if len(u.taken) == 0 {
		return nil
	}
	return u.taken[len(u.taken)-1].attributes
}

// note takes an event into the history.
func (u *user) note(e *Event) {
	attributes := maps.Clone(u.attributes())
	if attributes == nil {
		attributes = map[string]Value{}
	}
	for _, a := range u.run.spec.Attributes {
		if !listed(a.On, e.Type) {
			continue
		}
		v := u.eval(a.From, moment{event: e, now: e.Time, attributes: attributes})
		if !v.There() {
			continue
		}
		v, ok := v.as(kinds[a.Type])
		if !ok {
			u.run.Mismatches++
			continue
		}
		attributes[a.Name] = v
	}
	u.taken = append(u.taken, taken{e, attributes})
}

var kinds = map[string]Kind{"int": Int, "float": Float, "double": Float, "string": Text, "bool": Bool, "timestamp": Time}

// repeated says that the id is among the latest 16.
func (u *user) repeated(id string) bool {
	for _, e := range u.taken[max(0, len(u.taken)-16):] {
		if e.ID == id {
			return true
		}
	}
	return false
}

// occurrences are the events that a metric has counted and no reset has cleared.
func (u *user) occurrences(m *Metric) []*Event {
	var list []*Event
	for _, e := range u.taken {
		if listed(m.On, e.Type) && u.holds(m.Where, moment{event: e.Event, now: e.Time, attributes: e.attributes}) {
			list = append(list, e.Event)
		}
		if listed(m.Reset, e.Type) {
			list = nil
		}
	}
	return list
}

// metric is the value of a metric. An occurrence is in a window of W if it is
// less than W older than the moment, not younger than it unless the clock asks,
// and has not left it for good: it has once the user's newest event is W later.
func (u *user) metric(name string, at moment) Value {
	m := u.run.metric(name)
	var key Value
	if m.By != "" {
		if key = at.event.field(m.By); at.event == nil {
			key = at.trigger.field(m.By)
		}
		if !key.There() {
			return Value{}
		}
	}
	var in []*Event
	for _, e := range u.occurrences(m) {
		if m.Within > 0 && (at.now-e.Time >= m.Within || u.newest()-e.Time >= m.Within || e.Time > at.now && !at.open) {
			continue
		}
		if m.By != "" && !sameKey(e.field(m.By), key) {
			continue
		}
		in = append(in, e)
	}
	return m.of(in, func(e *Event) Value { return u.eval(m.Value, moment{event: e, now: e.Time}) })
}

func sameKey(a, b Value) bool {
	x, ok := a.Key()
	y, okToo := b.Key()
	return ok && okToo && x == y
}

// of is the metric over the events, in the order in which they were taken in.
func (m *Metric) of(events []*Event, value func(*Event) Value) Value {
	switch m.Kind {
	case "count":
		return I(int64(len(events)))
	case "sum":
		sum := 0.0
		for _, e := range events {
			n, _ := value(e).number()
			sum += n
		}
		return F(sum)
	case "distinct":
		texts := map[string]bool{}
		for _, e := range events {
			if text, ok := value(e).Key(); ok {
				texts[text] = true
			}
		}
		return I(int64(len(texts)))
	}
	var chosen *Event
	for _, e := range events {
		switch {
		case m.Kind == "value" && !value(e).There():
		case chosen == nil,
			m.Kind == "first" && e.Time < chosen.Time,
			m.Kind != "first" && e.Time >= chosen.Time:
			chosen = e
		}
	}
	switch {
	case chosen == nil:
		return Value{}
	case m.Kind == "value":
		return value(chosen)
	}
	return T(chosen.Time)
}
