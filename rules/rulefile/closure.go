package rulefile

import (
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/nudged/nudged/rules"
)

// orders are the comparisons by their outcomes.
var orders = map[string]order{
	operators.Less:          less,
	operators.LessEquals:    less | same,
	operators.Greater:       greater,
	operators.GreaterEquals: greater | same,
}

var textTests = map[string]func(s, part string) bool{
	"startsWith": strings.HasPrefix,
	"endsWith":   strings.HasSuffix,
	"contains":   strings.Contains,
}

// condition compiles a condition to closures, nil if they cannot do all of it.
func (b *backend) condition(e ast.Expr) rules.Cond {
	switch e.Kind() {
	case ast.LiteralKind:
		if v, ok := e.AsLiteral().(types.Bool); ok {
			t := rules.TruthOf(bool(v))
			return func(*rules.Env) rules.Truth { return t }
		}
	case ast.IdentKind:
		if v := b.vars[e.AsIdent()]; v != nil {
			read := v.read
			return func(env *rules.Env) rules.Truth { return truthOf(read(env)) }
		}
	case ast.CallKind:
		return b.callCondition(e.AsCall())
	}
	return nil
}

func (b *backend) callCondition(call ast.CallExpr) rules.Cond {
	name, args := call.FunctionName(), call.Args()
	switch name {
	case operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot:
		conds := make([]rules.Cond, len(args))
		for i, arg := range args {
			if conds[i] = b.condition(arg); conds[i] == nil {
				return nil
			}
		}
		return combine(name, conds)
	case operators.In:
		return b.membership(args)
	}
	if call.IsMemberFunction() {
		if test := textTests[name]; test != nil && len(args) == 1 {
			return b.textTest(test, call.Target(), args[0])
		}
		return nil
	}
	comparison, ordered := orders[name]
	if len(args) != 2 || !ordered && name != operators.Equals && name != operators.NotEquals {
		return nil
	}
	left, ok := b.operand(args[0])
	if !ok {
		return nil
	}
	right, ok := b.operand(args[1])
	if !ok {
		return nil
	}
	switch {
	case left.span != nil && right.span != nil:
		if !ordered {
			comparison = same
			if name == operators.NotEquals {
				comparison = less | greater
			}
		}
		return compareSpans(left.span, right.span, comparison)
	case left.span != nil || right.span != nil:
		return nil
	case ordered:
		return compareValues(left, right, comparison)
	}
	return equality(left, right, name == operators.NotEquals)
}

func truthOf(v rules.Value) rules.Truth {
	if v.Kind != rules.Bool {
		return rules.Unknown
	}
	return rules.TruthOf(v.Bool())
}

// combine joins two conditions by && or ||, or negates one.
func combine(name string, conds []rules.Cond) rules.Cond {
	if name == operators.LogicalNot {
		cond := conds[0]
		return func(env *rules.Env) rules.Truth { return not(cond(env)) }
	}
	// One operand that decides hides an error in another.
	decides := rules.False
	if name == operators.LogicalOr {
		decides = rules.True
	}
	a, b := conds[0], conds[1]
	return func(env *rules.Env) rules.Truth {
		x := a(env)
		if x == decides {
			return decides
		}
		y := b(env)
		if x == rules.Unknown && y != decides {
			return rules.Unknown
		}
		return y
	}
}

func compareSpans(left, right span, o order) rules.Cond {
	return func(env *rules.Env) rules.Truth {
		a, ok := left(env)
		if !ok {
			return rules.Unknown
		}
		b, ok := right(env)
		if !ok {
			return rules.Unknown
		}
		return o.holds(compareInts(a, b))
	}
}

func compareValues(left, right operand, o order) rules.Cond {
	if left.constant && !right.constant {
		left, right, o = right, left, o.mirrored()
	}
	if right.constant && left.slot >= 0 {
		return compareField(left.slot, right.literal, o)
	}
	a, b := left.value, right.value
	if right.constant {
		literal := right.literal
		return func(env *rules.Env) rules.Truth { return o.compare(a(env), literal) }
	}
	return func(env *rules.Env) rules.Truth { return o.compare(a(env), b(env)) }
}

