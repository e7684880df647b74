package rulefile

import (
	"slices"
	"strings"

	"cel.dev/cel-go/cel"

	"github.com/nudged/nudged/rules"
)

// audience is a condition on a user that has a name. It is compiled when it is
// first read, or at the end, so that audiences may read each other in any order.
type audience struct {
	name  string
	at    place
	node  *node
	state audienceState
	cond  rules.Cond
	reads []rules.Named // the metrics and attributes it reads
}

type audienceState uint8

const (
	audienceDeclared audienceState = iota
	audienceOpen                   // being compiled: who reads it now reads itself
	audienceDone
)

// audience declares an audience.
func (c *compiler) audience(name string, at place, n *node) {
	if !c.bareName(name, "an audience", at) {
		return
	}
	c.audiences[name] = &audience{name: name, at: at, node: n}
	c.pending = append(c.pending, func() { c.openAudience(c.audiences[name]) })
}

// openAudience compiles the audience if that has not been done.
func (c *compiler) openAudience(a *audience) {
	if a.state != audienceDeclared {
		return
	}
	a.state = audienceOpen
	c.open = append(c.open, a.name)
	a.cond = c.condition(a.node, "the audience "+a.name, &scope{
		noEvent:   "an audience is asked of every user, without an event: write user.… or the name of a metric",
		noTrigger: "an audience is asked of every user, without an event: write user.… or the name of a metric",
		noKeyed:   "an audience is asked without an event",
		reads:     &a.reads,
	})
	c.open = c.open[:len(c.open)-1]
	a.state = audienceDone
}

// cycle tells how the audience that is being compiled came to read itself.
func (c *compiler) cycle(name string) string {
	from := max(slices.Index(c.open, name), 0)
	return strings.Join(append(slices.Clone(c.open[from:]), name), " -> ")
}

// audienceVariable is an audience read by its name: a bool.
func audienceVariable(a *audience) *variable {
	return &variable{name: a.name, typ: cel.BoolType, slot: -1, read: func(env *rules.Env) rules.Value {
		if a.cond == nil {
			return rules.Value{}
		}
		return truthValue(a.cond)(env)
	}}
}

// bareName checks a name that expressions use alone: of a metric or an audience.
func (c *compiler) bareName(name, what string, at place) bool {
	if !c.identifier(name, what, at, reserved) {
		return false
	}
	if old := c.metrics[name]; old != nil {
		c.add(at, "keep one of the two", "the metric %s is declared already, at %s", name, old.at)
		return false
	}
	if old := c.audiences[name]; old != nil {
		c.add(at, "keep one of the two", "the audience %s is declared already, at %s", name, old.at)
		return false
	}
	return true
}
