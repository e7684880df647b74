// Package ruletest runs rule tests: files beside the rules that say which events
// happen to users and which decisions have to come of them. docs/rule-tests.md
// describes the files.
//
// A test runs through the engine that runs live, on the event clock.
package ruletest

import (
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/rulefile"
)

// File is one file of rule tests.
type File struct {
	Path  string
	Tests []*Test
	Set   *rules.Set

	doc *document
	txt string
}

// Test is one test. Times are in milliseconds since 1970.
type Test struct {
	Name string
	Line int // of its first key

	start     int64
	until     int64 // 0: until nothing is pending
	events    []event
	expect    []*expectation
	subset    bool
	arms      map[string]string // experiment -> pinned arm
	noHoldout bool

	fields     *node // the test's map
	expectNode *node // nil: there is no expect
	expectAt   place
}

// event is one event as the decoder takes it.
type event struct {
	at    place
	time  int64
	typ   string
	user  string
	value []byte
}

// Events goes over the test's events in the order given: the time of each, in
// milliseconds since 1970, and the event as JSON.
func (t *Test) Events() iter.Seq2[int64, []byte] {
	return func(yield func(int64, []byte) bool) {
		for i := range t.events {
			if !yield(t.events[i].time, t.events[i].value) {
				return
			}
		}
	}
}

// Find lists the test files among the paths: a file as it is, of a folder all
// *.test.yaml and *_test.yaml (or .yml) in it and below, in the order of their
// names.
func Find(paths ...string) ([]string, error) {
	var found []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("reading rule tests: %w: name a test file, or a folder of them", err)
		}
		if !info.IsDir() {
			found = append(found, path)
			continue
		}
		before := len(found)
		err = filepath.WalkDir(path, func(name string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			hidden := strings.HasPrefix(e.Name(), ".")
			switch {
			case e.IsDir() && hidden && name != path:
				return fs.SkipDir
			case !e.IsDir() && !hidden && rulefile.IsTestFile(name):
				found = append(found, name)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading rule tests: %w", err)
		}
		if len(found) == before {
			return nil, fmt.Errorf("no rule test in the folder %s: tests are in *.test.yaml or *_test.yaml", path)
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(found, func(name string) bool {
		clean := filepath.Clean(name)
		twice := seen[clean]
		seen[clean] = true
		return twice
	}), nil
}

// Load reads a test file and the rules that it names. What is wrong with the
// file is in a Problems, what is wrong with the rules in a *rulefile.ErrorList.
func Load(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading rule tests: %w", err)
	}
	return parse(path, string(text), rulefile.Load)
}

// parse reads the text of a test file; load compiles rule files.
func parse(path, text string, load func(...string) (*rules.Set, error)) (*File, error) {
	plain := strings.TrimPrefix(text, "\ufeff")
	f := &File{Path: path, txt: text}
	f.doc = &document{path: path, lines: strings.Split(strings.ReplaceAll(plain, "\r\n", "\n"), "\n"), anchors: map[string]*node{}}
	root := f.doc.parseYAML(strings.ReplaceAll(plain, "\r\n", "\n"))
	if root == nil {
		return nil, f.doc.err()
	}
	ruleFiles := f.read(root)
	if err := f.doc.err(); err != nil {
		return nil, err
	}
	set, err := load(ruleFiles...)
	if err != nil {
		return nil, err
	}
	f.Set = set
	f.check()
	return f, f.doc.err()
}

// check holds the tests against the rules.
func (f *File) check() {
	var ruleNames []string
	for _, r := range f.Set.Rules {
		ruleNames = append(ruleNames, r.Name)
	}
	experiments := map[string]*rules.Experiment{}
	var experimentNames []string
	for _, x := range f.Set.Experiments {
		experiments[x.Name] = x
		experimentNames = append(experimentNames, x.Name)
	}
	for _, t := range f.Tests {
		for _, e := range t.expect {
			if name, ok := e.given["rule"].(string); ok && !slices.Contains(ruleNames, name) {
				f.doc.add(e.places["rule"], rulefile.Suggest(name, ruleNames, "rules"), "no rule is called %s", name)
			}
		}
		arms := entryOf(t.fields, "arms")
		if arms == nil {
			continue
		}
		for _, e := range arms.entries {
			x := experiments[e.key]
			if x == nil {
				f.doc.add(e.at, rulefile.Suggest(e.key, experimentNames, "experiments"), "no experiment is called %s", e.key)
				continue
			}
			if known := x.Assigner.Arms(); !slices.Contains(known, t.arms[e.key]) {
				f.doc.add(e.value.at, rulefile.Suggest(t.arms[e.key], known, "arms"), "the experiment %s has no arm %s", e.key, t.arms[e.key])
			}
		}
	}
}

func entryOf(n *node, key string) *node {
	for _, e := range n.entries {
		if e.key == key {
			return e.value
		}
	}
	return nil
}
