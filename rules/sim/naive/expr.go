package naive

import (
	"strconv"
	"strings"
)

// Expr is an expression of a rule file: a small part of CEL.
type Expr struct {
	// Op is one of
	//   lit                           the literal Lit
	//   event trigger user metric now a name; metric is an audience as well
	//   has                           of one name
	//   == != < <= > >= && || + -     of two
	//   ! timestamp                   of one
	Op   string
	Name string
	Lit  Value
	Of   []*Expr
}

// Lit is a literal; a Time is not one.
func Lit(v Value) *Expr { return &Expr{Op: "lit", Lit: v} }

// Name is a name: of says whose, event, trigger, user, metric or now.
func Name(of, name string) *Expr { return &Expr{Op: of, Name: name} }

// Call is an operator and what it is applied to.
func Call(op string, of ...*Expr) *Expr { return &Expr{Op: op, Of: of} }

// String writes the expression as CEL text.
func (e *Expr) String() string {
	switch e.Op {
	case "lit":
		switch e.Lit.Kind {
		case Span:
			return `duration("` + spanText(e.Lit.N) + `")`
		case Float:
			text := strconv.FormatFloat(e.Lit.F, 'f', -1, 64)
			if !strings.Contains(text, ".") {
				text += ".0"
			}
			return text
		case Text:
			return `"` + e.Lit.S + `"`
		}
		return e.Lit.String()
	case "metric":
		return e.Name
	case "now":
		return "now"
	case "event", "trigger", "user":
		return e.Op + "." + e.Name
	case "has", "timestamp":
		return e.Op + "(" + e.Of[0].String() + ")"
	case "!":
		return "!(" + e.Of[0].String() + ")"
	}
	return e.Of[0].inner() + " " + e.Op + " " + e.Of[1].inner()
}

// inner puts an operation with two sides into brackets.
func (e *Expr) inner() string {
	if len(e.Of) == 2 {
		return "(" + e.String() + ")"
	}
	return e.String()
}

// spanText writes milliseconds as CEL's duration() reads them.
func spanText(ms int64) string {
	if ms%1000 == 0 {
		return strconv.FormatInt(ms/1000, 10) + "s"
	}
	return strconv.FormatInt(ms, 10) + "ms"
}
