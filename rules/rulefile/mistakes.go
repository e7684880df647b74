package rulefile

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
)

// mistake is an error of CEL in words that a reader of rules knows.
type mistake struct {
	message, wayOut string
	offset          int // in the expression, in characters
}

// offsetAt turns CEL's line (from 1) and column (from 0) into an offset.
func offsetAt(text string, e *cel.Error) int {
	if e.Location == nil || e.Location.Line() < 1 {
		return 0
	}
	offset := 0
	for i, line := range strings.Split(text, "\n") {
		if i == e.Location.Line()-1 {
			return offset + max(e.Location.Column(), 0)
		}
		offset += utf8.RuneCountInString(line) + 1
	}
	return offset
}

var (
	unexpectedInput = regexp.MustCompile(`^Syntax error: (?:mismatched|extraneous|no viable alternative at) input '(.*?)'(?: expecting .*)?$`)
	unknownToken    = regexp.MustCompile(`(?s)^Syntax error: token recognition error at: '(.*)'$`)
	noOverload      = regexp.MustCompile(`^found no matching overload for '(.*)' applied to '(.*)'$`)
	undeclared      = regexp.MustCompile(`^undeclared reference to '([^']*)'`)
	badArgument     = regexp.MustCompile(`^invalid (duration|timestamp|matches) argument`)
	operatorName    = regexp.MustCompile(`^[_!@-]|^_.*_$`)
)

// words that other languages use for CEL's operators.
var otherOperators = map[string]string{
	"and": "write && for and", "AND": "write && for and",
	"or": "write || for or", "OR": "write || for or",
	"not": "write ! for not", "NOT": "write ! for not",
	"=": "write == to compare", "&": "write && for and", "|": "write || for or", "<>": "write != for not equal",
	"is": "write == to compare", "like": "use contains(), startsWith() or matches()",
}

// syntaxMistake puts an error of the CEL parser into words.
func syntaxMistake(e *cel.Error, text string) mistake {
	m := mistake{message: e.Message, wayOut: "correct the expression here", offset: offsetAt(text, e)}
	if found := unexpectedInput.FindStringSubmatch(e.Message); found != nil {
		token := found[1]
		if token == "<EOF>" {
			m.message, m.wayOut = "the expression ends too early", "complete it, or close what is open"
			return m
		}
		m.message = "unexpected " + token
		if hint := otherOperators[token]; hint != "" {
			m.wayOut = hint
		} else if hint := otherOperators[wordBefore(text, m.offset)]; hint != "" {
			m.wayOut = hint
		} else {
			m.wayOut = "check what stands before it"
		}
		return m
	}
	if found := unknownToken.FindStringSubmatch(e.Message); found != nil {
		token := strings.TrimSpace(found[1])
		m.message = "unexpected " + token
		switch {
		case strings.HasPrefix(token, `'`), strings.HasPrefix(token, `"`):
			m.message, m.wayOut = "the text that starts here has no end", "close the quote"
		case token != "" && token[0] >= utf8.RuneSelf:
			m.wayOut = "names in other letters go into brackets: event['…']"
		case token != "" && otherOperators[token[:1]] != "":
			m.wayOut = otherOperators[token[:1]]
		}
		return m
	}
	if strings.HasPrefix(e.Message, "Syntax error: missing ") {
		what, _, _ := strings.Cut(strings.TrimPrefix(e.Message, "Syntax error: missing "), " at ")
		m.message, m.wayOut = "the expression lacks a "+strings.Trim(what, "'"), "close what is open"
		return m
	}
	switch e.Message {
	case "invalid int literal":
		m.message, m.wayOut = "a number beyond the range of an int", "write it as a double: 1e20"
		return m
	case "invalid argument to has() macro":
		m.message, m.wayOut = "has() takes a field of something", "write has(event.price)"
		return m
	}
	if strings.Contains(e.Message, "recursion limit") {
		m.message, m.wayOut = "the expression is nested too deeply", "split it up"
		return m
	}
	m.message = strings.TrimPrefix(m.message, "Syntax error: ")
	return m
}

// wordBefore returns the word that ends before the offset.
func wordBefore(text string, offset int) string {
	runes := []rune(text)
	before := strings.Fields(string(runes[:min(offset, len(runes))]))
	if len(before) == 0 {
		return ""
	}
	return before[len(before)-1]
}

