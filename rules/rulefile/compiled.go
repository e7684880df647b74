package rulefile

import (
	"slices"
	"strings"

	"github.com/nudged/nudged/rules"
)

// Compiled is a rule set with the text that it was made of, as Compare needs it.
type Compiled struct {
	Set *rules.Set

	roots    []*node             // of each file that is not empty
	programs map[string][]opNode // what each op of a rule says, by the rule's name
}

// Compile is Parse that keeps the text.
func Compile(files []File) (*Compiled, error) {
	return compile(files, false)
}

// compile compiles the files; onlyCEL leaves the closures out, so that tests can
// compare the two back ends.
func compile(files []File, onlyCEL bool) (*Compiled, error) {
	c, err := newCompiler(onlyCEL)
	if err != nil {
		return nil, err
	}
	out := &Compiled{programs: c.programs}
	for i, f := range files {
		text := strings.TrimPrefix(string(f.Text), "\ufeff")
		text = strings.ReplaceAll(text, "\r\n", "\n")
		src := newSource(f.Name, i, text)
		if root := parseYAML(src, text, &c.problems); root != nil {
			c.file(root)
			out.roots = append(out.roots, root)
		}
	}
	out.Set, err = c.finish(version(files))
	if err != nil {
		return nil, err
	}
	return out, nil
}

// declaration is one named thing of a rule file.
type declaration struct {
	name string
	at   place
	node *node
}

// declared returns what the files declare under a key of the top level, in
// order.
func (c *Compiled) declared(section string) []declaration {
	var list []declaration
	for _, root := range c.roots {
		n := root.child(section)
		switch {
		case n == nil:
		case n.kind == mapNode:
			for _, e := range n.entries {
				list = append(list, declaration{e.key, e.at, e.value})
			}
		case n.kind == listNode:
			for _, item := range n.items {
				name := item.child("name")
				list = append(list, declaration{name.scalar.text, name.at, item})
			}
		}
	}
	return list
}

// single returns what stands behind a key that only one file may have, nil if
// none has it.
func (c *Compiled) single(section string) *node {
	for _, root := range c.roots {
		if n := root.child(section); n != nil {
			return n
		}
	}
	return nil
}

// written is a value as text, so that two can be compared: keys in order, white
// space at the ends and the style of quotes left out.
func (n *node) written() string {
	if n == nil {
		return ""
	}
	switch n.kind {
	case mapNode:
		parts := make([]string, len(n.entries))
		for i, e := range n.entries {
			parts[i] = e.key + ": " + e.value.written()
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	case listNode:
		parts := make([]string, len(n.items))
		for i, item := range n.items {
			parts[i] = item.written()
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case scalarNode:
		return strings.TrimSpace(n.scalar.text)
	}
	return ""
}
