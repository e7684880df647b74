package rules

import "fmt"

// plan is what an event of one type touches.
type plan struct {
	typeID  ID
	attrs   []*Attribute
	metrics []*Metric
	resets  []*Metric
	touches map[ID]*touch // pending instances, by rule
	goals   []*Experiment
	guards  []guard
	rules   []*Rule
}

// touch is what an event may do to the pending instances of one rule.
type touch struct {
	ends  []ending
	waits []int // positions of wait_for ops
}

// ending is a clause that ends instances that stand at pos, or anywhere.
type ending struct {
	pos    int // anywhere: -1
	unless *Unless
}

const anywhere = -1

// Index derives the set's look-up tables. It refuses names that share an ID.
func (s *Set) Index() error {
	if s.RecentIDs == 0 {
		s.RecentIDs = DefaultRecentIDs
	}
	if s.MaxPending == 0 {
		s.MaxPending = DefaultMaxPending
	}
	if s.MaxPendingBytes == 0 {
		s.MaxPendingBytes = DefaultMaxPendingBytes
	}
	s.names = map[ID]string{}
	s.rules = map[ID]*Rule{}
	s.metrics = map[ID]*Metric{}
	s.attrs = map[ID]*Attribute{}
	s.experiments = map[ID]*Experiment{}
	var err error
	id := func(kind, name string) ID {
		id := nameID(kind, name)
		full := kind + " " + name
		if old, ok := s.names[id]; ok && old != full && err == nil {
			err = fmt.Errorf("the names %q and %q have the same id %08x in stored state: rename one of them", old, full, uint32(id))
		}
		s.names[id] = full
		return id
	}
	s.fieldIDs = make([]ID, len(s.Fields))
	for i, f := range s.Fields {
		s.fieldIDs[i] = id("field", f)
	}
	for _, a := range s.Attributes {
		a.ID = id("attribute", a.Name)
		s.attrs[a.ID] = a
	}
	for _, m := range s.Metrics {
		m.ID = id("metric", m.Name)
		s.metrics[m.ID] = m
	}
	for _, x := range s.Experiments {
		x.id = id("experiment", x.Name)
		s.experiments[x.id] = x
	}
	s.indexRules(id)
	s.indexGuards(id)
	s.caps = nil
	for _, c := range s.Policy.Caps {
		s.caps = append(s.caps, capIDs{class: narrowing("class", c.Class, id), channel: narrowing("channel", c.Channel, id)})
	}
	types := map[string]bool{}
	s.eachOn(func(on []string) {
		for _, t := range on {
			types[t] = true
		}
	})
	s.plans = map[string]*plan{}
	for t := range types {
		if t != AnyType {
			s.plans[t] = s.planFor(t, id("type", t))
		}
	}
	s.other = nil
	if types[AnyType] {
		s.other = s.planFor("", 0)
	}
	return err
}

func (s *Set) indexRules(id func(kind, name string) ID) {
	s.scheduled, s.looksAhead = nil, false
	for i, r := range s.Rules {
		r.Index = i
		r.ID = id("rule", r.Name)
		s.rules[r.ID] = r
		r.atTrigger = r.beginsWithSend() && r.Schedule == nil
		if r.Schedule != nil {
			s.scheduled = append(s.scheduled, r)
			id("type", ScheduleType)
		}
		s.looksAhead = s.looksAhead || r.Paused || !r.isPlain()
	}
}

// narrowing returns the id of what a cap narrows to, 0 if it does not.
func narrowing(kind, name string, id func(kind, name string) ID) ID {
	if name == "" {
		return 0
	}
	return id(kind, name)
}

func (s *Set) eachOn(f func([]string)) {
	for _, a := range s.Attributes {
		f(a.On)
	}
	for _, m := range s.Metrics {
		f(m.On)
		f(m.Reset)
	}
	for _, x := range s.Experiments {
		if x.Goal != nil {
			f(x.Goal.On)
		}
		for _, g := range x.Guardrails {
			f(g.On)
		}
	}
	for _, r := range s.Rules {
		f(r.On)
		r.eachEnding(func(_ int, u *Unless) { f(u.On) })
		for i := range r.Program {
			if w := r.Program[i].For; w != nil {
				f(w.On)
			}
		}
	}
}

// eachEnding lists the clauses that end instances of the rule, those that hold
// anywhere first.
func (r *Rule) eachEnding(f func(pos int, u *Unless)) {
	for i := range r.Unless {
		f(anywhere, &r.Unless[i])
	}
	for pos := range r.Program {
		for i := range r.Program[pos].Unless {
			f(pos, &r.Program[pos].Unless[i])
		}
	}
}

func (s *Set) planFor(typ string, id ID) *plan {
	p := &plan{typeID: id, touches: map[ID]*touch{}}
	for _, a := range s.Attributes {
		if matches(a.On, typ) {
			p.attrs = append(p.attrs, a)
		}
	}
	for _, m := range s.Metrics {
		if matches(m.On, typ) {
			p.metrics = append(p.metrics, m)
		}
		if matches(m.Reset, typ) {
			p.resets = append(p.resets, m)
		}
	}
	for _, x := range s.Experiments {
		if x.Goal != nil && matches(x.Goal.On, typ) {
			p.goals = append(p.goals, x)
		}
		for _, g := range x.Guardrails {
			if matches(g.On, typ) {
				p.guards = append(p.guards, guard{x, g})
			}
		}
	}
	for _, r := range s.Rules {
		if matches(r.On, typ) {
			p.rules = append(p.rules, r)
		}
		r.eachEnding(func(pos int, u *Unless) {
			if matches(u.On, typ) {
				t := p.touch(r.ID)
				t.ends = append(t.ends, ending{pos, u})
			}
		})
		for pos := range r.Program {
			if w := r.Program[pos].For; w != nil && matches(w.On, typ) {
				t := p.touch(r.ID)
				t.waits = append(t.waits, pos)
			}
		}
	}
	return p
}

func (p *plan) touch(rule ID) *touch {
	if p.touches[rule] == nil {
		p.touches[rule] = &touch{}
	}
	return p.touches[rule]
}

func matches(on []string, typ string) bool {
	for _, t := range on {
		if t == typ || t == AnyType {
			return true
		}
	}
	return false
}

// plan returns what the event touches, nil if nothing.
func (s *Set) plan(e *Event) *plan {
	if e.set == s {
		return e.plan
	}
	p, ok := s.plans[e.Type]
	if !ok {
		p = s.other
	}
	e.set, e.plan = s, p
	return p
}
