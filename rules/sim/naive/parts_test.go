package naive

import (
	"testing"
	"time"
)

// Figures of docs/assignment.md, which any language has to come to.
func TestBuckets(t *testing.T) {
	for _, v := range []struct {
		kind, salt, unit string
		want             int
	}{
		{"variant", "cart_coupon", "u1", 4556},
		{"variant", "cart_coupon", "사용자-42", 4562},
		{"variant", "", "", 4784},
		{"layer", "cart", "u2", 703},
		{"holdout", "global-2026", "U1", 8241},
	} {
		if got := bucket(v.kind, v.salt, v.unit); got != v.want {
			t.Errorf("%v: %d", v, got)
		}
	}
}

// Arms take consecutive ranges in the order written; coverage the first part of
// each. u1 is in bucket 4556, u2 in 1286 (docs/assignment.md).
func TestArms(t *testing.T) {
	x := Experiment{Name: "cart_coupon", Arms: []Arm{{"control", 20}, {"treatment", 80}}}
	for _, v := range []struct {
		user      string
		coverage  int
		arm       string
		takesPart bool
	}{
		{"u1", 0, "treatment", true},
		{"u2", 0, "control", true},
		{"u1", 31, "treatment", false},
		{"u1", 32, "treatment", true}, // 2000 + 2480, + 2560
		{"u2", 64, "control", false},
		{"u2", 65, "control", true},
	} {
		x.Coverage = v.coverage
		if arm, takesPart := x.arm(v.user); arm != v.arm || takesPart != v.takesPart {
			t.Errorf("%+v: %s %t", v, arm, takesPart)
		}
	}
}

// The figures of Kafka's own test of its murmur2, by their remainders.
func TestPartitionOf(t *testing.T) {
	for text, hash := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "abc": 479470107,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
	} {
		if got, want := PartitionOf(text, 1_000_003), int32(uint32(hash)&0x7fffffff)%1_000_003; got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

func at(t *testing.T, text string) int64 {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v.UnixMilli()
}

// Quiet hours end when the clocks show the time, or are set forward over it.
func TestQuietEnd(t *testing.T) {
	for _, v := range []struct{ zone, from, to, at, want string }{
		{"Asia/Seoul", "21:00", "08:00", "2026-01-01T14:00:00Z", "2026-01-01T23:00:00Z"},
		{"Asia/Kathmandu", "21:00", "08:00", "2026-01-01T16:00:00Z", "2026-01-02T02:15:00Z"},
		{"America/New_York", "21:00", "08:00", "2026-03-08T03:00:00Z", "2026-03-08T12:00:00Z"},
		{"America/New_York", "21:00", "08:00", "2026-11-01T02:00:00Z", "2026-11-01T13:00:00Z"},
		{"America/New_York", "21:00", "02:30", "2026-03-08T03:00:00Z", "2026-03-08T07:00:00Z"},
		{"America/New_York", "01:00", "03:00", "2026-03-08T06:30:00Z", "2026-03-08T07:00:00Z"},
		{"America/New_York", "22:00", "01:30", "2026-11-01T04:00:00Z", "2026-11-01T05:30:00Z"}, // the first 01:30
		{"America/New_York", "22:00", "01:30", "2026-11-01T06:10:00Z", "2026-11-01T06:30:00Z"}, // and the second
		{"Australia/Lord_Howe", "21:00", "02:15", "2026-10-03T12:00:00Z", "2026-10-03T15:30:00Z"},
	} {
		zone := zoneOf(v.zone)
		q := Quiet{From: v.from, To: v.to}
		if !q.covers(at(t, v.at), zone) {
			t.Errorf("%v: not quiet", v)
		} else if got := q.end(at(t, v.at), zone); got != at(t, v.want) {
			t.Errorf("%v: %s", v, stamp(got))
		}
	}
}

func TestSchedules(t *testing.T) {
	for _, v := range []struct {
		schedule Schedule
		from, to string
		want     []string
	}{
		{Schedule{At: "2026-11-27T09:00", Timezone: "Asia/Seoul"}, "2026-11-26T00:00:00Z", "2026-11-28T00:00:00Z", []string{"2026-11-27T00:00:00Z"}},
		{Schedule{At: "2026-11-27T09:00"}, "2026-11-27T09:00:00Z", "2026-11-28T00:00:00Z", nil}, // after, not at
		{Schedule{Cron: "0 9 24 12 *"}, "2026-01-01T00:00:00Z", "2027-12-31T00:00:00Z", []string{"2026-12-24T09:00:00Z", "2027-12-24T09:00:00Z"}},
		{
			Schedule{Cron: "30 2 * * *", Timezone: "America/New_York"},
			"2026-03-07T00:00:00Z", "2026-03-10T00:00:00Z",
			[]string{"2026-03-07T07:30:00Z", "2026-03-08T07:30:00Z", "2026-03-09T06:30:00Z"},
		}, // in the gap: the offset of before
		{
			Schedule{Cron: "*/30 2-3 8 3 *", Timezone: "America/New_York"},
			"2026-03-08T00:00:00Z", "2026-03-09T00:00:00Z",
			[]string{"2026-03-08T07:00:00Z", "2026-03-08T07:30:00Z"},
		}, // moved ones meet others
		{
			Schedule{Cron: "30 1 * * *", Timezone: "America/New_York"},
			"2026-11-01T00:00:00Z", "2026-11-02T12:00:00Z",
			[]string{"2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"},
		}, // twice: the first time
		{
			Schedule{Cron: "30 2 * * 0", Timezone: "Europe/Berlin"},
			"2026-03-28T00:00:00Z", "2026-04-06T00:00:00Z",
			[]string{"2026-03-29T01:30:00Z", "2026-04-05T00:30:00Z"},
		},
		{
			Schedule{Cron: "0 0 1 * 0"},
			"2026-01-30T12:00:00Z", "2026-02-09T00:00:00Z",
			[]string{"2026-02-01T00:00:00Z", "2026-02-08T00:00:00Z"},
		}, // day or weekday
		{Schedule{Cron: "0 0 30 2 *"}, "2026-01-01T00:00:00Z", "2028-01-01T00:00:00Z", nil},
	} {
		got := v.schedule.between(at(t, v.from), at(t, v.to))
		var want []int64
		for _, text := range v.want {
			want = append(want, at(t, text))
		}
		if len(got) != len(want) {
			t.Errorf("%+v: %d occurrences, want %d", v.schedule, len(got), len(want))
			continue
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%+v: %s, want %s", v.schedule, stamp(got[i]), stamp(want[i]))
			}
		}
	}
}

