package input

import (
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules/eventtime"
)

func TestParseTime(t *testing.T) {
	const shop, offset = "2006-01-02 15:04:05 MST", "2006-01-02 15:04:05 -0700"
	for _, c := range []struct {
		text, layout string
		want         int64
	}{
		{"2026-01-01T00:00:00.123Z", "", 1767225600123},
		{"2026-01-01T09:00:00+09:00", "", 1767225600000},
		{"0", "", 0},
		{"1767225600", "", 1767225600000},
		{"1767225600.5", "", 1767225600500},
		{"1767225600.1239", "", 1767225600123},
		{"1767225600123", "", 1767225600123},
		{"1767225600123.999", "", 1767225600123},
		{"1767225600123456", "", 1767225600123},
		{"99999999999", "", 99999999999000},
		{"99999999999.999", "", 99999999999999},
		{"100000000000", "", 100000000000},
		{"99999999999999", "", 99999999999999},
		{"100000000000000", "", 100000000000},
		{"99999999999999999", "", 99999999999999},
		{"-1", "", -1000},
		{"-1.5", "", -1500},
		{"-0.0001", "", -1},
		{"-0", "", 0},
		{"-100000000000.5", "", -100000000001},
		{"-100000000000001", "", -100000000001},
		{"-62135596800", "", eventtime.MinMilli},

		{"2019-10-01 00:00:01 UTC", shop, 1569888001000},
		{"2019-10-01 00:00:01 GMT", shop, 1569888001000},
		{"2019-10-01 00:00:01.9999 UTC", shop, 1569888001999},
		{"2019-10-01 09:00:01 +0900", offset, 1569888001000},
		{"2019-10-01 00:00:01 +0000", offset, 1569888001000},
		{"2019-10-01 00:00:01 +0000 WET", offset + " MST", 1569888001000},
		{"2019-10-01 09:00:01 +0900 KST", offset + " MST", 1569888001000},
		{"2019-10-01 00:00:01", "2006-01-02 15:04:05", 1569888001000},
		{"2019-10-01", "2006-01-02", 1569888000000},
		{"10/01/19 12:00:01 AM", "01/02/06 03:04:05 PM", 1569888001000},
		{"20191001000001", "20060102150405", 1569888001000},
		{"1969-12-31 23:59:59.9995 UTC", shop, -1},
		{"0001-01-01", "2006-01-02", eventtime.MinMilli},
	} {
		if got, err := ParseTime([]byte(c.text), c.layout); err != nil || got != c.want {
			t.Errorf("ParseTime(%q, %q) = %d, %v; want %d", c.text, c.layout, got, err, c.want)
		}
	}
}

func TestParseTimeErrors(t *testing.T) {
	const shop = "2006-01-02 15:04:05 MST"
	neither := "neither RFC 3339"
	for _, c := range []struct{ text, layout, want string }{
		{"", "", neither},
		{"-", "", neither},
		{"yesterday", "", neither},
		{"2026-01-01", "", neither},
		{"2026-01-01 00:00:00", "", neither},
		{"2026-02-30T00:00:00Z", "", neither},
		{"100000000000000000", "", neither},
		{"99999999999999999999999999", "", neither},
		{"-62135596801", "", neither},
		{"1e9", "", neither},
		{"1.", "", neither},
		{".5", "", neither},
		{"1.5.5", "", neither},
		{"1,5", "", neither},
		{"+1", "", neither},
		{" 1", "", neither},
		{"1 ", "", neither},
		{"0x10", "", neither},
		{strings.Repeat("9x", 5000), "", "9x9x9x…"},

		{"2019-10-01T00:00:01Z", shop, "does not fit time_format"},
		{"2019-02-29 00:00:00 UTC", shop, "does not fit time_format"},
		{"", shop, "does not fit time_format"},
		{"1569888001", shop, "does not fit time_format"},
		{"2019-10-01 09:00:01 KST", shop, "has the zone KST"},
		{"2019-10-01 09:00:01 GMT+9", shop, "has the zone GMT+9"},
		{"2019-10-01 09:00:01 CET", shop, "has the zone CET"},
		{"0000-01-01", "2006-01-02", "outside the years 1 to 9999"},
		{"0001-01-01 +0100", "2006-01-02 -0700", "outside the years 1 to 9999"},
	} {
		got, err := ParseTime([]byte(c.text), c.layout)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("ParseTime(%q, %q) = %d, %v; want an error with %q", c.text, c.layout, got, err, c.want)
		}
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("the error for %.20q is %d bytes long", c.text, len(err.Error()))
		}
	}
}

