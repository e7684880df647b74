package rulefile

import (
	"slices"

	"github.com/nudged/nudged/rules"
)

var attributeTypes = map[string]rules.ValueKind{
	"int":       rules.Int,
	"float":     rules.Float,
	"double":    rules.Float,
	"string":    rules.String,
	"bool":      rules.Bool,
	"timestamp": rules.Time,
}

// attribute declares an attribute.
func (c *compiler) attribute(name string, at place, n *node) {
	if !c.identifier(name, "an attribute", at, keywords) {
		return
	}
	if old := c.attributes[name]; old != nil {
		c.add(at, "keep one of the two", "the attribute %s is declared already, at %s", name, old.at)
		return
	}
	a := &rules.Attribute{Name: name}
	c.attributes[name] = &attribute{at, a}
	o, ok := c.object(n, attributeKeys)
	if !ok {
		return
	}
	owner := "the attribute " + name
	if t := o.get("type"); t == nil {
		c.add(at, "add type: int, float, string, bool or timestamp", "%s has no type", owner)
	} else if word, ok := c.word(t, "type", "types", attributeTypeWords); ok {
		a.Kind = attributeTypes[word]
	}
	if on := o.get("on"); on == nil {
		c.add(at, "add on: with the types of the events that carry it", "%s has no on", owner)
	} else {
		a.On = c.eventTypes(on, "on")
	}
	from := o.get("from")
	if from == nil {
		c.add(at, "add from: with an expression such as event."+name, "%s has no from", owner)
		return
	}
	c.set.Attributes = append(c.set.Attributes, a)
	c.pending = append(c.pending, func() {
		a.From = c.attributeValue(from, a)
	})
}

// plainField says that the name is one of the event's own fields.
func plainField(name string) bool {
	if name == "" || slices.Contains(envelope, name) {
		return false
	}
	for i, r := range name {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return true
}
