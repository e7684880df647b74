package measure

import (
	"os"
	"testing"
)

func TestParseStat(t *testing.T) {
	// utime 7, stime 20, cutime 300, cstime 4000; the command has a ) and blanks.
	line := "42 (a (odd) name) S 1 42 42 0 -1 4194560 1 2 3 4 7 20 300 4000 20 0 1 0 100 0 0"
	got, err := parseStat([]byte(line))
	if err != nil || got != 4327 {
		t.Errorf("ticks %d (%v), want 4327", got, err)
	}
	for _, bad := range []string{"", "42 name S 1", "42 (x) S 1 2 3", "42 (x) S 1 42 42 0 -1 4194560 1 2 3 4 x 20 300 4000 20 0"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q was taken for a stat line", bad)
		}
	}
}

func TestOwnProcess(t *testing.T) {
	pid := os.Getpid()
	if _, err := CPUSeconds(pid); err != nil {
		t.Error(err)
	}
	const n = 128 << 20
	touch(n)
	high, err := PeakRSS(pid)
	if err != nil || high < n {
		t.Errorf("peak memory %d after 128 MiB were used (%v)", high, err)
	}
	if _, err := CPUSeconds(1 << 30); err == nil {
		t.Error("a process that does not exist has used CPU")
	}
	if _, err := PeakRSS(1 << 30); err == nil {
		t.Error("a process that does not exist has used memory")
	}
}

func TestSummarize(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   Summary
	}{
		{[]float64{3, 1, 2}, Summary{1, 2, 3}},
		{[]float64{4, 1, 2, 3}, Summary{1, 2.5, 4}},
		{[]float64{5}, Summary{5, 5, 5}},
		{nil, Summary{}},
	} {
		if got := Summarize(tc.values); got != tc.want {
			t.Errorf("%v: %+v, want %+v", tc.values, got, tc.want)
		}
	}
}

func TestClassify(t *testing.T) {
	for key, want := range map[string]Class{
		"nudged:{g:events:3}:u:u000123":   States,
		"nudged:{g:events:3}:u:17":        States,
		"nudged:{g:events:3}:t:29471040":  Timers,
		"nudged:{g:events:3}:th:491184":   Timers,
		"nudged:{g:events:3}:h":           Header,
		"nudged:{g:events:3}:o":           Outbox,
		"nudged:{g:events:3}:x":           Others,
		"nudged:{g:events:3}":             Others,
		"other:{g:events:3}:u:u000123":    Others,
		"nudged:{g:events:3}:users:u0001": Others,
	} {
		if got := Classify(key); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
}
