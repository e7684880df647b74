package ruletest

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/nudged/nudged/rules"
)

// Update returns the file's text with what happened as the expectation of every
// test that keep names, and the tests that changed. Entries that agree stay as
// they are, so do comments and everything else.
func (f *File) Update(keep func(*Test) bool) (text string, changed []*Test, err error) {
	e := editor{file: f, lines: strings.SplitAfter(strings.TrimPrefix(f.txt, "\ufeff"), "\n")}
	for _, t := range f.Tests {
		if !keep(t) {
			continue
		}
		w, err := f.play(t)
		if err != nil {
			return "", nil, err
		}
		switch {
		case t.expectNode == nil:
			err = e.insert(t, w.happened)
		default:
			rows := t.compare(w.happened)
			if rows == nil {
				continue
			}
			if t.expectNode.flow || len(t.expect) == 0 {
				err = e.rewrite(t, w.happened, rows)
			} else {
				e.amend(t, rows)
			}
		}
		if err != nil {
			return "", nil, err
		}
		changed = append(changed, t)
	}
	if len(changed) == 0 {
		return f.txt, nil, nil
	}
	text = e.apply()
	if strings.HasPrefix(f.txt, "\ufeff") {
		text = "\ufeff" + text
	}
	return text, changed, f.verify(text, changed)
}

// verify runs the tests of the text as it would be written.
func (f *File) verify(text string, changed []*Test) error {
	again, err := parse(f.Path, text, func(...string) (*rules.Set, error) { return f.Set, nil })
	for i := 0; err == nil && i < len(again.Tests); i++ {
		t := again.Tests[i]
		if !slices.ContainsFunc(changed, func(c *Test) bool { return c.Name == t.Name }) {
			continue
		}
		var r *Result
		if r, err = again.Run(t); err == nil && r.Failed() {
			err = fmt.Errorf("the test %q would still fail", t.Name)
		}
	}
	if err != nil {
		return fmt.Errorf("%s cannot be updated in place; write its expect: as a plain list, one entry a line: %w", f.Path, err)
	}
	return nil
}

// edit replaces the bytes from..to of the text.
type edit struct {
	from, to int
	text     string
}

// editor collects edits of a file.
type editor struct {
	file  *File
	lines []string // with their ends
	edits []edit
}

// offset is where a place is in the text, in bytes.
func (e *editor) offset(p place) int {
	at := e.lineStart(p.line)
	line := e.lines[p.line-1]
	for range p.column - 1 {
		_, size := utf8.DecodeRuneInString(line)
		at, line = at+size, line[size:]
	}
	return at
}

// lineStart is where a line begins, from 1; one beyond the last is the end.
func (e *editor) lineStart(line int) int {
	at := 0
	for _, l := range e.lines[:min(line-1, len(e.lines))] {
		at += len(l)
	}
	return at
}

func (e *editor) lineEnd() string {
	if strings.HasSuffix(e.lines[0], "\r\n") {
		return "\r\n"
	}
	return "\n"
}

func (e *editor) add(from, to int, text string) { e.edits = append(e.edits, edit{from, to, text}) }

// addLines inserts whole lines before a line.
func (e *editor) addLines(before int, lines []string) {
	if len(lines) == 0 {
		return
	}
	end := e.lineEnd()
	text := strings.Join(lines, end) + end
	at := e.lineStart(before)
	if last := e.lines[len(e.lines)-1]; before > len(e.lines) && last != "" && !strings.HasSuffix(last, "\n") {
		text = end + strings.TrimSuffix(text, end)
	}
	e.add(at, at, text)
}

