package naive_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nudged/nudged/rules/sim/naive"
)

// player plays scripts on the naive interpreter.
type player struct {
	*naive.Run
	dir string
}

func read(dir string, files []string) (*naive.Spec, error) {
	var texts []string
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f))
		if err != nil {
			return nil, err
		}
		texts = append(texts, string(text))
	}
	return naive.Read(texts...)
}

func (p *player) Edit(files []string) error {
	s, err := read(p.dir, files)
	if err == nil {
		p.Run.Edit(s)
	}
	return err
}

func (p *player) Decided() []naive.Decision { return p.Decisions }

// The statements of the rule language, worked out by hand, hold for the naive
// interpreter. The engine is held to the same files in package sim.
func TestStatements(t *testing.T) {
	files, err := filepath.Glob("../testdata/*/*.test.yaml")
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
		for _, test := range script.Tests {
			t.Run(filepath.Base(file)+"/"+test.Name, func(t *testing.T) {
				s, err := read(dir, script.Rules)
				if err != nil {
					t.Fatal(err)
				}
				p := &player{naive.New(s, naive.Options{Pinned: test.Arms, NoHoldout: test.NoHoldout, Wall: test.Wall}), dir}
				for _, d := range test.Play(p) {
					t.Error(d)
				}
			})
		}
	}
}
