package rules_test

import (
	"strings"
	"testing"

	"github.com/nudged/nudged/rules"
)

// xxhash64("metric NUL m9499") and ("metric NUL m72483") end in the same 32 bits.
func TestIndexRefusesNamesWithOneID(t *testing.T) {
	s := &rules.Set{Metrics: []*rules.Metric{
		{Name: "m9499", Kind: rules.Count, On: []string{"a"}},
		{Name: "m72483", Kind: rules.Count, On: []string{"a"}},
	}}
	err := s.Index()
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{`"metric m9499"`, `"metric m72483"`, "5fc1ea7c", "rename one of them"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %s: %v", part, err)
		}
	}
	// The same two names as something else have other ids.
	s = &rules.Set{
		Metrics: []*rules.Metric{{Name: "m9499", Kind: rules.Count, On: []string{"a"}}},
		Rules:   []*rules.Rule{{Name: "m72483", On: []string{"a"}}},
	}
	if err := s.Index(); err != nil {
		t.Error(err)
	}
}

func TestNames(t *testing.T) {
	old := compile(t, beforeEdit)
	renamed := compile(t, replace(beforeEdit, "name: gone", "name: fresh"))
	known := map[string]bool{}
	for _, name := range renamed.WithNames(old.Names()).Names() {
		known[name] = true
	}
	for _, name := range []string{"rule gone", "rule fresh", "rule stays", "metric n", "attribute age", "field key", "type go"} {
		if !known[name] {
			t.Errorf("%q is not known: %v", name, known)
		}
	}
	for _, name := range renamed.Names() {
		if name == "rule gone" {
			t.Error("WithNames changed the set it was called on")
		}
	}
}