func (e *editor) apply() string {
	// What is inserted at a place comes before what is replaced from there on.
	slices.SortStableFunc(e.edits, func(a, b edit) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	all := strings.Join(e.lines, "")
	var b strings.Builder
	at := 0
	for _, x := range e.edits {
		b.WriteString(all[at:max(at, x.from)])
		b.WriteString(x.text)
		at = max(at, x.to)
	}
	b.WriteString(all[at:])
	return b.String()
}

// comments returns those that begin from one place up to another.
func (e *editor) comments(from, to place) []string {
	var found []string
	for _, c := range e.file.doc.comments {
		p := place{c.Position.Line, c.Position.Column}
		if !before(p, from) && before(p, to) {
			found = append(found, "#"+strings.TrimRight(c.Value, " \r\n"))
		}
	}
	return found
}

func before(a, b place) bool { return a.line < b.line || a.line == b.line && a.column < b.column }

// lastLine is the last line that a block item takes: the last one before next
// that is indented deeper than its dash and is no comment.
func (e *editor) lastLine(dash place, next int) int {
	last := dash.line
	for n := dash.line + 1; n < next; n++ {
		line := strings.TrimRight(e.lines[n-1], " \r\n")
		body := strings.TrimLeft(line, " ")
		if body == "" || strings.HasPrefix(body, "#") {
			continue
		}
		if len(line)-len(body) < dash.column {
			break
		}
		last = n
	}
	return last
}

// amend changes the entries of a block list one by one.
func (e *editor) amend(t *Test, rows []Row) {
	indent := strings.Repeat(" ", t.expect[0].item.dash.column-1)
	index := map[*expectation]int{}
	for i, x := range t.expect {
		index[x] = i
	}
	spanEnd := func(i int) int { // first line behind the entry
		next := len(e.lines) + 1
		if i+1 < len(t.expect) {
			next = t.expect[i+1].item.dash.line
		}
		return e.lastLine(t.expect[i].item.dash, next) + 1
	}
	// New entries go behind the entry handled last.
	handled, cursor := -1, t.expect[0].item.dash.line
	added := map[int][]string{}
	gone := map[int]bool{}
	left := len(t.expect)
	for _, row := range ordered(rows) {
		switch {
		case row.Mark == Same:
			handled = index[row.want]
			cursor = spanEnd(handled)
		case row.Mark == Missing && !row.Pair:
			gone[index[row.want]] = true
		case row.Mark == Missing: // its other half follows
		case row.Pair && index[row.want] > handled:
			handled = index[row.want]
			e.replace(row.want, spanEnd(handled), indent, "- "+t.entry(row.want.keys, row.got))
			cursor = spanEnd(handled)
		case row.Pair:
			gone[index[row.want]] = true
			added[cursor] = append(added[cursor], indent+"- "+t.entry(row.want.keys, row.got))
			left++
		default:
			added[cursor] = append(added[cursor], indent+"- "+t.entry(nil, row.got))
			left++
		}
	}
	for i := range gone {
		e.replace(t.expect[i], spanEnd(i), indent, "")
		left--
	}
	for line, entries := range added {
		e.addLines(line, entries)
	}
	if left == 0 {
		at := e.afterColon(t)
		e.add(at, at, " []")
	}
}

// ordered sorts the extras between two agreements by when they happened, which
// is the order of the decisions themselves; those missing come first.
func ordered(rows []Row) []Row {
	out := slices.Clone(rows)
	for i := 0; i < len(out); {
		j := i
		for j < len(out) && out[j].Mark != Same {
			j++
		}
		slices.SortStableFunc(out[i:j], func(a, b Row) int {
			if a.Mark != b.Mark {
				return cmp.Compare(b.Mark, a.Mark) // missing, extra
			}
			if a.Mark == Missing {
				return 0
			}
			return cmp.Or(cmp.Compare(a.got.at, b.got.at), cmp.Compare(a.got.User, b.got.User), cmp.Compare(a.got.order, b.got.order))
		})
		i = j + 1
	}
	return out
}

// replace puts text in the place of a block entry, whose lines end before end.
// Comments inside of it move above it. An empty text removes the entry.
func (e *editor) replace(x *expectation, end int, indent, text string) {
	dash := x.item.dash
	from, to := e.lineStart(dash.line), e.lineStart(end)
	last := e.lines[end-2]
	lineEnd := last[len(strings.TrimRight(last, "\r\n")):]
	var b strings.Builder
	for _, c := range e.comments(dash, place{end - 1, 0}) {
		b.WriteString(indent + c + e.lineEnd())
	}
	// One behind the entry, on its last line, stays there.
	tail := ""
	for _, c := range e.comments(place{end - 1, 0}, place{end, 0}) {
		tail = c
	}
	switch {
	case text != "" && tail != "":
		b.WriteString(indent + text + " " + tail + lineEnd)
	case text != "":
		b.WriteString(indent + text + lineEnd)
	case tail != "":
		b.WriteString(indent + tail + lineEnd)
	}
	e.add(from, to, b.String())
}

// rewrite replaces a list in brackets, or an empty one.
func (e *editor) rewrite(t *Test, got []happened, rows []Row) error {
	n := t.expectNode
	entries := t.entries(got, rows)
	from, to := e.offset(n.at), e.offset(place{n.end.line, n.end.column + 1})
	inside := e.comments(n.at, n.end)
	if t.fields.flow {
		if len(inside) > 0 {
			return fmt.Errorf("%s:%d: the test %q is written in braces with comments inside of expect: write it over several lines, or update it by hand", e.file.Path, t.Line, t.Name)
		}
		e.add(from, to, "["+strings.Join(entries, ", ")+"]")
		return nil
	}
	if len(entries) == 0 {
		e.add(from, to, "[]")
		e.addLines(n.end.line+1, inside)
		return nil
	}
	e.add(e.afterColon(t), to, "")
	e.addLines(n.end.line+1, e.block(t, inside, entries))
	return nil
}

// insert writes an expect where there is none.
func (e *editor) insert(t *Test, got []happened) error {
	if t.fields.flow {
		return fmt.Errorf("%s:%d: the test %q is written in braces: write it over several lines, or add its expect by hand", e.file.Path, t.Line, t.Name)
	}
	entries := t.entries(got, nil)
	if t.expectAt != (place{}) {
		if len(entries) == 0 {
			at := e.afterColon(t)
			e.add(at, at, " []")
			return nil
		}
		e.addLines(t.expectAt.line+1, e.block(t, nil, entries))
		return nil
	}
	key := strings.Repeat(" ", t.fields.at.column-1) + "expect:"
	// Everything of the test is indented as deep as its keys.
	end := e.lastLine(place{t.Line, t.fields.at.column - 1}, len(e.lines)+1) + 1
	if len(entries) == 0 {
		e.addLines(end, []string{key + " []"})
		return nil
	}
	e.addLines(end, append([]string{key}, e.block(t, nil, entries)...))
	return nil
}

// block lays entries out as a block list under the test's keys.
func (e *editor) block(t *Test, comments, entries []string) []string {
	indent := strings.Repeat(" ", t.fields.at.column+1)
	var lines []string
	for _, c := range comments {
		lines = append(lines, indent+c)
	}
	for _, entry := range entries {
		lines = append(lines, indent+"- "+entry)
	}
	return lines
}

// afterColon is the offset behind the colon of expect.
func (e *editor) afterColon(t *Test) int {
	at := e.offset(t.expectAt)
	return at + strings.IndexByte(strings.Join(e.lines[t.expectAt.line-1:], "")[at-e.lineStart(t.expectAt.line):], ':') + 1
}

// entries writes what a whole list has to say: of a subset, the entries that it
// had, as far as something happened that is like them.
func (t *Test) entries(got []happened, rows []Row) []string {
	keys := map[*happened][]string{}
	var subset []string
	for _, row := range rows {
		if row.got != nil && row.want != nil && row.Mark != Missing {
			keys[row.got] = row.want.keys
			subset = append(subset, t.entry(row.want.keys, row.got))
		}
	}
	if t.subset && rows != nil {
		return subset
	}
	var all []string
	for i := range got {
		all = append(all, t.entry(keys[&got[i]], &got[i]))
	}
	return all
}

// entry writes a decision as an entry of expect, with the keys given, else with
// those that tell most.
// A key that was given stays, also if there is nothing any more that it could say;
// but for expires, which cannot say that.
func (t *Test) entry(keys []string, h *happened) string {
	given := keys != nil
	if !given {
		keys = []string{"at", "user", "rule", "decision", "instance"}
		if h.Decision == string(rules.Sent) || h.Decision == string(rules.ControlArm) {
			keys = append(keys, "template", "data")
		}
	}
	b := []byte{'{'}
	for _, key := range keys {
		f := fieldOf(key)
		shown := h.shown(f, t.start)
		if shown == "" && given {
			shown = nothing[f.kind]
		}
		switch {
		case shown == "" && (!given || f.kind == moment):
			continue
		case len(b) > 1:
			b = append(b, ", "...)
		}
		b = append(append(b, key...), ": "...)
		if f.kind == text && key != "step" || f.kind == moment {
			b = appendScalar(b, shown)
		} else {
			b = append(b, shown...)
		}
	}
	return string(append(b, '}'))
}

// nothing is what a key of a kind says where there is nothing.
var nothing = map[kind]string{whole: "{}", some: "{}", value: "null", flag: "false"}

// plainScalar are texts that YAML reads as texts without quotes, offsets among
// them.
var plainScalar = regexp.MustCompile(`^(?:[A-Za-z_][A-Za-z0-9_./-]*|(?:[0-9]+(?:d|h|ms|m|s))+)$`)

var yamlWords = []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}

// appendScalar writes a text as a YAML scalar, in quotes where it needs them.
func appendScalar(dst []byte, s string) []byte {
	if plainScalar.MatchString(s) && !slices.Contains(yamlWords, strings.ToLower(s)) {
		return append(dst, s...)
	}
	return appendString(dst, s)
}
