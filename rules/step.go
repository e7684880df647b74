package rules

import (
	"slices"
	"strings"
)

// stepper is one Step under way.
type stepper struct {
	set  *Set
	st   *State
	user string
	out  *Result
	env  Env
	// byClock says that the clock drives what fires, not an event.
	byClock bool
	replay  bool // what fires is known already
}

// Step takes one input of a user in: it changes st and adds to out. It is a
// pure function: the same state and input give the same bytes out.
//
// The caller moves the clock before it applies an event (guarantees: the
// partition clock), so that what was due fires first.
func (s *Set) Step(st *State, user string, in Input, out *Result) {
	sp := stepper{set: s, st: st, user: user, out: out}
	sp.env = Env{Set: s, State: st, User: user}
	sp.replay = in.Replay
	if in.Event != nil {
		sp.apply(in.Event, in.Decided)
		return
	}
	if in.Replay {
		sp.force(in.Decided)
		return
	}
	sp.advance(in.Until, in.Fired)
}

func (sp *stepper) apply(e *Event, decided []Decided) {
	p := sp.set.plan(e)
	if p == nil {
		sp.out.Unread = true
		return
	}
	if sp.st.remember(hash48(e.ID), sp.set.RecentIDs) {
		sp.out.Duplicate = true
		return
	}
	sp.out.Changed = true
	sp.st.newest = max(sp.st.newest, e.Time)
	sp.env.Event, sp.env.Now, sp.env.upper = e, e.Time, e.Time

	sp.takeIn(p, e)
	switch {
	case sp.replay:
		sp.force(decided)
	case len(sp.st.instances) > 0:
		sp.endRemoved(endOfTime, e.Time)
		sp.cancel(p, e)
	}
	for _, r := range p.rules {
		sp.trigger(r, p, e)
	}
}

// takeIn enters the event into attributes and metrics.
func (sp *stepper) takeIn(p *plan, e *Event) {
	for _, a := range p.attrs {
		v := a.From(&sp.env)
		if !v.Present() {
			continue
		}
		v, ok := v.As(a.Kind)
		if !ok {
			sp.out.Mismatches++
			continue
		}
		v.str = strings.Clone(v.str)
		sp.st.setAttr(a.ID, v)
	}
	for _, m := range p.metrics {
		if !sp.ask(m.Where) {
			continue
		}
		key, ok := sp.env.metricKey(m)
		if !ok {
			sp.out.Missing++
			continue
		}
		sp.st.metricFor(m).add(m, e.Time, key, sp.st.newest)
	}
	for _, m := range p.resets {
		if ms := sp.st.metric(m); ms != nil {
			ms.points = ms.points[:0]
		}
	}
}

func (st *State) setAttr(id ID, v Value) {
	for i := range st.attrs {
		if st.attrs[i].ID == id {
			st.attrs[i].Value = v
			return
		}
	}
	st.attrs = append(st.attrs, attrState{id, v})
}

// ask evaluates a condition; one that cannot be told does not hold.
func (sp *stepper) ask(c Cond) bool {
	if c == nil {
		return true
	}
	switch c(&sp.env) {
	case True:
		return true
	case Unknown:
		sp.out.Missing++
	}
	return false
}

// endRemoved ends instances due by until whose rule is gone: at the time given,
// or, when the clock moves, at their own due time if that is later.
func (sp *stepper) endRemoved(until, at int64) {
	for i := 0; i < len(sp.st.instances); {
		in := &sp.st.instances[i]
		if in.Due > until || sp.set.rules[in.rule] != nil {
			i++
			continue
		}
		ended := at
		if until != endOfTime {
			ended = max(at, in.Due)
		}
		sp.emit(RuleRemoved, nil, in, ended)
		sp.st.remove(i)
		sp.out.Changed = true
	}
}

// cancel ends the pending instances that one of their unless clauses matches.
func (sp *stepper) cancel(p *plan, e *Event) {
	for i := 0; i < len(sp.st.instances); {
		in := &sp.st.instances[i]
		if !slices.ContainsFunc(p.unless[in.rule], func(u *Unless) bool {
			sp.env.Trigger = &in.Trigger
			return sp.ask(u.Where)
		}) {
			i++
			continue
		}
		sp.emit(Cancelled, sp.set.rules[in.rule], in, e.Time)
		sp.st.remove(i)
	}
	sp.env.Trigger = nil
}

