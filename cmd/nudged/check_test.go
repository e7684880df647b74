package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var updateCheck = flag.Bool("update-check", false, "rewrite the golden files of nudged check")

// Each golden file holds what nudged check prints and how it ends.
func TestCheckGolden(t *testing.T) {
	for name, args := range map[string][]string{
		"fine":                 {"testdata/check/before"},
		"wrong":                {"testdata/check/wrong"},
		"wrong_json":           {"testdata/check/wrong", "--format", "json"},
		"against_same":         {"testdata/check/before", "--against", "testdata/check/before"},
		"against_allowed":      {"testdata/check/after", "--against", "testdata/check/before"},
		"against_allowed_json": {"testdata/check/after", "--against", "testdata/check/before/rules.yaml", "--format", "json"},
		"against_refused":      {"testdata/check/refused", "--against", "testdata/check/before"},
		"against_refused_json": {"testdata/check/refused", "--against", "testdata/check/before", "--format", "json"},
		"against_wrong":        {"testdata/check/wrong", "--against", "testdata/check/before"},
		"against_wrong_json":   {"testdata/check/wrong", "--against", "testdata/check/before", "--format", "json"},
		"against_wrong_old":    {"testdata/check/before", "--against", "testdata/check/wrong"},
		"against_nothing":      {"testdata/check/before", "--against", ""},
		"against_no_folder":    {"testdata/check/before", "--against", "testdata/check/gone"},
		"format":               {"testdata/check/before", "--format", "xml"},
		"no_arguments":         {},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			c := checkCommand()
			c.SilenceUsage, c.SilenceErrors = true, true
			c.SetOut(&out)
			c.SetErr(&errs)
			c.SetArgs(args)
			err := c.Execute()
			code := "0"
			var usage usageError
			switch {
			case errors.As(err, &usage):
				code = "2: " + err.Error()
			case errors.Is(err, errReported):
				code = "1"
			case err != nil:
				code = "1: " + err.Error()
			}
			got := "nudged check " + strings.Join(args, " ") + "\nexit " + code + "\n--- stdout\n" + out.String() + "--- stderr\n" + errs.String()
			golden := filepath.Join("testdata", "check", name+".golden")
			if *updateCheck {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("other than before (-want +got); run the test with -update-check if it is better:\n%s", diff)
			}
		})
	}
}
