package naive

import (
	"cmp"
	"slices"
)

// instance is one run of a rule for a user. It stands at an op of the rule's
// program until due.
type instance struct {
	rule    string
	key     string
	at      int // the op
	due     int64
	trigger *Event
	sent    bool // it has sent before
	arm     string
	fresh   bool // the event at hand has started it or led it on
	started bool // the event at hand has started it
}

// arrive brings the instance to an op at moment m, and says whether it goes on.
func (u *user) arrive(in *instance, r *Rule, to int, m int64, at moment) bool {
	ops := program(r)
	if to >= len(ops) {
		return false
	}
	in.at, in.due = to, m
	switch s := ops[to].step; {
	case s.WaitUntil != nil:
		at.now, at.trigger = m, in.trigger
		until, ok := u.eval(s.WaitUntil, at).as(Time)
		if !ok {
			return false
		}
		if until.N <= m {
			// A time in the past means now.
			return u.arrive(in, r, ops[to].next, m, at)
		}
		in.due = until.N
	case s.For != nil:
		in.due = m + s.Within
	default:
		in.due = m + s.Wait
	}
	return true
}

// follow is where the instance goes when its time has run out.
func (u *user) follow(in *instance, r *Rule) (to int, decides bool) {
	ops := program(r)
	if ops[in.at].step.Send != nil {
		return in.at, true
	}
	to = ops[in.at].next
	return to, to < len(ops) && ops[to].step.Send != nil
}

// settle takes the transitions due by t that decide nothing, and says whether
// the instance goes on.
func (u *user) settle(in *instance, r *Rule, t int64) bool {
	for in.due <= t {
		to, decides := u.follow(in, r)
		if decides {
			return true
		}
		next := *in
		if !u.arrive(&next, r, to, in.due, u.clockMoment(in)) {
			return false
		}
		if standsAtSend(&next, r) {
			return true // that is for the clock
		}
		*in = next
	}
	return true
}

func standsAtSend(in *instance, r *Rule) bool { return program(r)[in.at].message != nil }

// clockMoment is one at which the clock asks.
func (u *user) clockMoment(in *instance) moment {
	return moment{trigger: in.trigger, now: in.due, open: true, attributes: u.attributes()}
}

// decides is when the instance is due to decide something, if ever. A rule that
// is gone decides to end it.
func (u *user) decides(in *instance) (int64, bool) {
	r := u.run.spec.rule(in.rule)
	if u.gone(in) {
		return in.due, true
	}
	if r.Paused {
		return 0, false
	}
	ahead := *in
	for {
		to, decides := u.follow(&ahead, r)
		if decides {
			return ahead.due, true
		}
		if !u.arrive(&ahead, r, to, ahead.due, u.clockMoment(&ahead)) {
			return 0, false
		}
	}
}

// gone says that the rules have no place for the instance any more.
func (u *user) gone(in *instance) bool {
	r := u.run.spec.rule(in.rule)
	return r == nil || in.at >= len(program(r))
}

// settleAll takes all transitions due by t that decide nothing.
func (u *user) settleAll(t int64) {
	for _, in := range slices.Clone(u.pending) {
		if !u.gone(in) && !u.settle(in, u.run.spec.rule(in.rule), t) {
			u.end(in)
		}
	}
}

func (u *user) end(in *instance) {
	u.pending = slices.DeleteFunc(u.pending, func(p *instance) bool { return p == in })
}

// fireDue fires what is due by until; reading is the wall clock's, 0 on the
// event clock.
func (u *user) fireDue(until, reading int64) {
	for _, in := range slices.Clone(u.pending) {
		if u.gone(in) && in.due <= until {
			u.end(in)
			u.decide(in, "rule_removed", max(in.due, reading))
		}
	}
	u.fireOf(until, reading, func(*instance) bool { return true })
}

// fireOf is fireDue of some instances.
func (u *user) fireOf(until, reading int64, of func(*instance) bool) {
	for {
		in, due := u.first(until, of)
		if in == nil {
			return
		}
		u.reach(in, due)
		u.fire(in, max(due, reading), u.clockMoment(in))
	}
}

// reach brings an instance to the send that is due.
func (u *user) reach(in *instance, due int64) {
	r := u.run.spec.rule(in.rule)
	for !standsAtSend(in, r) {
		to, _ := u.follow(in, r)
		u.arrive(in, r, to, in.due, u.clockMoment(in))
	}
	in.due = due
}

// first is the instance that is the next to fire by until: by due time, then
// priority, then place in the file, then start.
func (u *user) first(until int64, of func(*instance) bool) (best *instance, due int64) {
	for _, in := range u.pending {
		if u.gone(in) || !of(in) {
			continue
		}
		at, ok := u.decides(in)
		if ok && at <= until && (best == nil || u.compare(in, at, best, due) < 0) {
			best, due = in, at
		}
	}
	return best, due
}

func (u *user) compare(a *instance, dueA int64, b *instance, dueB int64) int {
	place := func(in *instance) int {
		return slices.IndexFunc(u.run.spec.Rules, func(r Rule) bool { return r.Name == in.rule })
	}
	priority := func(in *instance) int { return u.run.spec.rule(in.rule).Priority }
	return cmp.Or(cmp.Compare(dueA, dueB), cmp.Compare(priority(b), priority(a)), cmp.Compare(place(a), place(b)))
}
