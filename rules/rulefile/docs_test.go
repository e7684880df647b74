package rulefile

import (
	"os"
	"strings"
	"testing"

	"github.com/nudged/nudged/rules"
)

// examples are the YAML blocks of a Markdown file.
func examples(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for i, part := range strings.Split(string(text), "```yaml\n") {
		if i == 0 {
			continue
		}
		block, _, closed := strings.Cut(part, "```")
		if !closed {
			t.Fatalf("%s: the %d. block is not closed", path, i)
		}
		list = append(list, block)
	}
	return list
}

// keysUsed notes the keys of a map and of all below it, as "table.key".
func keysUsed(n *node, table KeyTable, used map[string]bool) {
	if n == nil || n.kind != mapNode {
		return
	}
	for _, k := range table.Keys {
		value := n.child(k.Name)
		if value == nil {
			continue
		}
		used[table.Name+"."+k.Name] = true
		var below []*node
		switch k.Kind {
		case TableKey:
			below = []*node{value}
		case ListKey, TableListKey:
			below = append([]*node{value}, value.items...)
		case NamedKey:
			for _, e := range value.entries {
				below = append(below, e.value)
			}
		}
		for _, b := range below {
			keysUsed(b, tableNamed(k.Table), used)
		}
	}
}

func tableNamed(name string) KeyTable {
	for _, t := range KeyTables() {
		if t.Name == name {
			return t
		}
	}
	return KeyTable{}
}

// Every example of the reference is a rule file that compiles and runs, and
// every key of the language is in one of them.
func TestReference(t *testing.T) {
	blocks := examples(t, "../../docs/rules.md")
	if len(blocks) < 10 {
		t.Fatalf("found %d examples, expected at least 10", len(blocks))
	}
	used := map[string]bool{}
	for _, block := range blocks {
		c, err := Compile([]File{{Name: "example.yaml", Text: []byte(block)}})
		if err != nil {
			t.Errorf("an example does not compile:\n%s\n%v", block, err)
			continue
		}
		for _, root := range c.roots {
			keysUsed(root, fileKeys, used)
		}
		run(t, c.Set, block)
	}
	for _, table := range KeyTables() {
		for _, k := range table.Keys {
			if !used[table.Name+"."+k.Name] {
				t.Errorf("no example in docs/rules.md shows the key %s of %s", k.Name, table.What)
			}
		}
	}
}

// run lets a user do everything once that the rules speak of, and a year pass.
func run(t *testing.T, s *rules.Set, block string) {
	t.Helper()
	state, out := &rules.State{}, &rules.Result{Verbose: true}
	f := fields{
		"age": rules.IntValue(30), "price": rules.FloatValue(10), "revenue": rules.FloatValue(5), "cart": rules.StringValue("k1"),
		"name": rules.StringValue("shoe"), "ads": rules.BoolValue(true), "expires_at": rules.StringValue("2026-01-03T00:00:00Z"),
		"trial_ends": rules.StringValue("2026-02-01T00:00:00Z"), "coupon": rules.StringValue("c1"),
	}
	at := start
	for _, r := range s.Rules {
		for _, typ := range append([]string{"consent_changed", "profile_updated"}, r.On...) {
			at++
			e := eventOf(s, typ+r.Name, typ, at, f)
			s.Step(state, "u1", rules.Input{Event: e}, out)
		}
	}
	s.Step(state, "u1", rules.Input{Until: at + 365*dayMilli}, out)
	for _, r := range s.Rules {
		if r.Schedule == nil && !hasDecision(out, r.Name) {
			t.Errorf("the rule %s decides nothing:\n%s", r.Name, block)
		}
	}
}

func hasDecision(out *rules.Result, rule string) bool {
	for _, d := range out.Decisions {
		if d.Rule == rule {
			return true
		}
	}
	return false
}

// The key tables are whole: what a generator of schemas goes by.
func TestKeyTables(t *testing.T) {
	tables := map[string]bool{}
	for _, table := range KeyTables() {
		if tables[table.Name] {
			t.Errorf("two tables are called %s", table.Name)
		}
		tables[table.Name] = true
	}
	for _, table := range KeyTables() {
		if table.What == "" {
			t.Errorf("%s has no words for errors", table.Name)
		}
		names := map[string]bool{}
		for _, k := range table.Keys {
			if names[k.Name] {
				t.Errorf("%s.%s is there twice", table.Name, k.Name)
			}
			names[k.Name] = true
			if k.Doc == "" || strings.Contains(k.Doc, "\n") || k.Kind == "" {
				t.Errorf("%s.%s: kind %q, doc %q", table.Name, k.Name, k.Kind, k.Doc)
			}
			needsTable := k.Kind == TableKey || k.Kind == ListKey || k.Kind == TableListKey || k.Kind == NamedKey
			if needsTable != (k.Table != "") || needsTable && !tables[k.Table] {
				t.Errorf("%s.%s of kind %s leads to the table %q", table.Name, k.Name, k.Kind, k.Table)
			}
			if (k.Kind == WordKey) != (len(k.Words) > 0) {
				t.Errorf("%s.%s of kind %s has the words %q", table.Name, k.Name, k.Kind, k.Words)
			}
			if number := k.Kind == WholeKey || k.Kind == NumberKey; number != (k.Low != k.High) {
				t.Errorf("%s.%s of kind %s goes from %d to %d", table.Name, k.Name, k.Kind, k.Low, k.High)
			}
		}
		for key := range table.misplaced {
			if names[key] {
				t.Errorf("%s.%s is both right and misplaced", table.Name, key)
			}
		}
	}
}
