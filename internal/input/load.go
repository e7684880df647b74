package input

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// inputKey is where a nudged.yaml holds the mapping.
const inputKey = "input"

// mappingKeys are the keys of a Mapping in YAML.
var mappingKeys = []string{"format", "fields", "time_format", "types", "registry"}

// LoadMapping reads a mapping from a YAML file, which holds either the mapping
// itself or, like a nudged.yaml, the mapping under the key input (its other
// keys are then left alone). An unknown key is an error that names file, line
// and column; what Validate finds is an error as well.
func LoadMapping(path string) (Mapping, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Mapping{}, fmt.Errorf("read the mapping: %w", err)
	}
	return ParseMapping(path, data)
}

// ParseMapping is LoadMapping for a file that is already read; name is used in
// errors.
func ParseMapping(name string, data []byte) (Mapping, error) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return Mapping{}, positioned(name, data, err)
	}
	docs := slices.DeleteFunc(file.Docs, func(d *ast.DocumentNode) bool { return d.Body == nil || d.Body.Type() == ast.CommentType })
	switch len(docs) {
	case 0:
		return Mapping{}, fmt.Errorf("%s: the file is empty: write the mapping, for example fields: {user: user_id}", name)
	case 1:
	default:
		return Mapping{}, fmt.Errorf("%s: the file holds %d YAML documents: a mapping is one", name, len(docs))
	}
	node, err := mappingNode(name, data, docs[0].Body)
	if err != nil {
		return Mapping{}, err
	}

	var m Mapping
	if node.Type() != ast.NullType { // a bare "input:" asks for the defaults
		if err := yaml.NodeToValue(node, &m, yaml.Strict()); err != nil {
			return Mapping{}, positioned(name, data, err)
		}
	}
	var errs []error
	for _, problem := range m.problems() {
		errs = append(errs, fmt.Errorf("%s: %w", name, problem))
	}
	if len(errs) > 0 {
		return Mapping{}, errors.Join(errs...)
	}
	return m, nil
}

// mappingNode finds the mapping in a document.
func mappingNode(name string, data []byte, body ast.Node) (ast.Node, error) {
	root, ok := body.(*ast.MappingNode)
	if !ok {
		return nil, at(name, data, body.GetToken(), "a mapping is expected, with the keys "+strings.Join(mappingKeys, ", "))
	}
	var under ast.Node
	for _, pair := range root.Values {
		if keyOf(pair) == inputKey {
			under = pair.Value
		}
	}
	if under == nil {
		return root, nil
	}
	for _, pair := range root.Values {
		if key := keyOf(pair); slices.Contains(mappingKeys, key) {
			return nil, at(name, data, pair.Key.GetToken(), fmt.Sprintf("%s stands beside %s: move it into %s", key, inputKey, inputKey))
		}
	}
	return under, nil
}

func keyOf(pair *ast.MappingValueNode) string { return pair.Key.GetToken().Value }

// positioned turns an error of the YAML library into file:line:column, the
// message, and the line itself.
func positioned(name string, data []byte, err error) error {
	var y yaml.Error
	if !errors.As(err, &y) || y.GetToken() == nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	message := y.GetMessage()
	var unknown *yaml.UnknownFieldError
	if errors.As(err, &unknown) {
		message = fmt.Sprintf("unknown key %q: the keys are %s; those of fields are user, time, type, id; those of registry are urls, username, password, ca_file",
			y.GetToken().Value, strings.Join(mappingKeys, ", "))
	}
	return at(name, data, y.GetToken(), message)
}

func at(name string, data []byte, tk *token.Token, message string) error {
	if tk == nil || tk.Position == nil {
		return fmt.Errorf("%s: %s", name, message)
	}
	text := ""
	if lines := bytes.Split(data, []byte("\n")); tk.Position.Line >= 1 && tk.Position.Line <= len(lines) {
		text = "\n\t" + strings.TrimSpace(string(lines[tk.Position.Line-1]))
	}
	return fmt.Errorf("%s:%d:%d: %s%s", name, tk.Position.Line, tk.Position.Column, message, text)
}
