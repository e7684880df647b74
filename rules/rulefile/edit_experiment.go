package rulefile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nudged/nudged/experiment"
	"github.com/nudged/nudged/rules"
)

func (c *comparison) experiments() {
	before, after := map[string]*rules.Experiment{}, map[string]*rules.Experiment{}
	for _, x := range c.before.Set.Experiments {
		before[x.Name] = x
	}
	for _, x := range c.after.Set.Experiments {
		after[x.Name] = x
	}
	for _, p := range c.pairs("experiments", "experiment", func(old declaration) {
		c.add(old.at, "removed", "conversions of those exposed so far are not tracked any more", "it is gone")
	}) {
		c.name = p.new.name
		c.experiment(p, before[c.name], after[c.name])
	}
}

func (c *comparison) experiment(p pair, old, x *rules.Experiment) {
	next := fmt.Sprintf("give it a new phase: phase: %d", old.Phase+1)
	switch {
	case x.Phase < old.Phase:
		c.refuse(placeOf(p.new, "phase"), "phase", "exposures of the later phase would count for the earlier one",
			fmt.Sprintf("keep phase: %d, or go on to phase: %d", old.Phase, old.Phase+1), "phase %d becomes %d", old.Phase, x.Phase)
	case x.Phase > old.Phase:
		c.add(placeOf(p.new, "phase"), "phase", "exposures and conversions start anew; scenarios that have an arm keep it; rules that auto_pause has paused go on", "phase %d becomes %d", old.Phase, x.Phase)
	default:
		c.design(p, old.Spec, x.Spec, next)
		c.goal(p)
		c.guardrails(p)
	}
}

// design refuses what would move users between the arms of a running phase.
func (c *comparison) design(p pair, old, x *experiment.Experiment, wayOut string) {
	const mixed = "users would change their arm, and what was measured so far would be of no use"
	if a, b := salt(old), salt(x); a != b {
		c.refuse(placeOf(p.new, "salt"), "salt", mixed, wayOut, "the salt %s becomes %s", a, b)
	}
	a, b := armNames(old), armNames(x)
	switch sorted := slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))); {
	case !slices.Equal(a, b) && sorted:
		c.refuse(placeOf(p.new, "arms"), "arms", mixed, wayOut, "the arms %s come in another order: %s", strings.Join(a, ", "), strings.Join(b, ", "))
	case !slices.Equal(a, b):
		c.refuse(placeOf(p.new, "arms"), "arms", mixed, wayOut, "the arms %s become %s", strings.Join(a, ", "), strings.Join(b, ", "))
	case !slices.Equal(rangeEnds(old), rangeEnds(x)):
		c.refuse(placeOf(p.new, "arms"), "weights", mixed, wayOut, "the weights %s become %s", weights(old), weights(x))
	}
	if a, b := layerText(old), layerText(x); a != b {
		c.refuse(placeOf(p.new, "layer"), "layer", "users would enter and leave the experiment, and what was measured so far would be of no use", wayOut, "the layer %s becomes %s", a, b)
	}
	switch a, b := covered(old), covered(x); {
	case b < a:
		c.refuse(placeOf(p.new, "coverage"), "coverage", "users who were exposed would leave the experiment", wayOut, "coverage %d becomes %d", a, b)
	case b > a:
		c.add(placeOf(p.new, "coverage"), "coverage", "more users take part; nobody who does changes the arm", "coverage %d becomes %d", a, b)
	}
}

func (c *comparison) goal(p pair) {
	old, now := p.old.node.child("goal"), p.new.node.child("goal")
	switch {
	case old == nil && now == nil:
	case old == nil:
		c.add(placeOf(p.new, "goal"), "goal", "conversions are tracked for those who are exposed from now on", "it has a goal now")
	case now == nil:
		c.add(p.new.at, "goal", "conversions are not tracked any more", "its goal is gone")
	case old.written() != now.written():
		c.add(placeOf(p.new, "goal"), "goal", "holds for goal events from now on, also of users exposed before; conversions so far stay", "the goal %s becomes %s", orNone(old), orNone(now))
	}
}

// guardrails tells of edits within a phase: what was found in it stands.
func (c *comparison) guardrails(p pair) {
	old, now := p.old.node.child("guardrails"), p.new.node.child("guardrails")
	switch {
	case old == nil && now == nil:
	case old == nil:
		c.add(placeOf(p.new, "guardrails"), "guardrails", "they are tracked for those who are exposed from now on", "it has guardrails now")
	case now == nil:
		c.add(p.new.at, "guardrails", "they are not tracked any more; a rule that auto_pause has paused stays so in this phase", "its guardrails are gone")
	case old.written() != now.written():
		c.add(placeOf(p.new, "guardrails"), "guardrails", "hold for events from now on, also of users exposed before; limits are asked of all that was counted in this phase; a rule that auto_pause has paused stays so",
			"the guardrails %s become %s", orNone(old), orNone(now))
	}
}

func salt(x *experiment.Experiment) string {
	if x.Salt == "" {
		return x.Name
	}
	return x.Salt
}

func covered(x *experiment.Experiment) int {
	if x.Coverage == 0 {
		return 100
	}
	return x.Coverage
}

func armNames(x *experiment.Experiment) []string {
	names := make([]string, len(x.Arms))
	for i, a := range x.Arms {
		names[i] = a.Name
	}
	return names
}

// rangeEnds are the buckets at which the arms end: weights of the same ratio are
// the same.
func rangeEnds(x *experiment.Experiment) []int64 {
	var total, sum int64
	for _, a := range x.Arms {
		total += int64(a.Weight)
	}
	ends := make([]int64, len(x.Arms))
	for i, a := range x.Arms {
		sum += int64(a.Weight)
		ends[i] = experiment.Buckets * sum / total
	}
	return ends
}

func weights(x *experiment.Experiment) string {
	texts := make([]string, len(x.Arms))
	for i, a := range x.Arms {
		texts[i] = fmt.Sprint(a.Weight)
	}
	return strings.Join(texts, "/")
}

func layerText(x *experiment.Experiment) string {
	if x.Layer == nil {
		return "none"
	}
	return fmt.Sprintf("%s from %d to %d", x.Layer.Name, x.Layer.From, x.Layer.To)
}
