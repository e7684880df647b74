package rules_test

import (
	"math"
	"testing"

	"github.com/nudged/nudged/rules"
)

// Text is what instance keys and counts by a field go by.
func TestValueText(t *testing.T) {
	for _, c := range []struct {
		v    rules.Value
		want string
		ok   bool
	}{
		{rules.StringValue("k 1"), "k 1", true},
		{rules.StringValue(""), "", true},
		{rules.IntValue(math.MinInt64), "-9223372036854775808", true},
		{rules.FloatValue(7), "7", true},
		{rules.FloatValue(0.1), "0.1", true},
		{rules.FloatValue(1e21), "1e+21", true},
		{rules.BoolValue(true), "true", true},
		{rules.BoolValue(false), "false", true},
		{rules.TimeValue(start + 123), "2026-01-01T00:00:00.123Z", true},
		{rules.JSONValue(`[1]`), "", false},
		{rules.Value{}, "", false},
	} {
		if got, ok := c.v.Text(); got != c.want || ok != c.ok {
			t.Errorf("%s: got %q, %v, want %q, %v", c.v.Kind, got, ok, c.want, c.ok)
		}
	}
}

func TestValueAs(t *testing.T) {
	refused := rules.Value{}
	for _, c := range []struct {
		v    rules.Value
		kind rules.ValueKind
		want rules.Value
	}{
		{rules.IntValue(3), rules.Int, rules.IntValue(3)},
		{rules.IntValue(3), rules.Float, rules.FloatValue(3)},
		{rules.FloatValue(3), rules.Int, rules.IntValue(3)},
		{rules.FloatValue(-3), rules.Int, rules.IntValue(-3)},
		{rules.FloatValue(3.5), rules.Int, refused},
		{rules.FloatValue(1<<53 - 1), rules.Int, rules.IntValue(1<<53 - 1)},
		{rules.FloatValue(1 << 53), rules.Int, refused},
		{rules.FloatValue(math.NaN()), rules.Int, refused},
		{rules.FloatValue(math.Inf(1)), rules.Int, refused},
		{rules.StringValue("2026-01-01T00:00:00Z"), rules.Time, rules.TimeValue(start)},
		{rules.StringValue("2026-01-01"), rules.Time, refused},
		{rules.IntValue(start), rules.Time, refused},
		{rules.TimeValue(start), rules.Int, refused},
		{rules.StringValue("3"), rules.Int, refused},
		{rules.IntValue(1), rules.Bool, refused},
		{rules.IntValue(3), rules.String, refused},
		{rules.JSONValue(`"a"`), rules.String, refused},
		{rules.Value{}, rules.Int, refused},
	} {
		got, ok := c.v.As(c.kind)
		if got != c.want || ok != c.want.Present() {
			t.Errorf("%v as %s: got %v, %v, want %v", c.v, c.kind, got, ok, c.want)
		}
	}
}
