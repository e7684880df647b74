package ruletest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/nudged/nudged/rules/rulefile"
)

const (
	maxFile    = 4 << 20 // bytes of one test file
	maxNesting = 32
	maxValue   = 1 << 20 // bytes of one event, or one value
)

type nodeKind uint8

const (
	nullNode nodeKind = iota
	scalarNode
	listNode
	mapNode
)

func (k nodeKind) String() string {
	return [...]string{"empty", "a single value", "a list", "a map"}[k]
}

// node is one value of a test file.
type node struct {
	kind    nodeKind
	at      place
	flow    bool  // written in [ ] or { }
	end     place // of a flow list or map: its closing bracket
	entries []entry
	items   []item
	text    string // of a scalar, as it is written
	value   any    // of a scalar: string, bool, int64, uint64 or float64
}

type entry struct {
	key   string
	at    place
	value *node
}

// item is one entry of a list; of a block list, dash is the place of its dash.
type item struct {
	dash  place
	value *node
}

// place is a line and a column, from 1, in characters.
type place struct{ line, column int }

// document is a parsed file, with what is wrong with it.
type document struct {
	path     string
	lines    []string
	problems []*rulefile.Problem
	anchors  map[string]*node
	comments []token.Token
}

// add reports a mistake.
func (d *document) add(at place, wayOut, format string, args ...any) {
	p := &rulefile.Problem{File: d.path, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...), WayOut: wayOut}
	if at.line >= 1 && at.line <= len(d.lines) {
		p.Source = d.lines[at.line-1]
	}
	d.problems = append(d.problems, p)
}

// Problems is everything that is wrong with a test file.
type Problems []*rulefile.Problem

// maxShown is how many problems Error writes out.
const maxShown = 20

// Error writes out the first problems.
func (ps Problems) Error() string {
	var b strings.Builder
	for i, p := range ps {
		if i == maxShown {
			fmt.Fprintf(&b, "\nand %d more problems", len(ps)-maxShown)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.Error())
	}
	return b.String()
}

func (d *document) err() error {
	if len(d.problems) == 0 {
		return nil
	}
	return Problems(d.problems)
}

// parseYAML reads the one document of a file; nil if it cannot be read, which is
// then reported.
func (d *document) parseYAML(text string) *node {
	top := place{1, 1}
	if len(text) > maxFile {
		d.add(place{}, "split it into several files", "a test file of %d bytes; at most %d are read", len(text), maxFile)
		return nil
	}
	file, err := d.tokens(text)
	if err != nil {
		at, message := top, err.Error()
		var located yaml.Error
		if errors.As(err, &located) {
			message = located.GetMessage()
			if tk := located.GetToken(); tk != nil && tk.Position != nil {
				at = placeOf(tk)
			}
		}
		d.add(at, "check the indentation and the quotes of this line and the one before", "not YAML: %s", message)
		return nil
	}
	docs := slices.DeleteFunc(file.Docs, func(doc *ast.DocumentNode) bool {
		return doc == nil || doc.Body == nil || doc.Body.Type() == ast.CommentType
	})
	switch len(docs) {
	case 0:
		d.add(top, "write rules: [rules.yaml] and tests: […]", "the file is empty")
		return nil
	case 1:
		return d.node(docs[0].Body)
	}
	d.add(placeOf(docs[1].Body.GetToken()), "put it into a file of its own", "a second YAML document in one file")
	return nil
}

// tokens runs the parser, which is recursive and may panic on odd input: depth is
// bounded before, a panic becomes an error.
func (d *document) tokens(text string) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			file, err = nil, errors.New("the YAML parser gave up on this file")
		}
	}()
	all := lexer.Tokenize(text)
	depth := 0
	for _, tk := range all {
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.CommentType:
			d.comments = append(d.comments, *tk)
		}
		if depth > maxNesting {
			return nil, &yaml.SyntaxError{Message: "nested too deeply", Token: tk}
		}
	}
	return parser.Parse(all, 0, parser.AllowDuplicateMapKey())
}

func placeOf(tk *token.Token) place {
	if tk == nil || tk.Position == nil {
		return place{1, 1}
	}
	return place{max(tk.Position.Line, 1), max(tk.Position.Column, 1)}
}

// node turns the parser's tree into a node, with aliases resolved. What cannot be
// read is reported and reads as empty.
func (d *document) node(n ast.Node) *node {
	at := placeOf(n.GetToken())
	switch n := n.(type) {
	case *ast.MappingNode:
		out := &node{kind: mapNode, at: at, flow: n.IsFlowStyle}
		switch {
		case n.IsFlowStyle:
			out.end = placeOf(n.End)
		case len(n.Values) > 0:
			out.at = placeOf(n.Values[0].Key.GetToken())
		}
		d.pairs(out, n.Values)
		return out
	case *ast.MappingValueNode:
		out := &node{kind: mapNode, at: placeOf(n.Key.GetToken())}
		d.pairs(out, []*ast.MappingValueNode{n})
		return out
	case *ast.SequenceNode:
		out := &node{kind: listNode, at: at, flow: n.IsFlowStyle}
		if n.IsFlowStyle {
			out.end = placeOf(n.End)
		}
		for i, v := range n.Values {
			it := item{value: d.node(v)}
			if i < len(n.Entries) {
				it.dash = placeOf(n.Entries[i].Start)
			}
			out.items = append(out.items, it)
		}
		return out
	case *ast.AnchorNode:
		value := d.node(n.Value)
		if n.Name != nil {
			d.anchors[n.Name.GetToken().Value] = value
		}
		return value
	case *ast.AliasNode:
		if n.Value != nil {
			if value := d.anchors[n.Value.GetToken().Value]; value != nil {
				return value
			}
		}
		d.add(at, "an anchor (&name) comes before its alias", "there is no such anchor")
		return &node{at: at}
	}
	return d.scalar(n, at)
}

