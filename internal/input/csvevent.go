package input

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// csvEvents turns the rows of one CSV file into events.
type csvEvents struct {
	rows   csvRows
	plan   plan
	header *csvHeader
	row    int64 // data rows so far, broken ones included
	event  event
}

// newCSVEvents reads the header.
func newCSVEvents(w *window, p plan) (*csvEvents, error) {
	c := &csvEvents{rows: csvRows{w: w}, plan: p}
	line, _, err := c.rows.next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%d: the file is empty: a CSV file begins with a line of column names", line)
	case err != nil:
		return nil, fmt.Errorf("%d: the line of column names: %w", line, err)
	}
	for _, field := range c.rows.fields {
		if !utf8.Valid(field) {
			return nil, fmt.Errorf("%d: %w", line, errNotUTF8)
		}
	}
	if c.header, err = newCSVHeader(c.rows.fields, p); err != nil {
		return nil, fmt.Errorf("%d: %w", line, err)
	}
	return c, nil
}

func (c *csvEvents) next() (rec Record, err error) {
	line, fatal, err := c.rows.next()
	if fatal {
		return Record{}, err
	}
	c.row++
	rec.Line = line
	if err == nil {
		err = c.convert(&rec)
	}
	rec.Err = err
	return rec, nil
}

func (c *csvEvents) convert(rec *Record) error {
	fields, h, e := c.rows.fields, c.header, &c.event
	if len(fields) != len(h.names) {
		return fmt.Errorf("the row has %d fields, the line of column names has %d", len(fields), len(h.names))
	}
	for i, field := range fields {
		if !utf8.Valid(field) {
			return fmt.Errorf("column %q: %w", h.names[i], errNotUTF8)
		}
	}
	user, typ, when := fields[h.user], fields[h.typ], fields[h.time]
	for _, needed := range []int{h.user, h.time, h.typ} {
		if len(fields[needed]) == 0 {
			return fmt.Errorf("column %q is empty: every event has a user, a time and a type", h.names[needed])
		}
	}
	if bytes.IndexByte(user, 0) >= 0 {
		return fmt.Errorf("column %q: %w", h.names[h.user], errNUL)
	}
	unixMilli, err := ParseTime(when, c.plan.timeFormat)
	if err != nil {
		return fmt.Errorf("column %q: %w", h.names[h.time], err)
	}
	typ = c.plan.renamed(typ)

	var id []byte
	if h.idx >= 0 {
		id = fields[h.idx]
	}
	if len(id) == 0 {
		e.contentOf(c.row)
		for i, field := range fields {
			if i > 0 {
				e.content = append(e.content, unitSeparator)
			}
			e.content = append(e.content, field...)
		}
	}
	e.head(id, typ, user, unixMilli)
	for i, cell := range fields {
		if h.keys[i] == nil || len(cell) == 0 {
			continue
		}
		e.w.Buf = append(e.w.Buf, h.keys[i]...)
		if kindOf(cell) == cellString {
			e.w.ByteStr(cell)
		} else {
			e.w.Buf = append(e.w.Buf, cell...) // JSON spells it the same way
		}
	}
	e.w.Buf = append(e.w.Buf, '}')
	rec.Value, rec.User, rec.Time = bytes.Clone(e.w.Buf), string(user), unixMilli
	return nil
}
