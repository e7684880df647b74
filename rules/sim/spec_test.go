package sim_test

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// A spec is a rule set as plain data. It is drawn at random, and read by two
// sides that share nothing but it: engine_test.go makes the engine's rules.Set
// of it, naive_test.go carries it out by itself.
type spec struct {
	attributes  []attributeSpec
	metrics     []metricSpec
	experiments []experimentSpec
	rules       []ruleSpec
}

const fieldCount = 3 // event fields are numbers; none stands for "not there"

const none = -1

type attributeSpec struct {
	on    []string
	field int
}

type metricSpec struct {
	last   bool // else a count
	on     []string
	where  *condition
	within int64 // 0: since ever
	reset  []string
	by     int // a field, or none
}

type experimentSpec struct {
	control, coverage int // percent
	layerFrom         int // percent; the slot goes up to 100. 0: no layer
	pinned            string
}

type clauseSpec struct {
	on    []string
	where *condition
}

type ruleSpec struct {
	on          []string
	where       *condition
	key         int   // a field, or none
	wait        int64 // or none
	restart     bool
	unless      []clauseSpec
	when        *condition
	cooldown    int64
	expireAfter int64
	priority    int
	experiment  int // or none
	data        []operand
}

// operand is something that has a value, or none.
type operand struct {
	what  string // event, trigger, user, metric, now
	index int
}

// condition compares an operand with another or with a number, or combines.
type condition struct {
	op          string // >= == has and or not
	left        operand
	right       *operand
	number      int64
	first, then *condition
}

func (o operand) String() string {
	if o.what == "now" {
		return "now"
	}
	return fmt.Sprintf("%s.%d", o.what, o.index)
}

func (c *condition) String() string {
	if c == nil {
		return "-"
	}
	switch c.op {
	case "and", "or":
		return fmt.Sprintf("(%s %s %s)", c.first, c.op, c.then)
	case "not":
		return fmt.Sprintf("!%s", c.first)
	case "has":
		return fmt.Sprintf("has(%s)", c.left)
	}
	if c.right != nil {
		return fmt.Sprintf("%s %s %s", c.left, c.op, c.right)
	}
	return fmt.Sprintf("%s %s %d", c.left, c.op, c.number)
}

func (s *spec) String() string {
	var b strings.Builder
	for i, a := range s.attributes {
		fmt.Fprintf(&b, "user.%d: on %v field %d\n", i, a.on, a.field)
	}
	for i, m := range s.metrics {
		fmt.Fprintf(&b, "metric.%d: last %v on %v where %s within %d by %d reset %v\n", i, m.last, m.on, m.where, m.within, m.by, m.reset)
	}
	for i, x := range s.experiments {
		fmt.Fprintf(&b, "experiment %d: %+v\n", i, x)
	}
	for i, r := range s.rules {
		fmt.Fprintf(&b, "r%d: on %v where %s key %d wait %d restart %v when %s cooldown %d expire_after %d priority %d experiment %d data %v\n",
			i, r.on, r.where, r.key, r.wait, r.restart, r.when, r.cooldown, r.expireAfter, r.priority, r.experiment, r.data)
		for _, c := range r.unless {
			fmt.Fprintf(&b, "  unless on %v where %s\n", c.on, c.where)
		}
	}
	return b.String()
}

// drawer draws specs. Spans are multiples of 5 ms, as the events' times are, so
// that ties and exact boundaries are the rule.
type drawer struct {
	t    *rapid.T
	spec *spec
}

func drawSpec(t *rapid.T) *spec {
	d := &drawer{t: t, spec: &spec{}}
	for range d.upTo(2, "attributes") {
		d.spec.attributes = append(d.spec.attributes, attributeSpec{on: d.types("attribute on"), field: d.upTo(fieldCount-1, "from")})
	}
	for range d.upTo(3, "metrics") {
		d.spec.metrics = append(d.spec.metrics, d.metric())
	}
	for range d.upTo(1, "experiments") {
		d.spec.experiments = append(d.spec.experiments, experimentSpec{
			control:   rapid.SampledFrom([]int{20, 50, 90}).Draw(t, "control"),
			coverage:  rapid.SampledFrom([]int{100, 60}).Draw(t, "coverage"),
			layerFrom: rapid.SampledFrom([]int{0, 0, 40}).Draw(t, "layer from"),
			pinned:    rapid.SampledFrom([]string{"", "", "", "control", "treatment"}).Draw(t, "pinned"),
		})
	}
	for range 1 + d.upTo(2, "rules") {
		d.spec.rules = append(d.spec.rules, d.rule())
	}
	return d.spec
}

