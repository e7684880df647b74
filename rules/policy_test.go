package rules_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules"
)

func TestCaps(t *testing.T) {
	const text = `
policy:
  caps:
    - {class: ad, max: 2, per: 24h}
    - {channel: sms, max: 1, per: 2d}
    - {class: news, channel: push, max: 1, per: 1h}
rules:
  - {name: ad, on: ad, send: {channel: push, class: ad, template: t}}
  - {name: sms, on: sms, send: {channel: sms, class: ad, template: t}}
  - {name: bill, on: bill, send: {channel: sms, class: transactional, template: t}}
`
	runAll(t, replace(text, "    - {class: news, channel: push, max: 1, per: 1h}\n", ""), []scenario{
		{name: "as many as the cap says in its window, which is half open", script: `
			0s     ad
			1h     ad
			1d-1ms ad
			1d     ad
			1d     ad`, want: `
			0s ad sent
			1h ad sent
			23h59m59s999ms ad cap
			1d ad sent
			1d ad cap`},
		{name: "over all rules; transactional messages neither ask nor count", script: `
			0s ad
			1s sms
			2s bill
			3s ad
			4s bill`, want: `
			0s ad sent
			1s sms sent
			2s bill sent
			3s ad cap
			4s bill sent`},
		{name: "of a channel", script: `
			0s   sms
			26h  sms
			2d   sms`, want: `
			0s sms sent
			1d2h sms cap
			2d sms sent`},
		{name: "a late event counts as of the newest, and what went out later counts", script: `
			0s  ad
			2d  ad
			2d  ad
			1h  ad`, want: `
			0s ad sent
			2d ad sent
			2d ad sent
			1h ad cap`},
	})
	// What is held back does not count, and the virtual sends of a control arm do.
	control := `
policy:
  caps: [{class: ad, max: 1, per: 1d}]
experiments:
  x: {arms: [{name: control, weight: 1}, {name: treatment, weight: 1}], coverage: COVERAGE}
rules:
  - {name: r, on: go, experiment: x, send: {{send}}}
  - {name: free, on: free, send: {{send}}}
`
	for _, c := range []struct{ name, arm, coverage, want string }{
		{"control", "control", "100", "0s r control arm=control\n1s free cap"},
		{"excluded", "", "43", "0s r excluded\n1s free sent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkLines(t, play(t, pinned(t, replace(control, "COVERAGE", c.coverage), c.arm), "0s go\n1s free", false).lines, c.want)
		})
	}
}

