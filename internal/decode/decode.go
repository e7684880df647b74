// Package decode turns the JSON of one record into an event, keeping only the
// fields that the rules read.
package decode

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/go-faster/jx"

	"github.com/nudged/nudged/internal/input"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/eventtime"
)

// Decoder decodes flat JSON events. It is used by one goroutine.
type Decoder struct {
	names      names
	slots      int
	timeLayout string
	types      map[string]string

	d     jx.Decoder
	ev    *rules.Event
	value []byte
	seen  uint8
	each  func(d *jx.Decoder, key []byte) error
}

// field says what a JSON key is: one of the canonical four, and a slot if an
// expression reads it too.
type field struct {
	canonical uint8
	slot      int // -1: none
}

const (
	isUser = 1 << iota
	isTime
	isType
	isID
)

// New returns a decoder for the fields that the set reads. The mapping must be
// valid.
func New(set *rules.Set, m input.Mapping) *Decoder {
	d := &Decoder{slots: len(set.Fields), timeLayout: m.TimeFormat, types: m.Types}
	fields := map[string]field{}
	for slot, name := range set.Fields {
		fields[name] = field{slot: slot}
	}
	canonical := func(name, otherwise string, bit uint8) {
		if name == "" {
			name = otherwise
		}
		f, ok := fields[name]
		if !ok {
			f.slot = -1
		}
		f.canonical = bit
		fields[name] = f
	}
	canonical(m.Fields.User, "user", isUser)
	canonical(m.Fields.Time, "time", isTime)
	canonical(m.Fields.Type, "type", isType)
	if m.Fields.ID == nil {
		canonical("", "id", isID)
	} else if *m.Fields.ID != "" {
		canonical(*m.Fields.ID, "", isID)
	}
	d.names = newNames(fields)
	d.each = d.field
	return d
}

// Decode fills ev from the value; strings may point into it. An event without an
// id gets none: the caller derives one. The error says why the value is not an
// event.
func (dec *Decoder) Decode(ev *rules.Event, value []byte) error {
	if cap(ev.Fields) < dec.slots {
		ev.Fields = make([]rules.Value, dec.slots)
	}
	ev.Fields = ev.Fields[:dec.slots]
	dec.begin(ev, value)
	if done, err := dec.scan(value); done {
		if err != nil {
			return err
		}
		return dec.check()
	}
	dec.begin(ev, value)
	return dec.decode()
}

// begin forgets what was decoded before.
func (dec *Decoder) begin(ev *rules.Event, value []byte) {
	fields := ev.Fields
	clear(fields)
	*ev = rules.Event{Fields: fields}
	dec.ev, dec.value, dec.seen = ev, value, 0
}

// decode is the long way, by jx.
func (dec *Decoder) decode() error {
	dec.d.ResetBytes(dec.value)
	if err := dec.d.ObjBytes(dec.each); err != nil {
		return invalid(err)
	}
	if err := dec.d.Skip(); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("not one JSON object: there is more after its end")
	}
	return dec.check()
}

// refusal is an error about an event, not about its JSON.
type refusal struct{ error }

func invalid(err error) error {
	var r refusal
	if errors.As(err, &r) {
		return r.error
	}
	return fmt.Errorf("not a JSON object: %w", err)
}

func refuse(format string, args ...any) error { return refusal{fmt.Errorf(format, args...)} }

// check looks at the canonical fields once all are read.
func (dec *Decoder) check() error {
	ev := dec.ev
	for _, missing := range [...]struct {
		bit  uint8
		name string
	}{{isUser, "user"}, {isType, "type"}, {isTime, "time"}} {
		if dec.seen&missing.bit == 0 {
			return fmt.Errorf("the event has no %s", missing.name)
		}
	}
	switch {
	case ev.User == "":
		return errors.New("the event's user is empty")
	case len(ev.User) > rules.MaxUserLen:
		return fmt.Errorf("the event's user has %d bytes, at most %d are taken", len(ev.User), rules.MaxUserLen)
	case strings.IndexByte(ev.User, 0) >= 0:
		return errors.New("the event's user has a NUL in it")
	case ev.Type == "":
		return errors.New("the event's type is empty")
	case len(ev.ID) > rules.MaxIDLen:
		return fmt.Errorf("the event's id has %d bytes, at most %d are taken", len(ev.ID), rules.MaxIDLen)
	case ev.Time < 0:
		return fmt.Errorf("the event's time %s is before 1970", eventtime.AppendRFC3339(nil, ev.Time))
	}
	if to, ok := dec.types[ev.Type]; ok {
		ev.Type = to
	}
	return nil
}

