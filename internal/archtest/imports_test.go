package archtest

import (
	"fmt"
	"slices"
	"strings"
)

// layers says what a package may import of the project, the first matching line counts. `x/*` is every package
// below x; a package that no line matches may import all but what nobody may.
var layers = []struct {
	pkg string
	may []string
}{
	{"experiment", nil},
	{"experiment/*", nil},
	{"rules/eventtime", nil},
	{"rules", []string{"experiment", "rules/eventtime"}},
	// The second interpreter of the rules is a witness only as long as it shares nothing with the first.
	{"rules/sim/naive", nil},
	{"rules/sim/naive/*", []string{"rules/sim/naive"}},
	{"rules/mutation", nil},
	{"rules/*", []string{"experiment", "rules", "rules/eventtime"}},
	{"sinks", []string{"experiment", "rules", "rules/eventtime"}},
	{"sinks/*", []string{"experiment", "rules", "rules/eventtime", "sinks"}},
	{"processor", []string{"experiment", "rules", "rules/eventtime", "sinks"}},
	{"processor/*", []string{"experiment", "rules", "rules/eventtime", "sinks", "processor"}},
	{"internal/telemetry", []string{"experiment", "processor", "rules", "rules/eventtime", "sinks"}},
}

// ends are the packages, with all below them, that nothing imports but what the second column names.
var ends = []struct {
	pkg     string
	imports []string
}{
	{"cmd", nil},
	{"bench", []string{"bench"}},
	{"internal/app", []string{"cmd", "bench", "internal/app"}},
}

// forTests are packages, with all below them, that only tests and these packages themselves import.
var forTests = []string{"rules/sim/naive"}

// checkImports says which imports point against the arrows. Tests may import sideways and downwards, but not
// the ends.
func checkImports(files []sourceFile) []string {
	var violations []string
	for _, f := range files {
		for _, spec := range f.imports() {
			to, ok := strings.CutPrefix(spec.path, module+"/")
			if !ok {
				continue
			}
			if mayImport(f.dir(), to, f.isTest()) {
				continue
			}
			violations = append(violations, fmt.Sprintf(
				"%s:%d: %s may not import %s: arrows point one way, cmd -> internal/app -> {processor/*, sinks/*} -> processor -> sinks, rules -> experiment; let the side that needs it own an interface, and wire it in internal/app",
				f.name, spec.line, f.dir(), to))
		}
	}
	return violations
}

func mayImport(from, to string, test bool) bool {
	for _, end := range ends {
		if within(to, end.pkg) && !slices.ContainsFunc(end.imports, func(p string) bool { return within(from, p) }) {
			// The test of a program's own package is part of it.
			return test && from == to
		}
	}
	if test {
		return true
	}
	for _, dir := range forTests {
		if within(to, dir) && !within(from, dir) {
			return false
		}
	}
	for _, layer := range layers {
		if matches(from, layer.pkg) {
			return slices.Contains(layer.may, to)
		}
	}
	return true
}

// within tells whether pkg is dir or lies below it.
func within(pkg, dir string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") }

func matches(pkg, pattern string) bool {
	if parent, ok := strings.CutSuffix(pattern, "/*"); ok {
		return strings.HasPrefix(pkg, parent+"/")
	}
	return pkg == pattern
}
