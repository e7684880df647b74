package eventtime_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules/eventtime"
)

// strictRFC3339 is what ParseRFC3339 accepts, written with the standard library
// alone. It lists, one by one, where this package is stricter than time.Parse.
func strictRFC3339(s string) (int64, bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	switch {
	case err != nil:
		return 0, false
	case strings.Contains(s, ","): // time.Parse takes a comma before the fraction
		return 0, false
	case strings.Index(s, ":") != len("2006-01-02T15"): // and one digit for the hour
		return 0, false
	case fractionDigits(s) > 9: // and any number of fractional digits
		return 0, false
	case !strings.HasSuffix(s, "Z") && (s[len(s)-5:len(s)-3] > "23" || s[len(s)-2:] > "59"): // and +24:60
		return 0, false
	case strings.HasPrefix(s, "0000"): // and the year 0
		return 0, false
	case t.UTC().Year() < 1 || t.UTC().Year() > 9999: // and what leaves the years 1..9999 in UTC
		return 0, false
	}
	return t.UnixMilli(), true
}

func fractionDigits(s string) int {
	_, after, found := strings.Cut(s, ".")
	if !found {
		return 0
	}
	return len(after) - len(strings.TrimLeft(after, "0123456789"))
}

func TestParseRFC3339Accepts(t *testing.T) {
	for text, want := range map[string]int64{
		"1970-01-01T00:00:00Z":                0,
		"2026-01-01T00:00:00.123Z":            1767225600123,
		"2026-01-01T09:00:00.123+09:00":       1767225600123,
		"2025-12-31T18:30:00.123-05:30":       1767225600123,
		"2026-01-01T00:00:00.1Z":              1767225600100,
		"2026-01-01T00:00:00.12Z":             1767225600120,
		"2026-01-01T00:00:00.123999999Z":      1767225600123,
		"2026-01-01T00:00:00-00:00":           1767225600000,
		"1969-12-31T23:59:59.999999999Z":      -1,
		"2000-02-29T00:00:00Z":                951782400000,
		"2024-02-29T23:59:59Z":                1709251199000,
		"0001-01-01T00:00:00Z":                eventtime.MinMilli,
		"9999-12-31T23:59:59.999999999Z":      eventtime.MaxMilli,
		"9999-12-31T23:59:59.999-00:00":       eventtime.MaxMilli,
		"0001-01-01T23:59:00+23:59":           eventtime.MinMilli,
		"1900-03-01T00:00:00Z":                -2203891200000,
		"2019-10-01T00:00:00.000000001+00:00": 1569888000000,
	} {
		got, ok := eventtime.ParseRFC3339([]byte(text))
		if !ok || got != want {
			t.Errorf("ParseRFC3339(%q) = %d, %v; want %d", text, got, ok, want)
		}
		if std, stdOK := strictRFC3339(text); !stdOK || std != want {
			t.Errorf("time.Parse says of %q: %d, %v; the table says %d", text, std, stdOK, want)
		}
	}
}

func TestParseRFC3339Refuses(t *testing.T) {
	for _, text := range []string{
		"", "Z", "2026", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00Z",
		"2026-01-01 00:00:00Z", "2026-01-01t00:00:00Z", "2026-01-01T00:00:00z",
		"2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-32T00:00:00Z",
		"2026-04-31T00:00:00Z", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2024-02-30T00:00:00Z",
		"2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2016-12-31T23:59:60Z",
		"2026-01-01T00:00:00.Z", "2026-01-01T00:00:00,5Z", "2026-01-01T00:00:00.1234567890Z",
		"2026-01-01T00:00:00.5", "2026-01-01T1:00:00Z", "2026-01-01T00:00:00+9:00", "2026-01-01T00:00:00+0900",
		"2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+00:60", "2026-01-01T00:00:00 09:00", "2026-01-01T00:00:00+09-00",
		"2026-01-01T00:00:00ZZ", "2026-01-01T00:00:00Z ", " 2026-01-01T00:00:00Z", "2026-01-01T00:00:00+09:00Z",
		"0000-12-31T00:00:00Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
		"-001-01-01T00:00:00Z", "20261-01-01T00:00:00Z", "2026-1-01T000:00:00Z", "２026-01-01T00:00:00Z",
		"2026/01/01T00:00:00Z", "2026-01-01T00.00.00Z", "x026-01-01T00:00:00Z", "2026-01-01T00:00:0xZ",
		"2026-01-01T00:00:00\x00", "2026-01-01T00:00:00.000+",
	} {
		if got, ok := eventtime.ParseRFC3339([]byte(text)); ok {
			t.Errorf("ParseRFC3339(%q) = %d, want it refused", text, got)
		}
		if std, ok := strictRFC3339(text); ok {
			t.Errorf("%q is listed as refused, but the standard library's %d is not among the deliberate differences", text, std)
		}
	}
}

