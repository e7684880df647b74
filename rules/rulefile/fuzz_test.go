package rulefile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/nudged/nudged/rules"
)

// checkProgram tells whether every op leads forward, and every send has its
// number.
func checkProgram(t *testing.T, r *rules.Rule) {
	t.Helper()
	sends := 0
	for i, op := range r.Program {
		next := []int{op.Next}
		switch op.Kind {
		case rules.OpSend:
			if op.Send == nil || op.Step != sends {
				t.Errorf("%s: op %d is send %d, expected %d", r.Name, i, op.Step, sends)
			}
			sends++
		case rules.OpWait:
			if op.Wait <= 0 == (op.Until == nil) {
				t.Errorf("%s: op %d waits %d, until %t", r.Name, i, op.Wait, op.Until != nil)
			}
		case rules.OpWaitFor:
			next = []int{op.For.Then, op.For.Else}
			if op.For.Within <= 0 || len(op.For.On) == 0 {
				t.Errorf("%s: op %d waits for %q within %d", r.Name, i, op.For.On, op.For.Within)
			}
		default:
			t.Errorf("%s: op %d is of kind %d", r.Name, i, op.Kind)
		}
		for _, n := range next {
			if n <= i || n > len(r.Program) {
				t.Errorf("%s: op %d of %d leads to %d", r.Name, i, len(r.Program), n)
			}
		}
	}
	if sends == 0 {
		t.Errorf("%s sends nothing", r.Name)
	}
}

// Any bytes give a set or problems with places, never a panic; a set that comes
// of them survives an event with nothing in it.
func FuzzParse(f *testing.F) {
	f.Add([]byte(cartRules))
	f.Add([]byte(benchRules))
	f.Add([]byte(languageRules))
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
			checkProgram(t, r)
			if r.Schedule != nil {
				if next, ok := r.Schedule.Next(start); ok && next <= start {
					t.Errorf("%s: the schedule goes back from %d to %d", r.Name, start, next)
				}
			}
			for _, op := range r.Program {
				if op.For != nil {
					types = append(types, op.For.On...)
				}
			}
		}
		state, out := &rules.State{}, &rules.Result{Verbose: true}
		for i, typ := range types[:min(len(types), 20)] {
			set.Step(state, "u", rules.Input{Event: &rules.Event{ID: string(rune('a' + i)), Type: typ, User: "u", Time: start}}, out)
		}
		set.Step(state, "u", rules.Input{Until: start + 1<<40}, out)
	})
}
