package draw

import (
	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules/sim/naive"
)

// scope is what an expression can see. now is always there.
type scope struct {
	event   bool
	trigger bool // its id, type, user and time
	fields  bool // and its own fields
	user    bool
	metrics bool
	keyed   bool // metrics that count by a field
}

// audience is what an audience can see.
var audience = scope{user: true, metrics: true}

// operands are the names that the scope has of a kind: number text bool time.
func (d *drawer) operands(kind string, s scope) []*naive.Expr {
	var list []*naive.Expr
	own := map[string][]string{"number": {"i", "x"}, "text": {"s", "tz", "id", "type", "user"}, "bool": {"b"}, "time": {"time"}}[kind]
	for _, name := range own {
		if s.event {
			list = append(list, event(name))
		}
		given := name == "id" || name == "type" || name == "user" || name == "time"
		if s.trigger && (given || s.fields) {
			list = append(list, naive.Name("trigger", name))
		}
	}
	if kind == "time" {
		list = append(list, naive.Name("now", ""))
		if s.event {
			list = append(list, naive.Call("timestamp", event("w")))
		}
		if s.fields {
			list = append(list, naive.Call("timestamp", naive.Name("trigger", "w")))
		}
	}
	if s.user {
		for _, name := range map[string][]string{"number": {"ui", "ux"}, "text": {"us", "timezone"}, "bool": {"ub"}, "time": {"ut"}}[kind] {
			list = append(list, naive.Name("user", name))
		}
	}
	if kind == "bool" && s.metrics {
		for _, a := range d.spec.Audiences {
			list = append(list, naive.Name("metric", a.Name))
		}
	}
	for _, m := range d.spec.Metrics {
		of := map[string]string{"count": "number", "sum": "number", "distinct": "number", "first": "time", "last": "time"}[m.Kind]
		if m.Kind == "value" {
			of = map[string]string{"i": "number", "x": "number", "s": "text", "b": "bool", "w": "text"}[m.Value.Name]
		}
		if s.metrics && of == kind && (m.By == "" || s.keyed) {
			// Metrics are what rules are about: twice as often.
			list = append(list, naive.Name("metric", m.Name), naive.Name("metric", m.Name))
		}
	}
	return list
}

func (d *drawer) operand(kind string, s scope) *naive.Expr {
	list := d.operands(kind, s)
	if len(list) == 0 {
		return d.literal(kind)
	}
	return rapid.SampledFrom(list).Draw(d.t, kind)
}

func (d *drawer) literal(kind string) *naive.Expr {
	switch kind {
	case "number":
		if d.often("whole") {
			return naive.Lit(naive.I(int64(d.upTo(3, "literal"))))
		}
		return naive.Lit(naive.F(float64(d.upTo(5, "literal")) / 2))
	case "text":
		return naive.Lit(naive.S(d.one("literal", "p", "q", "r", "a", "ann")))
	case "bool":
		return naive.Lit(naive.B(d.often("literal")))
	}
	return naive.Call("-", naive.Name("now", ""), naive.Lit(naive.D(d.span("literal"))))
}

// moment is a time, near now or not.
func (d *drawer) moment(s scope) *naive.Expr {
	e := d.operand("time", s)
	if d.often("shifted") {
		e = naive.Call(d.one("shift", "+", "+", "-"), e, naive.Lit(naive.D(d.span("by"))))
	}
	return e
}

// until is the time of a wait_until: a moment, or something without a type of
// its own that may be the text of one.
func (d *drawer) until(s scope) *naive.Expr {
	var texts []*naive.Expr
	if s.event {
		texts = append(texts, event("w"), event("i"))
	}
	if s.fields {
		texts = append(texts, naive.Name("trigger", "w"))
	}
	for _, m := range d.spec.Metrics {
		if m.Kind == "value" {
			texts = append(texts, naive.Name("metric", m.Name))
		}
	}
	if len(texts) > 0 && d.seldom("text of a time") {
		return rapid.SampledFrom(texts).Draw(d.t, "text of a time")
	}
	return d.moment(s)
}

// value is what a message may carry.
func (d *drawer) value(s scope) *naive.Expr {
	switch kind := d.one("value", "number", "text", "bool", "time", "condition"); kind {
	case "time":
		return d.moment(s)
	case "condition":
		return d.condition(0, s)
	default:
		return d.operand(kind, s)
	}
}

func (d *drawer) condition(depth int, s scope) *naive.Expr {
	if depth > 0 {
		switch op := d.one("op", "compare", "compare", "&&", "||", "!"); op {
		case "&&", "||":
			return naive.Call(op, d.condition(depth-1, s), d.condition(depth-1, s))
		case "!":
			return naive.Call("!", d.condition(depth-1, s))
		}
	}
	switch kind := d.one("kind", "number", "number", "number", "text", "bool", "time", "has"); kind {
	case "number", "text":
		left := d.operand(kind, s)
		if left.Op == "lit" {
			return naive.Call(">=", d.operand("time", s), d.moment(s))
		}
		right := d.literal(kind)
		if d.seldom("compares two") {
			right = d.operand(kind, s)
		}
		return naive.Call(d.one("op", ">=", "<=", "==", "!=", "<", ">"), left, right)
	case "has":
		return naive.Call("has", d.named(s))
	case "bool":
		if e := d.operand(kind, s); e.Op != "lit" {
			return e
		}
	}
	right := d.moment(s)
	return naive.Call(d.one("op", ">=", "<", "==", "<=", ">"), d.operand("time", s), right)
}

// named is something that has() can be asked of.
func (d *drawer) named(s scope) *naive.Expr {
	var list []*naive.Expr
	if s.event {
		list = append(list, event("i"), event("s"), event("b"))
	}
	if s.fields {
		list = append(list, naive.Name("trigger", "i"), naive.Name("trigger", "x"))
	}
	if s.user {
		list = append(list, naive.Name("user", "ui"), naive.Name("user", "us"), naive.Name("user", "ut"))
	}
	return rapid.SampledFrom(list).Draw(d.t, "has")
}
