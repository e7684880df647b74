package rules

// arrival says what comes of an instance at an op.
type arrival uint8

const (
	stands arrival = iota // it waits
	fires                 // it has come to a send
	ends                  // the program is at its end
)

// enter brings the instance to the op at pos at the moment m, and on to the
// first one that does not let it pass.
func (sp *stepper) enter(r *Rule, in *Instance, pos int, m int64) arrival {
	// A program leads forward; the bound is for one that does not.
	for range len(r.Program) + 1 {
		if pos < 0 || pos >= len(r.Program) {
			return ends
		}
		op := &r.Program[pos]
		in.Pos, in.Due = pos, m
		switch {
		case op.Kind == OpSend:
			return fires
		case op.Kind == OpWaitFor:
			in.Due = m + op.For.Within
			return stands
		case op.Until == nil:
			in.Due = m + op.Wait
			return stands
		}
		until, ok := sp.until(in, op, m)
		if !ok {
			sp.out.Missing++
			return ends
		}
		if until > m {
			in.Due = until
			return stands
		}
		pos = op.Next // a time in the past means now
	}
	return ends
}

// until evaluates a wait_until that the instance comes to at m.
func (sp *stepper) until(in *Instance, op *Op, m int64) (int64, bool) {
	env := sp.env
	defer func() { sp.env = env }()
	if !env.started {
		// Outside of a Step nobody knows the user's id: it is empty in every later
		// wait_until, so that NextDue says what Step does.
		sp.look(in, m)
		sp.env.User = ""
	}
	v, ok := op.Until(&sp.env).As(Time)
	return v.Int(), ok
}

// look sets what expressions see of an instance that goes on by itself: no
// event, its trigger, and whatever is known of the user by then.
func (sp *stepper) look(in *Instance, now int64) {
	sp.env.Event, sp.env.Trigger, sp.env.Now, sp.env.upper = nil, &in.Trigger, now, endOfTime
}

// after returns the op that follows where the instance stands when its due time
// comes.
func (op *Op) after() int {
	if op.Kind == OpWaitFor {
		return op.For.Else
	}
	return op.Next
}

// passBy takes the transitions that decide nothing and were due by t. Those that
// lead to a send are the clock's.
func (sp *stepper) passBy(t int64) {
	for i := range sp.st.instances {
		in := &sp.st.instances[i]
		if in.Due > t {
			continue
		}
		r := sp.set.rules[in.rule]
		for in.Due <= t && in.Pos != over && r != nil && in.Pos < len(r.Program) && r.Program[in.Pos].Kind != OpSend {
			pos, due, missing := in.Pos, in.Due, sp.out.Missing
			switch sp.enter(r, in, r.Program[pos].after(), due) {
			case fires:
				in.Pos, in.Due, sp.out.Missing = pos, due, missing
			case ends:
				sp.end(in)
			case stands:
				continue
			}
			break
		}
	}
}

// ahead follows an instance through transitions that decide nothing: to the send
// that it comes to if no event intervenes, and when; or to its end. until
// evaluates a wait_until that it comes to on the way.
func (r *Rule) ahead(in *Instance, until func(op *Op, m int64) (int64, bool)) (pos int, due int64, fire bool) {
	pos, due = in.Pos, in.Due
	for range len(r.Program) + 1 {
		if r.Program[pos].Kind == OpSend {
			return pos, due, true
		}
		next := r.Program[pos].after()
		if next < 0 || next >= len(r.Program) {
			break
		}
		pos = next
		switch op := &r.Program[pos]; {
		case op.Kind == OpSend:
		case op.Kind == OpWaitFor:
			due += op.For.Within
		case op.Until == nil:
			due += op.Wait
		default:
			t, ok := until(op, due)
			if !ok {
				return pos, due, false
			}
			due = max(due, t)
		}
	}
	return pos, due, false
}

// matchWaits leads the instances that wait for this event on.
func (sp *stepper) matchWaits(p *plan, e *Event) {
	for i := range sp.st.instances {
		in := &sp.st.instances[i]
		if in.Pos == over || e.Time >= in.Due {
			continue
		}
		t := p.touches[in.rule]
		if t == nil {
			continue
		}
		for _, pos := range t.waits {
			if pos != in.Pos {
				continue
			}
			r := sp.set.rules[in.rule]
			w := r.Program[pos].For
			sp.env.Trigger = &in.Trigger
			if !sp.ask(w.Where) {
				break
			}
			switch sp.enter(r, in, w.Then, e.Time) {
			case fires:
				if !sp.pauses(r) {
					sp.push(r, in, i, false)
				}
			case ends:
				sp.end(in)
			case stands:
			}
			break
		}
	}
	sp.env.Trigger = nil
}

// NextDue returns when the next instance decides something by the clock, false
// if none will. It looks ahead through transitions that decide nothing, under
// the rules of the set. Instances of paused rules decide nothing.
func (st *State) NextDue(s *Set) (int64, bool) {
	due, ok := int64(0), false
	for i := range st.instances {
		in := &st.instances[i]
		d := in.Due
		if s.looksAhead {
			var decides bool
			if d, decides = st.decidesAt(s, in); !decides {
				continue
			}
		}
		if !ok || d < due {
			due, ok = d, true
		}
	}
	return due, ok
}

// decidesAt returns when the clock has something to decide of an instance.
func (st *State) decidesAt(s *Set, in *Instance) (int64, bool) {
	r := s.rules[in.rule]
	if r == nil || in.Pos >= len(r.Program) {
		return in.Due, true // rule_removed
	}
	if r.Paused {
		return 0, false
	}
	_, due, ok := st.ahead(s, r, in)
	return due, ok
}

// runsOut returns when an instance that no event leads on ends without deciding
// anything, false if it does not.
func (st *State) runsOut(s *Set, in *Instance) (int64, bool) {
	r := s.rules[in.rule]
	if r == nil || in.Pos >= len(r.Program) {
		return 0, false
	}
	_, due, ok := st.ahead(s, r, in)
	return due, !ok
}

// ahead is Rule.ahead outside of a Step.
func (st *State) ahead(s *Set, r *Rule, in *Instance) (pos int, due int64, fire bool) {
	return r.ahead(in, func(op *Op, m int64) (int64, bool) {
		sp := stepper{set: s, st: st, env: Env{Set: s, State: st}}
		return sp.until(in, op, m)
	})
}
