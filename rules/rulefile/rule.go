package rulefile

import (
	"math"
	"slices"
	"strings"

	"github.com/nudged/nudged/rules"
)

// maxNameLen bounds the names of rules and experiments, in bytes.
const maxNameLen = 200

var classes = []string{"ad", "transactional"}

// rule compiles one rule.
func (c *compiler) rule(n *node) {
	o, ok := c.object(n, ruleKeys)
	if !ok {
		return
	}
	r := &rules.Rule{}
	owner := "the rule"
	if name, ok := c.textOf(o, "name", "the rule"); ok {
		owner = "the rule " + name
		at := o.get("name").at
		if len(name) > maxNameLen {
			c.add(at, "shorten it", "the rule's name is longer than %d bytes", maxNameLen)
		} else if old, twice := c.rules[name]; twice {
			c.add(at, "give each rule a name of its own", "a rule is called %s already, at %s", name, old)
		} else {
			c.rules[name] = at
		}
		r.Name = name
	}
	if on := o.get("on"); on != nil {
		r.On = c.eventTypes(on, "on")
	} else if !o.unbuilt {
		c.add(o.at, `add on: with an event type, a list of them, or "*"`, "%s has no on", owner)
	}

	r.Waits = o.has("wait")
	r.Wait = c.duration(o.get("wait"), "wait")
	r.Restart = c.boolean(o.get("restart"), "restart")
	r.Cooldown = c.duration(o.get("cooldown"), "cooldown")
	r.ExpireAfter = c.duration(o.get("expire_after"), "expire_after")
	r.Priority, _ = c.whole(o.get("priority"), "priority", math.MinInt32, math.MaxInt32)
	if !r.Waits && !o.unbuilt {
		for _, key := range []string{"restart", "unless", "expire_after"} {
			if o.has(key) {
				c.add(o.keyAt(key), "add wait:, or leave "+key+" out", "%s has no effect in a rule without a wait", key)
			}
		}
	}
	if x := o.get("experiment"); x != nil {
		r.Experiment = c.experimentOf(x)
	}

	started := &scope{event: true, noTrigger: "here the triggering event is called event"}
	if where := o.get("where"); where != nil {
		r.Where = c.condition(where, "where", started)
	}
	if key := o.get("key"); key != nil {
		r.Key = c.keyValue(key, started)
	}
	u := &usage{}
	if unless := o.get("unless"); unless != nil {
		r.Unless = c.unless(unless, u)
	}
	// Where nothing waits, the triggering event is still at hand.
	fired := &scope{event: true, trigger: triggerIsEvent}
	if r.Waits {
		fired = &scope{trigger: triggerIsKept, noEvent: "there is no event when the rule fires: write trigger.%s, the event that started it", uses: u}
	}
	if when := o.get("when"); when != nil {
		asked := *fired
		asked.reads = &r.Because
		r.When = c.condition(when, "when", &asked)
	}
	if send := o.get("send"); send != nil {
		r.Send = c.send(send, fired)
	} else if !o.unbuilt {
		c.add(o.at, "add send: {channel: …, class: …, template: …}", "%s has no send", owner)
	}
	slices.Sort(u.triggerSlots)
	r.TriggerSlots = u.triggerSlots
	c.set.Rules = append(c.set.Rules, r)
}

func (c *compiler) experimentOf(n *node) *rules.Experiment {
	name, ok := c.text(n, "experiment")
	if !ok {
		return nil
	}
	d := c.experiments[name]
	if d == nil {
		names := make([]string, 0, len(c.experiments))
		for known := range c.experiments {
			names = append(names, known)
		}
		slices.Sort(names)
		c.add(n.at, didYouMean(name, names, "experiments"), "no experiment is called %s", name)
		return nil
	}
	return d.compiled
}

func (c *compiler) unless(n *node, u *usage) []rules.Unless {
	if n.kind != listNode {
		c.wrongKind(n, "write a list: [{on: purchase}]", "unless")
		return nil
	}
	if len(n.items) == 0 {
		c.add(n.at, "write [{on: purchase}], or leave it out", "unless is an empty list")
	}
	var list []rules.Unless
	for _, item := range n.items {
		o, ok := c.object(item, unlessKeys)
		if !ok {
			continue
		}
		clause := rules.Unless{}
		if on := o.get("on"); on != nil {
			clause.On = c.eventTypes(on, "on")
		} else {
			c.add(o.at, "add on: with an event type", "an unless clause has no on")
		}
		if where := o.get("where"); where != nil {
			clause.Where = c.condition(where, "where", &scope{event: true, trigger: triggerIsKept, uses: u})
		}
		list = append(list, clause)
	}
	return list
}

func (c *compiler) send(n *node, fired *scope) rules.Send {
	o, ok := c.object(n, sendKeys)
	if !ok {
		return rules.Send{}
	}
	s := rules.Send{}
	s.Channel, _ = c.textOf(o, "channel", "the send")
	s.Template, _ = c.textOf(o, "template", "the send")
	if class := o.get("class"); class != nil {
		s.Class, _ = c.word(class, "class", "classes", classes)
	} else {
		c.add(o.at, "add class: ad or transactional", "the send has no class")
	}
	data := o.get("data")
	switch {
	case data == nil:
	case data.kind != mapNode:
		c.wrongKind(data, "write a map from names to expressions: {product: trigger.name}", "data")
	default:
		for _, e := range data.entries {
			if e.key == "" || containsControl(e.key) {
				c.add(e.at, "use a plain word", "%q cannot name a value", e.key)
				continue
			}
			s.Data = append(s.Data, rules.DataField{Name: e.key, Expr: c.dataValue(e.value, e.key, fired)})
		}
	}
	return s
}

func containsControl(s string) bool { return strings.ContainsFunc(s, isControl) }
