package input

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/go-faster/jx"

	"github.com/nudged/nudged/rules/eventtime"
)

// Unwrapper turns records of a format that wraps its events (segment,
// cloudevents, ga4, registry) into flat events, for files and for the daemon
// alike. It is used by one goroutine.
//
// What every such format has in common: the four fields come first; then the
// payload's own fields under their names, one that is called like one of the
// four with the payload's name before it; then what stands around the payload,
// objects flattened with their name before each field. Of what would get a name
// that is taken already the first holds. docs/input.md says what is what in each
// format.
type Unwrapper struct {
	m    Mapping
	keep func(name string) bool // nil: everything
	open func(u *Unwrapper, value []byte, headers Headers) (parts, error)

	top     []member
	taken   map[string]bool
	rest    []byte
	scratch []byte // backs the texts of one record
	d       jx.Decoder
}

// Headers are the headers of a record; nil for a file, which has none.
type Headers = iter.Seq2[string, []byte]

// member is one field of a JSON object.
type member struct {
	name string
	raw  []byte
}

// parts is a record taken apart: where the four fields are by default, as JSON
// values (nil: missing), and what else there is, in the order in which it is
// written.
type parts struct {
	user, time, typ, id []byte
	unixMicro           bool // time is in microseconds since 1970, whatever its size
	rest                []part
}

// part is an object whose fields become fields of the event.
type part struct {
	name    string // stands before fields whose names clash, or before all of them
	members []member
	prefix  bool // name stands before every field
	flatten bool // objects within are flattened too
}

// head is what every event has, as text.
type head struct {
	id, typ, user []byte // id may be empty
	unixMilli     int64
}

// Wraps tells whether the mapping's format is one for an Unwrapper.
func (m Mapping) Wraps() bool {
	switch m.Format {
	case FormatSegment, FormatCloudEvents, FormatGA4, FormatRegistry:
		return true
	}
	return false
}

// NewUnwrapper returns an Unwrapper for a valid mapping that Wraps. keep tells
// which fields beside the four are wanted; nil: all of them.
func NewUnwrapper(m Mapping, keep func(name string) bool) *Unwrapper {
	u := &Unwrapper{m: m, keep: keep, taken: map[string]bool{}}
	switch m.Format {
	case FormatSegment:
		u.open = openSegment
	case FormatCloudEvents:
		u.open = openCloudEvent
	case FormatGA4:
		u.open = openGA4
	default:
		u.open = openPlain
	}
	return u
}

// Append appends the flat event to dst. If the record has no id the event has
// none; if its type is missing it is otherwise, "" for none. The error says why
// the record is no event.
func (u *Unwrapper) Append(dst, value []byte, headers Headers, otherwise string) ([]byte, error) {
	h, err := u.unwrap(value, headers, otherwise)
	if err != nil {
		return dst, err
	}
	w := jx.Writer{Buf: append(dst, `{"type":`...)}
	w.ByteStr(h.typ)
	w.Buf = append(w.Buf, `,"user":`...)
	w.ByteStr(h.user)
	w.Buf = append(w.Buf, `,"time":"`...)
	w.Buf = append(eventtime.AppendRFC3339(w.Buf, h.unixMilli), '"')
	if len(h.id) > 0 {
		w.Buf = append(w.Buf, `,"id":`...)
		w.ByteStr(h.id)
	}
	w.Buf = append(w.Buf, u.rest...)
	return append(w.Buf, '}'), nil
}

// unwrap takes a record apart. The other fields are in u.rest, as ,"name":value.
func (u *Unwrapper) unwrap(value []byte, headers Headers, otherwise string) (head, error) {
	u.rest, u.scratch = u.rest[:0], u.scratch[:0]
	if len(u.taken) > 1000 {
		u.taken = map[string]bool{} // clearing a large one costs its size each time
	}
	clear(u.taken)
	if !utf8.Valid(value) {
		return head{}, errors.New("the record is not UTF-8")
	}
	p, err := u.open(u, value, headers)
	if err != nil {
		return head{}, err
	}
	h, err := u.head(&p, otherwise)
	if err != nil {
		return head{}, err
	}
	for _, name := range [...]string{fieldID, fieldType, fieldUser, fieldTime} {
		u.taken[name] = true
	}
	for i := range p.rest {
		if err := u.spill(&p.rest[i], 0); err != nil {
			return head{}, err
		}
	}
	return h, nil
}

