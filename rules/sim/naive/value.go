package naive

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Kind says what a Value holds.
type Kind uint8

// The kinds of Value. Span is a duration, which only exists inside expressions.
const (
	Absent Kind = iota
	Bool
	Int
	Float
	Text
	Time
	Span
)

// Value is a field of an event, an attribute, or what comes of an expression.
type Value struct {
	Kind Kind
	N    int64 // an Int; 0 or 1 of a Bool; milliseconds since 1970, or of a Span
	F    float64
	S    string
}

// B, I, F, S, T and D make values of a Go value; times and durations are in
// milliseconds.
func B(b bool) Value {
	if b {
		return Value{Kind: Bool, N: 1}
	}
	return Value{Kind: Bool}
}

// I makes an Int.
func I(n int64) Value { return Value{Kind: Int, N: n} }

// F makes a Float.
func F(f float64) Value { return Value{Kind: Float, F: f} }

// S makes a Text.
func S(s string) Value { return Value{Kind: Text, S: s} }

// T makes a Time.
func T(ms int64) Value { return Value{Kind: Time, N: ms} }

// D makes a Span.
func D(ms int64) Value { return Value{Kind: Span, N: ms} }

// There says that there is a value.
func (v Value) There() bool { return v.Kind != Absent }

// True says that the value is the bool true.
func (v Value) True() bool { return v.Kind == Bool && v.N == 1 }

func (v Value) number() (float64, bool) {
	switch v.Kind {
	case Int:
		return float64(v.N), true
	case Float:
		return v.F, true
	}
	return 0, false
}

// Key is the value as an instance key has it; a Span has none.
func (v Value) Key() (string, bool) {
	switch v.Kind {
	case Bool:
		return strconv.FormatBool(v.N == 1), true
	case Int:
		return strconv.FormatInt(v.N, 10), true
	case Float:
		return strconv.FormatFloat(v.F, 'g', -1, 64), true
	case Text:
		return v.S, true
	case Time:
		return stamp(v.N), true
	}
	return "", false
}

// String is the value with its kind, for comparisons and messages.
func (v Value) String() string {
	switch v.Kind {
	case Absent:
		return "absent"
	case Text:
		return strconv.Quote(v.S)
	case Float:
		return "double(" + strconv.FormatFloat(v.F, 'g', -1, 64) + ")"
	case Span:
		return strconv.FormatInt(v.N, 10) + "ms"
	}
	text, _ := v.Key()
	return text
}

// stamp writes milliseconds since 1970 as RFC 3339 in UTC.
func stamp(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.999Z") }

// as makes of the value what an attribute of the kind holds: a whole double an
// int, an int a double, RFC 3339 text a time.
func (v Value) as(k Kind) (Value, bool) {
	switch {
	case v.Kind == k:
		return v, true
	case v.Kind == Int && k == Float:
		return F(float64(v.N)), true
	case v.Kind == Float && k == Int && v.F == math.Floor(v.F) && math.Abs(v.F) < 1<<53:
		return I(int64(v.F)), true
	case v.Kind == Text && k == Time:
		if t, err := time.Parse(time.RFC3339, v.S); err == nil {
			return T(t.UnixMilli()), true
		}
	}
	return Value{}, false
}

// equal is ==: numbers by value, else values of two kinds differ. Of what is not
// there nothing can be told.
func equal(a, b Value) Value {
	if !a.There() || !b.There() {
		return Value{}
	}
	x, isNumber := a.number()
	y, isNumberToo := b.number()
	if isNumber && isNumberToo {
		return B(x == y)
	}
	return B(a.Kind == b.Kind && a.N == b.N && a.S == b.S)
}

// less orders two numbers, texts, bools, times or spans; of all else nothing can
// be told.
func less(a, b Value) Value {
	x, isNumber := a.number()
	y, isNumberToo := b.number()
	switch {
	case isNumber && isNumberToo:
		return B(x < y)
	case !a.There() || a.Kind != b.Kind:
		return Value{}
	case a.Kind == Text:
		return B(strings.Compare(a.S, b.S) < 0)
	}
	return B(a.N < b.N)
}

func not(v Value) Value {
	if v.Kind != Bool {
		return Value{}
	}
	return B(v.N == 0)
}
