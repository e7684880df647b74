// Package draw draws rule sets and events at random for the tests, as plain data
// of package naive.
//
// Spans and times are multiples of half an hour, give or take a millisecond now
// and then, so that ties, exact boundaries and the hours of the day are the rule
// and not the exception. Streams begin a day before a clock change.
package draw

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules/sim/naive"
)

const (
	unit = int64(30 * 60_000)
	hour = 2 * unit
	day  = 24 * hour
)

// Starts are times a day or so before clocks change: New York, Berlin, Lord Howe
// forward and back; and one before nothing.
var starts = []int64{1772884800000, 1774699200000, 1790996400000, 1792843200000, 1793448000000, 1775271600000, 1767225600000}

// Users are the users of drawn events.
var Users = []string{"ann", "bob", "cho", "dee"}

// zones are what events name, one of which there is not.
var zones = []string{"Asia/Seoul", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "No/Where"}

// types are the event types; z is one that no rule names.
var types = []string{"a", "a", "a", "b", "b", "c", "z"}

// Drawn is what was drawn: rules and where the stream begins.
type Drawn struct {
	*naive.Spec
	Start int64
}

type drawer struct {
	t     *rapid.T
	spec  *naive.Spec
	start int64
}

// Rules draws a rule set.
func Rules(t *rapid.T) Drawn {
	d := &drawer{t: t, spec: &naive.Spec{}, start: rapid.SampledFrom(starts).Draw(t, "start")}
	d.attributes()
	for i := range d.upTo(3, "metrics") {
		d.spec.Metrics = append(d.spec.Metrics, d.metric("m"+strconv.Itoa(i)))
	}
	for i := range d.upTo(2, "audiences") {
		d.spec.Audiences = append(d.spec.Audiences, naive.Audience{Name: "au" + strconv.Itoa(i), Is: d.condition(2, audience)})
	}
	for i := range d.upTo(2, "experiments") {
		d.spec.Experiments = append(d.spec.Experiments, d.experiment(i))
	}
	if d.seldom("holdout") {
		d.spec.Holdout = &naive.Holdout{Percent: rapid.SampledFrom([]float64{30, 55.55}).Draw(t, "percent"), Salt: "held"}
	}
	if d.often("policy") {
		d.policy()
	}
	for i := range 1 + d.upTo(2, "rules") {
		d.spec.Rules = append(d.spec.Rules, d.rule("r"+strconv.Itoa(i)))
	}
	if rapid.Bool().Draw(t, "only attributes that are read") {
		d.dropUnread()
	}
	return Drawn{d.spec, d.start}
}

// dropUnread takes out the attributes that nothing reads: of a user without any
// there may be nothing that has to be known for ever.
func (d *drawer) dropUnread() {
	text := d.spec.Text()
	d.spec.Attributes = slices.DeleteFunc(d.spec.Attributes, func(a naive.Attribute) bool {
		named := strings.Contains(text, "require: "+a.Name) || strings.Contains(text, "night: "+a.Name) ||
			strings.Contains(text, "profile: kr") && strings.HasPrefix(a.Name, "ad_")
		return !named && !strings.Contains(text, "user."+a.Name)
	})
	if len(d.spec.Attributes) == 0 {
		d.spec.Attributes = nil
	}
}

func (d *drawer) upTo(n int, label string) int { return rapid.IntRange(0, n).Draw(d.t, label) }

func (d *drawer) often(label string) bool { return d.upTo(2, label) > 0 }

func (d *drawer) seldom(label string) bool { return d.upTo(3, label) == 3 }

func (d *drawer) one(label string, of ...string) string {
	return rapid.SampledFrom(of).Draw(d.t, label)
}

func (d *drawer) span(label string) int64 {
	return rapid.SampledFrom([]int64{unit, hour, 3 * hour, 3 * hour, 8 * hour, day, 2 * day, unit + 1}).Draw(d.t, label)
}

// maybe draws a span, or 0.
func (d *drawer) maybe(label string) int64 {
	if d.often(label + " is given") {
		return 0
	}
	return d.span(label)
}

