package rulefile

import (
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"github.com/nudged/nudged/rules"
)

// backend compiles one checked expression: to closures as far as they go, to CEL
// programs where they do not.
type backend struct {
	environment *environment
	tree        *ast.AST
	vars        map[string]*variable
	onlyCEL     bool
}

// cond compiles a condition.
func (b *backend) cond() (rules.Cond, error) {
	_, build := b.plan(b.tree.Expr())
	return build()
}

// plan tells whether closures do at least part of a condition, and how to build
// it. Of && || ! each side goes its own way, unless both need CEL: then one
// program does it all.
func (b *backend) plan(e ast.Expr) (closures bool, build func() (rules.Cond, error)) {
	whole := func() (rules.Cond, error) {
		p, err := b.program(e)
		if err != nil {
			return nil, err
		}
		return p.truth, nil
	}
	if b.onlyCEL {
		return false, whole
	}
	if cond := b.condition(e); cond != nil {
		return true, func() (rules.Cond, error) { return cond, nil }
	}
	if e.Kind() != ast.CallKind {
		return false, whole
	}
	call := e.AsCall()
	name := call.FunctionName()
	if name != operators.LogicalAnd && name != operators.LogicalOr && name != operators.LogicalNot {
		return false, whole
	}
	var parts []func() (rules.Cond, error)
	for _, arg := range call.Args() {
		part, build := b.plan(arg)
		closures = closures || part
		parts = append(parts, build)
	}
	if !closures {
		return false, whole
	}
	return true, func() (rules.Cond, error) {
		conds := make([]rules.Cond, len(parts))
		for i, build := range parts {
			cond, err := build()
			if err != nil {
				return nil, err
			}
			conds[i] = cond
		}
		return combine(name, conds), nil
	}
}

// value compiles an expression for its value.
func (b *backend) value() (rules.Expr, error) {
	e := b.tree.Expr()
	if !b.onlyCEL {
		if o, ok := b.operand(e); ok {
			if o.span == nil {
				return o.value, nil
			}
			length := o.span
			return func(env *rules.Env) rules.Value {
				ms, ok := length(env)
				if !ok {
					return rules.Value{}
				}
				return rules.StringValue((time.Duration(ms) * time.Millisecond).String())
			}, nil
		}
		if b.tree.GetType(e.ID()).Kind() == cel.BoolKind {
			if closures, build := b.plan(e); closures {
				cond, err := build()
				if err != nil {
					return nil, err
				}
				return truthValue(cond), nil
			}
		}
	}
	p, err := b.program(e)
	if err != nil {
		return nil, err
	}
	return p.value, nil
}

// part is a piece of the expression as a tree of its own.
func (b *backend) part(e ast.Expr) *ast.AST {
	return ast.NewCheckedAST(ast.NewAST(e, b.tree.SourceInfo()), b.tree.TypeMap(), b.tree.ReferenceMap())
}

// program hands a piece to CEL.
func (b *backend) program(e ast.Expr) (*program, error) {
	planned, err := b.environment.plan(b.part(e))
	if err != nil {
		return nil, err
	}
	p := &program{cel: planned}
	seen := map[string]bool{}
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.IdentKind {
			return
		}
		if v := b.vars[e.AsIdent()]; v != nil && !seen[v.name] {
			seen[v.name] = true
			p.vars = append(p.vars, v)
		}
	}))
	return p, nil
}

// evaluate computes a piece that reads nothing; nil if it has no value.
func (b *backend) evaluate(e ast.Expr) ref.Val {
	planned, err := b.environment.plan(b.part(e))
	if err != nil {
		return nil
	}
	v, _, err := planned.Eval(interpreter.EmptyActivation())
	if err != nil {
		return nil
	}
	return v
}
