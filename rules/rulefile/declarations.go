package rulefile

import (
	"slices"
	"strings"

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
	} else if word, ok := c.word(t, "type", "types", []string{"int", "float", "double", "string", "bool", "timestamp"}); ok {
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

// metric declares a metric.
func (c *compiler) metric(name string, at place, n *node) {
	if !c.identifier(name, "a metric", at, reserved) {
		return
	}
	if old := c.metrics[name]; old != nil {
		c.add(at, "keep one of the two", "the metric %s is declared already, at %s", name, old.at)
		return
	}
	m := &rules.Metric{Name: name}
	c.metrics[name] = &metric{at, m}
	keys := metricKeys
	if n.kind == mapNode && slices.ContainsFunc(n.entries, func(e entry) bool { return slices.Contains(metricKeys.later, e.key) }) {
		keys.with = []string{"on"}
	}
	o, ok := c.object(n, keys)
	if !ok || o.unbuilt {
		return
	}
	switch {
	case o.has("count") && o.has("last"):
		c.add(o.keyAt("last"), "make two metrics of it", "the metric %s is both a count and a last", name)
		return
	case o.has("count"):
		m.Kind = rules.Count
		m.On = c.eventTypes(o.get("count"), "count")
	case o.has("last"):
		m.Kind = rules.Last
		m.On = c.eventTypes(o.get("last"), "last")
	default:
		c.add(at, "add count: or last: with the types of the events", "the metric %s has no kind", name)
		return
	}
	m.Within = c.duration(o.get("within"), "within")
	if m.Kind == rules.Last && o.has("within") {
		c.add(o.keyAt("within"), "leave it out, and compare the time in the condition: "+name+` > now - duration("24h")`, "a last has no window")
	}
	if by := o.get("by"); by != nil {
		c.countBy(m, by, o)
	}
	if reset := o.get("reset"); reset != nil {
		m.Reset = c.eventTypes(reset, "reset")
	}
	c.set.Metrics = append(c.set.Metrics, m)
	if where := o.get("where"); where != nil {
		c.pending = append(c.pending, func() {
			m.Where = c.condition(where, "where", &scope{event: true, noMetrics: "a metric cannot depend on metrics", noTrigger: "here the event at hand is called event"})
		})
	}
}

// countBy makes the metric count apart by the value of a field of the event.
func (c *compiler) countBy(m *rules.Metric, n *node, o object) {
	text, ok := c.text(n, "by")
	if !ok {
		return
	}
	field, isField := strings.CutPrefix(text, "event.")
	switch {
	case m.Kind != rules.Count:
		c.add(o.keyAt("by"), "leave it out", "only a count can be kept apart by a field")
	case !isField || !plainField(field):
		c.add(n.at, "write a field of the event: by: event.product_id", "by is not a field of the event")
	case !o.has("within"):
		c.add(o.keyAt("by"), "add within: with a duration", "a count by a field needs a window, or it would keep every value for ever")
	default:
		m.Keyed, m.BySlot = true, c.slotOf(field)
	}
}

// plainField says that the name is one of the event's own fields.
func plainField(name string) bool {
	if name == "" || slices.Contains([]string{"id", "type", "user", "time"}, name) {
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
