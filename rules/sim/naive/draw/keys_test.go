package draw_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/goccy/go-yaml"
	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules/rulefile"
	"github.com/nudged/nudged/rules/sim/naive/draw"
)

// keyCounter counts in how many places of rule files each key is given, as
// "table.key", and each word of a key that takes one of a few, as
// "table.key=word".
type keyCounter struct {
	t      *testing.T
	tables map[string]rulefile.KeyTable
	seen   map[string]int
}

func (c *keyCounter) count(table string, v any) {
	m, ok := v.(yaml.MapSlice)
	if !ok {
		c.t.Fatalf("%s is no map: %v", table, v)
	}
	for _, item := range m {
		name := fmt.Sprint(item.Key)
		keys := c.tables[table].Keys
		i := slices.IndexFunc(keys, func(k rulefile.Key) bool { return k.Name == name })
		if i < 0 {
			c.t.Fatalf("%s has no key %s", table, name)
		}
		c.seen[table+"."+name]++
		switch k := keys[i]; k.Kind {
		case rulefile.WordKey:
			c.seen[table+"."+name+"="+fmt.Sprint(item.Value)]++
		case rulefile.TableKey:
			c.count(k.Table, item.Value)
		case rulefile.ListKey, rulefile.TableListKey:
			list, ok := item.Value.([]any)
			if !ok {
				list = []any{item.Value}
			}
			for _, v := range list {
				c.count(k.Table, v)
			}
		case rulefile.NamedKey:
			for _, named := range item.Value.(yaml.MapSlice) {
				c.count(k.Table, named.Value)
			}
		}
	}
}

// Every key that a rule file may have is drawn, and every word of the keys that
// take one of a few: a key that comes new to the language is missed here.
func TestEveryKeyIsDrawn(t *testing.T) {
	c := keyCounter{t: t, tables: map[string]rulefile.KeyTable{}, seen: map[string]int{}}
	for _, table := range rulefile.KeyTables() {
		c.tables[table.Name] = table
	}
	const sets = 600
	drawn := rapid.Custom(draw.Rules)
	for seed := range sets {
		text := drawn.Example(seed).Text()
		var file yaml.MapSlice
		if err := yaml.UnmarshalWithOptions([]byte(text), &file, yaml.UseOrderedMap()); err != nil {
			t.Fatalf("%v\nin\n%s", err, text)
		}
		c.count("file", file)
	}
	for _, table := range rulefile.KeyTables() {
		for _, k := range table.Keys {
			wanted := []string{table.Name + "." + k.Name}
			for _, w := range k.Words {
				wanted = append(wanted, wanted[0]+"="+w)
			}
			for _, w := range wanted {
				if c.seen[w] == 0 {
					t.Errorf("in %d rule sets %s is never drawn", sets, w)
				}
			}
		}
	}
}
