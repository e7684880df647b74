package rulefile

import (
	"testing"

	"cel.dev/cel-go/common/ast"

	"github.com/nudged/nudged/rules"
)

// checkedCond compiles a condition of a waiting rule's unless down to its
// checked form.
func checkedCond(t testing.TB, cond string) *backend {
	t.Helper()
	c, err := newCompiler(false)
	if err != nil {
		t.Fatal(err)
	}
	age := &rules.Attribute{Name: "age", Kind: rules.Int}
	orders := &rules.Metric{Name: "orders", Kind: rules.Count}
	last := &rules.Metric{Name: "last_order", Kind: rules.Last}
	c.attributes["age"] = &attribute{compiled: age}
	c.metrics["orders"] = &metric{compiled: orders}
	c.metrics["last_order"] = &metric{compiled: last}
	src := newSource("test", 0, cond)
	n := &node{kind: scalarNode, at: place{src, 1, 1}, scalar: scalarText{text: cond, start: place{src, 1, 1}}}
	b := c.expression(n, "where", &scope{event: true, trigger: triggerIsKept, uses: &usage{}}, "")
	if b == nil {
		t.Fatal(c.err())
	}
	return b
}

// What rules are mostly made of must not fall back to CEL.
func TestClosuresReach(t *testing.T) {
	for _, cond := range []string{
		`event.price > 0.0 && event.category == "dress"`,
		`event.cart == trigger.cart`,
		`orders == 0 && user.age >= 20`,
		`last_order < now - duration("720h") || now > event.time + duration("1h")`,
		`now - last_order > duration("24h") && duration("1h") < now - trigger.time`,
		`event.category in ["a", "b", trigger.category] && !(event.n in [1, 2.0])`,
		`event.name.startsWith("a") || event.name.endsWith("b") || trigger.name.contains(event.name)`,
		`has(event.coupon) && !has(trigger.coupon) && has(user.age)`,
		`event.time > timestamp("2026-01-01T00:00:00Z")`,
		`event.flag && true != (event.n > 1)`,
		`event.id != trigger.id && event.user == "u1" && event["a-b"] == 1`,
	} {
		b := checkedCond(t, cond)
		if b.condition(b.tree.Expr()) == nil {
			t.Errorf("%s: closures do not reach it", cond)
		}
	}
}

// One part that needs CEL does not take the others along.
func TestPartsGoTheirOwnWay(t *testing.T) {
	b := checkedCond(t, `event.price > 0.0 && (size(event.name) > 3 || !event.tags.exists(x, x == "a"))`)
	if b.condition(b.tree.Expr()) != nil {
		t.Fatal("closures claim to do a loop")
	}
	closures, build := b.plan(b.tree.Expr())
	if !closures {
		t.Fatal("the comparison of the price is left to CEL")
	}
	if _, err := build(); err != nil {
		t.Fatal(err)
	}
	right := b.tree.Expr().AsCall().Args()[1]
	if closures, _ := b.plan(right); closures {
		t.Error("a part of which both sides need CEL is not one program")
	}
	if right.Kind() != ast.CallKind {
		t.Error("the right side is no call")
	}
}

func TestClosuresDoNotAllocate(t *testing.T) {
	set := parseText(t, benchRules, false)
	env := &rules.Env{Set: set, State: &rules.State{}, Now: start, Event: eventOf(set, "e", "a", start, fields{
		"price": rules.FloatValue(9.5), "category": rules.StringValue("dress"), "n": rules.IntValue(3), "name": rules.StringValue("red dress"),
	})}
	for _, r := range set.Rules {
		if got := r.Where(env); got != rules.True {
			t.Fatalf("%s: got %v, expected true", r.Name, got)
		}
		if n := testing.AllocsPerRun(100, func() { r.Where(env) }); n != 0 {
			t.Errorf("%s: %v allocations", r.Name, n)
		}
	}
}

const benchRules = `rules:
  - name: compare
    on: a
    where: event.price > 0.0 && event.category == "dress"
    send: {channel: c, class: ad, template: t}
  - name: members
    on: a
    where: event.category in ["shoe", "shirt", "dress"] && event.n in [1, 2, 3]
    send: {channel: c, class: ad, template: t}
  - name: time
    on: a
    where: now - duration("720h") < event.time
    send: {channel: c, class: ad, template: t}
  - name: text
    on: a
    where: event.name.endsWith("dress") && !has(event.gone)
    send: {channel: c, class: ad, template: t}
`

func BenchmarkPredicate(b *testing.B) {
	for _, backend := range []struct {
		name    string
		onlyCEL bool
	}{{"closures", false}, {"CEL", true}} {
		set := parseText(b, benchRules, backend.onlyCEL)
		env := &rules.Env{Set: set, State: &rules.State{}, Now: start, Event: eventOf(set, "e", "a", start, fields{
			"price": rules.FloatValue(9.5), "category": rules.StringValue("dress"), "n": rules.IntValue(3), "name": rules.StringValue("red dress"),
		})}
		for _, r := range set.Rules {
			b.Run(backend.name+"/"+r.Name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if r.Where(env) != rules.True {
						b.Fatal("not true")
					}
				}
			})
		}
	}
}

// BenchmarkParse is the time to compile a file of a few rules.
func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		if _, err := Parse([]File{{"cart.yaml", []byte(cartRules)}}); err != nil {
			b.Fatal(err)
		}
	}
}
