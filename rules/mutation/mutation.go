package main

import (
	"fmt"
	"strings"
)

// statement is one sentence of the rule language.
type statement struct {
	id    string
	quote string
	// tests are the files in rules/sim/testdata/*, without .test.yaml, that hold
	// it; none: the one of the statement's id.
	tests     []string
	mutations []mutation
}

func (s statement) files() []string {
	if len(s.tests) == 0 {
		return []string{s.id}
	}
	return s.tests
}

// mutation breaks a statement by a few replacements.
type mutation struct {
	what    string
	patches []patch
}

// patch replaces a text that stands in a file exactly once.
type patch struct{ file, old, new string }

// apply returns the mutated files by their names.
func (m mutation) apply(read func(file string) (string, error)) (map[string]string, error) {
	texts := map[string]string{}
	for _, p := range m.patches {
		text, ok := texts[p.file]
		if !ok {
			var err error
			if text, err = read(p.file); err != nil {
				return nil, fmt.Errorf("does not apply: %w", err)
			}
		}
		if n := strings.Count(text, p.old); n != 1 {
			return nil, fmt.Errorf("does not apply: %q stands in %s %d times: write it anew", p.old, p.file, n)
		}
		texts[p.file] = strings.Replace(text, p.old, p.new, 1)
	}
	return texts, nil
}

// one is a mutation of one replacement.
func one(what, file, old, replacement string) mutation {
	return mutation{what, []patch{{file, old, replacement}}}
}
