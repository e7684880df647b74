package rulefile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/rivo/uniseg"
)

// maxShown is how many problems Error writes out.
const maxShown = 20

// Problem is one mistake in a rule file.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`   // from 1; 0 if the problem is not at a place
	Column  int    `json:"column"` // from 1, in characters
	Message string `json:"message"`
	WayOut  string `json:"way_out,omitempty"` // what to write instead
	Source  string `json:"source,omitempty"`  // the line itself
}

// Error writes file:line:column: message, then the line with a caret under the
// column, then the way out.
func (p *Problem) Error() string {
	var b strings.Builder
	switch {
	case p.Line > 0:
		fmt.Fprintf(&b, "%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
	case p.File != "":
		fmt.Fprintf(&b, "%s: %s", p.File, p.Message)
	default:
		b.WriteString(p.Message)
	}
	if p.Line > 0 {
		b.WriteString("\n    ")
		b.WriteString(p.Source)
		b.WriteString("\n    ")
		b.WriteString(caretIndent(p.Source, p.Column))
		b.WriteString("^")
	}
	if p.WayOut != "" {
		b.WriteString("\n  ")
		b.WriteString(p.WayOut)
	}
	return b.String()
}

// caretIndent is white space as wide as the text before the column. Tabs stay
// tabs, and characters that fill two cells count as two.
func caretIndent(line string, column int) string {
	var b strings.Builder
	left := column - 1
	for _, r := range line {
		if left == 0 {
			break
		}
		left--
		if r == '\t' {
			b.WriteByte('\t')
			continue
		}
		b.WriteString(strings.Repeat(" ", uniseg.StringWidth(string(r))))
	}
	return b.String() + strings.Repeat(" ", max(left, 0))
}

// ErrorList is what Load and Parse return when something is wrong: every
// problem of every file, by file and place.
type ErrorList struct {
	problems []*Problem
}

// Problems returns all problems, in the order of files and places.
func (e *ErrorList) Problems() []*Problem { return e.problems }

// Unwrap lets errors.As find a *Problem.
func (e *ErrorList) Unwrap() []error {
	errs := make([]error, len(e.problems))
	for i, p := range e.problems {
		errs[i] = p
	}
	return errs
}

// Error writes out the first 20 problems.
func (e *ErrorList) Error() string {
	var b strings.Builder
	for i, p := range e.problems {
		if i == maxShown {
			fmt.Fprintf(&b, "\nand %d more problems", len(e.problems)-maxShown)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.Error())
	}
	return b.String()
}

// place is a position in a source; the zero place is nowhere.
type place struct {
	src    *source
	line   int // from 1
	column int // from 1, in characters
}

func (p place) String() string { return fmt.Sprintf("%s:%d:%d", p.src.name, p.line, p.column) }

// maxKept bounds the work on a file that is not a rule file at all.
const maxKept = 1000

// problems collects mistakes.
type problems struct {
	list []located
	seen map[Problem]bool
}

type located struct {
	*Problem
	order int // of the file
}

// add reports a mistake unless the same one is reported there already, which
// happens where two aliases lead to one place.
func (ps *problems) add(at place, wayOut, format string, args ...any) {
	p := &Problem{Message: fmt.Sprintf(format, args...), WayOut: wayOut}
	order := 0
	if at.src != nil {
		p.File, p.Line, p.Column = at.src.name, at.line, at.column
		p.Source = at.src.line(at.line)
		order = at.src.order
	}
	if ps.seen[*p] || len(ps.list) == maxKept {
		return
	}
	if ps.seen == nil {
		ps.seen = map[Problem]bool{}
	}
	ps.seen[*p] = true
	ps.list = append(ps.list, located{p, order})
}

// err returns the mistakes in the order of their places, nil if there are none.
func (ps *problems) err() error {
	if len(ps.list) == 0 {
		return nil
	}
	slices.SortStableFunc(ps.list, func(a, b located) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	e := &ErrorList{}
	for _, p := range ps.list {
		e.problems = append(e.problems, p.Problem)
	}
	return e
}
