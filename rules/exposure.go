package rules

import (
	"strconv"
	"strings"
)

// HoldoutArm is the arm that exposures and conversions of the held out name.
const HoldoutArm = "holdout"

// LateGoals is how long after its window a goal is still looked for in events
// that come late, ms, counted to the user's newest event. After that of an
// exposure no more is kept than that there was one.
const LateGoals = 30 * 24 * 3_600_000

// exposure is the moment at which a user was first sent to, or would have been,
// in a phase of an experiment with a goal or guardrails.
type exposure struct {
	experiment ID
	phase      int
	over       bool // its window is: the rest is not kept
	converted  bool
	watched    bool // it was counted as the user's first, see Experiment.Watched
	rule       ID
	arm        string
	t          int64
	hits       []ID // guardrails that have told of it
}

// expose notes an exposure if it is the user's first in the phase.
func (st *State) expose(e exposure) bool {
	for i := range st.exposures {
		if st.exposures[i].experiment == e.experiment && st.exposures[i].phase == e.phase {
			return false
		}
	}
	e.arm = strings.Clone(e.arm)
	st.exposures = append(st.exposures, e)
	return true
}

// closeExposures drops what is not needed of exposures whose window is over.
func (st *State) closeExposures(s *Set) {
	for i := range st.exposures {
		e := &st.exposures[i]
		if x := s.experiments[e.experiment]; !e.over && x != nil && x.tracked() && st.newest > e.t+x.window+LateGoals {
			*e = exposure{experiment: e.experiment, phase: e.phase, over: true}
		}
	}
}

// convert writes the conversions that the event brings about: of each exposure
// in whose window it lies.
func (sp *stepper) convert(p *plan, e *Event) {
	for _, x := range p.goals {
		asked, worth := false, Value{}
		for i := range sp.st.exposures {
			seen := &sp.st.exposures[i]
			if seen.experiment != x.id || seen.over || e.Time <= seen.t || e.Time > seen.t+x.Goal.Within {
				continue
			}
			if !asked {
				asked = true
				if !sp.ask(x.Goal.Where) {
					break
				}
				worth = sp.worth(x.Goal)
			}
			if !sp.replay {
				sp.emitConverted(x, seen, e, worth)
			}
			seen.converted = true
		}
	}
}

// worth is what a conversion is worth: a number, or absent. What reads the
// decisions adds it up, so that a text in its place must not get there.
func (sp *stepper) worth(g *Goal) Value {
	if g.Value == nil {
		return Value{}
	}
	v := g.Value(&sp.env)
	switch {
	case !v.Present():
		sp.out.Missing++
	case !v.addable():
		sp.out.Mismatches++
		return Value{}
	}
	return v
}

func (sp *stepper) emitConverted(x *Experiment, seen *exposure, e *Event, worth Value) {
	rule := sp.set.name(seen.rule)
	trigger := sp.triggerOf(sp.plan, e)
	sp.out.Decisions = append(sp.out.Decisions, Decision{
		Outcome:     Converted,
		CommandID:   NewCommandID(rule, sp.user, x.Name+"/"+strconv.Itoa(seen.phase), 0, e.ID),
		Rule:        rule,
		User:        sp.user,
		Experiment:  x.Name,
		Phase:       seen.phase,
		Arm:         seen.arm,
		Trigger:     trigger,
		TriggerType: trigger.Type(sp.set),
		Due:         e.Time,
		At:          e.Time,
		Worth:       worth,
		Again:       seen.converted,
	})
}
