package rulefile

import (
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseDuration(t *testing.T) {
	const second, minute, hour, day = int64(1000), int64(60_000), int64(3_600_000), int64(86_400_000)
	for text, want := range map[string]int64{
		"0s": 0, "500ms": 500, "90s": 90 * second, "30m": 30 * minute, "24h": day, "7d": 7 * day, "2w": 14 * day,
		"1d12h": 36 * hour, "1w2d3h4m5s6ms": 9*day + 3*hour + 4*minute + 5*second + 6, "36500d": maxDuration, "007d": 7 * day,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v; expected %d", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                     "not a duration",
		"d":                    "not a duration",
		"7":                    "has no unit after 7",
		"7 d":                  "has no unit after 7",
		"-1d":                  "not a duration",
		"1.5h":                 "has no unit after 1",
		"7y":                   `unknown unit "y"`,
		"7D":                   "has no unit",
		"1h1d":                 "the unit d too late",
		"1s1s":                 "the unit s too late",
		"36500d1ms":            "longer than 36500d",
		"99999999999999999999": "longer than 36500d",
		"9223372036854775807d": "longer than 36500d",
		"1d ":                  "not a duration",
		"１d":                   "not a duration",
	} {
		got, err := ParseDuration(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %d, %v; expected an error with %q", text, got, err, want)
		}
	}
}

// Any mix of units is the sum of its parts.
func TestParseDurationSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, want := "", int64(0)
		for _, u := range durationUnits {
			if n := rapid.Int64Range(0, 50).Draw(t, u.name); n > 0 {
				text += strconv.FormatInt(n, 10) + u.name
				want += n * u.milli
			}
		}
		got, err := ParseDuration(text)
		if text == "" {
			if err == nil {
				t.Fatal("an empty text is no duration")
			}
			return
		}
		if err != nil || got != want {
			t.Fatalf("%q: got %d, %v; expected %d", text, got, err, want)
		}
	})
}

func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"500ms", "90s", "30m", "24h", "7d", "2w", "1d12h", "0s", "", "d", "-1d", "99999999999999999999d", "1h1d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ms, err := ParseDuration(s)
		switch {
		case err != nil && ms != 0:
			t.Errorf("%q: a value %d beside the error %v", s, ms, err)
		case ms < 0 || ms > maxDuration:
			t.Errorf("%q: %d is out of range", s, ms)
		case err == nil && strings.TrimLeft(s, "0123456789wdhms") != "":
			t.Errorf("%q was read as %d", s, ms)
		}
	})
}
