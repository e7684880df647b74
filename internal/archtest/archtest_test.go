// Package archtest holds what no single package can: the direction of the project's imports, and that the core
// is pure. The linter's depguard rules say the same of imports; this runs wherever the tests run.
package archtest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/goccy/go-yaml"
)

const module = "github.com/nudged/nudged"

func TestImportsPointOneWay(t *testing.T) {
	requireNone(t, checkImports(parseProject(t)))
}

func TestCoreIsPure(t *testing.T) {
	requireNone(t, checkPurity(parseProject(t)))
}

func requireNone(t *testing.T, violations []string) {
	t.Helper()
	for _, v := range violations {
		t.Error(v)
	}
}

func parseProject(t *testing.T) []sourceFile {
	t.Helper()
	files, err := parseTree(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	// A walk that finds nothing would let everything pass.
	for _, dir := range []string{"rules", "experiment", "internal/archtest"} {
		if !slices.ContainsFunc(files, func(f sourceFile) bool { return f.dir() == dir }) {
			t.Fatalf("no Go file found in %s: has the folder moved? The tables of this package name it", dir)
		}
	}
	return files
}

// Each planted file breaks exactly one rule, or none; want is a part of what must be said of it.
func TestImportViolationsAreFound(t *testing.T) {
	for _, tc := range []struct{ file, imports, want string }{
		{"experiment/x.go", "rules", "experiment may not import rules"},
		{"experiment/stats/x.go", "rules", "experiment/stats may not import rules"},
		{"rules/x.go", "experiment", ""},
		{"rules/x.go", "rules/eventtime", ""},
		{"rules/x.go", "sinks", "rules may not import sinks"},
		{"rules/x.go", "internal/telemetry", "rules may not import internal/telemetry"},
		{"rules/x_test.go", "rules/rulefile", ""},
		{"rules/eventtime/x.go", "experiment", "rules/eventtime may not import experiment"},
		{"rules/rulefile/x.go", "rules", ""},
		{"rules/rulefile/x.go", "rules/sim", "rules/rulefile may not import rules/sim"},
		{"rules/sim/x.go", "rules", ""},
		{"rules/sim/x.go", "processor/memory", "rules/sim may not import processor/memory"},
		{"rules/sim/naive/x.go", "rules", "rules/sim/naive may not import rules"},
		{"rules/sim/naive/x.go", "experiment", "rules/sim/naive may not import experiment"},
		{"rules/sim/naive/x_test.go", "rules/rulefile", ""},
		{"rules/sim/naive/draw/x.go", "rules/sim/naive", ""},
		{"rules/sim/naive/draw/x.go", "rules/rulefile", "rules/sim/naive/draw may not import rules/rulefile"},
		{"rules/sim/x.go", "rules/sim/naive", "rules/sim may not import rules/sim/naive"},
		{"rules/sim/x_test.go", "rules/sim/naive/draw", ""},
		{"internal/app/x.go", "rules/sim/naive", "internal/app may not import rules/sim/naive"},
		{"cmd/nudged/x.go", "rules/sim/naive/draw", "cmd/nudged may not import rules/sim/naive/draw"},
		{"internal/integration/x_test.go", "rules/sim/naive", ""},
		{"rules/mutation/x.go", "rules", "rules/mutation may not import rules"},
		{"rules/brandnew/x.go", "processor", "rules/brandnew may not import processor"},
		{"sinks/x.go", "rules", ""},
		{"sinks/x.go", "processor", "sinks may not import processor"},
		{"sinks/kafka/x.go", "sinks", ""},
		{"sinks/kafka/x.go", "sinks/stdout", "sinks/kafka may not import sinks/stdout"},
		{"processor/x.go", "sinks", ""},
		{"processor/x.go", "processor/redis", "processor may not import processor/redis"},
		{"processor/x.go", "internal/app", "processor may not import internal/app"},
		{"processor/redis/x.go", "processor", ""},
		{"processor/redis/x.go", "processor/memory", "processor/redis may not import processor/memory"},
		{"processor/storetest/x.go", "processor", ""},
		{"internal/app/x.go", "processor/redis", ""},
		{"internal/input/x.go", "internal/app", "internal/input may not import internal/app"},
		{"cmd/nudged/x.go", "internal/app", ""},
		{"internal/app/x.go", "cmd/nudged", "internal/app may not import cmd/nudged"},
		{"internal/app/x_test.go", "cmd/nudged", "internal/app may not import cmd/nudged"},
		{"internal/app/x.go", "bench/load", "internal/app may not import bench/load"},
		{"bench/run/x.go", "bench/load", ""},
		{"newcomer/x.go", "cmd/nudged", "newcomer may not import cmd/nudged"},
	} {
		t.Run(tc.file+" imports "+tc.imports, func(t *testing.T) {
			source := fmt.Sprintf("package x\n\nimport _ %q\n", module+"/"+tc.imports)
			requireFound(t, checkImports(plant(t, tc.file, source)), tc.want)
		})
	}
}

func TestPurityViolationsAreFound(t *testing.T) {
	const clean = "package x\n\nimport \"time\"\n\nvar d = 3 * time.Second\n"
	for _, tc := range []struct{ name, file, source, want string }{
		{"clean", "rules/x.go", clean, ""},
		{"clock", "rules/x.go", "package x\n\nimport \"time\"\n\nvar t = time.Now()\n", "rules/x.go:5: time.Now"},
		{"clock kept for later", "rules/x.go", "package x\n\nimport \"time\"\n\nvar now = time.Now\n", "time.Now"},
		{"elapsed", "experiment/x.go", "package x\n\nimport \"time\"\n\nfunc f(t time.Time) any { return time.Since(t) }\n", "time.Since"},
		{"renamed", "rules/sim/x.go", "package x\n\nimport clk \"time\"\n\nvar t = clk.Now()\n", "time.Now"},
		{"dot import", "rules/x.go", "package x\n\nimport . \"time\"\n\nvar t = Now()\n", "imports time with a dot"},
		{"timer", "rules/x.go", "package x\n\nimport \"time\"\n\nvar c = time.After(1)\n", "time.After"},
		{"goroutine", "rules/x.go", "package x\n\nfunc f() { go f() }\n", "starts a goroutine"},
		{"random", "experiment/x.go", "package x\n\nimport _ \"math/rand/v2\"\n", "imports math/rand/v2"},
		{"crypto random", "rules/x.go", "package x\n\nimport _ \"crypto/rand\"\n", "imports crypto/rand"},
		{"log", "rules/x.go", "package x\n\nimport _ \"log/slog\"\n", "imports log/slog"},
		{"lock", "rules/x.go", "package x\n\nimport _ \"sync\"\n", "imports sync"},
		{"atomic", "rules/eventtime/x.go", "package x\n\nimport _ \"sync/atomic\"\n", "imports sync/atomic"},
		{"net", "rules/rulefile/x.go", "package x\n\nimport _ \"net/http\"\n", "imports net/http"},
		{"files", "rules/x.go", "package x\n\nimport _ \"os\"\n", "imports os"},
		{"context", "experiment/x.go", "package x\n\nimport _ \"context\"\n", "imports context"},
		{"rulefile reads files", "rules/rulefile/x.go", "package x\n\nimport _ \"os\"\n", ""},
		{"rulefile starts programs", "rules/rulefile/x.go", "package x\n\nimport _ \"os/exec\"\n", "imports os/exec"},
		{"a program beside the core", "rules/mutation/x.go", "package x\n\nimport _ \"os/exec\"\n", ""},
		{"a test may", "rules/x_test.go", "package x\n\nimport _ \"os\"\n", ""},
		{"outside the core", "processor/x.go", "package x\n\nimport (\n\t_ \"sync\"\n\t\"time\"\n)\n\nvar t = time.Now()\n", ""},
		{"a local name is not the package", "rules/x.go", "package x\n\nimport \"time\"\n\nvar d = time.Second\n\ntype c struct{ Now func() }\n\nfunc f(time c) { time.Now() }\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			requireFound(t, checkPurity(plant(t, tc.file, tc.source)), tc.want)
		})
	}
}

