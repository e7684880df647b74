package rules

import (
	"slices"
	"strconv"
)

// Guardrail is an event that a nudge must not bring about too often, such as
// an unsubscription. The engine tells which exposed users it happened to; what
// the limits come to is found by whoever counts that over all users.
type Guardrail struct {
	Name   string
	On     []string
	Where  Cond
	Within int64 // ms; the window is (exposure, exposure + Within]
	// MaxRate is the share of an arm's exposed users that it may happen to, 0..1
	// without the ends; 0: no such limit.
	MaxRate float64
	// MaxRatio is how many times the control's share that may be, from 1; 0: no
	// such limit.
	MaxRatio float64

	id ID
}

// guard is a guardrail with its experiment.
type guard struct {
	of   *Experiment
	rail *Guardrail
}

// Watched says that exposures of the experiment are counted, to pause rules: it
// has guardrails, or a rule that names it asks to be paused.
func (x *Experiment) Watched() bool { return x.watched }

// indexGuards derives what is kept of exposures.
func (s *Set) indexGuards(id func(kind, name string) ID) {
	for _, x := range s.Experiments {
		x.window, x.watched = 0, len(x.Guardrails) > 0
		if x.Goal != nil {
			x.window = x.Goal.Within
		}
		for _, g := range x.Guardrails {
			g.id = id("guardrail", g.Name)
			x.window = max(x.window, g.Within)
		}
	}
	for _, r := range s.Rules {
		if r.AutoPause && r.Experiment != nil {
			r.Experiment.watched = true
		}
	}
}

// tracked says that exposures are kept.
func (x *Experiment) tracked() bool { return x.Goal != nil || x.watched }

// guard writes what the event does to guardrails: once for each exposure in whose
// window it lies. Only exposures that were counted when they were made are asked,
// so that nobody is among those hit who is not among those exposed.
func (sp *stepper) guard(p *plan, e *Event) {
	for _, g := range p.guards {
		asked := false
		for i := range sp.st.exposures {
			seen := &sp.st.exposures[i]
			if seen.experiment != g.of.id || !seen.watched || e.Time <= seen.t || e.Time > seen.t+g.rail.Within || slices.Contains(seen.hits, g.rail.id) {
				continue
			}
			if !asked && !sp.ask(g.rail.Where) {
				break
			}
			asked = true
			if !sp.replay {
				sp.emitHit(g, seen, e)
			}
			seen.hits = append(seen.hits, g.rail.id)
		}
	}
}

func (sp *stepper) emitHit(g guard, seen *exposure, e *Event) {
	rule := sp.set.name(seen.rule)
	trigger := sp.triggerOf(sp.plan, e)
	sp.out.Decisions = append(sp.out.Decisions, Decision{
		Outcome:     GuardrailHit,
		CommandID:   NewCommandID(rule, sp.user, g.of.Name+"/"+strconv.Itoa(seen.phase)+"/"+g.rail.Name, 0, e.ID),
		Rule:        rule,
		User:        sp.user,
		Experiment:  g.of.Name,
		Phase:       seen.phase,
		Arm:         seen.arm,
		Trigger:     trigger,
		TriggerType: trigger.Type(sp.set),
		Due:         e.Time,
		At:          e.Time,
		Guardrail:   g.rail.Name,
		Exposed:     seen.t,
	})
}

// guardAgain notes a hit that the evidence tells of.
func (sp *stepper) guardAgain(d *Decided) {
	x := sp.experimentOf(d)
	for i := range sp.st.exposures {
		if e := &sp.st.exposures[i]; x != nil && e.experiment == x.id && e.phase == phaseOf(d, x) && !e.over {
			if id := nameID("guardrail", d.Guardrail); !slices.Contains(e.hits, id) {
				e.hits = append(e.hits, id)
			}
		}
	}
}
