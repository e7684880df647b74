package story

import (
	"strconv"
	"strings"
)

var spanUnits = []struct {
	name string
	ms   int64
}{{"d", 86_400_000}, {"h", 3_600_000}, {"m", 60_000}, {"s", 1000}, {"ms", 1}}

// Span writes a length of time, ms, as rule files do: 7d, 1d12h. Zero is 0s.
func Span(ms int64) string {
	if ms == 0 {
		return "0s"
	}
	return span(ms, len(spanUnits))
}

// span writes the largest units, at most so many.
func span(ms int64, units int) string {
	var b strings.Builder
	for _, u := range spanUnits {
		if n := ms / u.ms; n > 0 && units > 0 {
			b.WriteString(strconv.FormatInt(n, 10) + u.name)
			ms -= n * u.ms
			units--
		}
	}
	return b.String()
}

// apart says how far a time is from now: "in 5d3h", "2h10m ago", "now".
func apart(ms, now int64) string {
	switch d := ms - now; {
	case d >= 1000:
		return "in " + span(d, 2)
	case d <= -1000:
		return span(-d, 2) + " ago"
	}
	return "now"
}