// A cap agrees with a plain list of sends.
func TestCapsAgainstAList(t *testing.T) {
	set := compile(t, `
policy:
  caps: [{class: ad, max: 3, per: 60s}, {channel: sms, max: 2, per: 100s}, {class: ad, channel: push, max: 1, per: 20s}]
rules:
  - {name: a, on: a, send: {channel: push, class: ad, template: t}}
  - {name: b, on: b, send: {channel: sms, class: ad, template: t}}
`)
	rapid.Check(t, func(t *rapid.T) {
		type send struct {
			channel string
			at      int64
		}
		var sends []send
		since := func(at int64, channel string) (n int) {
			for _, s := range sends {
				if s.at > at && (channel == "" || s.channel == channel) {
					n++
				}
			}
			return n
		}
		st, out, newest := &rules.State{}, rules.Result{}, start
		for i := range rapid.IntRange(1, 60).Draw(t, "events") {
			at := newest + rapid.SampledFrom([]int64{0, 1, 1000, 9999, 20_000, 40_000, -5000, -70_000}).Draw(t, "after")
			newest = max(newest, at)
			typ := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "type")
			channel := map[string]string{"a": "push", "b": "sms"}[typ]
			want := rules.Sent
			if since(newest-60_000, "") >= 3 || channel == "sms" && since(newest-100_000, "sms") >= 2 || channel == "push" && since(newest-20_000, "push") >= 1 {
				want = rules.Capped
			} else {
				sends = append(sends, send{channel, at})
			}
			out.Reset()
			set.Step(st, "u1", rules.Input{Event: event(set, strings.Repeat("x", i+1), typ, at)}, &out)
			if len(out.Decisions) != 1 || out.Decisions[0].Outcome != want {
				t.Fatalf("event %d: %+v, want %s after %v", i, out.Decisions, want, sends)
			}
			blob := st.Append(nil, set)
			if err := st.Decode(blob); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestConsent(t *testing.T) {
	runAll(t, `
attributes:
  ok: {type: bool, from: event.ok, on: profile}
policy:
  consent: {class: ad, require: ok}
rules:
  - {name: ad, on: go, send: {{send}}}
  - {name: bill, on: go, send: {channel: push, class: transactional, template: t}}
`, []scenario{
		{name: "asked for, and not for transactional messages", script: `
			0s go
			1s profile ok=false
			2s go
			3s profile ok=true
			4s go
			5s profile ok=false
			6s go`, want: `
			0s ad consent
			0s bill sent
			2s ad consent
			2s bill sent
			4s ad sent
			4s bill sent
			6s ad consent
			6s bill sent`},
	})
}

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
			Rules:  []*rules.Rule{{Name: "r", On: []string{"go"}, Program: []rules.Op{{Kind: rules.OpSend, Send: &rules.Send{Class: "ad"}, Next: 1}}}},
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

// The Korean profile: no ads at night without consent to it, none without
// consent, and a label on each.
func TestKoreanProfile(t *testing.T) {
	set := compile(t, `
attributes:
  ad_consent: {type: bool, from: event.ok, on: profile}
  ad_night_consent: {type: bool, from: event.night, on: profile}
policy: {profile: kr}
rules:
  - {name: ad, on: go, send: {{send}}}
  - {name: bill, on: go, send: {channel: push, class: transactional, template: t}}
`)
	p := play(t, set, `
		0s go
		0s profile ok=true
		12h go
		1d clock`, false)
	checkLines(t, p.lines, `
		0s ad consent
		0s bill sent
		12h ad deferred
		12h bill sent
		23h ad sent`)
	out := rules.Result{}
	set.Step(p.state, "u1", rules.Input{Event: event(set, "x", "go", start+day)}, &out)
	if len(out.Decisions) != 2 || out.Decisions[0].Label != "(광고)" || out.Decisions[1].Label != "" {
		t.Errorf("labels: %+v", out.Decisions)
	}
}

func TestHoldout(t *testing.T) {
	const text = `
holdout: {percent: PERCENT, salt: s}
experiments:
  x: {arms: [{name: control, weight: 1}, {name: treatment, weight: 1}]}
rules:
  - {name: plain, on: go, send: {{send}}}
  - {name: tried, on: go, cooldown: 1d, experiment: x, send: {{send}}}
  - {name: bill, on: go, send: {channel: push, class: transactional, template: t}}
`
	// u1 has bucket 1769 of the holdout under the salt "s".
	for percent, want := range map[string]string{
		"17.69": "0s plain sent\n0s tried sent arm=treatment\n0s bill sent",
		"17.70": "0s plain holdout\n0s tried holdout arm=holdout\n0s bill holdout",
	} {
		set := pinned(t, replace(text, "PERCENT", percent), "treatment")
		checkLines(t, play(t, set, "0s go", false).lines, want)
	}
	// The held out start no cooldown.
	set := pinned(t, replace(text, "PERCENT", "100"), "treatment")
	checkLines(t, play(t, set, "0s go\n1s go", false).lines, `
		0s plain holdout
		0s tried holdout arm=holdout
		0s bill holdout
		1s plain holdout
		1s tried holdout arm=holdout
		1s bill holdout`)
}

// Each gate names its outcome only if all before it let pass.
func TestOrderOfAllGates(t *testing.T) {
	const text = `
attributes:
  ok: {type: bool, from: event.ok, on: profile}
metrics:
  orders: {count: purchase}
experiments:
  x: {arms: [{name: control, weight: 1}, {name: treatment, weight: 1}], coverage: COVERAGE}
HOLDOUT
policy:
  caps: [{class: ad, max: 1, per: 30d}]
  consent: {class: ad, require: ok}
  quiet_hours: {class: ad, from: "00:00", to: "12:00", default_timezone: UTC, then: skip}
rules:
  - {name: other, on: first, send: {channel: push, class: ad, template: t}}
  - {name: r, on: go, wait: 1d, when: orders == 0, cooldown: 5d, expire_after: 1h, experiment: x, send: {{send}}}
`
	// What holds back, from the last gate to the first: each more wins.
	script := func(n int) string {
		s := "- by hand\n"
		if n < 5 {
			s += "0s profile ok=true\n"
		}
		if n >= 3 {
			s += "13h first\n" // the cap is used up
		}
		at := "14h" // day
		if n >= 4 {
			at = "10h" // night
		}
		s += at + " go\n"
		if n >= 6 {
			s += "1d purchase\n"
		}
		due := map[string]string{"14h": "1d14h", "10h": "1d10h"}[at]
		if n >= 7 {
			due = "1d15h"
		}
		return s + due + " wall"
	}
	for _, c := range []struct {
		n        int
		arm      string
		coverage string
		holdout  string
		want     rules.Outcome
	}{
		{0, "treatment", "100", "", rules.Sent},
		{0, "control", "100", "", rules.ControlArm},
		{1, "", "43", "", rules.Excluded},
		{2, "", "43", "holdout: {percent: 100, salt: s}", rules.HeldOut},
		{3, "", "43", "holdout: {percent: 100, salt: s}", rules.Capped},
		{4, "", "43", "holdout: {percent: 100, salt: s}", rules.Quiet},
		{5, "", "43", "holdout: {percent: 100, salt: s}", rules.NoConsent},
		{6, "", "43", "holdout: {percent: 100, salt: s}", rules.Condition},
		{7, "", "43", "holdout: {percent: 100, salt: s}", rules.Expired},
	} {
		set := pinned(t, replace(replace(text, "COVERAGE", c.coverage), "HOLDOUT", c.holdout), c.arm)
		// The cap is used up by a send that came before the others were held out.
		held, x := set.Holdout, set.Policy.Consent
		p := played{state: &rules.State{}}
		if c.n >= 3 {
			set.Holdout, set.Policy.Consent = nil, nil
			p.play(t, set, "- by hand\n13h first id=f", false, false)
			set.Holdout, set.Policy.Consent = held, x
		}
		p.lines = nil
		p.play(t, set, strings.ReplaceAll(script(c.n), "13h first\n", ""), false, false)
		if len(p.lines) != 1 || !strings.Contains(p.lines[0], " r "+string(c.want)) {
			t.Errorf("%d: %v, want %s", c.n, p.lines, c.want)
		}
	}
	// The cooldown comes after the condition and before consent.
	set := pinned(t, replace(replace(text, "COVERAGE", "100"), "HOLDOUT", ""), "treatment")
	p := play(t, set, `
		- by hand
		0s profile ok=true
		14h go
		1d14h wall
		2d go
		2d profile ok=false
		3d wall
		4d go
		4d purchase
		5d wall`, false)
	checkLines(t, p.lines, `
		1d14h r sent arm=treatment
		3d r cooldown
		5d r condition because orders=1`)
}

// A decision says what it rests on, where that helps.
func TestBecause(t *testing.T) {
	set := compile(t, `
attributes:
  ok: {type: bool, from: event.ok, on: profile}
experiments:
  x: {arms: [{name: control, weight: 1}, {name: treatment, weight: 1}], coverage: 1}
policy:
  caps: [{class: ad, channel: push, max: 1, per: 1d12h}]
  consent: {class: ad, require: ok}
  quiet_hours: {class: ad, from: "21:00", to: "08:00", default_timezone: Asia/Seoul, then: defer}
rules:
  - {name: ad, on: go, send: {{send}}}
  - {name: cools, on: cool, cooldown: 1d, send: {channel: push, class: transactional, template: t}}
  - {name: out, on: out, experiment: x, send: {channel: push, class: transactional, template: t}}
`)
	st := &rules.State{}
	for i, c := range []struct {
		at     int64
		typ    string
		fields []string
		want   []string
	}{
		{0, "go", nil, []string{"consent"}},
		{0, "profile", []string{"ok=false"}, nil},
		{0, "go", nil, []string{"consent", "ok=false"}},
		{0, "profile", []string{"ok=true"}, nil},
		{0, "go", nil, []string{"sent"}},
		{1, "go", nil, []string{"cap", "cap=1 per 1d12h of class ad through push", "count=1"}},
		{12*hour + 5*minute, "go", nil, []string{"deferred", "local_time=21:05", "timezone=Asia/Seoul", "until=23h"}},
		{13 * hour, "cool", nil, []string{"sent"}},
		{14 * hour, "cool", nil, []string{"cooldown", "last_send=13h"}},
		{14 * hour, "out", nil, []string{"excluded", "outside=coverage"}},
	} {
		out := rules.Result{}
		set.Step(st, "u1", rules.Input{Event: event(set, strings.Repeat("i", i+1), c.typ, start+c.at, c.fields...)}, &out)
		var got []string
		for _, d := range out.Decisions {
			got = append(got, string(d.Outcome))
			for _, b := range d.Because {
				got = append(got, b.Name+"="+textOf(b.Value))
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%d: -want +got:\n%s", i, diff)
		}
	}
}

// While a rule is paused its instances wait, and nothing fires at once; then
// they fire, those that are too late as expired.
func TestPaused(t *testing.T) {
	const text = `
experiments:
  x: {arms: [{name: control, weight: 1}, {name: treatment, weight: 1}], goal: {on: buy, within: 9d}}
rules:
  - {name: at_once, on: go, paused: PAUSED, send: {{send}}}
  - {name: waits, on: go, key: event.k, wait: 1d, paused: PAUSED, expire_after: 5d, unless: [{on: stop, where: event.k == trigger.k}], send: {{send}}}
  - name: led
    on: go
    paused: PAUSED
    steps: [{wait_for: {on: hit, within: 9d}, then: [{send: {{send}}}]}]
  - {name: tried, on: try, paused: PAUSED, experiment: x, send: {{send}}}
`
	running, paused := pinned(t, replace(text, "PAUSED", "false"), "treatment"), pinned(t, replace(text, "PAUSED", "true"), "treatment")
	p := played{state: &rules.State{}}
	p.play(t, running, "- by hand\n0s try id=a", false, false)
	p.play(t, paused, `
		- by hand
		0s go k=1 id=b
		1s go k=2 id=c
		3d go k=4 id=e
		3d try id=f
		4d hit id=g
		5d stop k=2 id=h
		5d buy id=i
		6d wall`, false, true)
	checkLines(t, p.lines, `
		0s tried sent arm=treatment
		5d waits/2 cancelled
		5d tried converted arm=treatment`)
	if _, ok := p.state.NextDue(paused); ok {
		t.Error("something of a paused rule is due")
	}
	if due, ok := p.state.NextDue(running); !ok || due != start+day {
		t.Errorf("next due %s", offset(due-start))
	}
	p.lines = nil
	p.step(running, rules.Input{Until: start + 7*day, Fired: start + 7*day}, false)
	checkLines(t, p.lines, `
		7d waits/1 expired
		7d waits/4 sent
		7d led sent`)
}
