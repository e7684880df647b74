package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every mutation still finds what it replaces; running them takes minutes
// (make mutation).
func TestMutationsApply(t *testing.T) {
	for _, s := range statements {
		if len(s.mutations) == 0 {
			t.Errorf("%s: no mutation", s.id)
		}
		for _, m := range s.mutations {
			texts, err := m.apply(func(file string) (string, error) {
				text, err := os.ReadFile(filepath.Join("../..", filepath.FromSlash(file)))
				return string(text), err
			})
			if err != nil {
				t.Errorf("%s: %s: %v", s.id, m.what, err)
			}
			for file := range texts {
				if strings.HasSuffix(file, "_test.go") {
					t.Errorf("%s: %s changes a test", s.id, m.what)
				}
			}
		}
	}
}

// Every file of statements belongs to one that is proved by mutation.
func TestEveryStatementIsMutated(t *testing.T) {
	proved := map[string]bool{}
	for _, s := range statements {
		for _, f := range s.files() {
			proved[f] = true
		}
	}
	files, err := filepath.Glob("../sim/testdata/*/*.test.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no statements", err)
	}
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".test.yaml"); !proved[name] {
			t.Errorf("%s: no mutation breaks it", f)
		}
	}
}

// A mutation that does not apply, or does so twice, is told.
func TestMutationsThatDoNotApply(t *testing.T) {
	read := func(string) (string, error) { return "a b a", nil }
	if texts, err := one("", "f", "b", "c").apply(read); err != nil || texts["f"] != "a c a" {
		t.Errorf("%v, %v", texts, err)
	}
	for _, old := range []string{"a", "x"} {
		if _, err := one("", "f", old, "c").apply(read); err == nil {
			t.Errorf("%s was replaced", old)
		}
	}
}
