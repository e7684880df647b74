package rulefile

import (
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"github.com/nudged/nudged/rules"
)

// expression parses and checks an expression. It returns nil after reporting
// what is wrong. quoteHint tells people who forget that a text needs quotes.
func (c *compiler) expression(n *node, what string, s *scope, quoteHint string) *backend {
	if n.kind != scalarNode {
		c.wrongKind(n, "write an expression in quotes", what)
		return nil
	}
	text := n.scalar
	if strings.TrimSpace(text.text) == "" {
		c.add(n.at, "write an expression, or leave the key out", "%s is empty", what)
		return nil
	}
	if length := utf8.RuneCountInString(text.text); length > maxExpression {
		c.add(n.at, "split it up, or compute part of it where the events are made", "%s is an expression of %d characters; at most %d are read", what, length, maxExpression)
		return nil
	}
	parsed, issues := c.cel.cel.Parse(text.text)
	if issues.Err() != nil {
		// The first error brings the others about.
		m := syntaxMistake(issues.Errors()[0], text.text)
		if quoteHint != "" {
			m.wayOut += "; " + quoteHint
		}
		c.add(text.placeOf(m.offset), m.wayOut, "%s: %s", what, m.message)
		return nil
	}
	tree := parsed.NativeRep()
	r := &resolver{
		c: c, scope: s, text: text, tree: tree,
		used: map[string]*variable{}, make: ast.NewExprFactory(), next: ast.MaxID(tree) + 1,
	}
	r.walk(tree.Expr(), nil)
	if r.bad {
		return nil
	}
	if err := c.cel.declare(r.used); err != nil {
		c.add(n.at, "simplify the expression", "%s: %s", what, err)
		return nil
	}
	checked, issues := c.cel.cel.Check(parsed)
	if issues.Err() != nil {
		for _, e := range issues.Errors() {
			m := c.typeMistake(e, text.text)
			c.add(text.placeOf(m.offset), m.wayOut, "%s: %s", what, m.message)
		}
		return nil
	}
	if !c.checkComparisons(text, checked.NativeRep()) {
		return nil
	}
	if c.cel.tooCostly(checked) {
		c.add(n.at, "loop over less", "%s takes too long: more than %d steps each time", what, costLimit)
		return nil
	}
	return &backend{environment: c.cel, tree: checked.NativeRep(), vars: r.used, onlyCEL: c.onlyCEL}
}

// resultType is the type of a checked expression.
func (b *backend) resultType() *types.Type { return b.tree.GetType(b.tree.Expr().ID()) }

// typeWord is the name of a type as people write it.
func typeWord(t *types.Type) string { return cel.FormatCELType(t) }

// condition compiles an expression that has to be a bool.
func (c *compiler) condition(n *node, what string, s *scope) rules.Cond {
	b := c.expression(n, what, s, "")
	if b == nil {
		return nil
	}
	if t := b.resultType(); t.Kind() != types.BoolKind && t.Kind() != types.DynKind {
		c.add(b.place(n), "compare it with something, so that it is true or false", "%s is of type %s, not a condition", what, typeWord(t))
		return nil
	}
	cond, err := b.cond()
	if err != nil {
		c.add(n.at, "correct the expression", "%s: %s", what, err)
		return nil
	}
	return cond
}

func (b *backend) place(n *node) place { return n.scalar.placeOf(0) }

// valueOf compiles an expression for its value; fits says what is wrong with its
// type, "" if nothing is.
func (c *compiler) valueOf(n *node, what string, s *scope, quoteHint string, fits func(*types.Type) (wrong, wayOut string)) rules.Expr {
	b := c.expression(n, what, s, quoteHint)
	if b == nil {
		return nil
	}
	if wrong, wayOut := fits(b.resultType()); wrong != "" {
		c.add(b.place(n), wayOut, "%s %s", what, wrong)
		return nil
	}
	value, err := b.value()
	if err != nil {
		c.add(n.at, "correct the expression", "%s: %s", what, err)
		return nil
	}
	return value
}

