// Package input reads events out of files, JSONL or CSV, for the commands that
// work on history, and turns each into the flat JSON event that nudged reads
// from Kafka. What the files call their fields is told by a Mapping.
package input

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// The formats that Mapping.Format names.
const (
	FormatFlat        = "flat" // JSONL of flat events; files named .csv are still read as CSV
	FormatCSV         = "csv"  // CSV whatever the file is called
	formatSegment     = "segment"
	formatCloudEvents = "cloudevents"
	formatGA4         = "ga4"
)

// The fields of a canonical event, by name.
const (
	fieldID   = "id"
	fieldType = "type"
	fieldUser = "user"
	fieldTime = "time"
)

// Mapping says how records become events: the input: part of the
// configuration. Its zero value reads canonical events.
type Mapping struct {
	// Format is flat (default) or csv. segment, cloudevents and ga4 are known
	// by name and refused, because they are not built yet.
	Format string `json:"format,omitempty" yaml:"format,omitempty"`

	// Fields names the columns or JSON fields that hold the canonical ones.
	Fields Fields `json:"fields,omitzero" yaml:"fields,omitempty"`

	// TimeFormat is a Go layout, such as "2006-01-02 15:04:05 MST". Empty
	// (default): RFC 3339, or Unix seconds, milliseconds or microseconds. See
	// ParseTime.
	TimeFormat string `json:"time_format,omitempty" yaml:"time_format,omitempty"`

	// Types renames event types, from the file's name to nudged's. Types that
	// are not listed pass through. A new name is not looked up again.
	Types map[string]string `json:"types,omitempty" yaml:"types,omitempty"`
}

// Fields names where a record holds the four canonical fields. Leave a name
// empty for the canonical one.
type Fields struct {
	User string `json:"user,omitempty" yaml:"user,omitempty"` // default: user
	Time string `json:"time,omitempty" yaml:"time,omitempty"` // default: time
	Type string `json:"type,omitempty" yaml:"type,omitempty"` // default: type

	// ID: nil means id; a pointer to the empty string means that every id is
	// derived from the record's content and position.
	ID *string `json:"id,omitempty" yaml:"id,omitempty"`
}

// plan is a Mapping with the defaults filled in.
type plan struct {
	user, time, typ string
	id              string // empty: always derive
	idNamed         bool   // the id's field was named by the user, so it has to exist in a CSV
	timeFormat      string
	types           map[string][]byte
	canonical       bool
}

func (m Mapping) plan() plan {
	p := plan{
		user: orDefault(m.Fields.User, fieldUser),
		time: orDefault(m.Fields.Time, fieldTime),
		typ:  orDefault(m.Fields.Type, fieldType),
		id:   fieldID, timeFormat: m.TimeFormat, canonical: m.Canonical(),
		types: make(map[string][]byte, len(m.Types)),
	}
	for from, to := range m.Types {
		p.types[from] = []byte(to)
	}
	if m.Fields.ID != nil {
		p.id = *m.Fields.ID
		p.idNamed = p.id != "" && p.id != fieldID
	}
	return p
}

func orDefault(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return name
}

// Canonical tells whether the mapping changes nothing: the four fields have
// their canonical names, times are read by default, and no type is renamed.
func (m Mapping) Canonical() bool {
	f := m.Fields
	return orDefault(f.User, fieldUser) == fieldUser && orDefault(f.Time, fieldTime) == fieldTime &&
		orDefault(f.Type, fieldType) == fieldType && (f.ID == nil || *f.ID == fieldID) &&
		m.TimeFormat == "" && len(m.Types) == 0
}

// Validate reports everything that is wrong with the mapping, joined into one
// error.
func (m Mapping) Validate() error { return errors.Join(m.problems()...) }

func (m Mapping) problems() []error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	switch m.Format {
	case "", FormatFlat, FormatCSV:
	case formatSegment, formatCloudEvents, formatGA4:
		wrong("format: %s is not built yet: turn the file into flat JSONL or CSV, and use %s or %s", m.Format, FormatFlat, FormatCSV)
	default:
		wrong("format: there is no format %q: use %s or %s", m.Format, FormatFlat, FormatCSV)
	}

	p := m.plan()
	names := map[string]string{}
	for _, f := range []struct{ field, name string }{
		{fieldUser, p.user}, {fieldTime, p.time}, {fieldType, p.typ}, {fieldID, p.id},
	} {
		if f.name == "" {
			continue // an id that is derived
		}
		if other, taken := names[f.name]; taken {
			wrong("fields: %s and %s are both read from %q: name two different ones", other, f.field, f.name)
		}
		names[f.name] = f.field
	}

	if m.TimeFormat != "" {
		if err := checkLayout(m.TimeFormat); err != nil {
			wrong("time_format: %w", err)
		}
	}

	for _, from := range sortedKeys(m.Types) {
		if from == "" {
			wrong("types: the name to rename is empty: an event always has a type")
		}
		if m.Types[from] == "" {
			wrong("types: %q is renamed to nothing: give it a name, or leave the line out to keep it", from)
		}
	}
	return errs
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// checkLayout writes a time and reads it again: what comes back shows what the
// layout leaves out.
func checkLayout(layout string) error {
	const howTo = `write it as 2006-01-02 15:04:05 MST would be written, or leave it out for RFC 3339 and Unix times`
	// An afternoon in November, so that no part looks like another.
	ref := time.Date(2026, 11, 27, 18, 39, 41, 0, time.UTC)
	got, err := time.ParseInLocation(layout, ref.Format(layout), time.UTC)
	if err != nil {
		return fmt.Errorf("%q is not a Go layout: %s", layout, howTo)
	}
	if y, m, d := got.Date(); y != 2026 || m != time.November || d != 27 {
		return fmt.Errorf("%q does not hold a year, month and day: %s", layout, howTo)
	}
	if got.Hour() == 6 {
		return fmt.Errorf("%q has hours up to 12 and no PM: write 15 for hours up to 23, or add PM", layout)
	}
	return nil
}