// field takes one field in.
func (dec *Decoder) field(d *jx.Decoder, key []byte) error {
	f, ok := dec.lookup(key)
	if !ok {
		return d.Skip()
	}
	v, err := dec.read(d)
	if err != nil {
		return err
	}
	return dec.store(f, v)
}

// store puts a value where it belongs. Of a key that comes twice the last one
// holds.
func (dec *Decoder) store(f field, v rules.Value) error {
	if f.slot >= 0 {
		dec.ev.Fields[f.slot] = v
	}
	if f.canonical == 0 {
		return nil
	}
	if !v.Present() {
		dec.seen &^= f.canonical
		if f.canonical == isID {
			dec.ev.ID = ""
		}
		return nil
	}
	dec.seen |= f.canonical
	switch f.canonical {
	case isUser:
		return dec.text("user", v, &dec.ev.User)
	case isType:
		if v.Kind != rules.String {
			return refuse("the event's type is a %s, expected a string", v.Kind)
		}
		dec.ev.Type = v.Str()
	case isID:
		return dec.text("id", v, &dec.ev.ID)
	case isTime:
		return dec.time(v)
	}
	return nil
}

// text takes a string, or an integer as its decimal text.
func (dec *Decoder) text(name string, v rules.Value, to *string) error {
	switch v.Kind {
	case rules.String:
		*to = v.Str()
	case rules.Int:
		*to = strconv.FormatInt(v.Int(), 10)
	default:
		return refuse("the event's %s is a %s, expected a string or an integer", name, v.Kind)
	}
	return nil
}

func (dec *Decoder) time(v rules.Value) error {
	var text []byte
	switch v.Kind {
	case rules.String:
		text = unsafe.Slice(unsafe.StringData(v.Str()), len(v.Str())) // read only
		if dec.timeLayout == "" {
			if ms, ok := eventtime.ParseRFC3339(text); ok {
				dec.ev.Time = ms
				return nil
			}
		}
	case rules.Int:
		text = strconv.AppendInt(nil, v.Int(), 10)
	case rules.Float:
		text = strconv.AppendFloat(nil, v.Float(), 'f', -1, 64)
	default:
		return refuse("the event's time is a %s, expected RFC 3339 or a Unix time", v.Kind)
	}
	ms, err := input.ParseTime(text, dec.timeLayout)
	if err != nil {
		return refuse("the event's %w", err)
	}
	dec.ev.Time = ms
	return nil
}

// read returns the value at hand. null is absent.
func (dec *Decoder) read(d *jx.Decoder) (rules.Value, error) {
	switch d.Next() {
	case jx.String:
		b, err := d.StrBytes()
		if err != nil {
			return rules.Value{}, err
		}
		if !utf8.Valid(b) {
			return rules.Value{}, refuse("a string is not valid UTF-8")
		}
		return rules.StringValue(dec.alias(b)), nil
	case jx.Number:
		n, err := d.Num()
		if err != nil {
			return rules.Value{}, err
		}
		return number(n)
	case jx.Bool:
		b, err := d.Bool()
		return rules.BoolValue(b), err
	case jx.Null:
		return rules.Value{}, d.Null()
	case jx.Array, jx.Object:
		raw, err := d.Raw()
		if err != nil {
			return rules.Value{}, err
		}
		return rules.JSONValue(dec.alias(raw)), nil
	}
	return rules.Value{}, d.Skip() // the decoder says what is wrong
}

// number keeps integers exact; what does not fit 64 bits becomes a double.
func number(n jx.Num) (rules.Value, error) {
	if n.Str() {
		return rules.StringValue(strings.Clone(string(n[1 : len(n)-1]))), nil
	}
	text := unsafe.String(unsafe.SliceData(n), len(n))
	if !strings.ContainsAny(text, ".eE") {
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return rules.IntValue(i), nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return rules.Value{}, refuse("the number %s is out of range", text)
	}
	return rules.FloatValue(f), nil
}

// alias returns b as a string without a copy if it lies in the record, whose
// memory lives as long as the event. The decoder's own buffers are copied.
func (dec *Decoder) alias(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	at := uintptr(unsafe.Pointer(&b[0]))
	base := uintptr(unsafe.Pointer(unsafe.SliceData(dec.value)))
	if at >= base && at < base+uintptr(len(dec.value)) {
		return unsafe.String(&b[0], len(b))
	}
	return string(b)
}
