package rules_test

import (
	"strings"
	"testing"

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
		st, out, newest := &rules.State{}, rules.Result{}, int64(0)
		for i := range rapid.IntRange(1, 60).Draw(t, "events") {
			at := max(newest, start) + rapid.SampledFrom([]int64{0, 1, 1000, 9999, 20_000, 40_000, -5000, -70_000}).Draw(t, "after")
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
