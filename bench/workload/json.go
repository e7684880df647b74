package workload

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// Length of a record's JSON in bytes. The last field is cut to fit, so that the
// length varies without regard to the event's type.
const (
	minLength = 202
	maxLength = 248
)

// What people look for. Some need an escape or more than one byte a letter: a
// decoder that skips those would be measured too fast.
var queries = []string{
	"winter jacket", "running shoes", "usb-c cable", "mineral water 2l", "12\" vinyl",
	"kids' bike", "čaj zelený", "coffee beans", "desk lamp", "바람막이", "rain boots", "phone case",
}

var (
	categories = []string{"shoes", "outdoor", "grocery", "electronics", "toys", "home", "music"}
	sources    = []string{"direct", "organic", "newsletter", "ads", "push"}
	devices    = []string{"android", "ios", "desktop", "tablet"}
)

// record is what every event has.
type record struct {
	seq  int
	kind string
	user string
	ms   int64
}

// encoder writes events as flat JSON and keeps what the last one was called.
type encoder struct {
	id   string
	kind string
}

// append writes r as JSON of minLength..maxLength bytes after dst.
func (e *encoder) append(dst []byte, rng *rand.Rand, s *session, r record) []byte {
	e.id, e.kind = fmt.Sprintf("e%07d", r.seq), r.kind
	dst = append(dst, `{"id":"`...)
	dst = append(dst, e.id...)
	dst = append(dst, `","type":"`...)
	dst = append(dst, r.kind...)
	dst = append(dst, `","user":"`...)
	dst = append(dst, r.user...)
	dst = append(dst, `","time":"`...)
	dst = time.UnixMilli(r.ms).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	dst = append(dst, '"')
	switch r.kind {
	case Search:
		dst = text(dst, "query", queries[rng.IntN(len(queries))])
		dst = number(dst, "results", int64(rng.IntN(400)))
	case ProductView:
		dst = product(dst, rng)
	case AddToCart:
		dst = product(dst, rng)
		dst = text(dst, "cart", s.cart)
	case Purchase:
		dst = text(dst, "cart", s.cart)
		dst = cents(dst, "revenue", 500+int64(rng.IntN(30000)))
		dst = number(dst, "items", 1+int64(rng.IntN(5)))
	case Signup:
		dst = text(dst, "method", sources[rng.IntN(len(sources))])
	}
	dst = text(dst, "source", sources[rng.IntN(len(sources))])
	dst = text(dst, "device", devices[rng.IntN(len(devices))])
	dst = text(dst, "session", s.name)
	dst = append(dst, `,"trace":"`...)
	target := minLength + rng.IntN(maxLength-minLength+1) - len(`"}`)
	for len(dst) < target {
		dst = append(dst, "0123456789abcdef"[rng.IntN(16)])
	}
	return append(dst, `"}`...)
}

func product(dst []byte, rng *rand.Rand) []byte {
	dst = number(dst, "product", 10_000+int64(rng.IntN(90_000)))
	dst = text(dst, "category", categories[rng.IntN(len(categories))])
	return cents(dst, "price", 100+int64(rng.IntN(20000)))
}

// text writes a string field. Only quotes need an escape among the texts used.
func text(dst []byte, name, value string) []byte {
	dst = append(dst, `,"`...)
	dst = append(dst, name...)
	dst = append(dst, `":"`...)
	for i := range len(value) {
		if value[i] == '"' {
			dst = append(dst, '\\')
		}
		dst = append(dst, value[i])
	}
	return append(dst, '"')
}

func number(dst []byte, name string, value int64) []byte {
	dst = append(dst, `,"`...)
	dst = append(dst, name...)
	dst = append(dst, `":`...)
	return strconv.AppendInt(dst, value, 10)
}

// cents writes value/100 with two decimals.
func cents(dst []byte, name string, value int64) []byte {
	dst = number(dst, name, value/100)
	return append(dst, '.', byte('0'+value/10%10), byte('0'+value%10))
}