func (d *drawer) on(label string) []string {
	return rapid.SampledFrom([][]string{{"a"}, {"b"}, {"c"}, {"a", "b"}, {"b", "c"}, {"*"}}).Draw(d.t, label)
}

// attributes are those of every type; consent and the profile need some of them.
func (d *drawer) attributes() {
	for _, a := range []naive.Attribute{
		{Name: "ui", Type: "int", From: event("i")},
		{Name: "ux", Type: d.one("float", "float", "double"), From: event("x")},
		{Name: "us", Type: "string", From: event("s")},
		{Name: "ub", Type: "bool", From: event("b")},
		{Name: "ut", Type: "timestamp", From: event("w")},
		{Name: "timezone", Type: "string", From: event("tz")},
		{Name: "ad_consent", Type: "bool", From: event("yes")},
		{Name: "ad_night_consent", Type: "bool", From: event("night")},
	} {
		a.On = []string{"*"}
		if d.seldom("attribute on") {
			a.On = d.on("attribute on")
		}
		d.spec.Attributes = append(d.spec.Attributes, a)
	}
}

func (d *drawer) metric(name string) naive.Metric {
	m := naive.Metric{Name: name, Kind: d.one("kind", "count", "count", "sum", "distinct", "first", "last", "value"), On: d.on("metric on")}
	switch m.Kind {
	case "count", "sum", "distinct":
		m.Within = d.maybe("within")
	}
	switch m.Kind {
	case "count":
		if d.seldom("by") {
			m.By, m.Within = d.one("by", "i", "s"), d.span("within")
		}
	case "sum":
		m.Value = rapid.SampledFrom([]*naive.Expr{event("i"), event("x")}).Draw(d.t, "summed")
	case "distinct", "value":
		m.Value = rapid.SampledFrom([]*naive.Expr{event("i"), event("x"), event("s"), event("b"), event("w")}).Draw(d.t, "of")
	}
	if d.seldom("metric where") {
		m.Where = d.condition(1, scope{event: true, user: true})
	}
	if d.seldom("reset") {
		m.Reset = d.on("reset")
	}
	return m
}

func (d *drawer) experiment(i int) naive.Experiment {
	x := naive.Experiment{Name: "x" + strconv.Itoa(i), Arms: []naive.Arm{
		{Name: "control", Weight: rapid.SampledFrom([]int{20, 50}).Draw(d.t, "control")}, {Name: "one", Weight: 30}, {Name: "two", Weight: 30},
	}}
	if d.seldom("salt") {
		x.Salt = "salted"
	}
	if d.seldom("coverage") {
		x.Coverage = 60
	}
	if d.seldom("phase") {
		x.Phase = 2
	}
	if d.seldom("layer") {
		x.Layer = &naive.Layer{Name: "layer", From: i * 50, To: 40 + i*50}
	}
	if d.often("goal") {
		x.Goal = &naive.Goal{On: d.on("goal on"), Within: d.span("goal within")}
		if d.seldom("goal where") {
			x.Goal.Where = d.condition(1, scope{event: true, user: true, metrics: true, keyed: true})
		}
		if d.often("goal value") {
			x.Goal.Value = rapid.SampledFrom([]*naive.Expr{event("i"), event("x"), naive.Lit(naive.I(7))}).Draw(d.t, "worth")
		}
	}
	for i := range d.upTo(2, "guardrails") {
		g := naive.Rail{Name: "g" + strconv.Itoa(i), On: d.on("guardrail on"), Within: d.span("guardrail within"), MaxPercent: "5"}
		if d.seldom("guardrail ratio") {
			g.MaxRatio = "1.5"
		}
		if d.seldom("guardrail where") {
			g.Where = d.condition(1, scope{event: true, user: true, metrics: true, keyed: true})
		}
		x.Rails = append(x.Rails, g)
	}
	return x
}