// trigger starts, restarts or fires the rule if the event matches it.
func (sp *stepper) trigger(r *Rule, p *plan, e *Event) {
	if sp.replay && !r.Waits || !sp.ask(r.Where) {
		return
	}
	key := ""
	if r.Key != nil {
		text, ok := r.Key(&sp.env).Text()
		if !ok || len(text) > MaxKeyLen {
			sp.out.Missing++
			return
		}
		key = text
	}
	pending := (*Instance)(nil)
	if r.Waits {
		if pending = sp.st.find(r.ID, key); pending != nil && !r.Restart {
			return
		}
	}
	in := Instance{rule: r.ID, Key: key, Due: e.Time + r.Wait, Trigger: sp.triggerOf(r, p, e)}
	if !r.Waits {
		sp.env.Trigger = &in.Trigger
		sp.fire(r, &in, e.Time)
		sp.env.Trigger = nil
		return
	}
	in.keep()
	if pending != nil {
		*pending = in
	} else {
		sp.st.instances = append(sp.st.instances, in)
	}
	if sp.out.Verbose && !sp.replay {
		sp.emit(Armed, r, &in, e.Time)
	}
}

// triggerOf notes the triggering event with the fields that the rule reads. Its
// strings still point into the event.
func (sp *stepper) triggerOf(r *Rule, p *plan, e *Event) Trigger {
	t := Trigger{ID: e.ID, Time: e.Time, Partition: e.Partition, Offset: e.Offset, typeID: p.typeID}
	if p.typeID == 0 {
		t.typ = e.Type
	}
	for _, slot := range r.TriggerSlots {
		if v := e.Field(slot); v.Present() {
			t.Fields = append(t.Fields, TriggerField{sp.set.fieldIDs[slot], v})
		}
	}
	return t
}

// keep makes the instance independent of the event it was made from.
func (in *Instance) keep() {
	in.Key = strings.Clone(in.Key)
	t := &in.Trigger
	t.ID, t.typ = strings.Clone(t.ID), strings.Clone(t.typ)
	for i := range t.Fields {
		t.Fields[i].Value.str = strings.Clone(t.Fields[i].Value.str)
	}
}

// advance fires what is due by until: by due time, then priority, then order in
// the file.
func (sp *stepper) advance(until, fired int64) {
	sp.endRemoved(until, fired)
	sp.env.upper, sp.byClock = endOfTime, true
	for {
		i := sp.nextDue(until)
		if i < 0 {
			return
		}
		in := sp.st.instances[i]
		sp.st.remove(i)
		sp.out.Changed = true
		at := in.Due
		if fired > at {
			at = fired
		}
		r := sp.set.rules[in.rule]
		sp.env.Now, sp.env.Trigger = in.Due, &in.Trigger
		if !r.Waits {
			// The rule waited when the instance was started. What it reads of the
			// event at hand is the triggering event's.
			sp.env.Event = sp.eventOf(&in.Trigger)
		}
		sp.fire(r, &in, at)
		sp.env.Trigger, sp.env.Event = nil, nil
	}
}

// eventOf makes an event of what an instance kept of it.
func (sp *stepper) eventOf(t *Trigger) *Event {
	e := &Event{ID: t.ID, Type: t.Type(sp.set), User: sp.user, Time: t.Time,
		Fields: make([]Value, len(sp.set.fieldIDs)), Partition: t.Partition, Offset: t.Offset}
	for _, f := range t.Fields {
		if slot := slices.Index(sp.set.fieldIDs, f.ID); slot >= 0 {
			e.Fields[slot] = f.Value
		}
	}
	return e
}

func (sp *stepper) nextDue(until int64) int {
	best := -1
	for i := range sp.st.instances {
		in := &sp.st.instances[i]
		if in.Due > until {
			continue
		}
		if best < 0 || sp.before(in, &sp.st.instances[best]) {
			best = i
		}
	}
	return best
}

func (sp *stepper) before(a, b *Instance) bool {
	if a.Due != b.Due {
		return a.Due < b.Due
	}
	ra, rb := sp.set.rules[a.rule], sp.set.rules[b.rule]
	if ra.Priority != rb.Priority {
		return ra.Priority > rb.Priority
	}
	return ra.Index < rb.Index
}

// emit writes the decision on an instance; r is nil if the rule is gone.
func (sp *stepper) emit(o Outcome, r *Rule, in *Instance, at int64) *Decision {
	name := sp.set.name(in.rule)
	sp.out.Decisions = append(sp.out.Decisions, Decision{
		Outcome:     o,
		CommandID:   NewCommandID(name, sp.user, in.Key, in.Step, in.Trigger.ID),
		Rule:        name,
		User:        sp.user,
		Instance:    in.Key,
		Step:        in.Step,
		Trigger:     in.Trigger,
		TriggerType: in.Trigger.Type(sp.set),
		Due:         in.Due,
		At:          at,
		Verbose:     o == Armed,
	})
	d := &sp.out.Decisions[len(sp.out.Decisions)-1]
	if r != nil {
		d.Send = &r.Send
		if r.ExpireAfter > 0 {
			d.Expires = in.Due + r.ExpireAfter
		}
	}
	return d
}
