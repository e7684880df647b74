package rulefile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/nudged/nudged/rules"
)

// Any bytes give a set or problems with places, never a panic; a set that comes
// of them survives an event with nothing in it.
func FuzzParse(f *testing.F) {
	f.Add([]byte(cartRules))
	f.Add([]byte(benchRules))
	seeds, err := filepath.Glob("testdata/errors/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range seeds {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		set, err := Parse([]File{{"fuzz.yaml", text}})
		if err != nil {
			var list *ErrorList
			if set != nil || !errors.As(err, &list) || len(list.Problems()) == 0 || err.Error() == "" {
				t.Fatalf("got %v and the error %v, expected an *ErrorList alone", set, err)
			}
			for _, p := range list.Problems() {
				if p.Message == "" || p.WayOut == "" || p.Column < 0 {
					t.Errorf("%+v lacks something", p)
				}
			}
			return
		}
		types := []string{"a"}
		for _, r := range set.Rules {
			types = append(types, r.On...)
		}
		state, out := &rules.State{}, &rules.Result{Verbose: true}
		for i, typ := range types[:min(len(types), 20)] {
			set.Step(state, "u", rules.Input{Event: &rules.Event{ID: string(rune('a' + i)), Type: typ, User: "u", Time: start}}, out)
		}
		set.Step(state, "u", rules.Input{Until: start + 1<<40}, out)
	})
}