func (d *drawer) policy() {
	p := &naive.Policy{}
	for range d.upTo(2, "caps") {
		p.Caps = append(p.Caps, naive.Cap{
			Class: d.one("cap class", "", "ad"), Channel: d.one("cap channel", "", "push"),
			Max: 1 + d.upTo(1, "max"), Per: d.span("per"),
		})
	}
	switch d.upTo(4, "quiet") {
	case 0, 1:
		q := naive.Quiet{Class: "ad", Default: d.one("default zone", "", "Asia/Seoul", "America/New_York", "Europe/Berlin"), Then: d.one("then", "", "defer", "skip")}
		hours := rapid.SampledFrom([][2]string{{"21:00", "08:00"}, {"22:30", "02:30"}, {"00:00", "02:00"}, {"09:00", "17:30"}, {"02:15", "02:45"}, {"01:30", "03:00"}}).Draw(d.t, "quiet hours")
		q.From, q.To = hours[0], hours[1]
		if d.often("timezone") {
			q.Timezone = naive.Name("user", "timezone")
		}
		p.Quiet = append(p.Quiet, q)
		if d.seldom("more quiet hours") {
			p.Quiet = append(p.Quiet, naive.Quiet{Class: "ad", From: "12:00", To: "13:00", Then: d.one("then", "defer", "skip")})
		}
	case 2:
		p.Profile = "kr"
	}
	if d.seldom("consent") {
		p.Consent = append(p.Consent, naive.Consent{Class: "ad", Require: "ub", Night: d.one("night", "", "ad_night_consent")})
	}
	if len(p.Caps)+len(p.Quiet)+len(p.Consent) > 0 || p.Profile != "" {
		d.spec.Policy = p
	}
}

// Events draws a stream with ties, late events, repeated ids and jumps.
func Events(t *rapid.T, start int64, most int) []naive.Event {
	d := &drawer{t: t, start: start}
	now := start
	events := make([]naive.Event, rapid.IntRange(1, most).Draw(t, "events"))
	for i := range events {
		e := &events[i]
		e.Time = now + rapid.SampledFrom([]int64{0, 0, unit, unit, hour, 3 * hour, 12 * hour, day}).Draw(t, "after")
		switch d.upTo(9, "odd time") {
		case 8, 9:
			e.Time = now - rapid.SampledFrom([]int64{unit, hour, 4 * hour, day}).Draw(t, "late by")
		case 7:
			e.Time += rapid.SampledFrom([]int64{-1, 1}).Draw(t, "a millisecond")
		}
		now = max(now, e.Time)
		e.User = d.one("user", Users...)
		e.Type = d.one("type", types...)
		e.ID = "e" + strconv.Itoa(i)
		if d.upTo(9, "repeats") == 9 {
			// Later than a week a state may be gone, and the id with it.
			if which := d.upTo(i, "which"); e.Time-events[which].Time <= 5*day {
				e.ID = "e" + strconv.Itoa(which)
			}
		}
		e.Fields = d.fields()
	}
	return events
}

func (d *drawer) fields() map[string]naive.Value {
	f := map[string]naive.Value{}
	put := func(name string, v naive.Value) {
		if d.upTo(5, name) > 0 {
			f[name] = v
		}
	}
	put("i", naive.I(int64(d.upTo(3, "int"))))
	put("x", naive.F(float64(d.upTo(6, "halves"))/2))
	put("s", naive.S(d.one("text", "p", "q", "r")))
	put("b", naive.B(d.often("bool")))
	put("w", naive.S(rfc3339(d.start+int64(d.upTo(160, "when"))*unit)))
	put("yes", naive.B(d.upTo(4, "consent") > 0))
	put("night", naive.B(d.seldom("night")))
	if d.seldom("zone") {
		put("tz", naive.S(d.one("tz", zones...)))
	}
	if d.upTo(9, "wrong type") == 9 {
		name := d.one("of", "i", "x", "s", "b", "w", "yes", "tz")
		f[name] = rapid.SampledFrom([]naive.Value{naive.S("soon"), naive.I(1), naive.F(1.5), naive.B(true), {}}).Draw(d.t, "instead")
		if !f[name].There() {
			delete(f, name)
		}
	}
	return f
}

func event(name string) *naive.Expr { return naive.Name("event", name) }

// String is the rule file, with the start of the stream.
func (d Drawn) String() string { return fmt.Sprintf("# from %s\n%s", rfc3339(d.Start), d.Text()) }
