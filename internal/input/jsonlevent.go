package input

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/go-faster/jx"

	"github.com/nudged/nudged/rules/eventtime"
)

// jsonlEvents turns the lines of one JSONL file into events.
type jsonlEvents struct {
	w     *window
	plan  plan
	row   int64 // lines that are not blank so far, broken ones included
	event event

	unwrapper *Unwrapper // of a format that wraps its events, else nil

	// Of the line at hand; the slices point into it.
	user, time, typ, id slot
	rest                []byte // the other fields as ,"key":value, if keepRest
	keepRest            bool
	wrong               error // what field refused

	decoder   jx.Decoder
	unescaper jx.Decoder
	onField   func(d *jx.Decoder, key []byte) error // field, bound once
}

// slot is one of the four fields in the line at hand.
type slot struct {
	raw  []byte // the JSON value; nil: absent
	text []byte // what it says
	own  []byte // backs text where the raw value held escapes
}

func newJSONLEvents(w *window, m Mapping) *jsonlEvents {
	j := &jsonlEvents{w: w, plan: m.plan()}
	j.onField = j.field
	if m.Wraps() {
		j.unwrapper = NewUnwrapper(m, nil)
	}
	return j
}

func (j *jsonlEvents) next() (rec Record, err error) {
	for {
		rec.Line = j.w.line
		line, size, err := j.w.firstLine()
		var tooLong tooLongError
		switch {
		case errors.As(err, &tooLong):
			j.row++
			rec.Err = err
			return rec, nil
		case err != nil:
			return Record{}, err
		}
		j.w.consume(size, 1)
		if isBlank(line) {
			continue
		}
		j.row++
		rec.Err = j.convert(line, &rec)
		return rec, nil
	}
}

func isBlank(line []byte) bool {
	for _, c := range line {
		if c != ' ' && c != '\t' && c != '\r' {
			return false
		}
	}
	return true
}

func (j *jsonlEvents) convert(line []byte, rec *Record) error {
	if !utf8.Valid(line) {
		return errNotUTF8
	}
	if j.unwrapper != nil {
		return j.unwrap(line, rec)
	}
	// A canonical file is mostly passed through, so its other fields are only
	// kept when it turns out that the line has to be rewritten.
	if err := j.read(line, !j.plan.canonical); err != nil {
		return err
	}
	unixMilli, err := j.check()
	if err != nil {
		return err
	}
	rec.User, rec.Time = string(j.user.text), unixMilli
	if j.plan.canonical {
		if j.isCanonical() {
			rec.Value = bytes.Clone(line)
			return nil
		}
		if err := j.read(line, true); err != nil {
			return err
		}
	}

	e := &j.event
	if len(j.id.text) == 0 {
		e.contentOf(j.row)
		e.content = append(e.content, line...)
	}
	e.head(j.id.text, j.plan.renamed(j.typ.text), j.user.text, unixMilli)
	e.w.Buf = append(e.w.Buf, j.rest...)
	e.w.Buf = append(e.w.Buf, '}')
	rec.Value = bytes.Clone(e.w.Buf)
	return nil
}

// unwrap converts a line of a format that wraps its events.
func (j *jsonlEvents) unwrap(line []byte, rec *Record) error {
	h, err := j.unwrapper.unwrap(line, nil, "")
	if err != nil {
		return err
	}
	e := &j.event
	if len(h.id) == 0 {
		e.contentOf(j.row)
		e.content = append(e.content, line...)
	}
	e.head(h.id, h.typ, h.user, h.unixMilli)
	e.w.Buf = append(e.w.Buf, j.unwrapper.rest...)
	e.w.Buf = append(e.w.Buf, '}')
	rec.Value, rec.User, rec.Time = bytes.Clone(e.w.Buf), string(h.user), h.unixMilli
	return nil
}

// read takes the line apart.
func (j *jsonlEvents) read(line []byte, keepRest bool) error {
	j.rest, j.keepRest, j.wrong = j.rest[:0], keepRest, nil
	for _, s := range []*slot{&j.user, &j.time, &j.typ, &j.id} {
		s.raw, s.text = nil, nil
	}
	j.decoder.ResetBytes(line)
	switch j.decoder.Next() {
	case jx.Object:
	case jx.Array:
		return errors.New("the line is a JSON array: write one object on each line, for example with jq -c '.[]'")
	default:
		return fmt.Errorf("the line is not a JSON object: %s", shorten(line))
	}
	if err := j.decoder.ObjBytes(j.onField); err != nil {
		if j.wrong != nil {
			return j.wrong
		}
		return fmt.Errorf("the line is not valid JSON: %w", innermost(err))
	}
	if err := j.decoder.Skip(); !errors.Is(err, io.EOF) {
		return errors.New("the line goes on after the JSON object: write one object on each line")
	}
	return nil
}

