package examples_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nudged/nudged/internal/decode"
	"github.com/nudged/nudged/internal/exampleset"
	"github.com/nudged/nudged/internal/input"
	"github.com/nudged/nudged/internal/ruletest"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/rulefile"
	"github.com/nudged/nudged/rules/sim"
)

func folders(t *testing.T) []exampleset.Folder {
	t.Helper()
	list, err := exampleset.Folders(".")
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 26 {
		t.Fatalf("%d examples, expected at least 26", len(list))
	}
	return list
}

// Every folder has rules that are right, tests that pass, and a README that says
// how to run them and is listed.
func TestExamples(t *testing.T) {
	list, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders(t) {
		t.Run(f.Name, func(t *testing.T) {
			if len(f.Rules) == 0 || len(f.Tests) == 0 {
				t.Fatalf("%d rule files, %d test files", len(f.Rules), len(f.Tests))
			}
			if _, err := rulefile.Load(f.Rules...); err != nil {
				t.Error(err)
			}
			readme, err := os.ReadFile(filepath.Join(f.Name, "README.md"))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(readme, []byte("nudged check examples/"+f.Name)) {
				t.Error("README.md does not say how to check it")
			}
			if !bytes.Contains(list, []byte("]("+f.Name+")")) {
				t.Error("the list in README.md lacks it")
			}
			for _, path := range f.Tests {
				for _, failed := range failing(t, path) {
					t.Errorf("%s: %q fails: nudged test %s says why", path, failed, path)
				}
			}
		})
	}
}

// failing runs a file's tests and returns the names of those that fail.
func failing(t *testing.T, path string) (names []string) {
	t.Helper()
	file, err := ruletest.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(file.Tests) == 0 {
		t.Errorf("%s has no test", path)
	}
	for _, test := range file.Tests {
		r, err := file.Run(test)
		if err != nil {
			t.Fatal(err)
		}
		if r.Failed() {
			names = append(names, test.Name)
		}
	}
	return names
}

// The shop's policy is one file in many folders.
func TestPolicyIsOne(t *testing.T) {
	var first []byte
	for _, f := range folders(t) {
		for _, path := range f.Rules {
			if filepath.Base(path) != "policy.yaml" {
				continue
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = text
			}
			if !bytes.Equal(text, first) {
				t.Errorf("%s is not like the others", path)
			}
		}
	}
}

// The examples can be run side by side: none takes a name that another has, and
// every rule has something to decide when all are run at once.
func TestTogether(t *testing.T) {
	list := folders(t)
	sets, err := exampleset.Merge(list)
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	rulesApart, rulesTogether := 0, 0
	for _, f := range list {
		set, err := rulefile.Load(f.Rules...)
		if err != nil {
			t.Fatal(err)
		}
		rulesApart += len(set.Rules)
	}
	for _, s := range sets {
		for _, f := range s.Folders {
			seen = append(seen, f.Name)
		}
		t.Run(s.Name, func(t *testing.T) {
			set, err := rulefile.Parse([]rulefile.File{{Name: s.Name + ".yaml", Text: s.Text}})
			if err != nil {
				t.Fatal(err)
			}
			rulesTogether += len(set.Rules)
			decided := decisions(t, &s, set)
			for _, r := range set.Rules {
				if decided[r.Name] == 0 {
					t.Errorf("the rule %s decides nothing", r.Name)
				}
			}
		})
	}
	slices.Sort(seen)
	if len(seen) != len(list) || len(slices.Compact(seen)) != len(list) || rulesApart != rulesTogether {
		t.Errorf("%d examples with %d rules, together %d with %d", len(list), rulesApart, len(seen), rulesTogether)
	}
}

// decisions counts what is decided over the set's stream, by rule.
func decisions(t *testing.T, s *exampleset.Set, set *rules.Set) map[string]int {
	t.Helper()
	const partitions = 3
	stream, err := s.Stream(partitions)
	if err != nil {
		t.Fatal(err)
	}
	decided := map[string]int{}
	ids := map[string]bool{}
	run := sim.New(set, partitions, false, func(_ int32, d *rules.Decision) { decided[d.Rule]++ })
	dec := decode.New(set, input.Mapping{})
	for line := range bytes.Lines(stream) {
		var ev rules.Event
		if err := dec.Decode(&ev, bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if !strings.Contains(ev.User, "/") {
			t.Errorf("the user %s is not of one example", ev.User)
		}
		ids[ev.ID] = true
		run.Apply(&ev)
	}
	counts := run.Counts()
	// One test of order-notice sends an event twice.
	if repeated := counts.Events - len(ids); repeated != counts.Duplicates || repeated > 1 {
		t.Errorf("%d events with %d ids, %d were taken for repeated", counts.Events, len(ids), counts.Duplicates)
	}
	if counts.Refused != 0 {
		t.Errorf("refused %d", counts.Refused)
	}
	return decided
}
