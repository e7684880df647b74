package naive

import (
	"slices"
	"strings"
	"time"
)

const minute = int64(60_000)

// transactional messages neither ask the policy nor count in it.
const transactional = "transactional"

// policy is the spec's policy with its profile filled in.
func (s *Spec) policy() Policy {
	if s.Policy == nil {
		return Policy{}
	}
	p := *s.Policy
	if p.Profile == "kr" {
		if len(p.Quiet) == 0 {
			q := Quiet{Class: "ad", From: "21:00", To: "08:00", Default: "Asia/Seoul", Then: "defer"}
			if slices.ContainsFunc(s.Attributes, func(a Attribute) bool { return a.Name == "timezone" }) {
				q.Timezone = Name("user", "timezone")
			}
			p.Quiet = []Quiet{q}
		}
		if len(p.Consent) == 0 {
			p.Consent = []Consent{{Class: "ad", Require: "ad_consent", Night: "ad_night_consent"}}
		}
	}
	return p
}

// label is what the policy asks for on messages of a class.
func (s *Spec) label(class string) string {
	if s.Policy != nil && s.Policy.Profile == "kr" && class == "ad" {
		return "(광고)"
	}
	return ""
}

func (f *firing) lacksConsent() bool {
	for _, c := range f.run.spec.policy().Consent {
		if f.send.Class == c.Class && !f.asked.attributes[c.Require].True() {
			return true
		}
	}
	return false
}

// capped says that a cap is full: in (t - per, t], and by what has gone out later
// already, of which a late event does not know.
func (f *firing) capped() bool {
	if f.send.Class == transactional {
		return false
	}
	t := f.clock()
	for _, c := range f.run.spec.policy().Caps {
		of := func(class, channel string) bool {
			return (c.Class == "" || c.Class == class) && (c.Channel == "" || c.Channel == channel)
		}
		if !of(f.send.Class, f.send.Channel) {
			continue
		}
		n := 0
		for _, s := range f.sends {
			if s.class != transactional && of(s.class, s.channel) && s.at > t-c.Per {
				n++
			}
		}
		if n >= c.Max {
			return true
		}
	}
	return false
}

// quiet is deferred or quiet_hours if the message would disturb, and until when.
func (f *firing) quiet() (outcome string, until int64) {
	p := f.run.spec.policy()
	for _, q := range p.Quiet {
		if q.Class != f.send.Class {
			continue
		}
		if slices.ContainsFunc(p.Consent, func(c Consent) bool {
			return c.Class == q.Class && c.Night != "" && f.asked.attributes[c.Night].True()
		}) {
			continue
		}
		zone := zoneOf(q.Default)
		if q.Timezone != nil {
			if v := f.eval(q.Timezone, f.asked); v.Kind == Text && v.S != "" && !strings.EqualFold(v.S, "local") {
				if z, err := time.LoadLocation(v.S); err == nil {
					zone = z
				}
			}
		}
		if !q.covers(f.at, zone) {
			continue
		}
		if q.Then == "skip" {
			return "quiet_hours", 0
		}
		return "deferred", q.end(f.at, zone)
	}
	return "", 0
}

func zoneOf(name string) *time.Location {
	if name == "" {
		return time.UTC
	}
	z, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return z
}

// ofDay is the minute of "21:00" in its day.
func ofDay(text string) int {
	t, err := time.Parse("15:04", text)
	if err != nil {
		panic(err)
	}
	return t.Hour()*60 + t.Minute()
}

func localMinute(t int64, zone *time.Location) int {
	l := time.UnixMilli(t).In(zone)
	return l.Hour()*60 + l.Minute()
}

func (q *Quiet) covers(t int64, zone *time.Location) bool {
	from, to, m := ofDay(q.From), ofDay(q.To), localMinute(t, zone)
	if from < to {
		return from <= m && m < to
	}
	return m >= from || m < to
}

// end looks at minute after minute for the first at which the local time is To,
// or at which the clock was put forward over it.
func (q *Quiet) end(t int64, zone *time.Location) int64 {
	to := ofDay(q.To)
	before := localMinute(t, zone)
	for t = t - t%minute + minute; ; t += minute {
		m := localMinute(t, zone)
		// A clock that is put back is not put forward by almost a day.
		forward := (m - before + 1440) % 1440
		if forward < 720 && (to-before+1440)%1440 <= forward && to != before {
			return t
		}
		before = m
	}
}