// One operand that decides hides what is wrong with the other.
func TestLogic(t *testing.T) {
	u := &user{run: New(&Spec{}, Options{})}
	for text, want := range map[string]Value{
		"1 == 1.0": B(true), "1 < 1.5": B(true), `"a" == 1`: B(false), `"a" < 1`: {}, "event.no == 1": {}, "event.no != 1": {},
		"event.no == 1 || true": B(true), "true || event.no == 1": B(true), "event.no == 1 || false": {},
		"event.no == 1 && false": B(false), "false && event.no == 1": B(false), "event.no == 1 && true": {},
		"!(event.no == 1)": {}, "has(event.no)": B(false), "!has(event.no)": B(true), `!"a"`: {},
		"1 + 2 == 3": B(true), "1 + 2.0": {}, `"a" + "b" == 'ab'`: B(true), "3 - 1 == 2 && 1 < 2": B(true), "false && false || true": B(true),
		`timestamp("2026-01-01T00:00:10Z") - timestamp("2026-01-01T00:00:00Z") == duration("10s")`: B(true),
		`timestamp("2026-01-01T00:00:00Z") + duration("1h") > timestamp("2026-01-01T00:59:59Z")`:   B(true),
		`timestamp("soon")`: {}, "-1 < 0": B(true),
	} {
		e, err := ParseExpr(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := u.eval(e, moment{event: &Event{}}); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

func TestExpressionsThatAreNone(t *testing.T) {
	for _, text := range []string{"", "1 +", "(1", "a.b.c", "nobody.x", "'a", "1 1", "has 1", "a[1]", "1.2.3", "/"} {
		if e, err := ParseExpr(text); err == nil {
			t.Errorf("%q was read as %s", text, e)
		}
	}
}

func TestSpans(t *testing.T) {
	for text, want := range map[string]int64{"500ms": 500, "90s": 90_000, "1d12h": 129_600_000, "2w": 1_209_600_000, "59m59s999ms": 3_599_999} {
		if got, err := ParseSpan(text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"1", "h", "1x", "1h x", "-1h"} {
		if got, err := ParseSpan(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}

// What is no rule file is told, not guessed.
func TestReadErrors(t *testing.T) {
	for _, text := range []string{"rules: [{nom: x}]", "rules: [{wait: soon}]", "metrics: {m: {count: [a], within: 1}}", "rules: [{when: '1 +'}]", "rules: [", "rules: [{restart: perhaps}]", "rules: [{priority: high}]", "x: 1", "rules: [1]"} {
		if s, err := Read(text); err == nil {
			t.Errorf("%s was read as %+v", text, s)
		}
	}
}

// A script whose expectations are wrong fails, whichever way they are.
func TestScriptsFail(t *testing.T) {
	const rules = "rules: [{name: r, on: a, send: {channel: c, class: ad, template: t, data: {n: event.n}}}]"
	for name, expect := range map[string]string{
		"missing":    "[{rule: r}, {rule: r}]",
		"too many":   "[]",
		"other":      "[{rule: r, decision: cap}]",
		"other time": "[{rule: r, at: 1m}]",
		"other data": "[{rule: r, data: {n: 2}}]",
	} {
		for _, subset := range []string{"", ", subset: true"} {
			script, err := ReadScript("tests: [{name: x, events: [{at: 0s, type: a, user: u, n: 1}], expect: " + expect + subset + "}]")
			if err != nil {
				t.Fatal(err)
			}
			s, err := Read(rules)
			if err != nil {
				t.Fatal(err)
			}
			if differences := script.Tests[0].Play(scriptPlayer{New(s, Options{})}); len(differences) == 0 && !(subset != "" && name == "too many") {
				t.Errorf("%s%s passed", name, subset)
			}
		}
	}
}

type scriptPlayer struct{ *Run }

func (scriptPlayer) Edit([]string) error   { return nil }
func (p scriptPlayer) Decided() []Decision { return p.Decisions }