// compareField compares an event field with a constant, the most common
// condition of all.
func compareField(slot int, literal rules.Value, o order) rules.Cond {
	switch literal.Kind {
	case rules.Int:
		i := literal.Int()
		return func(env *rules.Env) rules.Truth {
			v := eventField(env, slot)
			switch v.Kind {
			case rules.Int:
				return o.holds(compareInts(v.Int(), i))
			case rules.Float:
				return o.compareFloat(1, v.Float(), i)
			}
			return rules.Unknown
		}
	case rules.Float:
		f := literal.Float()
		return func(env *rules.Env) rules.Truth {
			v := eventField(env, slot)
			switch v.Kind {
			case rules.Int:
				return o.compareFloat(-1, f, v.Int())
			case rules.Float:
				return o.compareFloats(v.Float(), f)
			}
			return rules.Unknown
		}
	}
	return func(env *rules.Env) rules.Truth { return o.compare(eventField(env, slot), literal) }
}

func equality(left, right operand, negated bool) rules.Cond {
	if left.constant && !right.constant {
		left, right = right, left
	}
	if right.constant && right.literal.Kind == rules.String && left.slot >= 0 {
		slot, literal := left.slot, right.literal
		text := literal.Str()
		return func(env *rules.Env) rules.Truth {
			v := eventField(env, slot)
			if v.Kind == rules.String {
				return rules.TruthOf((v.Str() == text) != negated)
			}
			if negated {
				return not(equal(v, literal))
			}
			return equal(v, literal)
		}
	}
	a, b := left.value, right.value
	if negated {
		return func(env *rules.Env) rules.Truth { return not(equal(a(env), b(env))) }
	}
	return func(env *rules.Env) rules.Truth { return equal(a(env), b(env)) }
}

func not(t rules.Truth) rules.Truth {
	switch t {
	case rules.True:
		return rules.False
	case rules.False:
		return rules.True
	}
	return t
}

// membership compiles x in [a, b, c]. The list is made before it is searched, so
// that one element that is not there makes the whole unknown.
func (b *backend) membership(args []ast.Expr) rules.Cond {
	if len(args) != 2 || args[1].Kind() != ast.ListKind {
		return nil
	}
	needle, ok := b.operand(args[0])
	if !ok || needle.span != nil {
		return nil
	}
	var literals []rules.Value
	var elements []rules.Expr
	for _, item := range args[1].AsList().Elements() {
		o, ok := b.operand(item)
		if !ok || o.span != nil {
			return nil
		}
		if o.constant {
			literals = append(literals, o.literal)
		} else {
			elements = append(elements, o.value)
		}
	}
	read := needle.value
	return func(env *rules.Env) rules.Truth {
		v := read(env)
		if !v.Present() {
			return rules.Unknown
		}
		found := rules.False
		for i := range literals {
			if t := equal(v, literals[i]); t != rules.False {
				found = t
				break
			}
		}
		for _, read := range elements {
			item := read(env)
			if !item.Present() {
				return rules.Unknown
			}
			if found == rules.False {
				found = equal(v, item)
			}
		}
		return found
	}
}

// textTest compiles s.startsWith(part) and its like.
func (b *backend) textTest(test func(s, part string) bool, target, arg ast.Expr) rules.Cond {
	text, ok := b.operand(target)
	if !ok || text.span != nil {
		return nil
	}
	part, ok := b.operand(arg)
	if !ok || part.span != nil {
		return nil
	}
	readText, readPart := text.value, part.value
	return func(env *rules.Env) rules.Truth {
		s, p := readText(env), readPart(env)
		if s.Kind != rules.String || p.Kind != rules.String {
			return rules.Unknown
		}
		return rules.TruthOf(test(s.Str(), p.Str()))
	}
}
