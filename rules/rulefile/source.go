package rulefile

import "strings"

// source is the text of one file.
type source struct {
	name  string
	order int // among the files of the set
	lines []string
}

// newSource takes the text as it is parsed: without a byte order mark, with
// line feeds alone.
func newSource(name string, order int, text string) *source {
	return &source{name: name, order: order, lines: strings.Split(text, "\n")}
}

// line returns line n, from 1, "" beyond the text.
func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return s.lines[n-1]
}

// runeAt returns the character at a place; a line ends with a line feed.
func (s *source) runeAt(line, column int) (r rune, ok bool) {
	if line < 1 || line > len(s.lines) {
		return 0, false
	}
	i := 1
	for _, r := range s.lines[line-1] {
		if i == column {
			return r, true
		}
		i++
	}
	if i == column && line < len(s.lines) {
		return '\n', true
	}
	return 0, false
}
