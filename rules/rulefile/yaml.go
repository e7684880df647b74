package rulefile

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	maxFileSize = 256 << 10 // bytes of one rule file
	maxNesting  = 32        // levels of YAML; a rule file needs 24
	maxAnchors  = 1000
	// The parser's time grows with the square of the keys of one map, and with
	// that of empty lines in a row. 10,000 keys and list items take about a
	// second, 1,000 empty lines a hundredth of one.
	maxKeys  = 10_000
	maxEmpty = 1000

	tooDeepMessage = "nested too deeply"
	fewLevels      = "a rule file needs 24 levels at most"
	tooManyMessage = "more keys and list items than a rule file may have"
)

// parseYAML reads one file into a tree. It reports what is wrong and returns nil
// if there is nothing to go on with, or nothing in the file.
func parseYAML(src *source, text string, ps *problems) *node {
	top := place{src, 1, 1}
	if len(text) > maxFileSize {
		ps.add(place{src: src}, "split it into several files of one folder", "a rule file of %d bytes; at most %d are read", len(text), maxFileSize)
		return nil
	}
	empty := 0
	for i, line := range src.lines {
		if empty++; strings.TrimSpace(line) != "" {
			empty = 0
		}
		if empty > maxEmpty {
			ps.add(place{src, i + 1, 1}, "remove them", "more than %d empty lines in a row", maxEmpty)
			return nil
		}
		for j, r := range line {
			if bad := r == utf8.RuneError && !utf8.ValidString(line) || r < ' ' && r != '\t' || r == 0x7f; bad {
				ps.add(place{src, i + 1, utf8.RuneCountInString(line[:j]) + 1}, "save the file as UTF-8 text", "a byte that is not text")
				return nil
			}
		}
	}
	file, err := parseTokens(text)
	if err != nil {
		// Error() of the parser's errors prints the whole file.
		at, message := top, ""
		var located yaml.Error
		if errors.As(err, &located) {
			message = located.GetMessage()
			if tk := located.GetToken(); tk != nil && tk.Position != nil {
				at = place{src, max(tk.Position.Line, 1), max(tk.Position.Column, 1)}
			}
		} else {
			message = err.Error()
		}
		ps.add(at, yamlWayOut(src.line(at.line), message), "not YAML: %s", message)
		return nil
	}
	t := treeBuilder{src: src, problems: ps, anchors: map[string]*node{}}
	var root *node
	for _, doc := range file.Docs {
		if doc == nil || doc.Body == nil {
			continue
		}
		n := t.build(doc.Body, 0)
		if n == nil {
			continue
		}
		if root != nil {
			ps.add(n.at, "put it into a file of its own", "a second YAML document in one file")
			continue
		}
		root = n
	}
	return root
}

// parseTokens runs the YAML parser, which is recursive and may panic on odd
// input: the depth is bounded beforehand, a panic becomes an error.
func parseTokens(text string) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			file, err = nil, errors.New("the YAML parser gave up on this file")
		}
	}()
	tokens := lexer.Tokenize(text)
	if tk := firstTag(tokens); tk != nil {
		return nil, &yaml.SyntaxError{Message: tk.Value + " is a YAML tag, and tags are not read", Token: tk}
	}
	if message, tk := beyondLimits(tokens); tk != nil {
		return nil, &yaml.SyntaxError{Message: message, Token: tk}
	}
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// beyondLimits returns the token at which there is more than any rule file
// needs, and of what, before the parser gets lost in it. Block indentation
// bounds itself: each level costs a longer line.
func beyondLimits(tokens token.Tokens) (message string, at *token.Token) {
	depth, onLine, line, anchors, keys := 0, 0, 0, 0, 0
	for _, tk := range tokens {
		if tk.Position.Line != line {
			line, onLine = tk.Position.Line, 0
		}
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType:
			keys++
			onLine++
		case token.MappingValueType:
			keys++
			// Inside of braces one line may hold many keys side by side.
			if depth == 0 {
				onLine++
			}
		case token.AnchorType:
			anchors++
		}
		switch {
		case depth > maxNesting, onLine > maxNesting:
			return tooDeepMessage, tk
		case anchors > maxAnchors, keys > maxKeys:
			return tooManyMessage, tk
		}
	}
	return "", nil
}

// firstTag returns the first YAML tag, which most often is an expression that
// starts with an exclamation mark.
func firstTag(tokens token.Tokens) *token.Token {
	for _, tk := range tokens {
		if tk.Type == token.TagType {
			return tk
		}
	}
	return nil
}

// yamlWayOut guesses at the usual cause of a syntax error.
func yamlWayOut(line, message string) string {
	_, value, found := strings.Cut(line, ": ")
	value = strings.TrimSpace(value)
	switch {
	case message == tooDeepMessage:
		return fewLevels
	case message == tooManyMessage:
		return "split it into several files of one folder"
	case strings.Contains(message, "quoted text"):
		return "close the quote"
	case strings.Contains(line, "\t"):
		return "YAML indents with spaces, not with tabs"
	case strings.Contains(line, "*") && !strings.Contains(line, `"*"`):
		return `a bare * is a YAML alias: write "*" in quotes`
	case found && value != "" && strings.ContainsRune(`"'{[!&|>%@`+"`", rune(value[0])):
		return "an expression that starts with " + value[:1] + " needs quotes around it"
	}
	return "check the indentation and the quotes of this line and the one before"
}
