package sim_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/sim/naive"
)

// onSteps plays a script that edits rules or goes by the wall clock.
type onSteps struct {
	*steps
	dir     string
	options naive.Options
}

func (p *onSteps) Edit(files []string) error {
	set, err := load(p.dir, files, p.options)
	if err == nil {
		p.set = set.WithNames(p.set.Names())
	}
	return err
}

// onSim plays a script on the simulation.
type onSim struct{ *simulation }

var errNotInSim = errors.New("the simulation knows no wall clock and no edits")

func (onSim) Edit([]string) error                { return errNotInSim }
func (onSim) Clock(int64, int64)                 { panic(errNotInSim) }
func (onSim) Sweep(string, string, int64, int64) { panic(errNotInSim) }

func load(dir string, files []string, o naive.Options) (*rules.Set, error) {
	var texts []string
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f))
		if err != nil {
			return nil, err
		}
		texts = append(texts, string(text))
	}
	set, err := compile(texts...)
	if err != nil {
		return nil, err
	}
	return prepare(set, o), nil
}

// Each statement of the rule language under "Semantics, exactly", worked out by
// hand: testdata/statements as rule tests, testdata/beyond with what rule tests
// cannot say (the wall clock, edits). The naive interpreter is held to the same
// files.
func TestStatements(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.test.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no statements", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		script, err := naive.ReadScript(string(text))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		dir := filepath.Dir(file)
		beyond := filepath.Base(dir) == "beyond"
		for _, test := range script.Tests {
			t.Run(filepath.Base(file)+"/"+test.Name, func(t *testing.T) {
				o := naive.Options{Pinned: test.Arms, NoHoldout: test.NoHoldout, Wall: test.Wall}
				set, err := load(dir, script.Rules, o)
				if err != nil {
					t.Fatal(err)
				}
				var p naive.Player = onSim{simulate(set, 1, false)}
				if beyond {
					p = &onSteps{newSteps(set, test.Wall, false), dir, o}
				}
				for _, d := range test.Play(p) {
					t.Error(d)
				}
			})
		}
	}
}
