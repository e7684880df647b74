package rulefile

import (
	"testing"

	"github.com/nudged/nudged/rules"
)

const consents = `attributes:
  ad_consent: {type: bool, from: event.ads, on: consent}
  ad_night_consent: {type: bool, from: event.night, on: consent}
  timezone: {type: string, from: event.tz, on: profile}
  other: {type: bool, from: event.other, on: consent}
`

const adRule = `rules:
  - name: r
    on: a
    send: {channel: c, class: ad, template: t, data: {x: event.x}}
`

func TestProfile(t *testing.T) {
	s := parseText(t, consents+"policy: {profile: kr}\n"+adRule, false)
	q, consent := s.Policy.Quiet, s.Policy.Consent
	if len(q) != 1 || q[0].Class != "ad" || q[0].From != 1260 || q[0].To != 480 || q[0].Default != "Asia/Seoul" || q[0].Skip || q[0].Timezone == nil {
		t.Errorf("quiet hours: %+v", q)
	}
	if len(consent) != 1 || consent[0].Class != "ad" || consent[0].Require.Name != "ad_consent" || consent[0].Night.Name != "ad_night_consent" {
		t.Errorf("consent: %+v", consent)
	}
	if len(s.Policy.Labels) != 1 || s.Policy.Labels[0] != (rules.Label{Class: "ad", Text: "(광고)"}) {
		t.Errorf("labels: %+v", s.Policy.Labels)
	}
	if len(s.Rules[0].TriggerSlots) != 1 {
		t.Error("what a message that is put off reads of its event is not kept")
	}

	// What is written beside it wins.
	s = parseText(t, consents+`policy:
  profile: kr
  quiet_hours: {class: ad, from: "22:00", to: "7:30", timezone: Europe/Berlin, then: skip}
  consent: [{class: ad, require: other}, {class: ad, require: user.ad_consent}]
`+adRule, false)
	q, consent = s.Policy.Quiet, s.Policy.Consent
	if len(q) != 1 || q[0].From != 1320 || q[0].To != 450 || q[0].Default != "Europe/Berlin" || !q[0].Skip || q[0].Timezone != nil {
		t.Errorf("quiet hours of its own: %+v", q)
	}
	if len(consent) != 2 || consent[0].Require.Name != "other" || consent[0].Night != nil || consent[1].Require.Name != "ad_consent" {
		t.Errorf("consent of its own: %+v", consent)
	}
	if len(s.Rules[0].TriggerSlots) != 0 {
		t.Error("an event is kept though nothing puts a message off")
	}
}

func TestTimezoneOfQuietHours(t *testing.T) {
	for _, test := range []struct{ written, fixed string }{
		{"Asia/Seoul", "Asia/Seoul"},
		{`"'Asia/Seoul'"`, "Asia/Seoul"},
		{"UTC", "UTC"},
		{"America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"},
		{"Etc/GMT+9", "Etc/GMT+9"},
		{"user.timezone", ""},
		{`"user.other ? 'Asia/Seoul' : user.timezone"`, ""},
	} {
		s := parseText(t, consents+`policy: {quiet_hours: {class: ad, from: "21:00", to: "08:00", timezone: `+test.written+"}}\n", false)
		q := s.Policy.Quiet[0]
		if want := test.fixed; want != "" && (q.Default != want || q.Timezone != nil) || want == "" && (q.Default != "UTC" || q.Timezone == nil) {
			t.Errorf("%s: default %s, an expression: %t", test.written, q.Default, q.Timezone != nil)
		}
	}
}

// The user's zone is data.
func TestTimezoneIsRead(t *testing.T) {
	backends(t, func(t *testing.T, onlyCEL bool) {
		s := parseText(t, consents+`policy: {quiet_hours: {class: ad, from: "21:00", to: "08:00", timezone: user.timezone}}`+"\n", onlyCEL)
		state, out := &rules.State{}, &rules.Result{}
		read := s.Policy.Quiet[0].Timezone
		env := &rules.Env{Set: s, State: state, User: "u1", Now: start}
		if v := read(env); v.Present() {
			t.Errorf("before it is known: %+v", v)
		}
		s.Step(state, "u1", rules.Input{Event: eventOf(s, "e", "profile", start, fields{"tz": rules.StringValue("Asia/Tokyo")})}, out)
		if v := read(env); v != rules.StringValue("Asia/Tokyo") || s.Zone(v.Str()) == nil {
			t.Errorf("got %+v", v)
		}
	})
}
