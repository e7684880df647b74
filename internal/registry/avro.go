package registry

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"time"

	"github.com/go-faster/jx"
	"github.com/google/uuid"
	"github.com/twmb/avro"

	"github.com/nudged/nudged/rules/eventtime"
)

type avroMessage struct {
	schema *avro.Schema
	name   string
}

func newAvro(text string, references []reference) (schema, error) {
	var cache avro.SchemaCache
	for _, ref := range references {
		if _, err := cache.Parse(ref.text); err != nil {
			return nil, fmt.Errorf("%s, which it builds on: %w", ref.name, err)
		}
	}
	s, err := cache.Parse(text)
	if err != nil {
		return nil, err
	}
	root := s.Root()
	if root.Type != "record" {
		return nil, fmt.Errorf("it is of Avro type %s: a record is expected", root.Type)
	}
	name := root.Name
	if root.Namespace != "" {
		name = root.Namespace + "." + name
	}
	return &avroMessage{s, name}, nil
}

func (m *avroMessage) appendJSON(dst, message []byte) ([]byte, string, error) {
	var v any
	rest, err := m.schema.Decode(message, &v)
	if err != nil {
		return dst, "", err
	}
	if len(rest) > 0 {
		return dst, "", fmt.Errorf("%d bytes are left over", len(rest))
	}
	w := jx.Writer{Buf: dst}
	if err := writeAvro(&w, v); err != nil {
		return dst, "", err
	}
	return w.Buf, m.name, nil
}

// writeAvro writes what the Avro library decodes into an any.
func writeAvro(w *jx.Writer, v any) error {
	switch v := v.(type) {
	case nil:
		w.Null()
	case bool:
		w.Bool(v)
	case int32:
		w.Int64(int64(v))
	case int64:
		w.Int64(v)
	case float32:
		writeFloat(w, float64(v), 32)
	case float64:
		writeFloat(w, v, 64)
	case string:
		w.Str(v)
	case []byte:
		w.Str(base64.StdEncoding.EncodeToString(v))
	case time.Time:
		return writeTime(w, v)
	case time.Duration:
		w.Int64(v.Milliseconds())
	case *big.Rat:
		return writeRat(w, v)
	case [16]byte:
		w.Str(uuid.UUID(v).String())
	case avro.Duration:
		w.Buf = fmt.Appendf(w.Buf, `{"months":%d,"days":%d,"milliseconds":%d}`, v.Months, v.Days, v.Milliseconds)
	case []any:
		w.Buf = append(w.Buf, '[')
		for i, e := range v {
			if i > 0 {
				w.Buf = append(w.Buf, ',')
			}
			if err := writeAvro(w, e); err != nil {
				return err
			}
		}
		w.Buf = append(w.Buf, ']')
	case map[string]any:
		w.Buf = append(w.Buf, '{')
		for i, key := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				w.Buf = append(w.Buf, ',')
			}
			w.Str(key)
			w.Buf = append(w.Buf, ':')
			if err := writeAvro(w, v[key]); err != nil {
				return err
			}
		}
		w.Buf = append(w.Buf, '}')
	default:
		return fmt.Errorf("a value of type %T cannot be read", v)
	}
	return nil
}

// writeFloat writes a number; one that JSON cannot say is null.
func writeFloat(w *jx.Writer, f float64, bits int) {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		w.Null()
	case bits == 32:
		w.Float32(float32(f))
	default:
		w.Float64(f)
	}
}

var errTimeRange = errors.New("a time is outside the years 1 to 9999")

// writeTime writes RFC 3339 in UTC, to the millisecond.
func writeTime(w *jx.Writer, t time.Time) error {
	ms := t.UnixMilli()
	if ms < eventtime.MinMilli || ms > eventtime.MaxMilli {
		return errTimeRange
	}
	w.Buf = append(w.Buf, '"')
	w.Buf = append(eventtime.AppendRFC3339(w.Buf, ms), '"')
	return nil
}

// maxDecimals bounds the digits of a decimal after the point.
const maxDecimals = 1000

// writeRat writes a decimal with all its digits.
func writeRat(w *jx.Writer, r *big.Rat) error {
	digits, exact := r.FloatPrec()
	if !exact || digits > maxDecimals {
		return errors.New("a decimal has too many digits")
	}
	w.Buf = append(w.Buf, r.FloatString(digits)...)
	return nil
}
