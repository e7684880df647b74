package sim_test

import "slices"

// What naive works out from a user's log.

func (u *naiveUser) events() []*naiveEvent {
	var events []*naiveEvent
	for _, x := range u.log {
		if x.event != nil {
			events = append(events, x.event)
		}
	}
	return events
}

// newest is the time of the user's newest event.
func (u *naiveUser) newest() int64 {
	var t int64
	for _, e := range u.events() {
		t = max(t, e.t)
	}
	return t
}

// pending lists what was begun and not ended. A restarted instance keeps its
// place in the line.
func (u *naiveUser) pending() []*naiveInstance {
	var line []*naiveInstance
	for _, x := range u.log {
		switch {
		case x.begun != nil:
			i := slices.IndexFunc(line, func(in *naiveInstance) bool { return in.rule == x.begun.rule && in.key == x.begun.key })
			if i < 0 {
				line = append(line, x.begun)
			} else {
				line[i] = x.begun
			}
		case x.ended != nil:
			line = slices.DeleteFunc(line, func(in *naiveInstance) bool { return in == x.ended })
		}
	}
	return line
}

// attribute is what the latest of the first n events that carries it says.
func (u *naiveUser) attribute(index, n int) *int64 {
	a := u.n.spec.attributes[index]
	var v *int64
	for _, e := range u.events()[:n] {
		if names(a.on, e.typ) && e.fields[a.field] != nil {
			v = e.fields[a.field]
		}
	}
	return v
}

// occurrences are the events that a metric has taken in and not forgotten by a
// reset.
func (u *naiveUser) occurrences(index int) []*naiveEvent {
	m := u.n.spec.metrics[index]
	var list []*naiveEvent
	for i, e := range u.events() {
		if names(m.on, e.typ) && u.tells(m.where, moment{event: e, now: e.t}, i+1) == yes && (m.by == none || e.fields[m.by] != nil) {
			list = append(list, e)
		}
		if names(m.reset, e.typ) {
			list = nil
		}
	}
	return list
}

// metric is a metric's value. An occurrence is in the window if it is less than
// W older than the moment, not younger than it, and has not left the window for
// good, which it does once the user's newest event is W later.
func (u *naiveUser) metric(index int, at moment) *int64 {
	m := u.n.spec.metrics[index]
	occurrences := u.occurrences(index)
	if m.last {
		var last *int64
		for _, e := range occurrences {
			if last == nil || e.t > *last {
				last = &e.t
			}
		}
		return last
	}
	var key *int64
	if m.by != none {
		of := at.event
		if of == nil {
			of = at.trigger
		}
		if key = of.fields[m.by]; key == nil {
			return nil
		}
	}
	count := int64(0)
	for _, e := range occurrences {
		if key != nil && *e.fields[m.by] != *key {
			continue
		}
		if m.within == 0 || at.now-e.t < m.within && u.newest()-e.t < m.within && e.t <= at.upper {
			count++
		}
	}
	return &count
}

// value is an operand's value as of now; nil: there is none.
func (u *naiveUser) value(o operand, at moment) *int64 { return u.valueOf(o, at, len(u.events())) }

// valueOf is the same when the user's log had n events.
func (u *naiveUser) valueOf(o operand, at moment, n int) *int64 {
	switch o.what {
	case "event":
		return at.event.fields[o.index]
	case "trigger":
		return at.trigger.fields[o.index]
	case "user":
		return u.attribute(o.index, n)
	case "metric":
		return u.metric(o.index, at)
	}
	return &at.now
}

// answer is what comes of a condition; unknown if it reads what is not there.
type answer int

const (
	no answer = iota
	unknown
	yes
)

func answerOf(b bool) answer {
	if b {
		return yes
	}
	return no
}

// holds says that a condition is there to hold and does.
func (u *naiveUser) holds(c *condition, at moment) bool {
	return u.tells(c, at, len(u.events())) == yes
}

// tells is Kleene's logic: of and the least of both, of or the greatest.
func (u *naiveUser) tells(c *condition, at moment, n int) answer {
	if c == nil {
		return yes
	}
	switch c.op {
	case "and":
		return min(u.tells(c.first, at, n), u.tells(c.then, at, n))
	case "or":
		return max(u.tells(c.first, at, n), u.tells(c.then, at, n))
	case "not":
		return yes - u.tells(c.first, at, n)
	}
	left := u.valueOf(c.left, at, n)
	if c.op == "has" {
		return answerOf(left != nil)
	}
	right := &c.number
	if c.right != nil {
		right = u.valueOf(*c.right, at, n)
	}
	if left == nil || right == nil {
		return unknown
	}
	if c.op == "==" {
		return answerOf(*left == *right)
	}
	return answerOf(*left >= *right)
}
