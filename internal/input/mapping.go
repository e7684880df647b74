// Package input turns the formats in which events come (Segment, CloudEvents, GA4,
// files of CSV or JSONL with other names) into the flat JSON event that is
// nudged's own. What is called how is told by a Mapping.
package input

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The formats that Mapping.Format names.
const (
	FormatFlat        = "flat"        // flat events; files named .csv are still read as CSV
	FormatCSV         = "csv"         // files only: CSV whatever the file is called
	FormatSegment     = "segment"     // calls of the Segment spec
	FormatCloudEvents = "cloudevents" // CloudEvents 1.0
	FormatGA4         = "ga4"         // rows of the BigQuery export of Google Analytics 4
	FormatRegistry    = "registry"    // Kafka only: Avro, JSON Schema or Protobuf by a schema registry
)

var formats = []string{FormatFlat, FormatCSV, FormatSegment, FormatCloudEvents, FormatGA4, FormatRegistry}

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
	// Format is flat (default), csv, segment, cloudevents, ga4 or registry.
	Format string `json:"format,omitempty" yaml:"format,omitempty"`

	// Fields names the columns or JSON fields that hold the canonical ones. In
	// the formats that wrap events they are paths, such as properties.account.
	Fields Fields `json:"fields,omitzero" yaml:"fields,omitempty"`

	// TimeFormat is a Go layout, such as "2006-01-02 15:04:05 MST". Empty
	// (default): RFC 3339, or Unix seconds, milliseconds or microseconds. See
	// ParseTime.
	TimeFormat string `json:"time_format,omitempty" yaml:"time_format,omitempty"`

	// Types renames event types, from the file's name to nudged's. Types that
	// are not listed pass through. A new name is not looked up again.
	Types map[string]string `json:"types,omitempty" yaml:"types,omitempty"`

	// Registry is where the schemas are, with the format registry.
	Registry Registry `json:"registry,omitzero" yaml:"registry,omitempty"`
}

// Registry says how to reach a schema registry that speaks Confluent's API.
type Registry struct {
	// URLs of the registry's nodes, http or https; one after the other is tried.
	URLs     []string `json:"urls,omitempty" yaml:"urls,omitempty"`
	Username string   `json:"username,omitempty" yaml:"username,omitempty"`
	Password string   `json:"password,omitempty" yaml:"password,omitempty" secret:"true"`
	// CAFile holds the certificates to trust. Default: the system's.
	CAFile string `json:"ca_file,omitempty" yaml:"ca_file,omitempty"`
}

func (r Registry) isZero() bool {
	return len(r.URLs) == 0 && r.Username == "" && r.Password == "" && r.CAFile == ""
}

// Fields names where a record holds the four canonical fields. Leave a name
// empty for the canonical one, or for the format's own.
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
		m.TimeFormat == "" && len(m.Types) == 0 && !m.Wraps()
}

// Validate reports everything that is wrong with the mapping, joined into one
// error.
func (m Mapping) Validate() error { return errors.Join(m.problems()...) }

func (m Mapping) problems() []error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if m.Format != "" && !slices.Contains(formats, m.Format) {
		wrong("format: there is no format %q: use %s", m.Format, strings.Join(formats, ", "))
	}
	if m.Wraps() {
		errs = append(errs, m.pathProblems()...)
	} else {
		errs = append(errs, m.nameProblems()...)
	}
	errs = append(errs, m.registryProblems()...)

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

// nameProblems finds two fields that are read from one column.
func (m Mapping) nameProblems() []error {
	var errs []error
	p := m.plan()
	names := map[string]string{}
	for _, f := range []struct{ field, name string }{
		{fieldUser, p.user}, {fieldTime, p.time}, {fieldType, p.typ}, {fieldID, p.id},
	} {
		if f.name == "" {
			continue // an id that is derived
		}
		if other, taken := names[f.name]; taken {
			errs = append(errs, fmt.Errorf("fields: %s and %s are both read from %q: name two different ones", other, f.field, f.name))
		}
		names[f.name] = f.field
	}
	return errs
}

// pathProblems finds paths with nothing between two dots.
func (m Mapping) pathProblems() []error {
	var errs []error
	id := ""
	if m.Fields.ID != nil {
		id = *m.Fields.ID
	}
	for _, f := range []struct{ field, path string }{
		{fieldUser, m.Fields.User}, {fieldTime, m.Fields.Time}, {fieldType, m.Fields.Type}, {fieldID, id},
	} {
		if f.path != "" && slices.Contains(strings.Split(f.path, "."), "") {
			errs = append(errs, fmt.Errorf("fields: %s: %q is not a path: write names joined by dots, for example properties.account", f.field, f.path))
		}
	}
	return errs
}

func (m Mapping) registryProblems() []error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if m.Format != FormatRegistry {
		if !m.Registry.isZero() {
			wrong("registry: is for format %s only: set the format, or leave the registry out", FormatRegistry)
		}
		return errs
	}
	if len(m.Registry.URLs) == 0 {
		wrong("registry.urls: is empty: give the URL of the schema registry, for example http://127.0.0.1:8081")
	}
	for i, text := range m.Registry.URLs {
		if u, err := url.Parse(text); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			wrong("registry.urls[%d]: %q is not the URL of a schema registry, for example http://127.0.0.1:8081", i, text)
		}
	}
	if m.Registry.Password != "" && m.Registry.Username == "" {
		wrong("registry.username: is empty, but there is a password")
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