func (d *drawer) upTo(n int, label string) int { return rapid.IntRange(0, n).Draw(d.t, label) }

func (d *drawer) span(label string, of ...int64) int64 { return rapid.SampledFrom(of).Draw(d.t, label) }

func (d *drawer) often(label string) bool { return d.upTo(2, label) > 0 }

// types draws event types; z is one that stands in no list by its name.
func (d *drawer) types(label string) []string {
	return rapid.SampledFrom([][]string{{"a"}, {"b"}, {"c"}, {"a", "b"}, {"b", "c"}, {"*"}}).Draw(d.t, label)
}

func (d *drawer) metric() metricSpec {
	m := metricSpec{last: d.upTo(3, "last") == 3, on: d.types("metric on"), by: none}
	if d.upTo(2, "metric has where") == 2 {
		m.where = d.condition(1, "event", "user")
	}
	if d.upTo(2, "metric has reset") == 2 {
		m.reset = d.types("reset")
	}
	if !m.last {
		m.within = d.span("within", 0, 5, 20, 50, 200)
		if d.upTo(2, "metric has by") == 2 {
			m.by = d.upTo(fieldCount-1, "by")
		}
	}
	return m
}

func (d *drawer) rule() ruleSpec {
	r := ruleSpec{on: d.types("rule on"), key: none, wait: none, experiment: none}
	if d.upTo(2, "rule has where") == 2 {
		r.where = d.condition(1, "event", "user", "metric")
	}
	if d.upTo(2, "rule has key") == 2 {
		r.key = d.upTo(fieldCount-1, "key")
	}
	readable := []string{"event", "trigger", "user", "metric", "now"}
	if d.often("rule waits") {
		readable = readable[1:]
		r.wait = d.span("wait", 0, 5, 20, 50)
		r.restart = rapid.Bool().Draw(d.t, "restart")
		r.expireAfter = d.span("expire_after", 0, 5, 20)
		for range d.upTo(2, "unless clauses") {
			c := clauseSpec{on: d.types("unless on")}
			if d.often("unless has where") {
				c.where = d.condition(1, "event", "trigger", "user", "metric")
			}
			r.unless = append(r.unless, c)
		}
	}
	if d.often("rule has when") {
		r.when = d.condition(2, readable...)
	}
	r.cooldown = d.span("cooldown", 0, 5, 20, 50)
	r.priority = d.upTo(1, "priority")
	if len(d.spec.experiments) > 0 && d.often("rule has experiment") {
		r.experiment = 0
	}
	for range d.upTo(3, "data") {
		r.data = append(r.data, d.operand(readable...))
	}
	return r
}

// operand draws one that is there: without attributes it is no attribute.
func (d *drawer) operand(readable ...string) operand {
	switch what := rapid.SampledFrom(readable).Draw(d.t, "what"); {
	case what == "user" && len(d.spec.attributes) > 0:
		return operand{what, d.upTo(len(d.spec.attributes)-1, "which")}
	case what == "metric" && len(d.spec.metrics) > 0:
		return operand{what, d.upTo(len(d.spec.metrics)-1, "which")}
	case what == "now":
		return operand{what, 0}
	case what == "trigger", readable[0] == "trigger":
		return operand{"trigger", d.upTo(fieldCount-1, "which")}
	}
	return operand{"event", d.upTo(fieldCount-1, "which")}
}

func (d *drawer) condition(depth int, readable ...string) *condition {
	op := rapid.SampledFrom([]string{">=", ">=", "==", "has", "and", "or", "not"}).Draw(d.t, "op")
	switch op {
	case "and", "or", "not":
		if depth == 0 {
			op = ">="
			break
		}
		c := &condition{op: op, first: d.condition(depth-1, readable...)}
		if op != "not" {
			c.then = d.condition(depth-1, readable...)
		}
		return c
	}
	c := &condition{op: op, left: d.operand(readable...), number: int64(d.upTo(3, "number"))}
	if op != "has" && d.upTo(2, "compares two") == 2 {
		right := d.operand(readable...)
		c.right = &right
	}
	return c
}
