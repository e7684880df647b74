package guard

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nudged/nudged/experiment/stats"
	"github.com/nudged/nudged/rules"
)

// Finding is one thing that is wrong with a phase of an experiment.
type Finding struct {
	Phase
	Check     string // "sample_ratio", or "guardrail " and its name
	Guardrail string // its name, "" of the sample ratio
	Statement string // what was found, in a sentence
	// Figures are what it rests on, in the order in which they are told.
	Figures []rules.Datum
}

// SampleRatio is the check of the arms' sizes.
const SampleRatio = "sample_ratio"

// Findings looks at every watched experiment of the set, in its present phase. One
// may look as often as one likes: each check raises a false alarm, ever, with a
// chance of at most 1 in 1,000.
func (t *Tally) Findings(set *rules.Set) ([]Finding, error) {
	var found []Finding
	for _, x := range set.Experiments {
		if !x.Watched() {
			continue
		}
		c := t.of(Phase{x.Name, x.Phase})
		if c == nil {
			continue
		}
		more, err := c.Check(x)
		if err != nil {
			return nil, fmt.Errorf("experiment %s, phase %d: %w", x.Name, x.Phase, err)
		}
		found = append(found, more...)
	}
	return found, nil
}

// Check looks at the counts of the experiment.
func (c *Counts) Check(x *rules.Experiment) ([]Finding, error) {
	arms, shares := x.Assigner.Arms(), x.Assigner.Shares()
	seen := make([]int, len(arms))
	control := -1
	for i, arm := range arms {
		seen[i] = c.Exposed[arm]
		if arm == rules.Control {
			control = i
		}
	}
	var found []Finding
	e, err := stats.RatioEvidence(seen, shares)
	if err != nil {
		return nil, err
	}
	if stats.Alarming(e) {
		found = append(found, c.ratio(arms, seen, shares, e))
	}
	for _, g := range x.Guardrails {
		hits := c.Hits[g.Name]
		for i, arm := range arms {
			if i == control {
				continue // nothing is sent to it
			}
			k := min(hits[arm], seen[i])
			if g.MaxRate > 0 {
				if e, err = stats.ExcessEvidence(k, seen[i], g.MaxRate); err != nil {
					return nil, err
				}
				if stats.Alarming(e) {
					found = append(found, c.rate(g, arm, k, seen[i], e))
				}
			}
			if g.MaxRatio > 0 && control >= 0 {
				base := min(hits[rules.Control], seen[control])
				// Of those hit in either arm so large a share is this arm's, at the limit.
				at := g.MaxRatio * shares[i] / (g.MaxRatio*shares[i] + shares[control])
				if e, err = stats.ExcessEvidence(k, k+base, at); err != nil {
					return nil, err
				}
				if stats.Alarming(e) {
					found = append(found, c.ratioToControl(g, arm, [4]int{k, seen[i], base, seen[control]}, e))
				}
			}
		}
	}
	return found, nil
}

func (c *Counts) ratio(arms []string, seen []int, shares []float64, e float64) Finding {
	total, intended := 0, 0.0
	for i, n := range seen {
		total += n
		intended += shares[i]
	}
	var parts []string
	f := Finding{Phase: c.Phase, Check: SampleRatio}
	for i, arm := range arms {
		parts = append(parts, fmt.Sprintf("%s has %d of %d exposed users (%s, intended %s)", arm, seen[i], total, percent(float64(seen[i])/float64(total)), percent(shares[i]/intended)))
		f.Figures = append(f.Figures, rules.Datum{Name: "exposed_" + arm, Value: rules.IntValue(int64(seen[i]))})
	}
	f.Figures = append(f.Figures, evidence(e))
	f.Statement = "the arms have other sizes than intended: " + strings.Join(parts, ", ")
	return f
}

func (c *Counts) rate(g *rules.Guardrail, arm string, hits, exposed int, e float64) Finding {
	return Finding{
		Phase: c.Phase, Check: "guardrail " + g.Name, Guardrail: g.Name,
		Statement: fmt.Sprintf("%s: %d of %d exposed users of %s (%s), above max_percent: %s", g.Name, hits, exposed, arm, percent(float64(hits)/float64(exposed)), number(g.MaxRate*100)),
		Figures: []rules.Datum{
			{Name: "arm", Value: rules.StringValue(arm)},
			{Name: "hits", Value: rules.IntValue(int64(hits))},
			{Name: "exposed", Value: rules.IntValue(int64(exposed))},
			{Name: "max_percent", Value: rules.FloatValue(g.MaxRate * 100)},
			evidence(e),
		},
	}
}

// ratioToControl tells of hits and exposed users of the arm and of the control.
func (c *Counts) ratioToControl(g *rules.Guardrail, arm string, n [4]int, e float64) Finding {
	return Finding{
		Phase: c.Phase, Check: "guardrail " + g.Name, Guardrail: g.Name,
		Statement: fmt.Sprintf("%s: %d of %d exposed users of %s, %d of %d of control, above max_ratio: %s", g.Name, n[0], n[1], arm, n[2], n[3], number(g.MaxRatio)),
		Figures: []rules.Datum{
			{Name: "arm", Value: rules.StringValue(arm)},
			{Name: "hits", Value: rules.IntValue(int64(n[0]))},
			{Name: "exposed", Value: rules.IntValue(int64(n[1]))},
			{Name: "control_hits", Value: rules.IntValue(int64(n[2]))},
			{Name: "control_exposed", Value: rules.IntValue(int64(n[3]))},
			{Name: "max_ratio", Value: rules.FloatValue(g.MaxRatio)},
			evidence(e),
		},
	}
}

// evidence is how many times likelier what was seen is under a fault than without;
// 1,000 raises the alarm.
func evidence(e float64) rules.Datum {
	return rules.Datum{Name: "evidence", Value: rules.FloatValue(e)}
}

func percent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }

func number(f float64) string { return strconv.FormatFloat(f, 'g', 6, 64) }

// Decisions are what is written of a finding: one for each rule that it pauses, none
// if no rule asks for that. at is the present, Unix ms.
func (f *Finding) Decisions(set *rules.Set, at int64) []rules.Decision {
	var out []rules.Decision
	for _, r := range set.Rules {
		if !r.AutoPause || r.Experiment == nil || r.Experiment.Name != f.Experiment || r.Experiment.Phase != f.Phase.Phase {
			continue
		}
		trigger := rules.Trigger{ID: fmt.Sprintf("auto_pause/%s/%d", f.Experiment, f.Phase.Phase), Time: at, Offset: -1}
		out = append(out, rules.Decision{
			Outcome: rules.AutoPaused, CommandID: rules.NewCommandID(r.Name, "", "", 0, trigger.ID), Rule: r.Name,
			Experiment: f.Experiment, Phase: f.Phase.Phase, Trigger: trigger, TriggerType: "auto_pause", Due: at, At: at,
			Because: append([]rules.Datum{{Name: "check", Value: rules.StringValue(f.Check)}}, f.Figures...),
		})
	}
	return out
}

// PausedRules are the rules of the set that ask for it and whose experiment's
// present phase is among those paused.
func PausedRules(set *rules.Set, paused map[Phase]bool) []*rules.Rule {
	var out []*rules.Rule
	for _, r := range set.Rules {
		if r.AutoPause && r.Experiment != nil && paused[Phase{r.Experiment.Name, r.Experiment.Phase}] {
			out = append(out, r)
		}
	}
	return out
}

// Watches says that there is something to count.
func Watches(set *rules.Set) bool {
	for _, x := range set.Experiments {
		if x.Watched() {
			return true
		}
	}
	return false
}
