package rulefile

import (
	"math"
	"strings"

	"github.com/nudged/nudged/experiment"
	"github.com/nudged/nudged/rules"
)

type experimentDecl struct {
	at       place
	compiled *rules.Experiment
}

// slot is the part of a layer that an experiment takes, in percent.
type slot struct {
	experiment string
	from, to   int
}

// experiment declares an experiment.
func (c *compiler) experiment(name string, at place, n *node) {
	if name == "" || len(name) > maxNameLen || containsControl(name) {
		c.add(at, "use a short plain text", "%q cannot name an experiment", name)
		return
	}
	if old := c.experiments[name]; old != nil {
		c.add(at, "keep one of the two", "the experiment %s is declared already, at %s", name, old.at)
		return
	}
	d := &experimentDecl{at, &rules.Experiment{Name: name}}
	c.experiments[name] = d
	o, ok := c.object(n, experimentKeys)
	if !ok {
		return
	}
	before := len(c.list)
	e := &experiment.Experiment{Name: name, Arms: c.arms(o, name, at)}
	if salt := o.get("salt"); salt != nil {
		e.Salt, _ = c.text(salt, "salt")
	}
	e.Coverage, _ = c.whole(o.get("coverage"), "coverage", 1, 100)
	e.Phase, _ = c.whole(o.get("phase"), "phase", 1, math.MaxInt32)
	if layer := o.get("layer"); layer != nil {
		e.Layer = c.layer(layer, name)
	}
	if goal := o.get("goal"); goal != nil {
		d.compiled.Goal = c.goal(goal)
	}
	if rails := o.get("guardrails"); rails != nil {
		d.compiled.Guardrails = c.guardrails(rails, name, e.Arms)
	}
	if len(c.list) > before {
		return
	}
	assigner, err := experiment.Compile(e)
	if err != nil {
		for _, line := range strings.Split(err.Error(), "\n") {
			message, wayOut := splitWayOut(line)
			c.add(at, wayOut, "%s", message)
		}
		return
	}
	d.compiled.Assigner, d.compiled.Spec, d.compiled.Phase = assigner, e, max(e.Phase, 1)
	c.set.Experiments = append(c.set.Experiments, d.compiled)
}

func (c *compiler) arms(o object, name string, at place) []experiment.Arm {
	n := o.get("arms")
	if n == nil {
		c.add(at, "add arms: [{name: control, weight: 50}, {name: treatment, weight: 50}]", "the experiment %s has no arms", name)
		return nil
	}
	if n.kind != listNode {
		c.wrongKind(n, "write a list: [{name: control, weight: 50}, {name: treatment, weight: 50}]", "arms")
		return nil
	}
	if len(n.items) == 0 {
		c.add(n.at, "write at least one arm", "the experiment %s has no arms", name)
		return nil
	}
	var arms []experiment.Arm
	first := map[string]place{}
	for _, item := range n.items {
		arm, ok := c.object(item, armKeys)
		if !ok {
			continue
		}
		var a experiment.Arm
		if a.Name, ok = c.textOf(arm, "name", "the arm"); ok {
			if old, twice := first[a.Name]; twice {
				c.add(arm.get("name").at, "give each arm a name of its own", "the arm %s is there already, in line %d", a.Name, old.line)
			}
			first[a.Name] = arm.get("name").at
		}
		if arm.has("weight") {
			a.Weight, _ = c.whole(arm.get("weight"), "weight", 1, 1_000_000_000)
		} else {
			c.add(item.at, "add weight: with its share, as a whole number", "the arm has no weight")
		}
		arms = append(arms, a)
	}
	return arms
}

// layer reads the slot of a layer, which no other experiment may overlap.
func (c *compiler) layer(n *node, name string) *experiment.Layer {
	o, ok := c.object(n, layerKeys)
	if !ok {
		return nil
	}
	l := &experiment.Layer{}
	l.Name, _ = c.textOf(o, "name", "the layer")
	for _, end := range []struct {
		key  string
		into *int
	}{{"from", &l.From}, {"to", &l.To}} {
		if !o.has(end.key) {
			c.add(n.at, "add "+end.key+": with a percentage", "the layer has no %s", end.key)
			return nil
		}
		if *end.into, ok = c.whole(o.get(end.key), end.key, 0, 100); !ok {
			return nil
		}
	}
	if l.From >= l.To {
		c.add(o.get("to").at, "from is the first percent inside, to the first one outside", "the layer's slot from %d to %d is empty", l.From, l.To)
		return nil
	}
	for _, other := range c.layers[l.Name] {
		if l.From < other.to && other.from < l.To {
			c.add(n.at, "give each experiment of a layer a slot of its own", "the slot %d to %d of the layer %s overlaps that of the experiment %s, %d to %d",
				l.From, l.To, l.Name, other.experiment, other.from, other.to)
		}
	}
	c.layers[l.Name] = append(c.layers[l.Name], slot{name, l.From, l.To})
	return l
}

// goal reads the event that an experiment wants to bring about.
func (c *compiler) goal(n *node) *rules.Goal {
	o, ok := c.object(n, goalKeys)
	if !ok {
		return nil
	}
	g := &rules.Goal{}
	if on := o.get("on"); on != nil {
		g.On = c.eventTypes(on, "on")
	} else if o.lacks("on") {
		c.add(o.at, "add on: with the types of the events that count as a conversion", "the goal has no on")
	}
	if o.lacks("within") {
		c.add(o.at, "add within: with how long after the message a conversion counts, such as 14d", "the goal has no within")
	}
	g.Within = c.duration(o.get("within"), "within")
	seen := &scope{event: true, noTrigger: "the goal's own event is called event"}
	if where := o.get("where"); where != nil {
		c.pending = append(c.pending, func() { g.Where = c.condition(where, "where", seen) })
	}
	if value := o.get("value"); value != nil {
		c.pending = append(c.pending, func() { g.Value = c.numberValue(value, "value", seen) })
	}
	return g
}