// unixByRational is parseUnix in exact arithmetic.
func unixByRational(text string) (int64, bool) {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, false
	}
	size := new(big.Rat).Abs(r)
	below := func(limit int64) bool { return size.Cmp(new(big.Rat).SetInt64(limit)) < 0 }
	switch {
	case below(1e11):
		r.Mul(r, big.NewRat(1000, 1))
	case below(1e14):
	case below(1e17):
		r.Mul(r, big.NewRat(1, 1000))
	default:
		return 0, false
	}
	milli := new(big.Int).Div(r.Num(), r.Denom()) // towards minus infinity, as the denominator is positive
	if !milli.IsInt64() || milli.Int64() < eventtime.MinMilli || milli.Int64() > eventtime.MaxMilli {
		return 0, false
	}
	return milli.Int64(), true
}

func TestUnixTimesAgainstExactArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,8})?`).Draw(t, "text")
		got, ok := parseUnix([]byte(text))
		want, wantOK := unixByRational(text)
		if ok != wantOK || ok && got != want {
			t.Fatalf("parseUnix(%q) = %d, %v; want %d, %v", text, got, ok, want, wantOK)
		}
	})
}

// A layout is read in UTC wherever the process runs.
func TestLayoutDoesNotDependOnTheMachine(t *testing.T) {
	here := time.Local
	defer func() { time.Local = here }()
	time.Local = time.FixedZone("KST", 9*3600)
	if got, err := ParseTime([]byte("2019-10-01 09:00:00 KST"), "2006-01-02 15:04:05 MST"); err == nil {
		t.Errorf("KST is read as %d where the local zone is KST; it must be refused everywhere", got)
	}
	if got, err := ParseTime([]byte("2019-10-01 00:00:00"), "2006-01-02 15:04:05"); err != nil || got != 1569888000000 {
		t.Errorf("a time without a zone is %d, %v; want UTC", got, err)
	}
}

func FuzzParseTime(f *testing.F) {
	for _, seed := range []string{"2026-01-01T00:00:00Z", "1767225600.5", "-0.0001", "2019-10-01 00:00:00 UTC", "2019-10-01 00:00:00 GMT+9", "", "9e9", "\xff"} {
		f.Add(seed)
	}
	layouts := []string{"", "2006-01-02 15:04:05 MST", "2006-01-02", "Jan _2 2006 3:04PM -0700", time.RFC1123Z}
	f.Fuzz(func(t *testing.T, text string) {
		for _, layout := range layouts {
			milli, err := ParseTime([]byte(text), layout)
			if err != nil {
				if !strings.Contains(err.Error(), "time ") {
					t.Fatalf("%q by %q: %v", text, layout, err)
				}
				continue
			}
			if milli < eventtime.MinMilli || milli > eventtime.MaxMilli {
				t.Fatalf("%q by %q is %d, outside the years 1 to 9999", text, layout, milli)
			}
			canonical := string(eventtime.AppendRFC3339(nil, milli))
			if again, err := ParseTime([]byte(canonical), ""); err != nil || again != milli {
				t.Fatalf("%q by %q is %d, written %s, read %s", text, layout, milli, canonical, fmt.Sprint(again, err))
			}
		}
	})
}
