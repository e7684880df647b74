package rules_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules"
)

// start is midnight in UTC, 9:00 in Seoul.
const quietRules = `
attributes:
  tz: {type: string, from: event.tz, on: profile}
  ok: {type: bool, from: event.ok, on: profile}
  night: {type: bool, from: event.night, on: profile}
policy:
  quiet_hours: {class: ad, from: "21:00", to: "08:00", timezone: user.tz, default_timezone: Asia/Seoul, then: THEN}
  consent: {class: ad, require: ok, night: night}
rules:
  - name: ad
    on: go
    when: event.n != 2
    send: {channel: push, class: ad, template: t, data: {n: event.n}}
  - {name: bill, on: bill, send: {channel: push, class: transactional, template: t}}
  - {name: wait, on: arm, key: event.n, wait: 1h, unless: [{on: stop}], send: {channel: push, class: ad, template: t, data: {now: now}}}
`

func TestQuietHours(t *testing.T) {
	ok := "\n0s profile ok=true\n"
	runAll(t, replace(quietRules, "THEN", "defer"), []scenario{
		{name: "by day it goes out", script: ok + "0s go n=1\n 12h-1ms go n=1", want: `
			0s ad sent n=1
			11h59m59s999ms ad sent n=1`},
		{name: "at night it is put off to the morning, and asked again then", script: ok + "12h go n=1\n 1d clock", want: `
			12h ad deferred
			23h ad sent n=1`},
		{name: "the end of the night is day", script: ok + "23h go n=1", want: `23h ad sent n=1`},
		{name: "one is put off at a time", script: ok + "12h go n=1\n 13h go n=3\n 1d clock", want: `
			12h ad deferred
			23h ad sent n=1`},
		{name: "transactional messages wake people up", script: ok + "12h bill", want: `12h bill sent`},
		{name: "a wait that ends at night", script: ok + "12h arm n=1\n 12h arm n=2\n 2d clock", want: `
			13h wait/1 deferred
			13h wait/2 deferred
			23h wait/1 sent now=23h
			23h wait/2 sent now=23h`},
		{name: "unless goes on working meanwhile", script: ok + "12h arm n=1\n 14h stop\n 2d clock", want: `
			13h wait/1 deferred
			14h wait/1 cancelled`},
		{name: "consent is asked anew", script: ok + "12h arm n=1\n 14h profile ok=false\n 2d clock", want: `
			13h wait/1 deferred
			23h wait/1 consent`},
		{name: "where the user is", script: ok + "0s profile tz=America/New_York\n 1h go n=1\n 2d clock", want: `
			1h ad sent n=1`},
		{name: "where it is night already", script: ok + "0s profile tz=America/New_York\n 2h go n=1\n 2d clock", want: `
			2h ad deferred
			13h ad sent n=1`},
		{name: "nowhere that is known: the default", script: ok + "0s profile tz=No/Where\n 12h go n=1\n 1d clock", want: `
			12h ad deferred
			23h ad sent n=1`},
		{name: "consent to messages at night", script: ok + "0s profile night=true\n 12h go n=1", want: `12h ad sent n=1`},
		{name: "the condition of what is put off is asked again", script: ok + "12h go n=2\n 12h go n=1\n 1d clock", want: `
			12h ad deferred
			23h ad sent n=1`},
		{name: "put off again when the clock was late until the next night", script: ok + "- by hand\n 12h arm n=1\n 13h wall\n 37h wall\n 47h wall", want: `
			13h wait/1 deferred
			1d13h wait/1 deferred
			1d23h wait/1 sent now=1d23h`},
	})
	runAll(t, replace(quietRules, "THEN", "skip"), []scenario{
		{name: "or it is left out", script: ok + "12h go n=1\n 12h arm n=1\n 1d clock", want: `
			12h ad quiet_hours
			13h wait/1 quiet_hours`},
	})
}

