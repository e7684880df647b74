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
	c.starts(r, o, owner)
	r.Restart = c.boolean(o.get("restart"), "restart")
	r.Cooldown = c.duration(o.get("cooldown"), "cooldown")
	r.ExpireAfter = c.duration(o.get("expire_after"), "expire_after")
	r.Priority, _ = c.whole(o.get("priority"), "priority", math.MinInt32, math.MaxInt32)
	r.Paused = c.boolean(o.get("paused"), "paused")
	if cost := o.get("cost"); cost != nil {
		r.Cost = c.cost(cost)
	}
	if x := o.get("experiment"); x != nil {
		r.Experiment = c.experimentOf(x)
	}
	c.program(r, o, owner)
	c.set.Rules = append(c.set.Rules, r)
}

// startedByEvents are the keys that say something of triggering events, with
// what to do in a rule that a schedule starts.
var startedByEvents = []struct{ key, wayOut string }{
	{"on", "write two rules"},
	{"where", "ask it of the users: audience: …, or of the message: when: …"},
	{"key", "leave it out: a schedule starts one instance for each user"},
	{"wait", "set the schedule later, or write steps: [{wait: …}, {send: …}]"},
	{"wait_until", "set the schedule later, or write steps: [{wait_until: …}, {send: …}]"},
	{"restart", "leave it out: nothing is started while an instance of the rule is pending"},
}

// starts reads what starts the rule: events, or a schedule.
func (c *compiler) starts(r *rules.Rule, o object, owner string) {
	if o.has("schedule") {
		for _, e := range startedByEvents {
			if o.has(e.key) {
				c.add(o.keyAt(e.key), e.wayOut, "%s cannot stand beside schedule", e.key)
			}
		}
		r.Schedule = c.schedule(o.get("schedule"), o.get("audience"), owner)
		return
	}
	if o.has("audience") {
		c.add(o.keyAt("audience"), "ask it when the rule fires: when: "+o.get("audience").scalar.text, "audience has no effect without a schedule")
	}
	if on := o.get("on"); on != nil {
		r.On = c.eventTypes(on, "on")
	} else if o.lacks("on") && o.lacks("schedule") {
		c.add(o.at, `add on: with an event type, a list of them, or "*"; or schedule:`, "%s has no on", owner)
	}
	started := &scope{event: true, noTrigger: "here the triggering event is called event"}
	if where := o.get("where"); where != nil {
		r.Where = c.condition(where, "where", started)
	}
	if key := o.get("key"); key != nil {
		r.Key = c.keyValue(key, started)
	}
}

// noScheduledFields is why a scheduled rule's trigger has no fields.
const noScheduledFields = "no event has started this rule"

// program compiles what the rule does once it is started, and what its instances
// keep.
func (c *compiler) program(r *rules.Rule, o object, owner string) {
	steps, send, wait, until := o.get("steps"), o.get("send"), o.get("wait"), o.get("wait_until")
	for _, key := range []string{"send", "wait", "wait_until"} {
		if steps != nil && o.has(key) {
			c.add(o.keyAt(key), "move it into the steps: - "+key+": …", "%s cannot stand beside steps", key)
		}
	}
	if wait != nil && until != nil {
		c.add(o.keyAt("wait_until"), "keep one of the two, or write steps", "the rule has both wait and wait_until")
	}
	u := &usage{}
	noFields := ""
	if r.Schedule != nil {
		noFields = noScheduledFields
	}
	lone := r.Schedule == nil && wait == nil && until == nil
	message := send
	if steps != nil {
		lone = lone && steps.kind == listNode && len(steps.items) == 1
		if lone {
			message = steps.items[0].child("send")
			lone = message != nil
		}
	}
	putOff := message != nil && message.child("class") != nil && c.defers[message.child("class").scalar.text]

	r.Unless = c.unlessOf(o, u, noFields)
	p := &programCompiler{
		c: c, uses: u,
		fired: &scope{trigger: triggerIsKept, noFields: noFields, noEvent: "there is no event when the rule fires: write trigger.%s, the event that started it", uses: u},
		first: &scope{event: true, trigger: triggerIsEvent},
	}
	if noFields != "" {
		p.first = p.fired
		p.fired.noEvent, p.fired.noKeyed = noScheduledFields+": write user.… or the name of a metric", noScheduledFields
	}
	if lone {
		// The triggering event is still at hand, unless quiet hours come between.
		p.fired = &scope{event: true, trigger: triggerIsEvent}
		if putOff {
			p.fired.uses, p.fired.keepEvent = u, true
		}
	}
	if lone && !putOff {
		for _, key := range []string{"restart", "unless", "exit", "expire_after"} {
			if o.has(key) {
				c.add(o.keyAt(key), "add wait:, or leave "+key+" out", "%s has no effect in a rule without a wait", key)
			}
		}
	}
	if when := o.get("when"); when != nil {
		asked := *p.fired
		asked.reads = &r.Because
		r.When, r.WhenText = c.condition(when, "when", &asked), when.scalar.text
	}
	switch {
	case steps != nil && steps.kind == listNode && len(steps.items) == 0:
		c.add(steps.at, "write steps: [{send: …}, {wait: 2d}, {send: …}]", "%s has no steps", owner)
	case steps != nil:
		before := len(c.list)
		p.steps(steps, "steps", 0)
		if p.next == 0 && len(c.list) == before {
			c.add(o.keyAt("steps"), "add a step with send: {channel: …, class: …, template: …}", "%s sends nothing", owner)
		}
	default:
		if wait != nil {
			p.add(rules.Op{Kind: rules.OpWait, Wait: c.duration(wait, "wait")}, wait)
		} else if until != nil {
			p.until(until)
		}
		if send != nil {
			p.send(send)
		} else if o.lacks("send") && o.lacks("steps") {
			c.add(o.at, "add send: {channel: …, class: …, template: …}, or steps:", "%s has no send", owner)
		}
	}
	r.Program = p.finish()
	c.programs[r.Name] = p.text
	slices.Sort(u.triggerSlots)
	r.TriggerSlots = u.triggerSlots
}

// cost reads what the messages of a rule cost.
func (c *compiler) cost(n *node) rules.Cost {
	o, ok := c.object(n, costKeys)
	if !ok {
		return rules.Cost{}
	}
	read := func(key string) float64 {
		if !o.has(key) {
			return 0
		}
		f, _ := c.number(o.get(key), key, 0, maxCost)
		return f
	}
	return rules.Cost{Send: read("send"), Coupon: read("coupon")}
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

// unlessOf reads unless and its other name, exit, both of which may be given.
func (c *compiler) unlessOf(o object, u *usage, noFields string) []rules.Unless {
	var list []rules.Unless
	for _, key := range []string{"unless", "exit"} {
		if n := o.get(key); n != nil {
			list = append(list, c.unless(n, key, u, noFields)...)
		}
	}
	return list
}

func (c *compiler) unless(n *node, what string, u *usage, noFields string) []rules.Unless {
	if n.kind != listNode {
		c.wrongKind(n, "write a list: [{on: purchase}]", what)
		return nil
	}
	if len(n.items) == 0 {
		c.add(n.at, "write [{on: purchase}], or leave it out", "%s is an empty list", what)
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
			clause.Where = c.condition(where, "where", &scope{event: true, trigger: triggerIsKept, noFields: noFields, uses: u})
			clause.Text = where.scalar.text
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
