package rulefile

import (
	"math"
	"strings"

	"cel.dev/cel-go/common/types"

	"github.com/nudged/nudged/rules"
)

// equal is CEL's ==: numbers by value, values of different kinds are unequal,
// and what is not there makes it unknown.
func equal(a, b rules.Value) rules.Truth {
	switch a.Kind {
	case rules.String:
		if b.Kind == rules.String {
			return rules.TruthOf(a.Str() == b.Str())
		}
	case rules.Int:
		switch b.Kind {
		case rules.Int:
			return rules.TruthOf(a.Int() == b.Int())
		case rules.Float:
			return rules.TruthOf(!math.IsNaN(b.Float()) && compareDoubleInt(b.Float(), a.Int()) == 0)
		}
	case rules.Float:
		switch b.Kind {
		case rules.Int:
			return rules.TruthOf(!math.IsNaN(a.Float()) && compareDoubleInt(a.Float(), b.Int()) == 0)
		case rules.Float:
			return rules.TruthOf(a.Float() == b.Float())
		}
	case rules.Bool:
		if b.Kind == rules.Bool {
			return rules.TruthOf(a.Bool() == b.Bool())
		}
	case rules.Time:
		if b.Kind == rules.Time {
			return rules.TruthOf(a.Int() == b.Int())
		}
	}
	if !a.Present() || !b.Present() {
		return rules.Unknown
	}
	if a.Kind == rules.JSON || b.Kind == rules.JSON {
		x, y := toCEL(a), toCEL(b)
		if types.IsError(x) || types.IsError(y) {
			return rules.Unknown
		}
		return rules.TruthOf(types.Equal(x, y) == types.True)
	}
	return rules.False
}

// order is a set of outcomes of a comparison, a bit each for less, equal and
// greater.
type order uint8

const (
	less    order = 1 << iota // -1
	same                      // 0
	greater                   // 1
)

func (o order) holds(comparison int) rules.Truth {
	return rules.TruthOf(o&(1<<(comparison+1)) != 0)
}

// mirrored is the order with its two sides exchanged.
func (o order) mirrored() order {
	m := o & same
	if o&less != 0 {
		m |= greater
	}
	if o&greater != 0 {
		m |= less
	}
	return m
}

// compare is CEL's < <= > >=, which takes two numbers of any type that are not
// NaN, two strings by their bytes, two bools or two times; all else is unknown.
func (o order) compare(a, b rules.Value) rules.Truth {
	switch a.Kind {
	case rules.Int:
		switch b.Kind {
		case rules.Int:
			return o.holds(compareInts(a.Int(), b.Int()))
		case rules.Float:
			return o.compareFloat(-1, b.Float(), a.Int())
		}
	case rules.Float:
		switch b.Kind {
		case rules.Int:
			return o.compareFloat(1, a.Float(), b.Int())
		case rules.Float:
			return o.compareFloats(a.Float(), b.Float())
		}
	case rules.String:
		if b.Kind == rules.String {
			return o.holds(strings.Compare(a.Str(), b.Str()))
		}
	case rules.Bool:
		if b.Kind == rules.Bool {
			x, y := 0, 0
			if a.Bool() {
				x = 1
			}
			if b.Bool() {
				y = 1
			}
			return o.holds(x - y)
		}
	case rules.Time:
		if b.Kind == rules.Time {
			return o.holds(compareInts(a.Int(), b.Int()))
		}
	}
	return rules.Unknown
}

// compareFloat compares a double with an int; sign is -1 if the int stands on
// the left.
func (o order) compareFloat(sign int, d float64, i int64) rules.Truth {
	if math.IsNaN(d) {
		return rules.Unknown
	}
	return o.holds(sign * compareDoubleInt(d, i))
}

func (o order) compareFloats(a, b float64) rules.Truth {
	if math.IsNaN(a) || math.IsNaN(b) {
		return rules.Unknown
	}
	return o.holds(compareDoubles(a, b))
}

func compareInts(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func compareDoubles(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// compareDoubleInt compares as CEL does: beyond the range of an int by range,
// else with the int as the nearest double.
func compareDoubleInt(d float64, i int64) int {
	switch {
	case d < math.MinInt64:
		return -1
	case d > math.MaxInt64:
		return 1
	}
	return compareDoubles(d, float64(i))
}