// The deliberate differences from time.Parse, each of which time.Parse accepts.
func TestParseRFC3339StricterThanTimeParse(t *testing.T) {
	for name, text := range map[string]string{
		"comma before the fraction": "2026-01-01T00:00:00,5Z",
		"one digit for the hour":    "2026-01-01T1:00:00.0Z",
		"ten fractional digits":     "2026-01-01T00:00:00.1234567890Z",
		"offset of 24 hours":        "2026-01-01T00:00:00+24:00",
		"year 0":                    "0000-12-31T00:00:00Z",
		"year 0 in UTC":             "0001-01-01T00:00:00+00:01",
		"year 10000 in UTC":         "9999-12-31T23:59:59-00:01",
	} {
		if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
			t.Errorf("%s: time.Parse refuses %q as well (%v): not a difference any more", name, text, err)
		}
		if got, ok := eventtime.ParseRFC3339([]byte(text)); ok {
			t.Errorf("%s: ParseRFC3339(%q) = %d, want it refused", name, text, got)
		}
	}
}

func TestAppendRFC3339(t *testing.T) {
	for milli, want := range map[int64]string{
		0:                                       "1970-01-01T00:00:00Z",
		-1:                                      "1969-12-31T23:59:59.999Z",
		1767225600123:                           "2026-01-01T00:00:00.123Z",
		1767225600120:                           "2026-01-01T00:00:00.120Z",
		1767225600003:                           "2026-01-01T00:00:00.003Z",
		951868799000:                            "2000-02-29T23:59:59Z",
		eventtime.MinMilli:                      "0001-01-01T00:00:00Z",
		eventtime.MaxMilli:                      "9999-12-31T23:59:59.999Z",
		eventtime.MaxMilli + 1:                  "10000-01-01T00:00:00Z",
		eventtime.MinMilli - 1:                  "0000-12-31T23:59:59.999Z",
		eventtime.MinMilli - 366*86_400_000 - 1: "-0001-12-31T23:59:59.999Z",
	} {
		if got := string(eventtime.AppendRFC3339([]byte("at "), milli)); got != "at "+want {
			t.Errorf("AppendRFC3339(%d) = %q, want %q", milli, got, want)
		}
	}
	// The ends of int64 are far outside, but must not crash or repeat a digit.
	for _, milli := range []int64{math.MinInt64, math.MaxInt64} {
		got := string(eventtime.AppendRFC3339(nil, milli))
		if want := time.UnixMilli(milli).UTC().Format("2006-01-02T15:04:05.000Z"); got != want {
			t.Errorf("AppendRFC3339(%d) = %q, want %q", milli, got, want)
		}
	}
}

// Every day of the years 1 to 9999 against the standard library's calendar.
func TestEveryDay(t *testing.T) {
	const day = 86_400_000
	buf := make([]byte, 0, 32)
	for milli := eventtime.MinMilli; milli <= eventtime.MaxMilli; milli += day {
		want := time.UnixMilli(milli).UTC()
		buf = eventtime.AppendRFC3339(buf[:0], milli)
		got, ok := eventtime.ParseRFC3339(buf)
		y, m, d := want.Date()
		if !ok || got != milli || atoi(buf[:4]) != y || atoi(buf[5:7]) != int(m) || atoi(buf[8:10]) != d {
			t.Fatalf("day %v is written %q and read back as %d, %v; want %d", want, buf, got, ok, milli)
		}
	}
}

// Every day number of every month of every year: what exists is accepted, what
// does not is refused.
func TestEveryDayNumber(t *testing.T) {
	text := []byte("0000-00-00T00:00:00Z")
	put := func(at, width, n int) {
		for i := at + width - 1; i >= at; i-- {
			text[i] = byte('0' + n%10)
			n /= 10
		}
	}
	for year := 1; year <= 9999; year++ {
		put(0, 4, year)
		for month := time.January; month <= time.December; month++ {
			put(5, 2, int(month))
			last := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
			for day := 27; day <= 32; day++ {
				put(8, 2, day)
				if _, ok := eventtime.ParseRFC3339(text); ok != (day <= last) {
					t.Fatalf("ParseRFC3339(%q): %v; the month has %d days", text, ok, last)
				}
			}
		}
	}
}

