package input

import (
	"bytes"
	"errors"
	"fmt"
)

var (
	errOpenQuote = errors.New(`a quoted field is not closed: close it with ", and write "" for a quote inside`)
	errAfter     = errors.New(`text follows the closing quote of a field: write "" for a quote inside a quoted field`)
)

// csvRows splits a file into rows after RFC 4180: fields separated by commas,
// quoted with " where they hold commas, quotes (doubled) or line ends. A quote
// inside a field that does not begin with one is an ordinary character. Empty
// lines are skipped.
//
// A row that is broken costs its first line only: the next row begins with the
// line after it, so one stray quote does not swallow the rest of the file.
type csvRows struct {
	w      *window
	fields [][]byte // of the last row; valid until the next call
	quoted []byte   // backs the fields that held doubled quotes
}

// next reads a row into fields and returns the number of its first line. An
// error with fatal false concerns this row alone, and reading can go on; io.EOF
// is fatal.
func (r *csvRows) next() (line int, fatal bool, err error) {
	for {
		line = r.w.line
		first, size, err := r.w.firstLine()
		var tooLong tooLongError
		if err != nil {
			return line, !errors.As(err, &tooLong), err
		}
		if len(first) == 0 {
			r.w.consume(size, 1)
			continue
		}
		if bytes.IndexByte(first, '"') < 0 {
			r.split(first)
			r.w.consume(size, 1)
			return line, false, nil
		}
		fatal, err = r.quotedRow(size)
		return line, fatal, err
	}
}

// split separates a row without quotes.
func (r *csvRows) split(row []byte) {
	r.fields = r.fields[:0]
	for {
		i := bytes.IndexByte(row, ',')
		if i < 0 {
			r.fields = append(r.fields, row)
			return
		}
		r.fields = append(r.fields, row[:i])
		row = row[i+1:]
	}
}

// quotedRow reads a row with quotes, whose first line takes firstSize bytes.
func (r *csvRows) quotedRow(firstSize int) (fatal bool, err error) {
	for {
		size, lines, err := r.parse(r.w.rest(), r.w.end)
		if errors.Is(err, errOpenQuote) && !r.w.end && len(r.w.rest()) < r.w.most+len("\r\n") {
			if err := r.w.double(); err != nil {
				return true, err
			}
			continue
		}
		if err == nil && len(withoutLineEnd(r.w.rest()[:size])) > r.w.most {
			err = tooLongError{r.w.most}
		}
		if err != nil {
			r.w.consume(firstSize, 1)
			return false, err
		}
		r.w.consume(size, lines)
		return false, nil
	}
}

// parse reads one row from the beginning of data and returns the bytes and
// lines it takes. errOpenQuote says as well that data may just not go far
// enough; end tells that nothing follows it.
func (r *csvRows) parse(data []byte, end bool) (size, lines int, err error) {
	r.fields, r.quoted = r.fields[:0], r.quoted[:0]
	at := 0
	for {
		if at < len(data) && data[at] == '"' {
			field, next, newlines, err := r.quotedField(data, at+1)
			if err != nil {
				return 0, 0, err
			}
			r.fields = append(r.fields, field)
			lines += newlines
			at = next
			// A quoted field ends at a comma or at the end of the line.
			switch after := data[at:]; {
			case len(after) == 0 && end:
				return at, lines + 1, nil
			case len(after) == 0 || len(after) == 1 && after[0] == '\r' && !end:
				return 0, 0, errOpenQuote
			case after[0] == ',':
				at++
				continue
			case after[0] == '\n':
				return at + 1, lines + 1, nil
			case after[0] == '\r' && len(after) == 1:
				return at + 1, lines + 1, nil
			case after[0] == '\r' && after[1] == '\n':
				return at + 2, lines + 1, nil
			default:
				return 0, 0, errAfter
			}
		}
		stop := bytes.IndexAny(data[at:], ",\n")
		switch {
		case stop >= 0 && data[at+stop] == ',':
			r.fields = append(r.fields, data[at:at+stop])
			at += stop + 1
		case stop >= 0:
			r.fields = append(r.fields, withoutCR(data[at:at+stop]))
			return at + stop + 1, lines + 1, nil
		case end:
			r.fields = append(r.fields, withoutCR(data[at:]))
			return len(data), lines + 1, nil
		default:
			return 0, 0, errOpenQuote
		}
	}
}

