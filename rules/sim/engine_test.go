package sim_test

import (
	"fmt"
	"slices"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/rulefile"
	"github.com/nudged/nudged/rules/sim"
	"github.com/nudged/nudged/rules/sim/naive"
)

// compile compiles the text of rule files.
func compile(texts ...string) (*rules.Set, error) {
	var files []rulefile.File
	for i, text := range texts {
		files = append(files, rulefile.File{Name: fmt.Sprintf("rules%d.yaml", i), Text: []byte(text)})
	}
	return rulefile.Parse(files)
}

// prepare puts the options into a compiled set.
func prepare(set *rules.Set, o naive.Options) *rules.Set {
	for _, x := range set.Experiments {
		x.Pinned = o.Pinned[x.Name]
	}
	if o.NoHoldout {
		set.Holdout = nil
	}
	return set
}

// forEngine makes the engine's event of one that both sides are given.
func forEngine(set *rules.Set, e naive.Event) *rules.Event {
	ev := &rules.Event{ID: e.ID, Type: e.Type, User: e.User, Time: e.Time, Partition: e.Partition, Offset: e.Offset, Fields: make([]rules.Value, len(set.Fields))}
	for i, name := range set.Fields {
		switch v := e.Fields[name]; v.Kind {
		case naive.Bool:
			ev.Fields[i] = rules.BoolValue(v.N == 1)
		case naive.Int:
			ev.Fields[i] = rules.IntValue(v.N)
		case naive.Float:
			ev.Fields[i] = rules.FloatValue(v.F)
		case naive.Text:
			ev.Fields[i] = rules.StringValue(v.S)
		}
	}
	return ev
}

func fromEngine(v rules.Value) naive.Value {
	switch v.Kind {
	case rules.Bool:
		return naive.B(v.Bool())
	case rules.Int:
		return naive.I(v.Int())
	case rules.Float:
		return naive.F(v.Float())
	case rules.String, rules.JSON:
		return naive.S(v.Str())
	case rules.Time:
		return naive.T(v.Int())
	}
	return naive.Value{}
}

// decision is an engine's decision as the naive interpreter writes it.
func decision(d *rules.Decision) naive.Decision {
	out := naive.Decision{
		Outcome: string(d.Outcome), CommandID: d.CommandID.String(), User: d.User, Rule: d.Rule, Instance: d.Instance, Step: d.Step,
		Experiment: d.Experiment, Arm: d.Arm, Phase: d.Phase, Label: d.Label,
		Trigger: &naive.Event{ID: d.Trigger.ID, Type: d.TriggerType, Time: d.Trigger.Time, Partition: d.Trigger.Partition, Offset: d.Trigger.Offset},
		Due:     d.Due, At: d.At, Expires: d.Expires, Worth: fromEngine(d.Worth), Again: d.Again,
		First: d.First, Guardrail: d.Guardrail, Exposed: d.Exposed,
	}
	if d.Send != nil {
		out.Send = &naive.Send{Channel: d.Send.Channel, Class: d.Send.Class, Template: d.Send.Template}
	}
	for _, v := range d.Data {
		out.Data = append(out.Data, naive.Field{Name: v.Name, Value: fromEngine(v.Value)})
	}
	return out
}

// simulation is a run of the simulation.
type simulation struct {
	*sim.Sim
	set     *rules.Set
	decided []naive.Decision
}

func simulate(set *rules.Set, partitions int, verbose bool) *simulation {
	s := &simulation{set: set}
	s.Sim = sim.New(set, partitions, verbose, func(_ int32, d *rules.Decision) { s.decided = append(s.decided, decision(d)) })
	return s
}

func (s *simulation) Apply(e naive.Event) { s.Sim.Apply(forEngine(s.set, e)) }

func (s *simulation) Decided() []naive.Decision { return s.decided }

// steps drives Step by itself: on the wall clock, or on the event clock of one
// partition, with edits of the rules. Schedules start by Sweep alone.
type steps struct {
	set     *rules.Set
	wall    bool
	stored  bool // each state is encoded and decoded between two steps
	forget  bool // states that nothing can need any more are dropped
	forgot  int
	offset  int64
	clock   int64
	now     int64 // the latest that was heard of
	states  map[string]*rules.State
	users   []string // in the order of their first event
	result  rules.Result
	decided []naive.Decision

	duplicates, unread, mismatches int
}

func newSteps(set *rules.Set, wall, verbose bool) *steps {
	return &steps{set: set, wall: wall, states: map[string]*rules.State{}, result: rules.Result{Verbose: verbose}}
}

func (s *steps) step(user string, in rules.Input) {
	st := s.states[user]
	if st == nil {
		st = &rules.State{}
		s.states[user] = st
		s.users = append(s.users, user)
	}
	if s.stored {
		bytes := st.Append(nil, s.set)
		*st = rules.State{}
		if err := st.Decode(bytes); err != nil {
			panic(err)
		}
	}
	if s.forget && st.Newest() != 0 && st.Empty(s.set, s.now) {
		*st = rules.State{}
		s.forgot++
	}
	s.result.Reset()
	s.set.Step(st, user, in, &s.result)
	for i := range s.result.Decisions {
		s.decided = append(s.decided, decision(&s.result.Decisions[i]))
	}
	s.mismatches += s.result.Mismatches
	if s.result.Duplicate {
		s.duplicates++
	}
}

func (s *steps) Apply(e naive.Event) {
	e.Offset = s.offset
	s.offset++
	s.now = max(s.now, e.Time)
	ev := forEngine(s.set, e)
	if !s.set.Reads(ev) {
		s.unread++
		return
	}
	if !s.wall {
		s.Advance(e.Time)
	}
	s.step(e.User, rules.Input{Event: ev})
	if !s.wall {
		s.Advance(s.clock)
	}
}

func (s *steps) Advance(t int64) {
	for {
		due, ok := s.NextDue()
		if !ok || due > t {
			break
		}
		for _, u := range s.users {
			s.step(u, rules.Input{Until: due})
		}
	}
	s.clock = max(s.clock, t)
}

func (s *steps) NextDue() (int64, bool) {
	best, found := int64(0), false
	for _, st := range s.states {
		if due, ok := st.NextDue(s.set); ok && (!found || due < best) {
			best, found = due, true
		}
	}
	return best, found
}

func (s *steps) Clock(until, reading int64) {
	s.now = max(s.now, reading)
	for _, u := range s.users {
		s.step(u, rules.Input{Until: until, Fired: reading})
	}
}

func (s *steps) Sweep(user, rule string, occurrence, reading int64) {
	i := slices.IndexFunc(s.set.Rules, func(r *rules.Rule) bool { return r.Name == rule })
	if s.states[user] != nil && i >= 0 {
		s.step(user, rules.Input{Sweep: s.set.Rules[i], Until: occurrence, Fired: reading})
	}
}

func (s *steps) Decided() []naive.Decision { return s.decided }