// head finds the four fields.
func (u *Unwrapper) head(p *parts, otherwise string) (h head, err error) {
	f := &u.m.Fields
	user, err := u.choose(f.User, p.user)
	if err != nil {
		return h, err
	}
	if h.user, err = u.text(user, "user", f.User, true); err != nil {
		return h, err
	}
	typ, err := u.choose(f.Type, p.typ)
	if err != nil {
		return h, err
	}
	if absent(typ) && otherwise != "" {
		h.typ = []byte(otherwise)
	} else if h.typ, err = u.text(typ, "type", f.Type, false); err != nil {
		return h, err
	}
	if to, ok := u.m.Types[string(h.typ)]; ok {
		h.typ = []byte(to)
	}
	id := p.id
	if f.ID != nil {
		if id = nil; *f.ID != "" {
			if id, err = u.find(*f.ID); err != nil {
				return h, err
			}
		}
	}
	if !absent(id) {
		name := ""
		if f.ID != nil {
			name = *f.ID
		}
		if h.id, err = u.text(id, "id", name, true); err != nil {
			return h, err
		}
	}
	when, err := u.choose(f.Time, p.time)
	if err != nil {
		return h, err
	}
	h.unixMilli, err = u.time(when, p.unixMicro && f.Time == "")
	return h, err
}

// choose takes what the mapping names, or else what the format says.
func (u *Unwrapper) choose(path string, otherwise []byte) ([]byte, error) {
	if path == "" {
		return otherwise, nil
	}
	return u.find(path)
}

func absent(raw []byte) bool { return len(raw) == 0 || raw[0] == 'n' }

// text reads the user, the type or the id.
func (u *Unwrapper) text(raw []byte, what, path string, orInteger bool) ([]byte, error) {
	from := ""
	if path != "" {
		from = fmt.Sprintf(" (fields.%s: %s)", what, path)
	}
	switch {
	case absent(raw):
		return nil, fmt.Errorf("the event has no %s%s", what, from)
	case raw[0] == '"':
		text, err := u.unquote(raw)
		switch {
		case err != nil:
			return nil, err
		case len(text) == 0 && what != "id":
			return nil, fmt.Errorf("the event's %s is empty%s", what, from)
		case what == "user" && bytes.IndexByte(text, 0) >= 0:
			return nil, errors.New("the event's user has a NUL in it")
		}
		return text, nil
	case orInteger && (raw[0] == '-' || raw[0]-'0' <= 9) && isInteger(raw):
		return raw, nil
	case orInteger:
		return nil, fmt.Errorf("the event's %s%s is %s: a string or a whole number is expected", what, from, shorten(raw))
	}
	return nil, fmt.Errorf("the event's %s%s is %s: a string is expected", what, from, shorten(raw))
}

func (u *Unwrapper) time(raw []byte, unixMicro bool) (int64, error) {
	if absent(raw) {
		return 0, errors.New("the event has no time")
	}
	text := raw
	switch c := raw[0]; {
	case c == '"':
		var err error
		if text, err = u.unquote(raw); err != nil {
			return 0, err
		}
	case c != '-' && c-'0' > 9:
		return 0, fmt.Errorf("the event's time is %s: a string or a number is expected", shorten(raw))
	}
	if unixMicro {
		return parseMicros(text)
	}
	ms, err := ParseTime(text, u.m.TimeFormat)
	if err != nil {
		return 0, fmt.Errorf("the event's %w", err)
	}
	return ms, nil
}

// unquote reads a JSON string. The text is good until the next record.
func (u *Unwrapper) unquote(raw []byte) ([]byte, error) {
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return inner, nil
	}
	u.d.ResetBytes(raw)
	start := len(u.scratch)
	var err error
	if u.scratch, err = u.d.StrAppend(u.scratch); err != nil {
		return nil, broken(err)
	}
	return u.scratch[start:len(u.scratch):len(u.scratch)], nil
}

func broken(err error) error { return fmt.Errorf("not valid JSON: %w", innermost(err)) }

