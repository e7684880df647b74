package rulefile

import (
	"math"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/eventtime"
)

// span evaluates a duration in milliseconds; false is an error in CEL's sense.
type span func(*rules.Env) (ms int64, ok bool)

// operand is a value that closures can get at. A duration has a span, all else
// has a value, Absent being an error in CEL's sense.
type operand struct {
	value    rules.Expr
	span     span
	time     bool // the value is a timestamp by its type
	constant bool
	literal  rules.Value // of a constant value
	milli    int64       // of a constant span
	slot     int         // of an event field, else -1
}

func constant(v rules.Value) operand {
	return operand{
		value: func(*rules.Env) rules.Value { return v },
		time:  v.Kind == rules.Time, constant: true, literal: v, slot: -1,
	}
}

// operand compiles a value; false if closures cannot do it.
func (b *backend) operand(e ast.Expr) (operand, bool) {
	switch e.Kind() {
	case ast.LiteralKind:
		switch v := e.AsLiteral().(type) {
		case types.Bool, types.Int, types.Double, types.String:
			return constant(fromCEL(v)), true
		}
	case ast.IdentKind:
		if v := b.vars[e.AsIdent()]; v != nil {
			return operand{value: v.read, time: v.typ == cel.TimestampType, slot: v.slot}, true
		}
	case ast.CallKind:
		if o, ok := b.timeOperand(e.AsCall(), e); ok {
			return o, true
		}
		// A condition is a value as well: (event.a > 1) == event.b.
		if cond := b.condition(e); cond != nil {
			return operand{value: truthValue(cond), slot: -1}, true
		}
	}
	return operand{}, false
}

// truthValue makes a bool of a condition, Absent of one that cannot be told.
func truthValue(cond rules.Cond) rules.Expr {
	return func(env *rules.Env) rules.Value {
		t := cond(env)
		if t == rules.Unknown {
			return rules.Value{}
		}
		return rules.BoolValue(t == rules.True)
	}
}

// timeOperand compiles constant times and durations, and sums and differences
// of the two.
func (b *backend) timeOperand(call ast.CallExpr, e ast.Expr) (operand, bool) {
	args := call.Args()
	switch call.FunctionName() {
	case "duration", "timestamp":
		if !call.IsMemberFunction() && len(args) == 1 && args[0].Kind() == ast.LiteralKind {
			return foldTime(b.evaluate(e))
		}
	case operators.Add, operators.Subtract:
		if len(args) != 2 {
			return operand{}, false
		}
		left, ok := b.operand(args[0])
		if !ok || !left.time && left.span == nil {
			return operand{}, false
		}
		right, ok := b.operand(args[1])
		if !ok || !right.time && right.span == nil {
			return operand{}, false
		}
		return combineTimes(left, right, call.FunctionName() == operators.Subtract)
	}
	return operand{}, false
}

// foldTime takes a constant of whole milliseconds; finer ones are left to CEL.
func foldTime(v ref.Val) (operand, bool) {
	switch v := v.(type) {
	case types.Duration:
		ns := v.Nanoseconds()
		ms := ns / int64(time.Millisecond)
		if ms*int64(time.Millisecond) != ns {
			return operand{}, false
		}
		return operand{span: func(*rules.Env) (int64, bool) { return ms, true }, constant: true, milli: ms, slot: -1}, true
	case types.Timestamp:
		if v.Nanosecond()%int(time.Millisecond) == 0 {
			return constant(rules.TimeValue(v.UnixMilli())), true
		}
	}
	return operand{}, false
}

func combineTimes(left, right operand, minus bool) (operand, bool) {
	switch {
	case left.time && right.span != nil:
		return shifted(left, right, minus), true
	case left.span != nil && right.time && !minus:
		return shifted(right, left, false), true
	case left.time && right.time && minus:
		return operand{span: between(left.value, right.value), slot: -1}, true
	case left.span != nil && right.span != nil:
		return operand{span: addSpans(left.span, right.span, minus), slot: -1}, true
	}
	return operand{}, false
}

// shifted is a time plus or minus a duration; outside of the years 1 to 9999 it
// is an error, as in CEL.
func shifted(at, by operand, minus bool) operand {
	out := operand{time: true, slot: -1}
	read := at.value
	if by.constant {
		ms := by.milli
		if minus {
			ms = -ms
		}
		out.value = func(env *rules.Env) rules.Value { return shift(read(env), ms) }
		return out
	}
	length := by.span
	out.value = func(env *rules.Env) rules.Value {
		ms, ok := length(env)
		if !ok {
			return rules.Value{}
		}
		if minus {
			ms = -ms
		}
		return shift(read(env), ms)
	}
	return out
}

func shift(at rules.Value, ms int64) rules.Value {
	if at.Kind != rules.Time {
		return rules.Value{}
	}
	// Neither can overflow: a span is less than 300 years.
	t := at.Int() + ms
	if t < eventtime.MinMilli || t > eventtime.MaxMilli {
		return rules.Value{}
	}
	return rules.TimeValue(t)
}

// maxSpan is the longest duration of CEL, which counts nanoseconds.
const maxSpan = math.MaxInt64 / int64(time.Millisecond)

// between is the time from one timestamp to another.
func between(later, earlier rules.Expr) span {
	return func(env *rules.Env) (int64, bool) {
		a, b := later(env), earlier(env)
		if a.Kind != rules.Time || b.Kind != rules.Time {
			return 0, false
		}
		// CEL takes the difference of the whole seconds first, which must fit
		// in nanoseconds, and then adds the rest.
		const maxSeconds = math.MaxInt64 / int64(time.Second)
		if s := floorSeconds(a.Int()) - floorSeconds(b.Int()); s > maxSeconds || s < -maxSeconds {
			return 0, false
		}
		ms := a.Int() - b.Int()
		return ms, ms <= maxSpan && ms >= -maxSpan
	}
}

func floorSeconds(ms int64) int64 {
	s := ms / 1000
	if ms%1000 < 0 {
		s--
	}
	return s
}

func addSpans(a, b span, minus bool) span {
	return func(env *rules.Env) (int64, bool) {
		x, ok := a(env)
		if !ok {
			return 0, false
		}
		y, ok := b(env)
		if minus {
			y = -y
		}
		sum := x + y
		return sum, ok && sum <= maxSpan && sum >= -maxSpan
	}
}
