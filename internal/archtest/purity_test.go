package archtest

import (
	"fmt"
	"go/ast"
	"slices"
)

// pure are the packages, with all below them, whose answers depend on nothing but their arguments.
var pure = []string{"rules", "experiment"}

// impure are packages, with all below them, that reach out of a function, or that guard what several
// goroutines share.
var impure = []string{
	"context", "crypto/rand", "io/ioutil", "log", "math/rand", "net", "os", "plugin", "sync", "syscall",
}

// clock are what package time offers that reads the machine's clock or waits for it.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}

// exempt lets a package import some impure packages, without what lies below them.
var exempt = map[string][]string{
	"rules/rulefile": {"os", "sync"}, // reads rule files; guards the time zones that all workers look up
}

// programs are packages below the pure ones that are no part of the core.
var programs = []string{"rules/mutation"}

// checkPurity says where a package of the core reads a clock, chance or the world outside, or starts a
// goroutine. Tests may.
func checkPurity(files []sourceFile) []string {
	var violations []string
	for _, f := range files {
		if f.isTest() || slices.Contains(programs, f.dir()) || !slices.ContainsFunc(pure, func(p string) bool { return within(f.dir(), p) }) {
			continue
		}
		timeName := ""
		found := func(line int, what string) {
			violations = append(violations, fmt.Sprintf(
				"%s:%d: %s: rules and experiment are pure; pass the value in, or do it in the caller", f.name, line, what))
		}
		for _, spec := range f.imports() {
			switch {
			case spec.path == "time" && spec.name == ".":
				found(spec.line, "imports time with a dot, which hides the calls that read the clock")
			case spec.path == "time":
				timeName = spec.name
			case slices.Contains(exempt[f.dir()], spec.path):
			case slices.ContainsFunc(impure, func(p string) bool { return within(spec.path, p) }):
				found(spec.line, "imports "+spec.path)
			}
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				found(f.line(n.Pos()), "starts a goroutine")
			case *ast.SelectorExpr:
				// The parser resolves names of the file: what is left unresolved is the package.
				x, ok := n.X.(*ast.Ident)
				if ok && timeName != "" && x.Name == timeName && x.Obj == nil && slices.Contains(clock, n.Sel.Name) {
					found(f.line(n.Pos()), "time."+n.Sel.Name)
				}
			}
			return true
		})
	}
	return violations
}
