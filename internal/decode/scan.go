package decode

import (
	"encoding/binary"
	"math/bits"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/go-faster/jx"

	"github.com/nudged/nudged/rules"
)

// scan is the short way through the common case: one object of strings without
// escapes, numbers and literals. Whatever else it meets, broken or
// not, it leaves to jx, which decides; so the two cannot disagree on what is an
// event (FuzzScan). It is three times as fast.
func (dec *Decoder) scan(value []byte) (done bool, err error) {
	i := skipSpace(value, 0)
	if i >= len(value) || value[i] != '{' {
		return false, nil
	}
	i = skipSpace(value, i+1)
	if i < len(value) && value[i] == '}' {
		return skipSpace(value, i+1) == len(value), nil
	}
	for {
		if i >= len(value) || value[i] != '"' {
			return false, nil
		}
		end := plainString(value, i+1)
		if end < 0 {
			return false, nil
		}
		f, wanted := dec.lookup(value[i+1 : end])
		if i = skipSpace(value, end+1); i >= len(value) || value[i] != ':' {
			return false, nil
		}
		start := skipSpace(value, i+1)
		if i = scalarEnd(value, start); i < 0 && !wanted {
			i = escapedEnd(value, start)
		}
		if i < 0 {
			return false, nil
		}
		if wanted {
			v, err := scalar(value[start:i])
			if err != nil {
				return true, invalid(err)
			}
			if err := dec.store(f, v); err != nil {
				return true, invalid(err)
			}
		}
		if i = skipSpace(value, i); i >= len(value) {
			return false, nil
		}
		switch value[i] {
		case ',':
			i = skipSpace(value, i+1)
		case '}':
			return skipSpace(value, i+1) == len(value), nil
		default:
			return false, nil
		}
	}
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plainString returns where the string that begins at i ends, or -1 if it has
// escapes or control characters in it, is not valid UTF-8, or has no end.
func plainString(b []byte, i int) int {
	start, beyond := i, uint64(0) // beyond: has bytes beyond ASCII
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		// The high bit of each byte that ends the plain run: a quote, a
		// backslash, below 0x20. The lowest one found is exact.
		quote, backslash := x^(ones*'"'), x^(ones*'\\')
		stops := ((quote-ones)&^quote | (backslash-ones)&^backslash | (x-ones*0x20)&^x) & highs
		if stops == 0 {
			beyond |= x
			continue
		}
		at := bits.TrailingZeros64(stops) &^ 7
		if b[i+at/8] != '"' {
			return -1
		}
		beyond |= x & (1<<at - 1)
		return validEnd(b, start, i+at/8, beyond)
	}
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return validEnd(b, start, i, beyond)
		case c == '\\', c < 0x20:
			return -1
		default:
			beyond |= uint64(c)
		}
	}
	return -1
}

// validEnd returns end if what is before it is valid UTF-8, -1 otherwise.
func validEnd(b []byte, start, end int, beyond uint64) int {
	if beyond&highs != 0 && !utf8.Valid(b[start:end]) {
		return -1
	}
	return end
}

// scalarEnd returns where the string, number or literal that begins at i ends,
// or -1.
func scalarEnd(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch c := b[i]; {
	case c == '"':
		if end := plainString(b, i+1); end >= 0 {
			return end + 1
		}
		return -1
	case c == '-' || c >= '0' && c <= '9':
		return numberEnd(b, i)
	case c == 't':
		return literalEnd(b, i, "true")
	case c == 'f':
		return literalEnd(b, i, "false")
	case c == 'n':
		return literalEnd(b, i, "null")
	}
	return -1
}

// escapedEnd returns where the string that begins at i ends, or -1. Its escapes
// are looked at, not resolved: it is for strings that nothing reads.
func escapedEnd(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	start := i + 1
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			if !utf8.Valid(b[start:i]) {
				return -1
			}
			return i + 1
		case c < 0x20:
			return -1
		case c == '\\':
			i++
			// What follows \u is left to jx.
			if i == len(b) || strings.IndexByte(`"\/bfnrt`, b[i]) < 0 {
				return -1
			}
		}
	}
	return -1
}

func literalEnd(b []byte, i int, text string) int {
	if end := i + len(text); end <= len(b) && string(b[i:end]) == text {
		return end
	}
	return -1
}

// numberEnd follows the grammar of RFC 8259, section 6.
func numberEnd(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	digits := func() bool {
		start := i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		return i > start
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if !digits() {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		i++
		if !digits() {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return -1
		}
	}
	return i
}

// scalar turns the text of a scalar into a value that points into it.
func scalar(text []byte) (rules.Value, error) {
	switch text[0] {
	case '"':
		return rules.StringValue(unsafe.String(&text[1], len(text)-2)), nil
	case 't':
		return rules.BoolValue(true), nil
	case 'f':
		return rules.BoolValue(false), nil
	case 'n':
		return rules.Value{}, nil
	}
	return number(jx.Num(text))
}

// names finds fields by their length first.
type names struct {
	byLength [33][]namedField
	longer   map[string]field
}

type namedField struct {
	name string
	field
}

func newNames(fields map[string]field) names {
	n := names{longer: map[string]field{}}
	for name, f := range fields {
		if len(name) < len(n.byLength) {
			n.byLength[len(name)] = append(n.byLength[len(name)], namedField{name, f})
		} else {
			n.longer[name] = f
		}
	}
	return n
}

func (dec *Decoder) lookup(key []byte) (field, bool) {
	if len(key) >= len(dec.names.byLength) {
		f, ok := dec.names.longer[string(key)]
		return f, ok
	}
	for i := range dec.names.byLength[len(key)] {
		if f := &dec.names.byLength[len(key)][i]; f.name == string(key) {
			return f.field, true
		}
	}
	return field{}, false
}