func (d *document) scalar(n ast.Node, at place) *node {
	out := &node{kind: scalarNode, at: at, text: n.GetToken().Value}
	switch n := n.(type) {
	case *ast.NullNode:
		return &node{at: at}
	case *ast.StringNode:
		out.text, out.value = n.Value, n.Value
	case *ast.LiteralNode:
		out.text = ""
		if n.Value != nil {
			out.text = n.Value.Value
		}
		out.value = out.text
	case *ast.BoolNode:
		out.value = n.Value
	case *ast.IntegerNode:
		out.value = n.Value // int64 or uint64
	case *ast.FloatNode:
		out.value = n.Value
	default:
		d.add(at, "write a plain value", "this YAML is not read: %s", strings.ToLower(n.Type().String()))
		return &node{at: at}
	}
	return out
}

func (d *document) pairs(out *node, values []*ast.MappingValueNode) {
	seen := map[string]int{}
	for _, v := range values {
		at := placeOf(v.Key.GetToken())
		if _, merge := v.Key.(*ast.MergeKeyNode); merge {
			d.add(at, "write the keys out", "merge keys (<<) are not read")
			continue
		}
		key := v.Key.GetToken().Value
		if line, twice := seen[key]; twice {
			d.add(at, "keep one of the two", "the key %s is there already, in line %d", key, line)
			continue
		}
		seen[key] = at.line
		value := d.node(v.Value)
		if value.kind == nullNode {
			value = &node{at: at}
		}
		out.entries = append(out.entries, entry{key, at, value})
	}
}

// object reports the keys of a map that are not among those given, and returns
// the others. It returns nil, after reporting why, if the node is no map.
func (d *document) object(n *node, what string, keys []string) map[string]entry {
	if n.kind != mapNode {
		d.add(n.at, what+" is a map of "+strings.Join(keys, ", "), "%s cannot be %s", what, n.kind)
		return nil
	}
	out := map[string]entry{}
	for _, e := range n.entries {
		if !slices.Contains(keys, e.key) {
			d.add(e.at, rulefile.Suggest(e.key, keys, "keys of "+what), "%s has no key %q", what, e.key)
			continue
		}
		out[e.key] = e
	}
	return out
}

// list returns the items of a list; what it is for is said by example.
func (d *document) list(n *node, what, example string) []item {
	if n.kind != listNode {
		d.add(n.at, "write a list: "+example, "%s cannot be %s", what, n.kind)
		return nil
	}
	return n.items
}

// word returns the text of a scalar as it is written, so that 17 may name a user.
func (d *document) word(n *node, what string) (string, bool) {
	if n.kind != scalarNode || n.text == "" {
		d.add(n.at, "write a text", "%s is %s", what, n.kind)
		return "", false
	}
	return n.text, true
}

// flag reads a bool.
func (d *document) flag(n *node, what string) bool {
	b, ok := n.value.(bool)
	if !ok {
		d.add(n.at, "write true or false", "%s is neither true nor false", what)
	}
	return b
}

// appendJSON appends the node as JSON. Types stay: a whole number has no point, a
// double has one.
func (n *node) appendJSON(dst []byte) ([]byte, error) {
	if len(dst) > maxValue { // aliases of aliases grow without end
		return nil, fmt.Errorf("more than %d bytes", maxValue)
	}
	switch n.kind {
	case nullNode:
		return append(dst, "null"...), nil
	case listNode:
		dst = append(dst, '[')
		for i, it := range n.items {
			if i > 0 {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = it.value.appendJSON(dst); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	case mapNode:
		dst = append(dst, '{')
		for i, e := range n.entries {
			if i > 0 {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = e.value.appendJSON(append(appendString(dst, e.key), ':')); err != nil {
				return nil, err
			}
		}
		return append(dst, '}'), nil
	}
	switch v := n.value.(type) {
	case string:
		return appendString(dst, v), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case uint64:
		return strconv.AppendUint(dst, v, 10), nil
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return nil, errors.New("no JSON number")
		}
		text := strconv.FormatFloat(v, 'g', -1, 64)
		if !strings.ContainsAny(text, ".eE") {
			text += ".0"
		}
		return append(dst, text...), nil
	}
	return nil, fmt.Errorf("a value of type %T", n.value)
}