func atoi(b []byte) (n int) {
	for _, c := range b {
		n = n*10 + int(c-'0')
	}
	return n
}

func TestAgreesWithTimeParse(t *testing.T) {
	// Mostly near-valid text: each piece is usually in range, now and then not.
	piece := func(pattern string) *rapid.Generator[string] { return rapid.StringMatching(pattern) }
	rapid.Check(t, func(t *rapid.T) {
		text := piece(`[0-9]{4}`).Draw(t, "year") + "-" + piece(`(0[0-9]|1[0-3])`).Draw(t, "month") + "-" +
			piece(`[0-3][0-9]`).Draw(t, "day") + rapid.SampledFrom([]string{"T", "T", "T", "T", "t", " "}).Draw(t, "t") +
			piece(`([01][0-9]|2[0-4]|[0-9])`).Draw(t, "hour") + ":" + piece(`[0-6][0-9]`).Draw(t, "minute") + ":" +
			piece(`[0-6][0-9]`).Draw(t, "second") + piece(`([.,][0-9]{0,12})?`).Draw(t, "fraction") +
			piece(`(Z|z||[+-][0-2][0-9]:[0-6][0-9])`).Draw(t, "zone")
		checkAgainstTimeParse(t, text)
	})
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func checkAgainstTimeParse(t failer, text string) {
	t.Helper()
	got, ok := eventtime.ParseRFC3339([]byte(text))
	want, wantOK := strictRFC3339(text)
	if ok != wantOK || got != want {
		t.Fatalf("ParseRFC3339(%q) = %d, %v; time.Parse less the deliberate differences: %d, %v", text, got, ok, want, wantOK)
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		milli := rapid.Int64Range(eventtime.MinMilli, eventtime.MaxMilli).Draw(t, "milli")
		checkRoundTrip(t, milli)
	})
}

func checkRoundTrip(t failer, milli int64) {
	t.Helper()
	text := eventtime.AppendRFC3339(nil, milli)
	layout := "2006-01-02T15:04:05.000Z"
	if milli%1000 == 0 {
		layout = "2006-01-02T15:04:05Z"
	}
	if want := time.UnixMilli(milli).UTC().Format(layout); string(text) != want {
		t.Fatalf("AppendRFC3339(%d) = %q, want %q", milli, text, want)
	}
	if got, ok := eventtime.ParseRFC3339(text); !ok || got != milli {
		t.Fatalf("%d is written %q and read back as %d, %v", milli, text, got, ok)
	}
}

func FuzzParseRFC3339(f *testing.F) {
	for _, seed := range []string{
		"2026-01-01T00:00:00Z", "2026-01-01T09:00:00.123+09:00", "1969-12-31T23:59:59.999999999-00:30",
		"2024-02-29T00:00:00Z", "2026-01-01T00:00:00,5Z", "2026-01-01T1:00:00.0Z", "0001-01-01T00:00:00+00:01",
		"9999-12-31T23:59:59-00:01", "2026-01-01T00:00:00+24:60", "", "\x00\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		checkAgainstTimeParse(t, text)
		if milli, ok := eventtime.ParseRFC3339([]byte(text)); ok {
			checkRoundTrip(t, milli)
		}
	})
}

func TestNothingIsAllocated(t *testing.T) {
	text := []byte("2026-01-01T09:00:00.123+09:00")
	buf := make([]byte, 0, 32)
	var sink int64
	if n := testing.AllocsPerRun(100, func() {
		milli, _ := eventtime.ParseRFC3339(text)
		buf = eventtime.AppendRFC3339(buf[:0], milli)
		sink += milli
	}); n != 0 {
		t.Errorf("%v allocations for one event, want 0", n)
	}
	if sink == 0 {
		t.Error("nothing was parsed")
	}
}

func BenchmarkParseRFC3339(b *testing.B) {
	text := []byte("2026-01-01T00:00:00.123Z")
	for b.Loop() {
		eventtime.ParseRFC3339(text)
	}
}

func BenchmarkAppendRFC3339(b *testing.B) {
	buf := make([]byte, 0, 32)
	for b.Loop() {
		buf = eventtime.AppendRFC3339(buf[:0], 1767225600123)
	}
}