// typeMistake puts an error of the type checker into words.
func (c *compiler) typeMistake(e *cel.Error, text string) mistake {
	m := mistake{message: e.Message, wayOut: "correct the expression here", offset: offsetAt(text, e)}
	switch {
	case noOverload.MatchString(e.Message):
		found := noOverload.FindStringSubmatch(e.Message)
		name, operands := found[1], found[2]
		if operatorName.MatchString(name) {
			symbol := strings.Trim(name, "_@")
			symbol = strings.ReplaceAll(symbol, "_", " ")
			m.message = symbol + " does not take " + operands
			m.wayOut = operandHint(symbol, operands)
			return m
		}
		m.offset = callStart(text, m.offset, name)
		m.message = name + "() does not take " + operands
		m.wayOut = "convert the value first: int(x), double(x), string(x), timestamp(x), duration(x)"
	case undeclared.MatchString(e.Message):
		name := undeclared.FindStringSubmatch(e.Message)[1]
		m.offset = callStart(text, m.offset, name)
		m.message = "there is no function " + name + "()"
		m.wayOut = didYouMean(name, c.cel.functions, "functions")
	case badArgument.MatchString(e.Message):
		m.badArgument(badArgument.FindStringSubmatch(e.Message)[1], text)
	case strings.HasPrefix(e.Message, "expected type 'bool'"):
		m.message = strings.Replace(e.Message, "expected type 'bool' but found", "a condition is needed here, this is of type", 1)
		m.wayOut = "compare it with something, so that it is true or false"
	case strings.Contains(e.Message, "does not support field selection"):
		m.message = strings.Replace(e.Message, "does not support field selection", "has no fields", 1)
		m.wayOut = "only event fields that hold JSON objects have fields of their own"
	case strings.Contains(e.Message, "nesting limit"), strings.Contains(e.Message, "comprehension exceeds"):
		m.message, m.wayOut = "more than 3 loops inside of each other", "split the expression up"
	}
	return m
}

// badArgument explains a constant that cannot be read.
func (m *mistake) badArgument(function, text string) {
	literal := literalAt(text, m.offset)
	switch function {
	case "duration":
		m.message = "no duration of CEL"
		m.wayOut = `in expressions write hours, minutes and seconds: duration("720h"), duration("90m")`
		if ms, err := ParseDuration(literal); err == nil {
			m.wayOut = `in expressions the longest unit is h: duration("` + celDuration(ms) + `")`
		}
	case "timestamp":
		m.message = "no timestamp of RFC 3339"
		m.wayOut = `write it like timestamp("2026-11-27T09:00:00+09:00")`
	case "matches":
		m.message = "no regular expression"
		m.wayOut = "the syntax is RE2; a backslash in a CEL text is written twice, or the text as r'…'"
	}
}

// literalAt returns the text inside of the quotes at the offset.
func literalAt(text string, offset int) string {
	runes := []rune(text)
	if offset < 0 || offset >= len(runes) {
		return ""
	}
	quote := runes[offset]
	rest := string(runes[offset+1:])
	if i := strings.IndexRune(rest, quote); i >= 0 {
		return rest[:i]
	}
	return ""
}

// callStart moves from the bracket of a call, where CEL puts it, to the name of
// the function.
func callStart(text string, offset int, name string) int {
	runes := []rune(text)
	start := offset - utf8.RuneCountInString(name)
	if start >= 0 && offset <= len(runes) && string(runes[start:offset]) == name {
		return start
	}
	return offset
}

// operandHint is the way out for an operator between the wrong types.
func operandHint(symbol, operands string) string {
	switch {
	case symbol == "? :":
		return "what stands before ? has to be a condition, and both results of one type"
	case strings.Contains(operands, "timestamp") && (strings.Contains(operands, "int") || strings.Contains(operands, "double") || strings.Contains(operands, "string")):
		return `compare a time with a time: now - duration("720h"), timestamp("2026-01-01T00:00:00Z")`
	case strings.Contains(operands, "duration"):
		return `a duration is written duration("720h")`
	case strings.Contains(operands, "string"):
		return "convert one side: string(x), int(x), double(x); or drop the quotes around a number"
	}
	return "convert one side: int(x), double(x), string(x)"
}