// Through both changes of the clocks: Berlin's go from 2:00 to 3:00 on 29 March
// 2026 and from 3:00 back to 2:00 on 25 October, New York's on 8 March and 1
// November; Lord Howe's by half an hour.
func TestQuietHoursThroughClockChanges(t *testing.T) {
	for _, c := range []struct{ zone, from, to, at, until string }{
		{"Europe/Berlin", "21:00", "08:00", "2026-03-28T22:00:00+01:00", "2026-03-29T08:00:00+02:00"},
		{"Europe/Berlin", "21:00", "08:00", "2026-10-24T22:00:00+02:00", "2026-10-25T08:00:00+01:00"},
		{"America/New_York", "21:00", "08:00", "2026-03-07T21:00:00-05:00", "2026-03-08T08:00:00-04:00"},
		// The end falls into the gap: as soon as it is over.
		{"Europe/Berlin", "21:00", "02:30", "2026-03-28T22:00:00+01:00", "2026-03-29T03:00:00+02:00"},
		{"Europe/Berlin", "21:00", "02:00", "2026-03-28T22:00:00+01:00", "2026-03-29T03:00:00+02:00"},
		{"Europe/Berlin", "21:00", "03:00", "2026-03-28T22:00:00+01:00", "2026-03-29T03:00:00+02:00"},
		{"Europe/Berlin", "21:00", "03:01", "2026-03-28T22:00:00+01:00", "2026-03-29T03:01:00+02:00"},
		// The end comes twice: the first time will do, and after it the second night.
		{"Europe/Berlin", "21:00", "02:30", "2026-10-24T22:00:00+02:00", "2026-10-25T02:30:00+02:00"},
		{"Europe/Berlin", "21:00", "02:30", "2026-10-25T02:15:00+01:00", "2026-10-25T02:30:00+01:00"},
		// What the clocks show is what counts, from 2:45 back to 2:00.
		{"Europe/Berlin", "21:00", "02:00", "2026-10-24T23:00:00+02:00", "2026-10-25T02:00:00+02:00"},
		{"Australia/Lord_Howe", "21:00", "02:15", "2026-10-03T22:00:00+10:30", "2026-10-04T02:30:00+11:00"},
		{"Australia/Lord_Howe", "21:00", "08:00", "2026-04-04T22:00:00+11:00", "2026-04-05T08:00:00+10:30"},
		{"Asia/Kathmandu", "21:00", "08:00", "2026-04-04T22:00:00+05:45", "2026-04-05T08:00:00+05:45"},
		{"UTC", "08:00", "21:00", "2026-04-04T08:00:00Z", "2026-04-04T21:00:00Z"},
		{"UTC", "08:00", "21:00", "2026-04-04T20:59:59.999Z", "2026-04-04T21:00:00Z"},
	} {
		set := compile(t, `
policy:
  quiet_hours: {class: ad, from: "`+c.from+`", to: "`+c.to+`", default_timezone: `+c.zone+`, then: defer}
rules:
  - {name: r, on: go, send: {{send}}}
`)
		at, until := millis(t, c.at), millis(t, c.until)
		st, out := &rules.State{}, rules.Result{}
		set.Step(st, "u1", rules.Input{Event: event(set, "e", "go", at)}, &out)
		due, _ := st.NextDue(set)
		if len(out.Decisions) != 1 || out.Decisions[0].Outcome != rules.Deferred || due != until {
			t.Errorf("%s until %s, at %s: %v, until %s, want %s", c.zone, c.to, c.at, out.Decisions, time.UnixMilli(due).UTC(), c.until)
			continue
		}
		set.Step(st, "u1", rules.Input{Until: due}, &out)
		if last := out.Decisions[len(out.Decisions)-1]; last.Outcome != rules.Sent || last.At != until {
			t.Errorf("%s until %s: then %s", c.zone, c.to, last.Outcome)
		}
	}
}

func millis(t *testing.T, text string) int64 {
	t.Helper()
	v, ok := rules.StringValue(text).As(rules.Time)
	if !ok {
		t.Fatalf("the time %s", text)
	}
	return v.Int()
}

// The end of the quiet hours is the first minute after the message at which the
// clocks show it, or have just been put forward over it.
func TestQuietHoursMinuteByMinute(t *testing.T) {
	zones := []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Seoul", "America/Sao_Paulo", "Africa/Casablanca"}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(zones).Draw(t, "zone")
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		to := rapid.IntRange(0, 1439).Draw(t, "to")
		from := (to + rapid.IntRange(1, 1439).Draw(t, "from")) % 1440
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 366*1440).Draw(t, "minute")) * time.Minute)
		if _, change := at.In(zone).ZoneBounds(); change.Year() == 2026 && rapid.Bool().Draw(t, "near a change") {
			at = change.Add(-time.Duration(rapid.IntRange(1, 1500).Draw(t, "minutes before")) * time.Minute)
		}
		ofDay := func(at time.Time) int { l := at.In(zone); return l.Hour()*60 + l.Minute() }
		quiet := func(m int) bool {
			if from < to {
				return m >= from && m < to
			}
			return m >= from || m < to
		}
		set := &rules.Set{
			Zone:   func(name string) *time.Location { return zone },
			Policy: rules.Policy{Quiet: []rules.QuietHours{{Class: "ad", From: from, To: to, Default: name}}},
			Rules:  []*rules.Rule{{Name: "r", On: []string{"go"}, Program: rules.AtOnce(rules.Send{Class: "ad"})}},
		}
		if err := set.Index(); err != nil {
			t.Fatal(err)
		}
		st, out := &rules.State{}, rules.Result{}
		set.Step(st, "u1", rules.Input{Event: event(set, "e", "go", at.UnixMilli())}, &out)
		if got := out.Decisions[0].Outcome == rules.Deferred; got != quiet(ofDay(at)) {
			t.Fatalf("at %s: %s", at.In(zone), out.Decisions[0].Outcome)
		} else if !got {
			return
		}
		want := at
		for before := ofDay(at); ; {
			want = want.Add(time.Minute)
			m := ofDay(want)
			// Put forward by up to two hours over it, or come to it.
			if d := (m - to + 1440) % 1440; m == to || (before+1)%1440 != m && d < 120 && (m-before+1440)%1440 <= 121 && (to-before+1440)%1440 <= (m-before+1440)%1440 {
				break
			}
			before = m
		}
		if due, _ := st.NextDue(set); due != want.UnixMilli() {
			t.Fatalf("%s, quiet %d to %d, at %s: until %s, want %s", name, from, to, at.In(zone), time.UnixMilli(due).In(zone), want.In(zone))
		}
	})
}
