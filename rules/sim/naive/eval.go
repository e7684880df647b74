package naive

import "time"

// moment is where an expression is asked.
type moment struct {
	event, trigger *Event
	now            int64
	// open says that the clock asks: windows have no upper end, so that what
	// became known after the due time counts.
	open bool
	// attributes are the user's at that moment.
	attributes map[string]Value
}

// holds says that a condition is there to hold, and does.
func (u *user) holds(e *Expr, at moment) bool { return e == nil || u.eval(e, at).True() }

// eval is what comes of an expression. Whatever reads what is not there, or does
// what cannot be done, has no value, except that one side of && and || may decide
// alone.
func (u *user) eval(e *Expr, at moment) Value {
	switch e.Op {
	case "lit":
		return e.Lit
	case "now":
		return T(at.now)
	case "event":
		return at.event.field(e.Name)
	case "trigger":
		return at.trigger.field(e.Name)
	case "user":
		return at.attributes[e.Name]
	case "metric":
		for _, a := range u.run.spec.Audiences {
			if a.Name == e.Name {
				return u.eval(a.Is, at)
			}
		}
		return u.metric(e.Name, at)
	case "has":
		return B(u.eval(e.Of[0], at).There())
	case "!":
		return not(u.eval(e.Of[0], at))
	case "timestamp":
		return timestamp(u.eval(e.Of[0], at))
	}
	a, b := u.eval(e.Of[0], at), u.eval(e.Of[1], at)
	switch e.Op {
	case "&&":
		return both(a, b)
	case "||":
		return not(both(not(a), not(b)))
	case "==":
		return equal(a, b)
	case "!=":
		return not(equal(a, b))
	case "<":
		return less(a, b)
	case ">":
		return less(b, a)
	case "<=":
		return not(less(b, a))
	case ">=":
		return not(less(a, b))
	case "+":
		return add(a, b)
	}
	return subtract(a, b)
}

func both(a, b Value) Value {
	isFalse := func(v Value) bool { return v.Kind == Bool && v.N == 0 }
	switch {
	case isFalse(a) || isFalse(b):
		return B(false)
	case a.True() && b.True():
		return B(true)
	}
	return Value{}
}

func add(a, b Value) Value {
	switch {
	case a.Kind == Time && b.Kind == Span, a.Kind == Span && b.Kind == Time:
		return T(a.N + b.N)
	case a.Kind == Int && b.Kind == Int:
		return I(a.N + b.N)
	case a.Kind == Float && b.Kind == Float:
		return F(a.F + b.F)
	case a.Kind == Text && b.Kind == Text:
		return S(a.S + b.S)
	}
	return Value{}
}

func subtract(a, b Value) Value {
	switch {
	case a.Kind == Time && b.Kind == Span:
		return T(a.N - b.N)
	case a.Kind == Time && b.Kind == Time:
		return D(a.N - b.N)
	case a.Kind == Int && b.Kind == Int:
		return I(a.N - b.N)
	case a.Kind == Float && b.Kind == Float:
		return F(a.F - b.F)
	}
	return Value{}
}

func timestamp(v Value) Value {
	switch v.Kind {
	case Time:
		return v
	case Int:
		return T(v.N * 1000)
	case Text:
		if t, err := time.Parse(time.RFC3339, v.S); err == nil {
			return T(t.UnixMilli())
		}
	}
	return Value{}
}
