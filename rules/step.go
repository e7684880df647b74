package rules

import "strings"

// stepper is one Step under way. It lives in the Result, so that its memory is
// used again.
type stepper struct {
	set  *Set
	st   *State
	user string
	out  *Result
	plan *plan
	env  Env
	// byClock says that the clock drives what fires, not an event.
	byClock bool
	replay  bool // what fires is known already
	sends   bool // only of sends
	ended   bool // some instances are over

	queue   []queued
	sorted  bool // the queue is
	fresh   []fresh
	firing  firing
	decided []Decided
	done    []bool // which of decided have been done again
}

// fresh is an instance started by the event at hand that fires at once. Most are
// not kept, and cost nothing then.
type fresh struct {
	Instance
	place int // among the pending ones, if it stays
	stays bool
}

// Step takes one input of a user in: it changes st and adds to out. It is a
// pure function: the same state and input give the same bytes out.
//
// The caller moves the clock before it applies an event (guarantees: the
// partition clock), so that what was due fires first.
func (s *Set) Step(st *State, user string, in Input, out *Result) {
	sp := &out.scratch
	sp.set, sp.st, sp.user, sp.out = s, st, user, out
	sp.env = Env{Set: s, State: st, User: user}
	sp.byClock, sp.replay, sp.sends, sp.ended, sp.sorted = false, in.Replay, in.Replay && in.SendsOnly, false, false
	sp.queue, sp.fresh = sp.queue[:0], sp.fresh[:0]
	switch {
	case in.Event != nil:
		sp.apply(in.Event, in.Decided)
	case in.Sweep != nil:
		sp.sweep(in.Sweep, in.Until, in.Fired, in.Partition)
	case in.Replay:
		sp.advanceAgain(in.Decided)
	default:
		sp.advance(in.Until, in.Fired)
	}
	if sp.ended {
		st.sweepUp()
	}
	// Nothing of the state and the event outlives the Step.
	sp.env, sp.firing, sp.plan, sp.decided = Env{}, firing{}, nil, nil
}

// apply takes an event in: what went by before it, attributes and metrics, the
// pending instances, goals, the rules that it starts, and then what fires.
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
	sp.plan = p
	sp.out.Changed = true
	if sp.set.looksAhead {
		sp.passBy(e.Time)
	}
	sp.st.newest = max(sp.st.newest, e.Time)
	sp.st.closeExposures(sp.set)
	sp.env.Event, sp.env.Now, sp.env.upper = e, e.Time, e.Time

	sp.takeIn(p, e)
	if sp.replay {
		sp.endAgain(decided)
	}
	anew := !sp.replay || sp.sends
	if anew && len(sp.st.instances) > 0 {
		sp.endRemoved(endOfTime, e.Time)
		sp.cancel(p, e)
	}
	if len(sp.st.instances) > 0 {
		sp.matchWaits(p, e)
	}
	if len(p.goals) > 0 && len(sp.st.exposures) > 0 && anew {
		sp.convert(p, e)
	}
	for _, r := range p.rules {
		sp.start(r, p, e)
	}
	for {
		q, ok := sp.next()
		if !ok {
			break
		}
		sp.fireByEvent(q, e)
	}
	if sp.replay {
		sp.forceRest()
	}
	sp.keepFresh(e)
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
		sp.takeMetric(m, e.Time)
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

// end marks an instance that is over.
func (sp *stepper) end(in *Instance) {
	in.Pos = over
	sp.ended, sp.out.Changed = true, true
}

// gone says that nothing of the instance's rule is left where it stands.
func (sp *stepper) gone(in *Instance) bool {
	r := sp.set.rules[in.rule]
	return r == nil || in.Pos >= len(r.Program)
}

// endRemoved ends instances due by until whose rule is gone: at the time given,
// or, when the clock moves, at their own due time if that is later.
func (sp *stepper) endRemoved(until, at int64) {
	for i := range sp.st.instances {
		in := &sp.st.instances[i]
		if in.Due > until || in.Pos == over || !sp.gone(in) {
			continue
		}
		ended := at
		if until != endOfTime {
			ended = max(at, in.Due)
		}
		if !sp.replay {
			sp.emit(RuleRemoved, nil, in, ended)
		}
		sp.end(in)
	}
}

// cancel ends the pending instances that one of their unless clauses matches.
func (sp *stepper) cancel(p *plan, e *Event) {
	for i := range sp.st.instances {
		in := &sp.st.instances[i]
		if in.Pos == over {
			continue
		}
		t := p.touches[in.rule]
		if t == nil || !sp.endsBy(t, in) {
			continue
		}
		if !sp.replay {
			sp.emit(Cancelled, sp.set.rules[in.rule], in, e.Time)
		}
		sp.end(in)
	}
	sp.env.Trigger = nil
}

func (sp *stepper) endsBy(t *touch, in *Instance) bool {
	for _, c := range t.ends {
		if c.pos != anywhere && c.pos != in.Pos {
			continue
		}
		sp.env.Trigger = &in.Trigger
		if sp.ask(c.unless.Where) {
			return true
		}
	}
	return false
}

// emit writes the decision on an instance; r is nil if the rule is gone.
func (sp *stepper) emit(o Outcome, r *Rule, in *Instance, at int64) *Decision {
	step, send := in.Pos, (*Send)(nil)
	if r != nil {
		// The number of the send that the instance would have come to next.
		if op := r.nextSend(in.Pos); op != nil {
			step, send = op.Step, op.Send
		}
	}
	name := sp.set.name(in.rule)
	sp.out.Decisions = append(sp.out.Decisions, Decision{
		Outcome:     o,
		CommandID:   NewCommandID(name, sp.user, in.Key, step, in.Trigger.ID),
		Rule:        name,
		User:        sp.user,
		Instance:    in.Key,
		Step:        step,
		Send:        send,
		Trigger:     in.Trigger,
		TriggerType: in.Trigger.Type(sp.set),
		Due:         in.Due,
		At:          at,
		Verbose:     o == Armed && !sp.byClock,
	})
	d := &sp.out.Decisions[len(sp.out.Decisions)-1]
	if r != nil && r.ExpireAfter > 0 {
		d.Expires = in.Due + r.ExpireAfter
	}
	return d
}
