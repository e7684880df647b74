package decode_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/nudged/nudged/internal/decode"
	"github.com/nudged/nudged/internal/input"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/rulefile"
	"github.com/nudged/nudged/rules/sim/naive"
	"github.com/nudged/nudged/rules/sim/naive/draw"
)

// An event that was drawn for the property tests, written as JSON, is read as it
// was drawn.
func TestDrawnEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw.Rules(t)
		set, err := rulefile.Parse([]rulefile.File{{Name: "drawn.yaml", Text: []byte(d.Text())}})
		if err != nil {
			t.Fatal(err)
		}
		decoder := decode.New(set, input.Mapping{})
		for _, e := range draw.Events(t, d.Start, 10) {
			got := &rules.Event{}
			if err := decoder.Decode(got, e.JSON()); err != nil {
				t.Fatalf("%v: %s", err, e.JSON())
			}
			if got.ID != e.ID || got.Type != e.Type || got.User != e.User || got.Time != e.Time {
				t.Fatalf("%s is read as %+v", e.JSON(), got)
			}
			for slot, name := range set.Fields {
				if v := got.Field(slot); value(v) != e.Fields[name] {
					t.Fatalf("%s: %s is read as %v", e.JSON(), name, v)
				}
			}
		}
	})
}

func value(v rules.Value) naive.Value {
	switch v.Kind {
	case rules.Bool:
		return naive.B(v.Bool())
	case rules.Int:
		return naive.I(v.Int())
	case rules.Float:
		return naive.F(v.Float())
	case rules.String:
		return naive.S(v.Str())
	}
	return naive.Value{}
}
