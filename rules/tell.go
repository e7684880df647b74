package rules

// Known is what a state says of a user, by names: for telling people.
type Known struct {
	Newest     int64   // time of the newest event, ms; 0: none
	Attributes []Datum // those that are known, in the order of the rule files
	Metrics    []KnownMetric
	Sends      []KnownSend
	Exposures  []KnownExposure
	Pending    []KnownInstance
}

// KnownMetric is a metric as of now.
type KnownMetric struct {
	Metric *Metric
	// Value is what an expression would read; of a count that is kept apart by a
	// field, the count over all values of it. Absent: nothing is known.
	Value Value
}

// KnownSend is the last send of a rule with a cooldown.
type KnownSend struct {
	Rule string
	At   int64
}

// KnownExposure is the user's part in a phase of an experiment with a goal.
type KnownExposure struct {
	Experiment string
	Phase      int
	// Over says that the goal's window is long past: the rest is not kept.
	Over      bool
	Rule, Arm string
	At        int64
	Converted bool
	// Hits are the guardrails that have told of the user.
	Hits []string
}

// KnownInstance is a pending run of a rule.
type KnownInstance struct {
	Rule     string
	Key      string // the instance key, "" for rules without one
	Removed  bool   // the rule, or the step at which the run stands, is gone
	Paused   bool
	Op       *Op   // the step at which it stands, nil if it is gone
	Due      int64 // when it goes on from there
	Decides  int64 // when the clock decides something of it, if nothing intervenes; 0: never
	Send     *Send // what it then decides about, nil if nothing
	WhenText string
	// Unless are the clauses that end it now: the rule's and the step's.
	Unless []*Unless

	Trigger     Trigger
	TriggerType string
	Fields      []Datum // what was kept of the triggering event
}

// Tell returns what the state says of the user at a moment, ms. Names of rules
// that are gone are those of WithNames. The state is not changed; what is
// returned points into it.
func (s *Set) Tell(st *State, user string, now int64) Known {
	k := Known{Newest: st.newest}
	env := Env{Set: s, State: st, User: user, Now: now, upper: endOfTime}
	for _, a := range s.Attributes {
		if v := env.Attribute(a); v.Present() {
			k.Attributes = append(k.Attributes, Datum{a.Name, v})
		}
	}
	for _, m := range s.Metrics {
		k.Metrics = append(k.Metrics, KnownMetric{m, env.total(m)})
	}
	for _, last := range st.sent {
		k.Sends = append(k.Sends, KnownSend{s.name(last.rule), last.t})
	}
	for i := range st.exposures {
		e := &st.exposures[i]
		told := KnownExposure{Experiment: s.name(e.experiment), Phase: e.phase, Over: e.over}
		if !e.over {
			told.Rule, told.Arm, told.At, told.Converted = s.name(e.rule), e.arm, e.t, e.converted
		}
		for _, id := range e.hits {
			told.Hits = append(told.Hits, s.name(id))
		}
		k.Exposures = append(k.Exposures, told)
	}
	for i := range st.instances {
		k.Pending = append(k.Pending, s.tellInstance(st, &st.instances[i]))
	}
	return k
}

// total is the metric over all keys.
func (e *Env) total(m *Metric) Value {
	if !m.Keyed {
		return e.Metric(m)
	}
	n := int64(0)
	if ms := e.State.metric(m); ms != nil {
		for _, p := range ms.inWindow(m, e.State.newest, e.Now, e.upper) {
			n += p.n
		}
	}
	return IntValue(n)
}

func (s *Set) tellInstance(st *State, in *Instance) KnownInstance {
	k := KnownInstance{Rule: s.name(in.rule), Key: in.Key, Due: in.Due, Trigger: in.Trigger, TriggerType: in.Trigger.Type(s)}
	for _, f := range in.Trigger.Fields {
		k.Fields = append(k.Fields, Datum{s.name(f.ID), f.Value})
	}
	r := s.rules[in.rule]
	if r == nil || in.Pos >= len(r.Program) {
		k.Removed, k.Decides = true, in.Due
		return k
	}
	k.Paused, k.WhenText, k.Op = r.Paused, r.WhenText, &r.Program[in.Pos]
	if pos, due, fires := st.ahead(s, r, in); fires {
		k.Decides, k.Send = due, r.Program[pos].Send
	}
	for i := range r.Unless {
		k.Unless = append(k.Unless, &r.Unless[i])
	}
	for i := range k.Op.Unless {
		k.Unless = append(k.Unless, &k.Op.Unless[i])
	}
	return k
}