// quotedField reads a field from after its opening quote; next is behind the
// closing one.
func (r *csvRows) quotedField(data []byte, at int) (field []byte, next, newlines int, err error) {
	begin := at
	copied := -1 // where the copy begins in r.quoted, once there is need of one
	for {
		i := bytes.IndexByte(data[at:], '"')
		if i < 0 {
			return nil, 0, 0, errOpenQuote
		}
		piece := data[at : at+i]
		newlines += bytes.Count(piece, []byte("\n"))
		at += i + 1
		doubled := at < len(data) && data[at] == '"'
		if copied < 0 && !doubled {
			return data[begin : at-1], at, newlines, nil
		}
		if copied < 0 {
			copied = len(r.quoted)
		}
		r.quoted = append(r.quoted, piece...)
		if !doubled {
			return r.quoted[copied:], at, newlines, nil
		}
		r.quoted = append(r.quoted, '"')
		at++
	}
}

// csvHeader is the first row of a CSV, matched with the mapping.
type csvHeader struct {
	names                []string
	keys                 [][]byte // ,"name": of the columns that keep their names; nil for the four
	user, time, typ, idx int      // places of the columns; idx (the id) is -1 where every id is derived
}

// newCSVHeader finds the mapping's columns.
func newCSVHeader(fields [][]byte, p plan) (*csvHeader, error) {
	h := &csvHeader{user: -1, time: -1, typ: -1, idx: -1}
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	seen := map[string]bool{}
	for i, field := range fields {
		name := string(field)
		switch {
		case name == "":
			wrong("column %d has no name: give it one, or leave the column out", i+1)
		case seen[name]:
			wrong("column %q is there twice: rename one", name)
		}
		seen[name] = true
		h.names = append(h.names, name)
		h.keys = append(h.keys, nil)

		switch name {
		case p.user:
			h.user = i
		case p.time:
			h.time = i
		case p.typ:
			h.typ = i
		case p.id: // an empty one was refused above
			h.idx = i
		case fieldID, fieldType, fieldUser, fieldTime:
			wrong("column %q has the name of a field of every event, which the mapping reads from elsewhere: "+
				"rename the column, or set fields.%s to %q", name, name, name)
		default:
			h.keys[i] = fieldKey(nil, field)
		}
	}
	missing := false
	for _, f := range []struct {
		field, column string
		place         int
		needed        bool
	}{
		{fieldUser, p.user, h.user, true},
		{fieldTime, p.time, h.time, true},
		{fieldType, p.typ, h.typ, true},
		{fieldID, p.id, h.idx, p.idNamed},
	} {
		if f.needed && f.place < 0 {
			missing = true
			wrong("there is no column %q for the event's %s: name the right one as fields.%s", f.column, f.field, f.field)
		}
	}
	if missing {
		wrong("the columns are %s", joinNames(h.names))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return h, nil
}

func joinNames(names []string) string {
	var b bytes.Buffer
	for i, name := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		if b.Len() > 400 {
			fmt.Fprintf(&b, "and %d more", len(names)-i)
			break
		}
		b.WriteString(shorten([]byte(name)))
	}
	return b.String()
}

// cellKind is the JSON type that a cell gets.
type cellKind uint8

const (
	cellString cellKind = iota
	cellNumber
	cellTrue
	cellFalse
)

// kindOf types a cell. Numbers are what survives unchanged: -?(0|[1-9][0-9]*)
// that fits an int64, or the same with a fraction and at most 15 significant
// digits, which every float64 reproduces. Everything else (leading zeros, a
// plus, exponents, thousands separators) stays text.
func kindOf(cell []byte) cellKind {
	if len(cell) == 0 {
		return cellString
	}
	switch c := cell[0]; {
	case c == 't' && string(cell) == "true":
		return cellTrue
	case c == 'f' && string(cell) == "false":
		return cellFalse
	case c != '-' && c-'0' > 9:
		return cellString
	}
	digits := cell
	negative := digits[0] == '-'
	if negative {
		digits = digits[1:]
	}
	whole := 0
	for whole < len(digits) && digits[whole]-'0' <= 9 {
		whole++
	}
	if whole == 0 || whole > 1 && digits[0] == '0' {
		return cellString
	}
	if whole == len(digits) {
		// -2^63 has one more than 2^63-1.
		const largest, largestNegative = "9223372036854775807", "9223372036854775808"
		limit := largest
		if negative {
			limit = largestNegative
		}
		if whole < len(limit) || whole == len(limit) && string(digits) <= limit {
			return cellNumber
		}
		return cellString
	}
	if digits[whole] != '.' || whole+1 == len(digits) {
		return cellString
	}
	significant, leading := 0, true
	for i, c := range digits {
		switch {
		case i == whole:
			continue
		case c-'0' > 9:
			return cellString
		case c != '0' || !leading:
			leading = false
			significant++
		}
	}
	if significant > 15 {
		return cellString
	}
	return cellNumber
}
