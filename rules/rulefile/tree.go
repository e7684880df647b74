package rulefile

import (
	"math"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/nudged/nudged/rules"
)

type nodeKind uint8

const (
	mapNode nodeKind = iota
	listNode
	scalarNode
	nullNode
	brokenNode // what is wrong with it is reported already
)

func (k nodeKind) String() string {
	switch k {
	case mapNode:
		return "a map"
	case listNode:
		return "a list"
	case nullNode:
		return "empty"
	}
	return "a single value"
}

// node is one value of a rule file. Aliases lead to the node of their anchor.
type node struct {
	kind    nodeKind
	at      place
	entries []entry // of a map, each key once
	items   []*node // of a list
	scalar  scalarText
	// literal is what YAML itself reads in a plain scalar: a number or a bool,
	// Absent for text.
	literal rules.Value
}

type entry struct {
	key   string
	at    place
	value *node
}

// child returns the value of a key of a map, nil if there is none.
func (n *node) child(key string) *node {
	if n == nil || n.kind != mapNode {
		return nil
	}
	for _, e := range n.entries {
		if e.key == key {
			return e.value
		}
	}
	return nil
}

// treeBuilder turns the parser's tree into nodes.
type treeBuilder struct {
	src      *source
	problems *problems
	anchors  map[string]*node
}

func (t *treeBuilder) place(tk *token.Token) place {
	if tk == nil || tk.Position == nil {
		return place{t.src, 1, 1}
	}
	return place{t.src, max(tk.Position.Line, 1), max(tk.Position.Column, 1)}
}

// build returns the node, or nil after reporting why it cannot be read.
func (t *treeBuilder) build(n ast.Node, depth int) *node {
	if n == nil {
		return nil
	}
	at := t.place(n.GetToken())
	if depth > maxNesting {
		t.problems.add(at, fewLevels, "nested too deeply")
		return nil
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return t.mapping(n, at, depth)
	case *ast.MappingValueNode:
		return t.entries([]*ast.MappingValueNode{n}, t.place(n.Key.GetToken()), depth)
	case *ast.SequenceNode:
		out := &node{kind: listNode, at: at}
		for _, v := range n.Values {
			if item := t.build(v, depth+1); item != nil {
				out.items = append(out.items, item)
			}
		}
		return out
	case *ast.AnchorNode:
		value := t.build(n.Value, depth+1)
		if value != nil && n.Name != nil {
			t.anchors[n.Name.GetToken().Value] = value
		}
		return value
	case *ast.AliasNode:
		name := ""
		if n.Value != nil {
			name = n.Value.GetToken().Value
		}
		if value := t.anchors[name]; value != nil {
			return value
		}
		t.problems.add(at, "an anchor (&"+name+") comes before its alias", "no anchor named %q", name)
		return nil
	case *ast.NullNode:
		return &node{kind: nullNode, at: at}
	}
	return t.scalar(n, at)
}

func (t *treeBuilder) mapping(n *ast.MappingNode, at place, depth int) *node {
	if !n.IsFlowStyle && len(n.Values) > 0 {
		// The parser's own place of a block map is its first colon.
		at = t.place(n.Values[0].Key.GetToken())
	}
	return t.entries(n.Values, at, depth)
}

func (t *treeBuilder) entries(values []*ast.MappingValueNode, at place, depth int) *node {
	out := &node{kind: mapNode, at: at}
	first := make(map[string]place, len(values))
	for _, v := range values {
		key, keyAt, ok := t.key(v.Key)
		if !ok {
			continue
		}
		value := t.build(v.Value, depth+1)
		if old, twice := first[key]; twice {
			t.problems.add(keyAt, "keep one of the two", "the key %s is there already, in line %d", key, old.line)
			continue
		}
		first[key] = keyAt
		if value == nil {
			// What is wrong is reported; the key counts as given.
			value = &node{kind: brokenNode, at: keyAt}
		}
		if value.kind == nullNode {
			value = &node{kind: nullNode, at: keyAt}
		}
		out.entries = append(out.entries, entry{key, keyAt, value})
	}
	return out
}

func (t *treeBuilder) key(k ast.MapKeyNode) (string, place, bool) {
	at := t.place(k.GetToken())
	switch k := k.(type) {
	case *ast.StringNode:
		return k.Value, at, true
	case *ast.MergeKeyNode:
		t.problems.add(at, "write the keys out", "merge keys (<<) are not read")
		return "", at, false
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode, *ast.InfinityNode, *ast.NanNode:
		return k.GetToken().Value, at, true
	}
	t.problems.add(at, "keys are plain words", "this cannot be a key")
	return "", at, false
}

func (t *treeBuilder) scalar(n ast.Node, at place) *node {
	out := &node{kind: scalarNode, at: at}
	tk := n.GetToken()
	out.scalar = scalarText{text: tk.Value, start: at}
	switch n := n.(type) {
	case *ast.StringNode:
		out.scalar.text = n.Value
		switch tk.Type {
		case token.SingleQuoteType:
			out.scalar.style = singleQuoted
		case token.DoubleQuoteType:
			out.scalar.style = doubleQuoted
		}
	case *ast.LiteralNode:
		out.at = t.place(n.Start)
		out.scalar.style = blockStyle
		out.scalar.start = place{t.src, out.at.line + 1, 1}
		out.scalar.text = ""
		if n.Value != nil {
			out.scalar.text = n.Value.Value
		}
	case *ast.IntegerNode:
		switch v := n.Value.(type) {
		case int64:
			out.literal = rules.IntValue(v)
		case uint64:
			if v <= math.MaxInt64 {
				out.literal = rules.IntValue(int64(v))
			} else {
				out.literal = rules.FloatValue(float64(v))
			}
		}
	case *ast.FloatNode:
		out.literal = rules.FloatValue(n.Value)
	case *ast.BoolNode:
		out.literal = rules.BoolValue(n.Value)
	case *ast.InfinityNode, *ast.NanNode:
	default:
		t.problems.add(at, "write a plain value", "this YAML is not read: %s", strings.ToLower(n.Type().String()))
		return nil
	}
	return out
}