// innermost drops what the decoder says of its own callbacks.
func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// field takes one field in. It is called by the decoder for each.
func (j *jsonlEvents) field(d *jx.Decoder, key []byte) error {
	raw, err := d.Raw()
	if err != nil {
		return err
	}
	var s *slot
	switch string(key) {
	case j.plan.user:
		s = &j.user
	case j.plan.time:
		s = &j.time
	case j.plan.typ:
		s = &j.typ
	case j.plan.id:
		if j.plan.id != "" {
			s = &j.id
		}
	case fieldID, fieldType, fieldUser, fieldTime:
		j.wrong = fmt.Errorf("field %q has the name of a field of every event, which the mapping reads from elsewhere: "+
			"rename it, or set fields.%s to %q", key, key, key)
		return j.wrong
	}
	if s == nil {
		if j.keepRest {
			j.rest = fieldKey(j.rest, key)
			j.rest = append(j.rest, raw...)
		}
		return nil
	}
	if s.raw != nil {
		j.wrong = fmt.Errorf("field %q is there twice", key)
		return j.wrong
	}
	s.raw = raw
	switch raw[0] {
	case '"':
	case 'n':
		return nil // null is as good as absent: it says nothing
	default:
		s.text = raw
		return nil
	}
	s.text = raw[1 : len(raw)-1]
	if bytes.IndexByte(s.text, '\\') >= 0 {
		j.unescaper.ResetBytes(raw)
		s.own, err = j.unescaper.StrAppend(s.own[:0])
		s.text = s.own
	}
	return err
}

// check sees that the four fields hold what they must, and reads the time.
func (j *jsonlEvents) check() (unixMilli int64, err error) {
	if err := j.user.needed(j.plan.user, fieldUser, true); err != nil {
		return 0, err
	}
	if bytes.IndexByte(j.user.text, 0) >= 0 {
		return 0, fmt.Errorf("field %q: %w", j.plan.user, errNUL)
	}
	if err := j.typ.needed(j.plan.typ, fieldType, false); err != nil {
		return 0, err
	}
	if !j.id.absent() && !j.id.isString() && !isInteger(j.id.raw) {
		return 0, fmt.Errorf("field %q, the event's id, is %s: a string or a whole number is expected", j.plan.id, shorten(j.id.raw))
	}
	switch {
	case j.time.absent():
		return 0, fmt.Errorf("field %q, the event's time, is missing", j.plan.time)
	case !j.time.isString() && !j.time.isNumber():
		return 0, fmt.Errorf("field %q, the event's time, is %s: a string or a number is expected", j.plan.time, shorten(j.time.raw))
	}
	unixMilli, err = ParseTime(j.time.text, j.plan.timeFormat)
	if err != nil {
		return 0, fmt.Errorf("field %q: %w", j.plan.time, err)
	}
	return unixMilli, nil
}

// isCanonical tells whether the line, checked and read by canonical names, is a
// canonical event as it stands.
func (j *jsonlEvents) isCanonical() bool {
	if len(j.id.text) == 0 || !j.id.isString() || !j.user.isString() || !j.time.isString() {
		return false
	}
	_, ok := eventtime.ParseRFC3339(j.time.text)
	return ok
}

func (s *slot) absent() bool   { return s.raw == nil || s.raw[0] == 'n' }
func (s *slot) isString() bool { return s.raw[0] == '"' }
func (s *slot) isNumber() bool { return s.raw[0] == '-' || s.raw[0]-'0' <= 9 }

// needed checks a field that every event has.
func (s *slot) needed(name, field string, orInteger bool) error {
	switch {
	case s.absent():
		return fmt.Errorf("field %q, the event's %s, is missing", name, field)
	case s.isString() && len(s.text) == 0:
		return fmt.Errorf("field %q, the event's %s, is empty", name, field)
	case s.isString(), orInteger && isInteger(s.raw):
		return nil
	case orInteger:
		return fmt.Errorf("field %q, the event's %s, is %s: a string or a whole number is expected", name, field, shorten(s.raw))
	default:
		return fmt.Errorf("field %q, the event's %s, is %s: a string is expected", name, field, shorten(s.raw))
	}
}

// isInteger tells whether a JSON value is a number without fraction and
// exponent, whose text can serve as an id.
func isInteger(raw []byte) bool {
	if raw[0] == '-' {
		raw = raw[1:]
	}
	for _, c := range raw {
		if c-'0' > 9 {
			return false
		}
	}
	return true
}
