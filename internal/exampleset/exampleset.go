// Package exampleset puts the examples together, for tests that run all of them
// at once: one rule set for each policy, and the events of their rule tests as one
// stream.
package exampleset

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/nudged/nudged/rules/rulefile"
)

// Folder is one example.
type Folder struct {
	Name         string
	Rules, Tests []string // paths
}

// mapping is the file of an example that says how its events are read, not a
// rule file.
const mapping = "map.yaml"

// Folders lists the examples below dir, in the order of their names.
func Folders(dir string) ([]Folder, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading examples: %w", err)
	}
	var folders []Folder
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		f := Folder{Name: e.Name()}
		files, err := filepath.Glob(filepath.Join(dir, e.Name(), "*.yaml"))
		if err != nil {
			return nil, fmt.Errorf("reading examples: %w", err)
		}
		for _, file := range files {
			switch {
			case rulefile.IsTestFile(file):
				f.Tests = append(f.Tests, file)
			case filepath.Base(file) != mapping:
				f.Rules = append(f.Rules, file)
			}
		}
		if programs, err := filepath.Glob(filepath.Join(dir, e.Name(), "*.go")); err != nil || len(programs) > 0 {
			continue // a program, not rules
		}
		folders = append(folders, f)
	}
	return folders, nil
}

// Set is the rules of several examples as one rule file.
type Set struct {
	Name    string // that of its only example, or "shop" and "free": with and without the shop's policy
	Folders []Folder
	Text    []byte
}

// named are the top keys of a rule file whose entries have names.
var named = []string{"attributes", "metrics", "audiences", "experiments"}

// single are those that a set has once.
var single = []string{"holdout", "policy"}

// merging is a set that examples are being added to.
type merging struct {
	folders []Folder
	tables  map[string]yaml.MapSlice // by top key
	from    map[string]string        // "table.name", or "rule.name" -> the example that has it
	rules   []any
}

// Merge puts examples together that hold to the same policy and holdout, of
// which a set has one. What has a name may be in several examples if it is the
// same in all of them.
func Merge(folders []Folder) ([]Set, error) {
	sets := map[string]*merging{}
	var order []string
	for _, f := range folders {
		files, err := read(f)
		if err != nil {
			return nil, err
		}
		key, err := policyOf(files)
		if err != nil {
			return nil, err
		}
		m := sets[key]
		if m == nil {
			m = &merging{tables: map[string]yaml.MapSlice{}, from: map[string]string{}}
			sets[key] = m
			order = append(order, key)
		}
		m.folders = append(m.folders, f)
		for _, file := range files {
			if err := m.add(f.Name, file); err != nil {
				return nil, err
			}
		}
	}
	var merged []Set
	for _, key := range order {
		m := sets[key]
		text, err := Format(m.file())
		if err != nil {
			return nil, err
		}
		s := Set{Name: "shop", Folders: m.folders, Text: text}
		switch {
		case key == "":
			s.Name = "free"
		case len(m.folders) == 1:
			s.Name = m.folders[0].Name
		}
		merged = append(merged, s)
	}
	return merged, nil
}

func read(f Folder) ([]yaml.MapSlice, error) {
	var files []yaml.MapSlice
	for _, path := range f.Rules {
		file, err := Parse(path)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// Parse reads a rule file as it is written, in its order.
func Parse(path string) (yaml.MapSlice, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading rules: %w", err)
	}
	var file yaml.MapSlice
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.UseOrderedMap()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return file, nil
}

// Format writes what Parse has read. Every text is quoted, so that it stays one.
func Format(v any) ([]byte, error) {
	return yaml.MarshalWithOptions(v, yaml.JSON())
}

// policyOf is what tells policies apart: their text, "" for none.
func policyOf(files []yaml.MapSlice) (string, error) {
	var key strings.Builder
	for _, file := range files {
		for _, item := range file {
			if name := fmt.Sprint(item.Key); slices.Contains(single, name) {
				text, err := Format(item.Value)
				if err != nil {
					return "", err
				}
				fmt.Fprintf(&key, "%s: %s\n", name, text)
			}
		}
	}
	return key.String(), nil
}

func (m *merging) add(example string, file yaml.MapSlice) error {
	for _, item := range file {
		switch key := fmt.Sprint(item.Key); {
		case slices.Contains(named, key), slices.Contains(single, key):
			entries, ok := item.Value.(yaml.MapSlice)
			if !ok {
				return fmt.Errorf("%s: %s is no map", example, key)
			}
			for _, entry := range entries {
				if err := m.declare(example, key, entry); err != nil {
					return err
				}
			}
		case key == "rules":
			list, ok := item.Value.([]any)
			if !ok {
				return fmt.Errorf("%s: rules is no list", example)
			}
			for _, rule := range list {
				name := "rule." + nameOf(rule)
				if other, twice := m.from[name]; twice {
					return fmt.Errorf("%s and %s both have the %s: rename one of them", other, example, name)
				}
				m.from[name] = example
				m.rules = append(m.rules, rule)
			}
		default:
			return fmt.Errorf("%s: unknown key %s", example, key)
		}
	}
	return nil
}

func nameOf(rule any) string {
	fields, _ := rule.(yaml.MapSlice)
	for _, f := range fields {
		if f.Key == "name" {
			return fmt.Sprint(f.Value)
		}
	}
	return ""
}

// declare adds an entry of a table; the same once more is no second one.
func (m *merging) declare(example, table string, entry yaml.MapItem) error {
	name := fmt.Sprintf("%s.%v", table, entry.Key)
	for _, there := range m.tables[table] {
		if there.Key != entry.Key {
			continue
		}
		a, err := Format(there.Value)
		if err != nil {
			return err
		}
		b, err := Format(entry.Value)
		if err != nil {
			return err
		}
		if !bytes.Equal(a, b) {
			return fmt.Errorf("%s and %s both have %s, and not the same: rename one of them\n%s%s", m.from[name], example, name, a, b)
		}
		return nil
	}
	m.from[name] = example
	m.tables[table] = append(m.tables[table], entry)
	return nil
}

func (m *merging) file() yaml.MapSlice {
	var file yaml.MapSlice
	for _, table := range slices.Concat(named, single) {
		if entries := m.tables[table]; len(entries) > 0 {
			file = append(file, yaml.MapItem{Key: table, Value: entries})
		}
	}
	return append(file, yaml.MapItem{Key: "rules", Value: m.rules})
}
