// Command mutation proves that the statements of the rule language are tested:
// for each it breaks the engine in a small way that breaks the statement, runs
// the statements' rule tests (rules/sim/testdata), and sees one of them fail.
//
//	go run ./rules/mutation            # all of them, a few minutes
//	go run ./rules/mutation cap reset  # those of some statements
//
// It prints a table as Markdown: statement, mutation, the test that failed. It
// ends with 1 if a mutation passes all tests of its statement, does not compile
// or does not apply any more.
//
// The sources stay as they are: the mutated files lie in a temporary folder, and
// the go command is told to take them instead (-overlay).
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

func main() {
	jobs := flag.Int("jobs", 2, "how many `mutations` are tested at the same time")
	flag.Parse()
	if err := run(*jobs, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(1)
	}
}

// trial is one mutation under test.
type trial struct {
	statement statement
	mutation  mutation
	failed    string // the test that failed
	err       error
}

func (t *trial) result() string {
	if t.err != nil {
		return "**" + strings.ReplaceAll(t.err.Error(), "\n", " ") + "**"
	}
	return t.failed
}

func run(jobs int, only []string) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "nudged-mutation-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	var trials []*trial
	for _, s := range statements {
		if len(only) > 0 && !slices.Contains(only, s.id) {
			continue
		}
		for _, m := range s.mutations {
			trials = append(trials, &trial{statement: s, mutation: m})
		}
	}
	if len(trials) == 0 {
		return fmt.Errorf("no statement is called %s: the first column of the table names them", strings.Join(only, ", "))
	}
	if out, err := test(root, ""); err != nil {
		return fmt.Errorf("the tests fail without any mutation: make them pass first\n%s", out)
	}
	room := make(chan struct{}, max(jobs, 1))
	var done sync.WaitGroup
	for i, t := range trials {
		done.Add(1)
		go func() {
			defer done.Done()
			room <- struct{}{}
			defer func() { <-room }()
			t.failed, t.err = try(root, filepath.Join(temp, fmt.Sprint(i)), t.statement, t.mutation)
			fmt.Fprintf(os.Stderr, "%s: %s: %s\n", t.statement.id, t.mutation.what, t.result())
		}()
	}
	done.Wait()
	return report(trials)
}

func report(trials []*trial) error {
	fmt.Println("| | statement | mutation | test that failed |\n| --- | --- | --- | --- |")
	bad := 0
	for _, t := range trials {
		if t.err != nil {
			bad++
		}
		fmt.Printf("| %s | %s | %s | %s |\n", t.statement.id, t.statement.quote, t.mutation.what, t.result())
	}
	fmt.Printf("\n%d mutations of %d statements, %d not caught\n", len(trials), countStatements(trials), bad)
	if bad > 0 {
		return fmt.Errorf("%d of %d mutations were not caught, see the table", bad, len(trials))
	}
	return nil
}

func countStatements(trials []*trial) int {
	ids := map[string]bool{}
	for _, t := range trials {
		ids[t.statement.id] = true
	}
	return len(ids)
}

func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	mod := strings.TrimSpace(string(out))
	if err != nil || filepath.Base(mod) != "go.mod" {
		return "", errors.Join(errors.New("no go.mod here: run it inside of the project"), err)
	}
	return filepath.Dir(mod), nil
}

var failure = regexp.MustCompile(`--- FAIL: TestStatements/([a-z_]+)\.test\.yaml/(.*?) \(`)

// try tests one mutation and returns the test of the statement that failed.
func try(root, temp string, s statement, m mutation) (failed string, err error) {
	overlay, err := mutate(root, temp, m)
	if err != nil {
		return "", err
	}
	out, err := test(root, overlay)
	if err == nil {
		return "", fmt.Errorf("survived: all tests pass")
	}
	for _, f := range failure.FindAllStringSubmatch(out, -1) {
		if slices.Contains(s.files(), f[1]) {
			return f[1] + ": " + strings.ReplaceAll(f[2], "_", " "), nil
		}
	}
	if strings.Contains(out, "--- FAIL: TestStatements") {
		return "", fmt.Errorf("only tests of other statements failed")
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return "", fmt.Errorf("no test failed, but: %s", strings.Join(lines[:min(len(lines), 3)], "; "))
}

// test runs the statements' tests, with the overlay if there is one.
func test(root, overlay string) (out string, err error) {
	// Most of the time goes into linking: without tables for debuggers it is less.
	args := []string{"test", "-vet=off", "-ldflags=-s -w", "-count=1", "-timeout", "2m", "-run", "^TestStatements$"}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.Command("go", append(args, "./rules/sim")...)
	cmd.Dir = root
	both, err := cmd.CombinedOutput()
	return string(both), err
}

// mutate writes the mutated files and the overlay that names them.
func mutate(root, temp string, m mutation) (overlay string, err error) {
	if err := os.MkdirAll(temp, 0o755); err != nil {
		return "", err
	}
	texts, err := m.apply(func(file string) (string, error) {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
		return string(text), err
	})
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for file, text := range texts {
		to := filepath.Join(temp, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
			return "", err
		}
		replace[filepath.Join(root, filepath.FromSlash(file))] = to
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(temp, "overlay.json")
	return overlay, os.WriteFile(overlay, data, 0o644)
}