// attributeValue compiles the from of an attribute, whose type has to go into
// the declared one.
func (c *compiler) attributeValue(n *node, a *rules.Attribute) rules.Expr {
	s := &scope{event: true, noTrigger: "here the event at hand is called event"}
	return c.valueOf(n, "from", s, "", func(t *types.Type) (string, string) {
		kind, known := valueKinds[t.Kind()]
		if t.Kind() == types.DynKind || a.Kind == rules.Absent || known && convertible(kind, a.Kind) {
			return "", ""
		}
		return "is of type " + typeWord(t) + ", but the attribute " + a.Name + " of type " + a.Kind.String(), "change the type, or convert the value"
	})
}

var valueKinds = map[types.Kind]rules.ValueKind{
	types.BoolKind: rules.Bool, types.IntKind: rules.Int, types.UintKind: rules.Int, types.DoubleKind: rules.Float,
	types.StringKind: rules.String, types.TimestampKind: rules.Time, types.DurationKind: rules.String,
}

// convertible tells whether rules.Value.As may succeed.
func convertible(from, to rules.ValueKind) bool {
	return from == to || from == rules.Int && to == rules.Float || from == rules.Float && to == rules.Int || from == rules.String && to == rules.Time
}

// numberValue compiles an expression that has to be a number.
func (c *compiler) numberValue(n *node, what string, s *scope) rules.Expr {
	return c.valueOf(n, what, s, "", func(t *types.Type) (string, string) {
		if kind := valueKinds[t.Kind()]; kind == rules.Int || kind == rules.Float || t.Kind() == types.DynKind {
			return "", ""
		}
		return "is of type " + typeWord(t) + ", not a number", "use a number: double(event.price)"
	})
}

// momentValue compiles an expression that has to be a time. A text that an event
// or attribute without a type of its own carries is read as RFC 3339.
func (c *compiler) momentValue(n *node, what string, s *scope) rules.Expr {
	untyped := false
	value := c.valueOf(n, what, s, `a time is written timestamp("2026-11-27T09:00:00Z")`, func(t *types.Type) (string, string) {
		untyped = t.Kind() == types.DynKind
		switch t.Kind() {
		case types.TimestampKind, types.DynKind:
			return "", ""
		case types.DurationKind:
			return "is of type " + typeWord(t) + ", not a time", "add it to one: now + …, trigger.time + …"
		}
		return "is of type " + typeWord(t) + ", not a time", "write timestamp(…) around it"
	})
	if value == nil || !untyped {
		return value
	}
	return func(env *rules.Env) rules.Value {
		v, _ := value(env).As(rules.Time)
		return v
	}
}

// keyValue compiles the key of a rule, which has to have a text.
func (c *compiler) keyValue(n *node, s *scope) rules.Expr {
	return c.valueOf(n, "key", s, "", func(t *types.Type) (string, string) {
		if _, known := valueKinds[t.Kind()]; known || t.Kind() == types.DynKind {
			return "", ""
		}
		return "is of type " + typeWord(t) + ", which has no plain text", "use a text, a number, a bool or a time"
	})
}

// dataValue compiles a value of a send. A number or a bool of YAML is itself,
// all else is an expression.
func (c *compiler) dataValue(n *node, name string, s *scope) rules.Expr {
	what := "data." + name
	if n.kind == scalarNode && n.literal.Present() {
		v := n.literal
		return func(*rules.Env) rules.Value { return v }
	}
	if n.kind == mapNode || n.kind == listNode {
		c.add(n.at, `write one expression in quotes: "{'a': trigger.a}" or "[1, 2]"`, "%s is %s of YAML", what, n.kind)
		return nil
	}
	return c.valueOf(n, what, s, `a text needs quotes of its own: "'text'"`, func(t *types.Type) (string, string) {
		return unsendable(t, "sent")
	})
}

// unsendable says what is wrong with a value that has no form in JSON.
func unsendable(t *types.Type, what string) (wrong, wayOut string) {
	switch t.Kind() {
	case types.BytesKind, types.TypeKind, types.NullTypeKind:
		return "is of type " + typeWord(t) + ", which cannot be " + what, "use a text, a number, a bool, a time, a list or a map"
	}
	return "", ""
}
