package draw_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules/rulefile"
	"github.com/nudged/nudged/rules/sim/naive"
	"github.com/nudged/nudged/rules/sim/naive/draw"
)

// Every rule set that is drawn is one that the compiler takes.
func TestDrawnRulesCompile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw.Rules(t)
		if _, err := rulefile.Parse([]rulefile.File{{Name: "drawn.yaml", Text: []byte(d.Text())}}); err != nil {
			t.Fatalf("%v\nin\n%s", err, d)
		}
	})
}

// What is written is read as it was.
func TestDrawnRulesReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw.Rules(t)
		s, err := naive.Read(d.Text())
		if err != nil {
			t.Fatalf("%v\nin\n%s", err, d)
		}
		if diff := cmp.Diff(d.Spec, s); diff != "" {
			t.Fatalf("read back (+):\n%s\nof\n%s", diff, d)
		}
	})
}