// object appends the members of a JSON object. A name that is there twice is an
// error.
func (u *Unwrapper) object(to []member, raw []byte) ([]member, error) {
	u.d.ResetBytes(raw)
	if u.d.Next() != jx.Object {
		return to, fmt.Errorf("not a JSON object: %s", shorten(bytes.TrimSpace(raw)))
	}
	from := len(to)
	var seen map[string]bool
	err := u.d.ObjBytes(func(d *jx.Decoder, key []byte) error {
		value, err := d.Raw()
		if err != nil {
			return err
		}
		name := string(key)
		twice := false
		// A few names are compared, many are looked up.
		if len(to)-from < 16 {
			for i := range to[from:] {
				twice = twice || to[from+i].name == name
			}
		} else {
			if seen == nil {
				seen = make(map[string]bool, 64)
				for i := range to[from:] {
					seen[to[from+i].name] = true
				}
			}
			twice = seen[name]
			seen[name] = true
		}
		if twice {
			return twiceError{shorten(key)}
		}
		to = append(to, member{name, value})
		return nil
	})
	var twice twiceError
	switch {
	case errors.As(err, &twice):
		return to, twice
	case err != nil:
		return to, broken(err)
	}
	if err := u.d.Skip(); !errors.Is(err, io.EOF) {
		return to, errors.New("there is more after the end of the JSON object")
	}
	return to, nil
}

type twiceError struct{ name string }

func (e twiceError) Error() string {
	return fmt.Sprintf("field %q is there twice in one object", e.name)
}

// get finds a member.
func get(members []member, name string) []byte {
	for i := range members {
		if members[i].name == name {
			return members[i].raw
		}
	}
	return nil
}

// find follows a path of names, joined by dots, from the top of the record. In
// a list of {key, value} objects, as GA4 has them, a name is a key.
func (u *Unwrapper) find(path string) ([]byte, error) {
	name, rest, more := strings.Cut(path, ".")
	raw := get(u.top, name)
	for more && !absent(raw) {
		name, rest, more = strings.Cut(rest, ".")
		var members []member
		var err error
		switch raw[0] {
		case '{':
			members, err = u.object(nil, raw)
		case '[':
			members, err = u.pairs(nil, raw)
		default:
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		raw = get(members, name)
	}
	return raw, nil
}

// maxFlatten is how many levels of objects are flattened; what lies deeper stays
// JSON.
const maxFlatten = 6

// spill writes the fields of a part that are wanted.
func (u *Unwrapper) spill(p *part, level int) error {
	for i := range p.members {
		m := &p.members[i]
		if absent(m.raw) {
			continue // null says nothing
		}
		name := m.name
		if p.prefix || level == 0 && isCanonical(name) {
			name = p.name + "_" + name
		}
		if p.flatten && m.raw[0] == '{' && level < maxFlatten {
			members, err := u.object(nil, m.raw)
			if err != nil {
				return err
			}
			if err := u.spill(&part{name: name, members: members, prefix: true, flatten: true}, level+1); err != nil {
				return err
			}
			continue
		}
		if u.keep != nil && !u.keep(name) || u.taken[name] {
			continue
		}
		u.taken[name] = true
		u.rest = fieldKey(u.rest, []byte(name))
		u.rest = append(u.rest, m.raw...)
	}
	return nil
}

func isCanonical(name string) bool {
	switch name {
	case fieldID, fieldType, fieldUser, fieldTime:
		return true
	}
	return false
}

// around lists the members of the top level that are not spent, each to be
// flattened.
func (u *Unwrapper) around(name string, used []string) part {
	p := part{name: name, flatten: true}
next:
	for _, m := range u.top {
		for _, n := range used {
			if m.name == n {
				continue next
			}
		}
		p.members = append(p.members, m)
	}
	return p
}

// openPlain takes a JSON object as it is: what a record of a schema registry was
// turned into.
func openPlain(u *Unwrapper, value []byte, _ Headers) (parts, error) {
	var err error
	if u.top, err = u.object(u.top[:0], value); err != nil {
		return parts{}, err
	}
	f := &u.m.Fields
	p := parts{user: get(u.top, fieldUser), time: get(u.top, fieldTime), typ: get(u.top, fieldType), id: get(u.top, fieldID)}
	// What became one of the four does not come twice.
	used := []string{orDefault(f.User, fieldUser), orDefault(f.Time, fieldTime), orDefault(f.Type, fieldType)}
	if f.ID == nil {
		used = append(used, fieldID)
	} else {
		used = append(used, *f.ID)
	}
	rest := u.around("record", used)
	rest.flatten = false
	p.rest = []part{rest}
	return p, nil
}
