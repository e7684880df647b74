package input

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/go-faster/jx"

	"github.com/nudged/nudged/rules/eventtime"
)

// ga4Identity are the fields that together tell an event of an export from the
// others: GA4 gives it no id.
var ga4Identity = []string{
	"user_pseudo_id", "user_id", "event_timestamp", "event_name", "event_bundle_sequence_id",
	"batch_page_id", "batch_ordering_id", "batch_event_index", "event_params", "items",
}

// openGA4 takes a row of the BigQuery export of Google Analytics 4 apart, as
// JSON (https://support.google.com/analytics/answer/7029846).
func openGA4(u *Unwrapper, value []byte, _ Headers) (parts, error) {
	var err error
	if u.top, err = u.object(u.top[:0], value); err != nil {
		return parts{}, err
	}
	p := parts{
		user: firstOf(u.top, "user_id", "user_pseudo_id"),
		time: get(u.top, "event_timestamp"), unixMicro: true,
		typ: get(u.top, "event_name"), id: u.ga4ID(),
	}
	used := []string{"event_name", "event_timestamp"}
	for _, list := range []struct {
		name   string
		prefix bool
	}{{"event_params", false}, {"user_properties", true}} {
		raw := get(u.top, list.name)
		if absent(raw) {
			continue
		}
		members, err := u.pairs(nil, raw)
		if err != nil {
			return parts{}, fmt.Errorf("%s: %w", list.name, err)
		}
		used = append(used, list.name)
		p.rest = append(p.rest, part{name: list.name, members: members, prefix: list.prefix})
	}
	p.rest = append(p.rest, u.around("ga4", used))
	return p, nil
}

// ga4ID makes an id that is the same whenever the row is exported again.
func (u *Unwrapper) ga4ID() []byte {
	h := sha256.New()
	for _, name := range ga4Identity {
		h.Write(get(u.top, name))
		h.Write([]byte{unitSeparator})
	}
	sum := h.Sum(nil)
	id := append(make([]byte, 0, 2*16+2), '"')
	return append(hex.AppendEncode(id, sum[:16]), '"')
}

// pairs appends the members of a list of {"key": k, "value": {"int_value": v}}.
// GA4 has been seen to repeat a key: the first holds.
func (u *Unwrapper) pairs(to []member, raw []byte) ([]member, error) {
	if raw[0] != '[' {
		return to, fmt.Errorf("a list is expected: %s", shorten(raw))
	}
	var elements [][]byte
	u.d.ResetBytes(raw)
	err := u.d.Arr(func(d *jx.Decoder) error {
		element, err := d.Raw()
		elements = append(elements, element)
		return err
	})
	if err != nil {
		return to, broken(err)
	}
	for _, element := range elements {
		if element[0] != '{' {
			return to, fmt.Errorf("a list of objects with key and value is expected: %s", shorten(element))
		}
		pair, err := u.object(nil, element)
		if err != nil {
			return to, err
		}
		key, err := u.text(get(pair, "key"), "key", "", false)
		if err != nil {
			return to, fmt.Errorf("an element without a key: %s", shorten(element))
		}
		value, err := u.typedValue(get(pair, "value"))
		if err != nil {
			return to, fmt.Errorf("%s: %w", shorten(key), err)
		}
		to = append(to, member{string(key), value})
	}
	return to, nil
}

// typedValue reads {"string_value": …, "int_value": …, …}, of which one is set.
// BigQuery writes whole numbers as strings.
func (u *Unwrapper) typedValue(raw []byte) ([]byte, error) {
	if absent(raw) || raw[0] != '{' {
		return raw, nil // flattened already
	}
	members, err := u.object(nil, raw)
	if err != nil {
		return nil, err
	}
	for _, name := range [...]string{"string_value", "int_value", "float_value", "double_value"} {
		value := get(members, name)
		if absent(value) {
			continue
		}
		if value[0] == '"' && name != "string_value" {
			text, err := u.unquote(value)
			if err != nil {
				return nil, err
			}
			// A number in a string; anything else, such as NaN, stays a string.
			if kindOf(text) == cellNumber {
				return text, nil
			}
		}
		return value, nil
	}
	return nil, nil
}

// parseMicros reads microseconds since 1970.
func parseMicros(text []byte) (unixMilli int64, err error) {
	micros, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the event's time %q is not a whole number of microseconds since 1970", shorten(text))
	}
	ms := micros / 1000
	if micros%1000 < 0 {
		ms--
	}
	if ms < eventtime.MinMilli || ms > eventtime.MaxMilli {
		return 0, errors.New("the event's time is outside the years 1 to 9999")
	}
	return ms, nil
}
