package rules

import (
	"math"
	"strconv"

	"github.com/nudged/nudged/rules/eventtime"
)

// ValueKind says what a Value holds.
type ValueKind uint8

// The kinds of Value. Their numbers are part of the state format.
const (
	Absent ValueKind = iota // a field or attribute that is not there; JSON null reads as absent
	Bool
	Int
	Float
	String
	Time // milliseconds since 1970
	JSON // an array or object as its JSON text
)

func (k ValueKind) String() string {
	switch k {
	case Absent:
		return "absent"
	case Bool:
		return "bool"
	case Int:
		return "int"
	case Float:
		return "double"
	case String:
		return "string"
	case Time:
		return "timestamp"
	case JSON:
		return "json"
	}
	return "kind " + strconv.Itoa(int(k))
}

// Value is a field of an event, an attribute or the result of an expression.
// The zero Value is absent.
type Value struct {
	Kind ValueKind
	num  uint64
	str  string
}

// BoolValue returns b as a Value.
func BoolValue(b bool) Value {
	if b {
		return Value{Kind: Bool, num: 1}
	}
	return Value{Kind: Bool}
}

// IntValue returns i as a Value.
func IntValue(i int64) Value { return Value{Kind: Int, num: uint64(i)} }

// FloatValue returns f as a Value.
func FloatValue(f float64) Value { return Value{Kind: Float, num: math.Float64bits(f)} }

// StringValue returns s as a Value.
func StringValue(s string) Value { return Value{Kind: String, str: s} }

// TimeValue returns a timestamp in milliseconds since 1970 as a Value.
func TimeValue(ms int64) Value { return Value{Kind: Time, num: uint64(ms)} }

// JSONValue returns an array or object, given as JSON text, as a Value.
func JSONValue(text string) Value { return Value{Kind: JSON, str: text} }

// Present reports whether there is a value at all.
func (v Value) Present() bool { return v.Kind != Absent }

// Bool returns the value of a Bool.
func (v Value) Bool() bool { return v.num != 0 }

// Int returns the value of an Int, or of a Time in milliseconds.
func (v Value) Int() int64 { return int64(v.num) }

// Float returns the value of a Float, or of an Int as the nearest double.
func (v Value) Float() float64 {
	if v.Kind == Int {
		return float64(int64(v.num))
	}
	return math.Float64frombits(v.num)
}

// Str returns the text of a String or JSON.
func (v Value) Str() string { return v.str }

// Text returns the value as an instance key writes it: a string as it is, a
// number in decimal, a timestamp in RFC 3339. Absent, and JSON, have none.
func (v Value) Text() (string, bool) {
	switch v.Kind {
	case String:
		return v.str, true
	case Int:
		return strconv.FormatInt(v.Int(), 10), true
	case Float:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64), true
	case Bool:
		return strconv.FormatBool(v.Bool()), true
	case Time:
		return string(eventtime.AppendRFC3339(nil, v.Int())), true
	}
	return "", false
}

// As converts v to what an attribute of kind k holds. An integral double
// becomes an int, an int a double, RFC 3339 text a timestamp; everything else
// that differs in kind is refused.
func (v Value) As(k ValueKind) (Value, bool) {
	switch {
	case v.Kind == k:
		return v, true
	case k == Float && v.Kind == Int:
		return FloatValue(v.Float()), true
	case k == Int && v.Kind == Float:
		if f := v.Float(); f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return IntValue(int64(f)), true
		}
	case k == Time && v.Kind == String:
		if ms, ok := eventtime.ParseRFC3339([]byte(v.str)); ok {
			return TimeValue(ms), true
		}
	}
	return Value{}, false
}
