package rulefile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nudged/nudged/rules"
)

// Change is one thing that an edit of the rules does to what is already there:
// pending instances, what is kept about users, running experiments.
type Change struct {
	Section string `json:"section"` // "rule", "metric", "attribute", "audience", "experiment", "holdout", "policy"
	Name    string `json:"name,omitempty"`
	Edit    string `json:"edit"`   // a word for scripts, such as "removed" or "wait"
	What    string `json:"what"`   // what was edited
	Effect  string `json:"effect"` // what that does
	// Refused says that the edit must not go live as it is; WayOut how it may.
	Refused bool   `json:"refused"`
	WayOut  string `json:"way_out,omitempty"`
	File    string `json:"file"` // of the new rules; of the old ones if it is gone there
	Line    int    `json:"line"`
	Column  int    `json:"column"`
}

// String is the change as nudged check prints it, in two or three lines.
func (c Change) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: %s", c.File, c.Line, c.Column, c.Section)
	if c.Name != "" {
		fmt.Fprintf(&b, " %s", c.Name)
	}
	fmt.Fprintf(&b, ": %s\n  ", c.What)
	if c.Refused {
		b.WriteString("refused: ")
	}
	b.WriteString(c.Effect)
	if c.WayOut != "" {
		b.WriteString("\n  " + c.WayOut)
	}
	return b.String()
}

// Compare tells what it does to instances that are pending, to what is kept
// about users, and to experiments, when the rules after take the place of those
// before. The changes come by section, in the order of the new files; edits that
// touch nothing that is there already, such as a new rule, are left out.
func Compare(before, after *Compiled) []Change {
	c := &comparison{before: before, after: after}
	c.rules()
	c.metrics()
	c.attributes()
	c.audiences()
	c.experiments()
	c.holdout()
	c.policy()
	return c.list
}

type comparison struct {
	before, after *Compiled
	list          []Change
	// Of the thing that is being compared:
	section, name string
}

// add notes an edit of the thing that is being compared.
func (c *comparison) add(at place, edit, effect, what string, args ...any) *Change {
	c.list = append(c.list, Change{
		Section: c.section, Name: c.name, Edit: edit, What: fmt.Sprintf(what, args...), Effect: effect,
		File: at.src.name, Line: at.line, Column: at.column,
	})
	return &c.list[len(c.list)-1]
}

// refuse notes an edit that must not go live.
func (c *comparison) refuse(at place, edit, effect, wayOut, what string, args ...any) {
	change := c.add(at, edit, effect, what, args...)
	change.Refused, change.WayOut = true, wayOut
}

// pair is one thing before and after.
type pair struct {
	old, new declaration
}

// pairs calls gone for what is there no more and returns what is still there.
// What is new touches nothing.
func (c *comparison) pairs(section, word string, gone func(old declaration)) []pair {
	c.section = word
	after := c.after.declared(section)
	byName := map[string]declaration{}
	for _, d := range after {
		byName[d.name] = d
	}
	olds := map[string]declaration{}
	for _, old := range c.before.declared(section) {
		olds[old.name] = old
		if _, still := byName[old.name]; !still {
			c.name = old.name
			gone(old)
		}
	}
	var list []pair
	for _, d := range after {
		if old, known := olds[d.name]; known {
			list = append(list, pair{old, d})
		}
	}
	return list
}

// placeOf is where a key of the new thing stands, or else the thing itself.
func placeOf(d declaration, keys ...string) place {
	if d.node.kind == mapNode {
		for _, key := range keys {
			for _, e := range d.node.entries {
				if e.key == key {
					return e.at
				}
			}
		}
	}
	return d.at
}

// edited tells whether one of the keys says something else than before.
func (p pair) edited(keys ...string) bool {
	return slices.ContainsFunc(keys, func(key string) bool {
		return p.old.node.child(key).written() != p.new.node.child(key).written()
	})
}

// was and is are a value before and after, for people; "none" if there is none.
func (p pair) was(key string) string { return orNone(p.old.node.child(key)) }
func (p pair) is(key string) string  { return orNone(p.new.node.child(key)) }

func orNone(n *node) string {
	const longest = 60 // characters
	s := []rune(strings.Join(strings.Fields(n.written()), " "))
	switch {
	case len(s) == 0:
		return "none"
	case len(s) > longest:
		return string(s[:longest-1]) + "…"
	}
	return string(s)
}

const fromNewEvents = "holds for events from now on; what is kept already stays"

func (c *comparison) metrics() {
	before, after := map[string]*rules.Metric{}, map[string]*rules.Metric{}
	for _, m := range c.before.Set.Metrics {
		before[m.Name] = m
	}
	for _, m := range c.after.Set.Metrics {
		after[m.Name] = m
	}
	for _, p := range c.pairs("metrics", "metric", func(old declaration) {
		c.add(old.at, "removed", "what was counted is dropped; if it comes back it starts anew", "it is gone")
	}) {
		c.name = p.new.name
		c.metric(p, before[c.name], after[c.name])
	}
}

// kindWord is the key that names a metric's kind.
func kindWord(m *rules.Metric) string {
	for _, k := range metricKinds {
		if k.kind == m.Kind {
			return k.key
		}
	}
	return "metric"
}

