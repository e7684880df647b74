package rulefile

import (
	"slices"

	"github.com/nudged/nudged/experiment"
	"github.com/nudged/nudged/rules"
)

// guardrails reads what an experiment's messages must not bring about too often.
func (c *compiler) guardrails(n *node, experimentName string, arms []experiment.Arm) []*rules.Guardrail {
	if n.kind != listNode {
		c.wrongKind(n, "write a list: [{name: unsubscribed, on: unsubscribe, within: 7d, max_percent: 2}]", "guardrails")
		return nil
	}
	if len(n.items) == 0 {
		c.add(n.at, "write [{name: unsubscribed, on: unsubscribe, within: 7d, max_percent: 2}], or leave it out", "guardrails is an empty list")
	}
	var list []*rules.Guardrail
	first := map[string]place{}
	for _, item := range n.items {
		o, ok := c.object(item, guardrailKeys)
		if !ok {
			continue
		}
		g := &rules.Guardrail{}
		if g.Name, ok = c.textOf(o, "name", "the guardrail"); ok {
			at := o.get("name").at
			if old, twice := first[g.Name]; twice {
				c.add(at, "give each guardrail a name of its own", "the guardrail %s is there already, in line %d", g.Name, old.line)
			}
			if len(g.Name) > maxNameLen {
				c.add(at, "shorten it", "the guardrail's name is longer than %d bytes", maxNameLen)
			}
			first[g.Name] = at
		}
		c.guardrail(g, o, experimentName, arms)
		list = append(list, g)
	}
	return list
}

func (c *compiler) guardrail(g *rules.Guardrail, o object, experimentName string, arms []experiment.Arm) {
	if on := o.get("on"); on != nil {
		g.On = c.eventTypes(on, "on")
	} else if o.lacks("on") {
		c.add(o.at, "add on: with the types of the events that must not come too often", "the guardrail has no on")
	}
	if o.lacks("within") {
		c.add(o.at, "add within: with how long after the message they count, such as 7d", "the guardrail has no within")
	}
	g.Within = c.duration(o.get("within"), "within")
	if where := o.get("where"); where != nil {
		seen := &scope{event: true, noTrigger: "the guardrail's own event is called event"}
		c.pending = append(c.pending, func() { g.Where = c.condition(where, "where", seen) })
	}
	if n := o.get("max_percent"); n != nil {
		if percent, ok := c.number(n, "max_percent", 0, 100); ok && (percent == 0 || percent == 100) {
			c.add(n.at, "write a number between 0 and 100, such as 2", "max_percent: %v is no limit that can be found to be passed", percent)
		} else {
			g.MaxRate = percent / 100
		}
	}
	if n := o.get("max_ratio"); n != nil {
		g.MaxRatio, _ = c.number(n, "max_ratio", 1, maxGuardrailRatio)
		if !slices.ContainsFunc(arms, func(a experiment.Arm) bool { return a.Name == rules.Control }) {
			c.add(n.at, "name an arm control, or write max_percent", "max_ratio compares with the control, and the experiment %s has no arm control", experimentName)
		}
	}
	if o.lacks("max_percent") && o.lacks("max_ratio") {
		c.add(o.at, "add max_percent: 2 (of an arm's exposed users), or max_ratio: 1.5 (times the control's)", "the guardrail has no limit")
	}
}
