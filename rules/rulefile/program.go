package rulefile

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"github.com/nudged/nudged/rules"
)

// program is an expression, or part of one, that CEL evaluates.
type program struct {
	cel  cel.Program
	vars []*variable
}

// activation lets a program read an Env.
type activation struct {
	env  *rules.Env
	vars []*variable
}

// ResolveName implements interpreter.Activation.
func (a *activation) ResolveName(name string) (any, bool) {
	for _, v := range a.vars {
		if v.name == name {
			return toCEL(v.read(a.env)), true
		}
	}
	return nil, false
}

// Parent implements interpreter.Activation.
func (a *activation) Parent() interpreter.Activation { return nil }

// eval returns the result, nil if it is an error. An error is always one of the
// data: something is not there, or of a type that the operation does not take,
// or costs too much.
func (p *program) eval(env *rules.Env) ref.Val {
	v, _, err := p.cel.Eval(&activation{env, p.vars})
	if err != nil {
		return nil
	}
	return v
}

func (p *program) truth(env *rules.Env) rules.Truth {
	if b, ok := p.eval(env).(types.Bool); ok {
		return rules.TruthOf(bool(b))
	}
	return rules.Unknown
}

func (p *program) value(env *rules.Env) rules.Value {
	v := p.eval(env)
	if v == nil {
		return rules.Value{}
	}
	return fromCEL(v)
}
