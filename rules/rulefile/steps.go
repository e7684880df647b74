package rulefile

import (
	"github.com/nudged/nudged/rules"
)

const (
	maxSteps = 200 // of one rule
	maxDepth = 8   // wait_for inside of then or else
)

// programCompiler compiles what a rule does once it is started.
type programCompiler struct {
	c    *compiler
	ops  []rules.Op
	text []opNode // what each op says
	next int      // number of the next send
	uses *usage   // what the instances keep of their trigger
	// first is what a wait_until can see where the rule begins with it, fired what
	// every later expression can see.
	first, fired *scope
	// ends waits for the op that comes next.
	ends []func(op int)
}

// opNode is what an op says in the file.
type opNode struct {
	value *node // behind send, wait, wait_until or wait_for
	step  *node // the step that it stands in, nil of a rule without steps
}

// add appends an op that is reached from what came before, and returns its
// index.
func (p *programCompiler) add(op rules.Op, text *node) int {
	i := len(p.ops)
	p.ops = append(p.ops, op)
	p.text = append(p.text, opNode{value: text})
	for _, end := range p.ends {
		end(i)
	}
	p.ends = p.ends[:0]
	if op.Kind != rules.OpWaitFor {
		p.ends = append(p.ends, func(next int) { p.ops[i].Next = next })
	}
	return i
}

// finish lets all that is open lead to the end of the program.
func (p *programCompiler) finish() []rules.Op {
	for _, end := range p.ends {
		end(len(p.ops))
	}
	p.ends = nil
	return p.ops
}

// send appends a send op.
func (p *programCompiler) send(n *node) {
	s := p.c.send(n, p.fired)
	p.add(rules.Op{Kind: rules.OpSend, Send: &s, Step: p.next}, n)
	p.next++
}

// until appends a wait up to a time.
func (p *programCompiler) until(n *node) {
	seen := p.fired
	if len(p.ops) == 0 {
		seen = p.first
	}
	until := p.c.momentValue(n, "wait_until", seen)
	if until == nil {
		until = func(*rules.Env) rules.Value { return rules.Value{} }
	}
	p.add(rules.Op{Kind: rules.OpWait, Until: until}, n)
}

// steps appends a list of steps.
func (p *programCompiler) steps(n *node, what string, depth int) {
	if n.kind != listNode {
		p.c.wrongKind(n, "write a list: each step starts with \"- send:\", \"- wait:\" or \"- wait_for:\"", what)
		return
	}
	if depth > maxDepth {
		p.c.add(n.at, "start another rule by the event instead", "wait_for inside of wait_for, more than %d deep", maxDepth)
		return
	}
	for _, item := range n.items {
		if len(p.ops) == maxSteps {
			p.c.add(item.at, "split the rule up", "more than %d steps in one rule", maxSteps)
			return
		}
		p.step(item, depth)
	}
}

// stepKinds are the keys of which a step has one.
var stepKinds = []string{"send", "wait", "wait_until", "wait_for"}

func (p *programCompiler) step(n *node, depth int) {
	c := p.c
	o, ok := c.object(n, stepKeys)
	if !ok {
		return
	}
	kind := o.first(stepKinds...)
	for _, other := range stepKinds {
		if kind != "" && other != kind && o.has(other) {
			c.add(o.keyAt(other), "make two steps of it: start each with a dash", "a step with both %s and %s", kind, other)
			return
		}
	}
	if kind != "wait_for" {
		for _, branch := range []string{"then", "else"} {
			if o.has(branch) {
				c.add(o.keyAt(branch), "write the steps one after the other, or branch with wait_for: {on: …, within: …}", "%s has no effect without wait_for", branch)
			}
		}
	}
	if kind == "" {
		if o.first("then", "else") == "" && len(o.meant) == 0 {
			c.add(o.at, "write send:, wait:, wait_until: or wait_for:", "the step does nothing")
		}
		return
	}
	at := len(p.ops)
	switch kind {
	case "send":
		p.send(o.get(kind))
	case "wait":
		p.add(rules.Op{Kind: rules.OpWait, Wait: c.duration(o.get(kind), kind)}, o.get(kind))
	case "wait_until":
		p.until(o.get(kind))
	case "wait_for":
		p.waitFor(o, depth)
	}
	p.text[at].step = n
	p.ops[at].Unless = c.unlessOf(o, p.uses, p.fired.noFields)
}

// waitFor appends a wait_for with its branches, which lead on to what follows
// it.
func (p *programCompiler) waitFor(o object, depth int) {
	c := p.c
	w := &rules.WaitFor{}
	if keys, ok := c.object(o.get("wait_for"), waitForKeys); ok {
		if on := keys.get("on"); on != nil {
			w.On = c.eventTypes(on, "on")
		} else if keys.lacks("on") {
			c.add(keys.at, "add on: with the types of the events", "a wait_for has no on")
		}
		if where := keys.get("where"); where != nil {
			w.Where = c.condition(where, "where", &scope{event: true, trigger: triggerIsKept, noFields: p.fired.noFields, uses: p.uses})
			w.Text = where.scalar.text
		}
		if keys.lacks("within") {
			c.add(keys.at, "add within: with how long it waits, such as 3d", "a wait_for has no within")
		}
		w.Within = c.duration(keys.get("within"), "within")
	}
	p.add(rules.Op{Kind: rules.OpWaitFor, For: w}, o.get("wait_for"))
	var open []func(int)
	for _, branch := range []struct {
		key  string
		into *int
	}{{"then", &w.Then}, {"else", &w.Else}} {
		p.ends = append(p.ends[:0:0], func(op int) { *branch.into = op })
		if steps := o.get(branch.key); steps != nil {
			p.steps(steps, branch.key, depth+1)
		}
		open = append(open, p.ends...)
	}
	p.ends = open
}