func TestTreeWalkLeavesOutWhatGoDoes(t *testing.T) {
	tree := fstest.MapFS{}
	for _, name := range []string{
		"rules/a.go", "rules/testdata/b.go", "_old/c.go", ".hidden/d.go", "vendor/e.go", "other/f.go", "rules/_g.go", "rules/h.txt",
	} {
		tree[name] = &fstest.MapFile{Data: []byte("package x\n")}
	}
	tree["other/go.mod"] = &fstest.MapFile{Data: []byte("module other\n")}
	files, err := parseTree(tree)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 1 || files[0].name != "rules/a.go" {
		t.Errorf("parsed %v, want only rules/a.go", files)
	}
}

func plant(t *testing.T, name, source string) []sourceFile {
	t.Helper()
	files, err := parseTree(fstest.MapFS{name: {Data: []byte(source)}})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func requireFound(t *testing.T, violations []string, want string) {
	t.Helper()
	switch {
	case want == "" && len(violations) != 0:
		t.Errorf("found %q, want nothing", violations)
	case want != "" && (len(violations) != 1 || !strings.Contains(violations[0], want)):
		t.Errorf("found %q, want one with %q", violations, want)
	}
}

// What holds the same rules in `make lint` must at least be read: a key that is
// given twice ends golangci-lint, and nothing here runs it.
func TestLintConfigurationIsRead(t *testing.T) {
	text, err := os.ReadFile("../../.golangci.yml")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Linters struct {
			Settings struct {
				Depguard struct {
					Rules map[string]struct {
						Files []string
						Deny  []map[string]string
						Allow []string
					}
				}
			}
		}
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	if len(config.Linters.Settings.Depguard.Rules) == 0 {
		t.Error("no rule of depguard was read")
	}
}
