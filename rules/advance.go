package rules

// advance fires what is due by until: by due time, then priority, then order in
// the file.
func (sp *stepper) advance(until, fired int64) {
	sp.endRemoved(until, fired)
	sp.env.upper, sp.byClock = endOfTime, true
	for i := range sp.st.instances {
		in := &sp.st.instances[i]
		if in.Due > until || in.Pos == over {
			continue
		}
		r := sp.set.rules[in.rule]
		if r.Paused {
			continue
		}
		pos, due, ok := sp.ahead(r, in)
		if ok && due <= until {
			sp.pushAt(queued{due: due, priority: r.Priority, rule: r.Index, order: i, handle: i, pos: pos})
		}
	}
	sp.runClock(until, fired)
}

// ahead is Rule.ahead within a Step.
func (sp *stepper) ahead(r *Rule, in *Instance) (pos int, due int64, fire bool) {
	return r.ahead(in, func(op *Op, m int64) (int64, bool) { return sp.until(in, op, m) })
}

// runClock fires what is queued, and what comes of that by until.
func (sp *stepper) runClock(until, fired int64) {
	for {
		q, ok := sp.next()
		if !ok {
			return
		}
		in := sp.instance(q.handle)
		r := sp.set.rules[in.rule]
		in.Pos, in.Due = q.pos, q.due
		sp.out.Changed = true
		sp.look(in, in.Due)
		outcome := sp.fire(r, in, max(in.Due, fired), false)
		switch sp.goOn(r, in, outcome) {
		case fires:
			if in.Due <= until {
				sp.push(r, in, q.handle, false)
			}
		case ends:
			sp.end(in)
		case stands:
			sp.again(r, in, q, until)
		}
	}
}

// again queues an instance that stands once more but is due by until already.
func (sp *stepper) again(r *Rule, in *Instance, q queued, until int64) {
	if pos, due, ok := sp.ahead(r, in); ok && due <= until {
		q.pos, q.due = pos, due
		sp.pushAt(q)
	}
}

// fireByEvent fires what an event has brought about. Of a rule that begins with
// a send a false condition is no decision: it belongs to the trigger.
func (sp *stepper) fireByEvent(q queued, e *Event) {
	in := sp.instance(q.handle)
	r := sp.set.rules[in.rule]
	begun := q.handle < 0
	silent := q.started && in.Pos == 0 && r.atTrigger
	sp.env.Event, sp.env.Trigger, sp.env.Now, sp.env.upper, sp.env.started = e, &in.Trigger, in.Due, e.Time, begun
	if !q.started {
		sp.look(in, in.Due)
		sp.env.upper = e.Time
	}
	var came arrival
	if sp.replay {
		came = sp.fireAgain(r, in, silent)
	} else {
		came = sp.goOn(r, in, sp.fire(r, in, in.Due, silent))
	}
	sp.env.Event, sp.env.Trigger, sp.env.Now, sp.env.upper, sp.env.started = e, nil, e.Time, e.Time, false
	switch {
	case came == fires:
		sp.push(r, in, q.handle, q.started)
	case came == ends && !begun:
		sp.end(in)
	case came == stands && begun:
		sp.fresh[^q.handle].stays = true
	}
}

// goOn brings an instance that has fired to what follows.
func (sp *stepper) goOn(r *Rule, in *Instance, o Outcome) arrival {
	f := &sp.firing
	switch o {
	case Deferred:
		in.Due = f.until
		return stands
	case Condition, ControlArm, Excluded, HeldOut:
		return ends
	}
	return sp.enter(r, in, r.Program[in.Pos].Next, f.at)
}
