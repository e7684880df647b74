package naive

import "strconv"

// take is one event: what it ends, converts, leads on, starts and fires.
func (u *user) take(e *Event) {
	if u.repeated(e.ID) {
		u.run.Duplicates++
		return
	}
	u.settleAll(e.Time)
	u.note(e)
	at := moment{event: e, now: e.Time, attributes: u.attributes()}
	u.cancel(e, at)
	u.convert(e, at)
	u.lead(e, at)
	for i := range u.run.spec.Rules {
		u.trigger(&u.run.spec.Rules[i], e, at)
	}
	for {
		in, due := u.first(e.Time, func(in *instance) bool { return in.fresh })
		if in == nil {
			break
		}
		u.reach(in, due)
		asked := at
		asked.now, asked.trigger = due, in.trigger
		if !in.started {
			asked.event = nil // it is not what the run is about
		}
		u.fire(in, e.Time, asked)
	}
	for _, in := range u.pending {
		in.fresh, in.started = false, false
	}
}

// cancel ends what the event ends: instances of rules that are gone, then those
// that an unless clause matches.
func (u *user) cancel(e *Event, at moment) {
	for _, in := range append([]*instance{}, u.pending...) {
		if u.gone(in) {
			u.end(in)
			u.decide(in, "rule_removed", e.Time)
		}
	}
	for _, in := range append([]*instance{}, u.pending...) {
		r := u.run.spec.rule(in.rule)
		for _, c := range append(r.unless(), program(r)[in.at].step.unless()...) {
			asked := at
			asked.trigger = in.trigger
			if listed(c.On, e.Type) && u.holds(c.Where, asked) {
				u.end(in)
				u.decide(in, "cancelled", e.Time)
				break
			}
		}
	}
}

// convert writes what a goal event brings about.
func (u *user) convert(e *Event, at moment) {
	for i := range u.run.spec.Experiments {
		x := &u.run.spec.Experiments[i]
		g := x.Goal
		if g == nil || !listed(g.On, e.Type) || !u.holds(g.Where, at) {
			continue
		}
		shown := u.exposure(x)
		if shown == nil || e.Time <= shown.at || e.Time > shown.at+g.Within {
			continue
		}
		d := Decision{
			Outcome: "converted", User: u.name, Rule: shown.rule, Experiment: x.Name, Phase: x.phase(), Arm: shown.arm,
			Trigger: e, Due: e.Time, At: e.Time, Again: shown.converted,
			CommandID: commandID(shown.rule, u.name, x.Name+"/"+strconv.Itoa(x.phase()), 0, e.ID),
		}
		if g.Value != nil {
			if worth := u.eval(g.Value, at); worth.Kind == Int || worth.Kind == Float {
				d.Worth = worth
			}
		}
		u.run.Decisions = append(u.run.Decisions, d)
		shown.converted = true
	}
}

func (x *Experiment) phase() int { return max(x.Phase, 1) }

func (u *user) exposure(x *Experiment) *exposure {
	for _, s := range u.exposures {
		if s.experiment == x.Name && s.phase == x.phase() {
			return s
		}
	}
	return nil
}

// lead brings instances on that have waited for the event.
func (u *user) lead(e *Event, at moment) {
	for _, in := range append([]*instance{}, u.pending...) {
		r := u.run.spec.rule(in.rule)
		o := program(r)[in.at]
		asked := at
		asked.trigger = in.trigger
		if o.step.For == nil || e.Time >= in.due || !listed(o.step.For.On, e.Type) || !u.holds(o.step.For.Where, asked) {
			continue
		}
		in.fresh = true
		if !u.arrive(in, r, o.then, e.Time, at) {
			u.end(in)
		}
	}
}

// trigger starts, or restarts, the rule if the event matches.
func (u *user) trigger(r *Rule, e *Event, at moment) {
	if !listed(r.On, e.Type) || !u.holds(r.Where, at) {
		return
	}
	key := ""
	if r.Key != nil {
		text, ok := u.eval(r.Key, at).Key()
		if !ok || len(text) > 512 {
			return
		}
		key = text
	}
	u.start(r, key, e, at, 0)
}

// start starts an instance at the moment's now, or puts it in the place of one
// that is pending, and says whether it did. That a schedule has started one is
// always told, as nothing else tells of it.
func (u *user) start(r *Rule, key string, trigger *Event, at moment, reading int64) bool {
	if r.Paused && !r.waits() {
		return false
	}
	var pending *instance
	for _, in := range u.pending {
		if in.rule == r.Name && in.key == key {
			pending = in
		}
	}
	if pending != nil && !r.Restart {
		return false
	}
	at.trigger = trigger
	if pending != nil && !r.waits() && !u.holds(r.When, at) {
		return false // when belongs to the trigger: it was none
	}
	in := &instance{rule: r.Name, key: key, trigger: trigger, fresh: at.event != nil, started: at.event != nil}
	if !u.arrive(in, r, 0, at.now, at) {
		return false
	}
	if pending != nil {
		*pending = *in
		in = pending
	} else {
		u.pending = append(u.pending, in)
	}
	if (u.run.options.Verbose || r.Schedule != nil) && (!standsAtSend(in, r) || r.Paused) {
		u.decide(in, "armed", max(at.now, reading))
	}
	return true
}

// sweep starts a scheduled rule at its occurrence, if the user is in the
// audience, and fires what comes of that at once; nothing else.
func (u *user) sweep(r *Rule, occurrence, reading int64) {
	if last, ok := u.started[r.Name]; ok && last >= occurrence {
		return
	}
	at := moment{now: occurrence, open: true, attributes: u.attributes()}
	if !u.holds(u.run.spec.audience(r.Audience), at) {
		return
	}
	trigger := &Event{ID: "schedule/" + stamp(occurrence), Type: "schedule", User: u.name, Time: occurrence, Partition: u.partition, Offset: -1}
	at.trigger = trigger
	if !u.start(r, "", trigger, at, reading) {
		return
	}
	u.started[r.Name] = occurrence
	u.fireOf(occurrence, reading, func(in *instance) bool { return in.trigger == trigger })
}

// audience is the condition of a named audience, or the condition written in its
// place; nil is everybody.
func (s *Spec) audience(text string) *Expr {
	if text == "" {
		return nil
	}
	for _, a := range s.Audiences {
		if a.Name == text {
			return a.Is
		}
	}
	e, err := ParseExpr(text)
	if err != nil {
		panic(err)
	}
	return e
}
