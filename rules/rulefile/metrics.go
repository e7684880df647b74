package rulefile

import (
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"

	"github.com/nudged/nudged/rules"
)

type metricKind struct {
	key        string
	kind       rules.MetricKind
	expression bool
	window     bool
}

// metricKinds are the kinds by the key that names them. A kind of an expression
// has its event types in on, the others name them themselves.
var metricKinds = []metricKind{
	{"count", rules.Count, false, true},
	{"sum", rules.Sum, true, true},
	{"distinct", rules.Distinct, true, true},
	{"first", rules.First, false, false},
	{"last", rules.Last, false, false},
	{"value", rules.Latest, true, false},
}

// metric declares a metric.
func (c *compiler) metric(name string, at place, n *node) {
	if !c.bareName(name, "a metric", at) {
		return
	}
	m := &rules.Metric{Name: name}
	c.metrics[name] = &metric{at, m}
	o, ok := c.object(n, metricKeys)
	if !ok {
		return
	}
	kind := -1
	for i, k := range metricKinds {
		switch {
		case !o.has(k.key):
		case kind >= 0:
			c.add(o.keyAt(k.key), "make two metrics of it", "the metric %s is both a %s and a %s", name, metricKinds[kind].key, k.key)
			return
		default:
			kind = i
		}
	}
	if kind < 0 {
		if slices.ContainsFunc(metricKinds, func(k metricKind) bool { return slices.Contains(o.meant, k.key) }) {
			return
		}
		c.add(at, "add count: or last: with the types of the events; or sum:, distinct:, first:, value:", "the metric %s has no kind", name)
		return
	}
	k := metricKinds[kind]
	m.Kind = k.kind
	switch on := o.get("on"); {
	case !k.expression:
		m.On = c.eventTypes(o.get(k.key), k.key)
		if on != nil {
			c.add(o.keyAt("on"), "leave it out, or name all the types behind "+k.key+": [a, b]", "a %s names its event types itself", k.key)
		}
	case on == nil:
		c.add(at, "add on: with the types of the events that carry it", "the metric %s has no on", name)
	default:
		m.On = c.eventTypes(on, "on")
	}
	m.Within = c.duration(o.get("within"), "within")
	if !k.window && o.has("within") {
		wayOut := "leave it out, and compare the time in the condition: " + name + ` > now - duration("24h")`
		if k.expression {
			wayOut = "leave it out; the time of the event is another metric: last: …"
		}
		c.add(o.keyAt("within"), wayOut, "a %s has no window", k.key)
	}
	if by := o.get("by"); by != nil {
		c.countBy(m, by, o)
	}
	if reset := o.get("reset"); reset != nil {
		m.Reset = c.eventTypes(reset, "reset")
	}
	c.set.Metrics = append(c.set.Metrics, m)
	seen := &scope{event: true, noMetrics: "a metric cannot depend on metrics", noTrigger: "here the event at hand is called event"}
	if where := o.get("where"); where != nil {
		c.pending = append(c.pending, func() { m.Where = c.condition(where, "where", seen) })
	}
	if k.expression {
		c.pending = append(c.pending, func() { m.Value = c.metricValue(o.get(k.key), k.key, m, seen) })
	}
}

// metricValue compiles what a sum adds up, a distinct tells apart and a value
// keeps.
func (c *compiler) metricValue(n *node, what string, m *rules.Metric, s *scope) rules.Expr {
	return c.valueOf(n, what, s, "", func(t *types.Type) (string, string) {
		kind, known := valueKinds[t.Kind()]
		switch {
		case t.Kind() == types.DynKind:
		case m.Kind == rules.Sum && kind != rules.Int && kind != rules.Float:
			return "is of type " + typeWord(t) + ", which cannot be added up", "use a number: double(event.price)"
		case m.Kind == rules.Distinct && !known:
			return "is of type " + typeWord(t) + ", which has no plain text", "use a text, a number, a bool or a time"
		case m.Kind == rules.Latest:
			return unsendable(t, "kept")
		}
		return "", ""
	})
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
