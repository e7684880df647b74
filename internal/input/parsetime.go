package input

import (
	"fmt"
	"strings"
	"time"

	"github.com/nudged/nudged/rules/eventtime"
)

// Unix times are told apart by size: below the first figure they are seconds
// (up to the year 5138), below the second milliseconds, below the third
// microseconds. So milliseconds and microseconds are recognised from March 1973
// on; earlier ones would be read as a coarser unit.
const (
	secondsBelow = 1e11
	millisBelow  = 1e14
	microsBelow  = 1e17
)

// ParseTime reads the text of a time and returns Unix milliseconds; what is
// finer is cut off.
//
// With an empty layout the text is RFC 3339 (see eventtime.ParseRFC3339) or a
// Unix time, with or without a fraction: seconds if its size is below 1e11,
// milliseconds if below 1e14, microseconds if below 1e17. Otherwise it is read by
// the Go layout; without a zone in the layout it is UTC, and a zone given by
// letters alone has to be UTC or GMT, because other abbreviations stand for
// several offsets. Times outside the years 1 to 9999 are refused.
func ParseTime(text []byte, layout string) (unixMilli int64, err error) {
	if layout != "" {
		return parseLayout(string(text), layout)
	}
	if unixMilli, ok := eventtime.ParseRFC3339(text); ok {
		return unixMilli, nil
	}
	if unixMilli, ok := parseUnix(text); ok {
		return unixMilli, nil
	}
	return 0, fmt.Errorf("time %q is neither RFC 3339, like 2026-01-01T00:00:00.123Z, nor a Unix time in s, ms or us: "+
		"give its layout as time_format", shorten(text))
}

func parseLayout(text, layout string) (int64, error) {
	t, err := time.ParseInLocation(layout, text, time.UTC)
	if err != nil {
		return 0, fmt.Errorf("time %q does not fit time_format %q", shorten([]byte(text)), layout)
	}
	// An abbreviation that it does not know, and GMT+9 as well, is read by the
	// standard library as if it were UTC, which would be silently wrong by hours.
	if zone, _ := t.Zone(); zone != "UTC" && zone != "GMT" && !hasOffset(layout) {
		return 0, fmt.Errorf("time %q has the zone %s: of zones in letters only UTC and GMT are understood, "+
			"as others stand for several offsets; write the offset (-0700 in the layout) or UTC", shorten([]byte(text)), zone)
	}
	unixMilli := t.UnixMilli()
	if unixMilli < eventtime.MinMilli || unixMilli > eventtime.MaxMilli {
		return 0, fmt.Errorf("time %q is outside the years 1 to 9999", shorten([]byte(text)))
	}
	return unixMilli, nil
}

func hasOffset(layout string) bool {
	return strings.Contains(layout, "-07") || strings.Contains(layout, "Z07")
}

// parseUnix reads -?digits[.digits].
func parseUnix(text []byte) (unixMilli int64, ok bool) {
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		text = text[1:]
	}
	var whole int64
	i := 0
	for ; i < len(text) && text[i]-'0' <= 9; i++ {
		whole = whole*10 + int64(text[i]-'0')
		if whole >= microsBelow {
			return 0, false
		}
	}
	if i == 0 {
		return 0, false
	}
	// The fraction's first three digits count when the unit is a second; of the
	// others it only matters whether there is anything, to cut off downwards.
	var thousandths int64
	below := false
	if i < len(text) {
		fraction := text[i+1:]
		if text[i] != '.' || len(fraction) == 0 {
			return 0, false
		}
		unit := int64(100)
		for _, c := range fraction {
			if c-'0' > 9 {
				return 0, false
			}
			thousandths += int64(c-'0') * unit
			below = below || unit == 0 && c != '0'
			unit /= 10
		}
	}
	switch {
	case whole < secondsBelow:
		unixMilli = whole*1000 + thousandths
	case whole < millisBelow:
		unixMilli = whole
		below = below || thousandths != 0
	default:
		unixMilli = whole / 1000
		below = below || whole%1000 != 0 || thousandths != 0
	}
	if negative {
		unixMilli = -unixMilli
		if below {
			unixMilli--
		}
	}
	return unixMilli, unixMilli >= eventtime.MinMilli && unixMilli <= eventtime.MaxMilli
}

// shorten keeps an error readable when a value is huge.
func shorten(text []byte) string {
	const most = 60
	if len(text) <= most {
		return string(text)
	}
	return string(text[:most]) + "…"
}
