package rulefile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nudged/nudged/rules"
)

// File is the text of one rule file. Name is how problems call it.
type File struct {
	Name string
	Text []byte
}

// Load reads rule files into one compiled set. A path is a file or a folder; of
// a folder all *.yaml and *.yml are read in the order of their names, except
// rule tests (*.test.yaml, *_test.yaml). An error that is not about reading the
// files themselves is an *ErrorList with everything that is wrong.
func Load(paths ...string) (*rules.Set, error) {
	files, err := Read(paths...)
	if err != nil {
		return nil, err
	}
	return Parse(files)
}

// Read finds and reads the files that Load compiles, in their order.
func Read(paths ...string) ([]File, error) {
	if len(paths) == 0 {
		return nil, fmt.Errorf("no rule file given: name a file or a folder with *.yaml files")
	}
	var names []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("reading rules: %w: name a rule file, or a folder of them", err)
		}
		if !info.IsDir() {
			names = append(names, path)
			continue
		}
		found, err := ruleFiles(path)
		if err != nil {
			return nil, fmt.Errorf("reading rules: %w", err)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("no rule file in the folder %s: rules are in *.yaml or *.yml; *.test.yaml and *_test.yaml are tests", path)
		}
		names = append(names, found...)
	}
	files := make([]File, 0, len(names))
	seen := map[string]bool{}
	for _, name := range names {
		if clean := filepath.Clean(name); seen[clean] {
			return nil, fmt.Errorf("the rule file %s is given twice: name it once, either itself or by its folder", clean)
		} else {
			seen[clean] = true
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading rules: %w", err)
		}
		files = append(files, File{Name: name, Text: text})
	}
	return files, nil
}

// ruleFiles lists the rule files of a folder in name order.
func ruleFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if isYAML(e.Name()) && !IsTestFile(e.Name()) && (e.Type().IsRegular() || e.Type()&fs.ModeSymlink != 0) {
			names = append(names, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(names)
	return names, nil
}

func isYAML(name string) bool {
	return !strings.HasPrefix(name, ".") && (strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml"))
}

// IsTestFile tells by its name whether a file holds rule tests.
func IsTestFile(name string) bool {
	base := filepath.Base(name)
	stem, isYAMLName := strings.CutSuffix(strings.TrimSuffix(base, ".yml"), ".yaml")
	if !isYAMLName && !strings.HasSuffix(base, ".yml") {
		return false
	}
	return strings.HasSuffix(stem, ".test") || strings.HasSuffix(stem, "_test")
}

// Parse compiles the files as one set, in the order given. The error is an
// *ErrorList.
func Parse(files []File) (*rules.Set, error) {
	return parse(files, false)
}

func parse(files []File, onlyCEL bool) (*rules.Set, error) {
	c, err := compile(files, onlyCEL)
	if err != nil {
		return nil, err
	}
	return c.Set, nil
}

// version is the SHA-256 over base name, NUL, text, NUL of each file.
func version(files []File) string {
	h := sha256.New()
	for _, f := range files {
		h.Write([]byte(filepath.Base(f.Name)))
		h.Write([]byte{0})
		h.Write(f.Text)
		h.Write([]byte{0})
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
