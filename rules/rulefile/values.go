package rulefile

import (
	"slices"
	"strings"

	"github.com/nudged/nudged/rules"
)

// text reads a plain text that is not empty. It returns false after reporting
// what is wrong.
func (c *compiler) text(n *node, what string) (string, bool) {
	if n.kind != scalarNode {
		c.wrongKind(n, "write a text", what)
		return "", false
	}
	if n.literal.Present() {
		c.add(n.at, "put it in quotes: "+`"`+n.scalar.text+`"`, "%s is a %s, not a text", what, literalWord(n.literal))
		return "", false
	}
	s := n.scalar.text
	if s == "" {
		c.add(n.at, "write a text", "%s is empty", what)
		return "", false
	}
	if i := strings.IndexFunc(s, isControl); i >= 0 {
		c.add(n.at, "remove it", "%s holds a control character", what)
		return "", false
	}
	return s, true
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func literalWord(v rules.Value) string {
	if v.Kind == rules.Bool {
		return "bool"
	}
	return "number"
}

// textOf is text for a key that has to be there.
func (c *compiler) textOf(o object, key, owner string) (string, bool) {
	n := o.get(key)
	if n == nil {
		c.add(o.at, "add "+key+": …", "%s has no %s", owner, key)
		return "", false
	}
	return c.text(n, key)
}

// word reads a text that is one of a few.
func (c *compiler) word(n *node, what, plural string, words []string) (string, bool) {
	s, ok := c.text(n, what)
	if !ok {
		return "", false
	}
	if !slices.Contains(words, s) {
		c.add(n.at, didYouMean(s, words, plural), "no %s is called %q", what, s)
		return "", false
	}
	return s, true
}

// duration reads a duration above zero, in milliseconds; 0 if it is not given or
// wrong.
func (c *compiler) duration(n *node, what string) int64 {
	if n == nil {
		return 0
	}
	if n.kind != scalarNode {
		c.wrongKind(n, durationForm, what)
		return 0
	}
	ms, err := ParseDuration(n.scalar.text)
	if err != nil {
		message, wayOut, found := strings.Cut(err.Error(), ": ")
		if !found {
			wayOut = "write a shorter one"
		}
		c.add(n.at, wayOut, "%s: %s", what, message)
		return 0
	}
	if ms == 0 {
		c.add(n.at, "leave it out, or write a duration above zero", "%s is zero", what)
	}
	return ms
}

// whole reads a whole number from low to high. It returns false after reporting
// what is wrong, or if the number is not given.
func (c *compiler) whole(n *node, what string, low, high int64) (int, bool) {
	if n == nil {
		return 0, false
	}
	if n.kind != scalarNode {
		c.wrongKind(n, "write a whole number", what)
		return 0, false
	}
	v := n.literal
	if v.Kind == rules.Float && v.Float() == float64(int64(v.Float())) {
		v = rules.IntValue(int64(v.Float()))
	}
	if v.Kind != rules.Int {
		c.add(n.at, "write a number without quotes and without a fraction", "%s is not a whole number", what)
		return 0, false
	}
	if i := v.Int(); i < low || i > high {
		c.add(n.at, "write a number in that range", "%s is %d; it goes from %d to %d", what, i, low, high)
		return 0, false
	}
	return int(v.Int()), true
}

// number reads a number from low to high. It returns false after reporting what
// is wrong.
func (c *compiler) number(n *node, what string, low, high float64) (float64, bool) {
	if n.kind != scalarNode {
		c.wrongKind(n, "write a number", what)
		return 0, false
	}
	if kind := n.literal.Kind; kind != rules.Int && kind != rules.Float {
		c.add(n.at, "write a number without quotes", "%s is not a number", what)
		return 0, false
	}
	f := n.literal.Float()
	if f < low || f > high {
		c.add(n.at, "write a number in that range", "%s is %v; it goes from %v to %v", what, f, low, high)
		return 0, false
	}
	return f, true
}

// boolean reads true or false; false if it is not given or wrong.
func (c *compiler) boolean(n *node, what string) bool {
	if n == nil {
		return false
	}
	if n.kind != scalarNode {
		c.wrongKind(n, "write true or false", what)
		return false
	}
	if n.literal.Kind != rules.Bool {
		c.add(n.at, "write true or false, without quotes", "%s is neither true nor false", what)
		return false
	}
	return n.literal.Bool()
}

// eventTypes reads one event type, a list of them, or "*".
func (c *compiler) eventTypes(n *node, what string) []string {
	items := []*node{n}
	if n.kind == listNode {
		items = n.items
		if len(items) == 0 {
			c.add(n.at, `name an event type, or write "*" for all`, "%s is an empty list", what)
		}
	}
	var types []string
	for _, item := range items {
		if item.kind != scalarNode {
			c.wrongKind(item, `write one event type, a list of them, or "*"`, what)
			continue
		}
		t, ok := c.text(item, what)
		switch {
		case !ok:
		case slices.Contains(types, t):
			c.add(item.at, "keep one of the two", "%s names %s twice", what, t)
		default:
			types = append(types, t)
		}
	}
	if len(types) > 1 && slices.Contains(types, rules.AnyType) {
		c.add(n.at, `write "*" alone, or the list without it`, `%s: "*" already means every event type`, what)
	}
	return types
}
