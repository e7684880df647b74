package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nudged/nudged/internal/ruletest"
)

func testCommand() *cobra.Command {
	var r testRun
	var junit, run, format string
	c := &cobra.Command{
		Use:   "test TESTS...",
		Short: "Run rule tests",
		Long: `Run rule tests: files that say which events happen and which decisions have to come of them.
TESTS are files, or folders, of which all *.test.yaml and *_test.yaml are run. A test that fails
prints what was expected beside what happened, and why. Exit code 1 if any fails.

--update writes what happened into the files as the expectation. It changes nothing else in
them: read the difference before you keep it.`,
		Example: `  nudged test ./rules
  nudged test rules/cart.test.yaml --run 'buys in time'
  nudged test ./rules --junit report.xml`,
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			if format != "text" && format != "json" {
				return usageError{fmt.Errorf("--format %q: use text or json", format)}
			}
			var err error
			if r.only, err = regexp.Compile(run); err != nil {
				return usageError{fmt.Errorf("--run %q is no regular expression: %w", run, err)}
			}
			r.out, r.text = c.OutOrStdout(), format == "text"
			if err := r.all(args); err != nil {
				return err
			}
			if junit != "" {
				if err := writeFile(junit, func(w io.Writer) error { return ruletest.WriteJUnit(w, r.reports) }); err != nil {
					return err
				}
			}
			if format == "json" {
				if err := r.json(); err != nil {
					return err
				}
			}
			if r.failed > 0 {
				return errReported
			}
			return nil
		},
	}
	c.Flags().BoolVar(&r.update, "update", false, "write what happened into the test files as the expectation")
	c.Flags().StringVar(&junit, "junit", "", "write the results as JUnit XML to this file")
	c.Flags().StringVar(&run, "run", "", "run only tests whose names match this regular expression")
	c.Flags().StringVar(&format, "format", "text", "text or json")
	return c
}

// testRun is one run of the command.
type testRun struct {
	update bool
	only   *regexp.Regexp
	out    io.Writer
	text   bool

	reports        []ruletest.Report
	ran, failed    int
	known, updated int
}

func (r *testRun) all(paths []string) error {
	files, err := ruletest.Find(paths...)
	if err != nil {
		return err
	}
	for _, path := range files {
		r.file(path)
	}
	if r.ran == 0 && r.failed == 0 {
		return usageError{fmt.Errorf("--run %q matches none of the %d tests", r.only, r.known)}
	}
	if r.text {
		summary := fmt.Sprintf("%d tests in %d files: ", r.ran, len(files))
		switch {
		case r.failed > 0:
			summary += fmt.Sprintf("%d failed", r.failed)
		default:
			summary += "all passed"
		}
		if r.updated > 0 {
			summary += fmt.Sprintf(", %d updated", r.updated)
		}
		fmt.Fprintln(r.out, summary)
	}
	return nil
}

// file runs the tests of one file.
func (r *testRun) file(path string) {
	report := ruletest.Report{Path: path}
	defer func() { r.reports = append(r.reports, report) }()
	f, err := ruletest.Load(path)
	if err == nil && r.update {
		f, err = r.rewrite(f)
	}
	if err != nil {
		report.Err = err
		r.failed++
		r.printf("FAIL  %s\n%s\n", path, indent(err.Error()))
		return
	}
	failed := 0
	for _, t := range f.Tests {
		r.known++
		if !r.only.MatchString(t.Name) {
			continue
		}
		r.ran++
		began := time.Now()
		res, err := f.Run(t)
		o := ruletest.Outcome{Test: t, Result: res, Err: err, Took: time.Since(began)}
		report.Results = append(report.Results, o)
		if !o.Failed() {
			continue
		}
		failed++
		r.printf("FAIL  %s:%d  %s\n", path, t.Line, t.Name)
		if err != nil {
			r.printf("%s\n", indent(err.Error()))
			continue
		}
		var b strings.Builder
		res.Print(&b)
		r.printf("%s\n", indent(b.String()))
	}
	if failed == 0 && len(report.Results) > 0 {
		r.printf("ok    %s  %d tests\n", path, len(report.Results))
	}
	r.failed += failed
}

// rewrite writes what happened into the file, and reads it again.
func (r *testRun) rewrite(f *ruletest.File) (*ruletest.File, error) {
	text, changed, err := f.Update(func(t *ruletest.Test) bool { return r.only.MatchString(t.Name) })
	if err != nil || len(changed) == 0 {
		return f, err
	}
	info, err := os.Stat(f.Path)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(f.Path, []byte(text), info.Mode().Perm()); err != nil {
		return nil, err
	}
	for _, t := range changed {
		r.printf("wrote %s  %s\n", f.Path, t.Name)
	}
	r.updated += len(changed)
	return ruletest.Load(f.Path)
}

func (r *testRun) printf(format string, args ...any) {
	if r.text {
		fmt.Fprintf(r.out, format, args...)
	}
}

func indent(text string) string {
	return "      " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n      ")
}

type testJSON struct {
	File   string        `json:"file"`
	Line   int           `json:"line,omitempty"`
	Name   string        `json:"name,omitempty"`
	Passed bool          `json:"passed"`
	Error  string        `json:"error,omitempty"`
	Why    []string      `json:"why,omitempty"`
	Diff   []testJSONRow `json:"diff,omitempty"`
}

type testJSONRow struct {
	Mark   ruletest.Mark     `json:"mark"`
	Values map[string]string `json:"values"`
}

// json prints every test as an element of an array.
func (r *testRun) json() error {
	list := []testJSON{}
	for _, report := range r.reports {
		if report.Err != nil {
			list = append(list, testJSON{File: report.Path, Error: report.Err.Error()})
		}
		for i := range report.Results {
			o := &report.Results[i]
			t := testJSON{File: report.Path, Line: o.Test.Line, Name: o.Test.Name, Passed: !o.Failed()}
			if o.Err != nil {
				t.Error = o.Err.Error()
			} else {
				t.Why = o.Result.Why
				for _, row := range o.Result.Diff {
					t.Diff = append(t.Diff, testJSONRow{row.Mark, o.Result.Cells(row)})
				}
			}
			list = append(list, t)
		}
	}
	enc := json.NewEncoder(r.out)
	enc.SetIndent("", "  ")
	return enc.Encode(list)
}

// writeFile makes a file and says if it could not be written.
func writeFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
	}()
	return write(f)
}
