package rulefile

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

const (
	secondMilli = int64(1000)
	dayMilli    = 24 * 60 * 60 * secondMilli
	// maxDuration is the longest duration there is: 100 years of 365 days.
	maxDuration = 100 * 365 * dayMilli
)

// durationUnits go from long to short, the order in which a duration names them.
var durationUnits = [...]struct {
	name  string
	milli int64
}{
	{"w", 7 * dayMilli},
	{"d", dayMilli},
	{"h", 60 * 60 * secondMilli},
	{"m", 60 * secondMilli},
	{"s", secondMilli},
	{"ms", 1},
}

const durationForm = "write it like 500ms, 90s, 30m, 24h, 7d, 2w or 1d12h (units w d h m s ms, a day is 24 hours)"

var (
	errDurationForm = errors.New("not a duration: " + durationForm)
	errDurationLong = errors.New("longer than 36500d, the longest duration there is")
)

// ParseDuration reads a duration of a rule file, such as 30m or 1d12h, and
// returns it in milliseconds, 0..3,153,600,000,000 (100 years of 365 days).
//
// A duration is one or more whole numbers with a unit each, from the longest
// unit to the shortest, each unit at most once. A day is 24 hours. The error
// tells what is wrong and how a duration is written.
func ParseDuration(s string) (ms int64, err error) {
	rest := s
	next := 0 // durationUnits from here on may still come
	for {
		n, digits := int64(0), 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			if n > (math.MaxInt64-9)/10 {
				return 0, fmt.Errorf("%q is %w", s, errDurationLong)
			}
			n = n*10 + int64(rest[digits]-'0')
			digits++
		}
		if digits == 0 {
			return 0, fmt.Errorf("%q is %w", s, errDurationForm)
		}
		rest = rest[digits:]
		letters := 0
		for letters < len(rest) && rest[letters] >= 'a' && rest[letters] <= 'z' {
			letters++
		}
		unit := unitIndex(rest[:letters])
		switch {
		case letters == 0:
			return 0, fmt.Errorf("%q has no unit after %d: %s", s, n, durationForm)
		case unit < 0:
			return 0, fmt.Errorf("%q has the unknown unit %q: %s", s, rest[:letters], durationForm)
		case unit < next:
			return 0, fmt.Errorf("%q has the unit %s too late: units go from the longest to the shortest, each once, as in 1d12h", s, rest[:letters])
		}
		milli := durationUnits[unit].milli
		if n > maxDuration/milli || ms+n*milli > maxDuration {
			return 0, fmt.Errorf("%q is %w", s, errDurationLong)
		}
		ms += n * milli
		next = unit + 1
		rest = rest[letters:]
		if rest == "" {
			return ms, nil
		}
	}
}

func unitIndex(name string) int {
	for i, u := range durationUnits {
		if u.name == name {
			return i
		}
	}
	return -1
}

// celDuration writes a duration as CEL reads it.
func celDuration(ms int64) string {
	s := (time.Duration(ms) * time.Millisecond).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
