package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// sourceFile is one parsed Go file.
type sourceFile struct {
	name string // from the module's root, with slashes
	set  *token.FileSet
	tree *ast.File
}

func (f sourceFile) dir() string { return path.Dir(f.name) }

func (f sourceFile) isTest() bool { return strings.HasSuffix(f.name, "_test.go") }

func (f sourceFile) line(p token.Pos) int { return f.set.Position(p).Line }

// imports lists what the file imports: path by position, in the order of the file.
func (f sourceFile) imports() []importSpec {
	var specs []importSpec
	for _, s := range f.tree.Imports {
		// The parser has checked that it is a string literal.
		p, _ := strconv.Unquote(s.Path.Value)
		spec := importSpec{path: p, name: path.Base(p), line: f.line(s.Pos())}
		if s.Name != nil {
			spec.name = s.Name.Name
		}
		specs = append(specs, spec)
	}
	return specs
}

type importSpec struct {
	path string
	name string // as the file calls it
	line int
}

// parseTree parses every Go file of a module, whatever its build tags: those that the go command looks at, so
// not testdata, vendor, hidden folders, folders or files with a leading underscore, nor modules within.
func parseTree(tree fs.FS) ([]sourceFile, error) {
	var files []sourceFile
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		leftOut := base != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_"))
		if entry.IsDir() {
			if leftOut || base == "testdata" || base == "vendor" {
				return fs.SkipDir
			}
			if _, err := fs.Stat(tree, path.Join(name, "go.mod")); err == nil && name != "." {
				return fs.SkipDir
			}
			return nil
		}
		if leftOut || !strings.HasSuffix(base, ".go") {
			return nil
		}
		source, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, name, source, 0)
		if err != nil {
			return err
		}
		files = append(files, sourceFile{name: name, set: set, tree: parsed})
		return nil
	})
	return files, err
}