func (c *comparison) metric(p pair, old, m *rules.Metric) {
	kind := kindWord(m)
	switch {
	case old.Kind != m.Kind:
		c.add(placeOf(p.new, kind), "kind", "it starts anew: what was kept is dropped", "the %s becomes a %s", kindWord(old), kind)
		return
	case old.Keyed != m.Keyed:
		c.add(placeOf(p.new, "by"), "kind", "it starts anew: what was kept is dropped", "by %s becomes %s", p.was("by"), p.is("by"))
		return
	case old.Keyed && p.edited("by"):
		c.add(placeOf(p.new, "by"), "by", "occurrences so far stay under the values of the old field until they leave the window", "by %s becomes %s", p.was("by"), p.is("by"))
	}
	if !slices.Equal(old.On, m.On) {
		c.add(placeOf(p.new, "on", kind), "on", fromNewEvents, "the event types %s become %s", strings.Join(old.On, ", "), strings.Join(m.On, ", "))
	}
	if m.Value != nil && p.edited(kind) {
		c.add(placeOf(p.new, kind), "value", fromNewEvents, "%s becomes %s", p.was(kind), p.is(kind))
	}
	if p.edited("where") {
		c.add(placeOf(p.new, "where", kind), "where", fromNewEvents, "where %s becomes %s", p.was("where"), p.is("where"))
	}
	if !slices.Equal(old.Reset, m.Reset) {
		c.add(placeOf(p.new, "reset", kind), "reset", "holds for events from now on", "reset %s becomes %s", p.was("reset"), p.is("reset"))
	}
	if old.Within != m.Within {
		effect := "what lies outside of the new window no longer counts"
		if m.Within == 0 || old.Within != 0 && m.Within > old.Within {
			effect = "what had left the old window does not come back: it counts too little until the new one has passed"
			if m.Within == 0 {
				effect = "what had left the old window does not come back"
			}
		}
		c.add(placeOf(p.new, "within", kind), "within", effect, "within %s becomes %s", p.was("within"), p.is("within"))
	}
}

func (c *comparison) attributes() {
	before, after := map[string]*rules.Attribute{}, map[string]*rules.Attribute{}
	for _, a := range c.before.Set.Attributes {
		before[a.Name] = a
	}
	for _, a := range c.after.Set.Attributes {
		after[a.Name] = a
	}
	for _, p := range c.pairs("attributes", "attribute", func(old declaration) {
		c.add(old.at, "removed", "its values are dropped; if it comes back they are absent until an event brings them", "it is gone")
	}) {
		c.name = p.new.name
		old, a := before[c.name], after[c.name]
		if old.Kind != a.Kind {
			effect := "values so far are absent until an event brings a new one"
			if convertible(old.Kind, a.Kind) {
				effect = "values so far are read as the new type where they can be, else they are absent until an event brings a new one"
			}
			c.add(placeOf(p.new, "type"), "type", effect, "type %s becomes %s", p.was("type"), p.is("type"))
		}
		if p.edited("from") {
			c.add(placeOf(p.new, "from"), "from", fromNewEvents, "from %s becomes %s", p.was("from"), p.is("from"))
		}
		if !slices.Equal(old.On, a.On) {
			c.add(placeOf(p.new, "on"), "on", fromNewEvents, "on %s becomes %s", p.was("on"), p.is("on"))
		}
	}
}

func (c *comparison) audiences() {
	for _, p := range c.pairs("audiences", "audience", func(declaration) {}) {
		c.name = p.new.name
		if old, now := p.old.node, p.new.node; old.written() != now.written() {
			c.add(p.new.at, "condition", "asked anew wherever a rule reads it: at the next occurrence of a schedule, and when pending instances fire", "%s becomes %s", orNone(old), orNone(now))
		}
	}
}

func (c *comparison) policy() {
	c.section, c.name = "policy", ""
	old, now := c.before.single("policy"), c.after.single("policy")
	at := place{}
	for _, n := range []*node{old, now} {
		if n != nil {
			at = n.at
		}
	}
	if old == nil && now == nil {
		return
	}
	p := pair{declaration{node: orEmpty(old)}, declaration{node: orEmpty(now), at: at}}
	for _, part := range []struct{ key, effect string }{
		{"caps", "asked of every message from now on; a new or longer cap may not know of all that was sent before it"},
		{"quiet_hours", "asked of every message from now on; one that was put off is asked anew when the old hours end"},
		{"consent", "asked of every message from now on, also of pending instances"},
		{"profile", "its caps, quiet hours, consent and label hold for every message from now on"},
	} {
		if p.edited(part.key) {
			c.add(placeOf(p.new, part.key), part.key, part.effect, "%s %s becomes %s", part.key, p.was(part.key), p.is(part.key))
		}
	}
}

func orEmpty(n *node) *node {
	if n == nil {
		return &node{kind: mapNode}
	}
	return n
}

func (c *comparison) holdout() {
	c.section, c.name = "holdout", ""
	old, now := c.before.Set.Holdout, c.after.Set.Holdout
	oldNode, newNode := c.before.single("holdout"), c.after.single("holdout")
	switch {
	case old == nil && now == nil:
	case old == nil:
		c.add(newNode.at, "added", "users in it get no nudge from now on, also not of pending instances", "%v %% are held out", now.Percent)
	case now == nil:
		c.add(oldNode.at, "removed", "everybody may get nudges again; what the holdout was compared with ends here", "it is gone")
	case old.Salt != now.Salt:
		c.add(newNode.at, "salt", "other users are held out from now on; a comparison with the holdout starts anew", "the salt %s becomes %s", old.Salt, now.Salt)
	case old.Percent != now.Percent:
		effect := "more users are held out from now on, all of those before among them"
		if now.Percent < old.Percent {
			effect = "some of the users held out get nudges again, nobody else is held out"
		}
		c.add(newNode.at, "percent", effect, "%v %% become %v %%", old.Percent, now.Percent)
	}
}
