package draw

import (
	"strconv"
	"time"

	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules/sim/naive"
)

func rfc3339(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano) }

func (d *drawer) rule(name string) naive.Rule {
	r := naive.Rule{Name: name, Priority: d.upTo(2, "priority") - 1, Cooldown: d.maybe("cooldown"), Paused: d.upTo(9, "paused") == 9}
	if d.upTo(4, "scheduled") == 4 {
		d.schedule(&r)
	} else {
		d.started(&r)
	}
	if n := len(d.spec.Experiments); n > 0 && d.often("experiment") {
		r.Experiment = d.spec.Experiments[d.upTo(n-1, "which")].Name
	}
	if d.seldom("cost") {
		r.Cost = &naive.Cost{Send: 0.5, Coupon: float64(d.upTo(3, "coupon"))}
	}
	return r
}

// started is a rule that events start.
func (d *drawer) started(r *naive.Rule) {
	r.On = d.on("rule on")
	here := scope{event: true, user: true, metrics: true, keyed: true}
	if d.seldom("where") {
		r.Where = d.condition(1, here)
	}
	if d.seldom("key") {
		r.Key = rapid.SampledFrom([]*naive.Expr{event("i"), event("x"), event("s"), event("b")}).Draw(d.t, "key")
	}
	fired := scope{trigger: true, fields: true, user: true, metrics: true, keyed: true}
	switch kind := d.upTo(5, "form"); kind {
	case 0, 1: // one message, at once
		r.Send = d.send(here)
		if d.often("when") {
			r.When = d.condition(2, here)
		}
		if !d.puts(r.Send) {
			return
		}
	case 2:
		r.Wait = d.span("wait")
		r.Send = d.send(fired)
	case 3:
		r.WaitUntil = d.until(here)
		r.Send = d.send(fired)
	default:
		r.Steps = d.steps(here, fired, 2)
		if r.Steps[0].Send != nil && len(r.Steps) == 1 {
			// The compiler lets a lone send see its event; one that waits is wanted.
			r.Steps = append(r.Steps, naive.Step{Wait: d.span("wait")}, naive.Step{Send: d.send(fired)})
		}
	}
	if r.When == nil && d.seldom("when") {
		r.When = d.condition(1, fired)
	}
	r.Restart = d.seldom("restart")
	r.Expire = d.maybe("expire_after")
	r.Unless = d.clauses("unless", true)
	if d.seldom("exit") {
		r.Exit = d.clauses("exit", true)
	}
}

// schedule is a rule that a schedule starts.
func (d *drawer) schedule(r *naive.Rule) {
	s := &naive.Schedule{Timezone: d.one("schedule zone", "", "Asia/Seoul", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe")}
	r.Schedule = s
	if d.seldom("at") {
		s.At = time.UnixMilli(d.start + int64(d.upTo(100, "at"))*unit).UTC().Format("2006-01-02T15:04")
	} else {
		s.Cron = d.one("cron", "0 9 * * *", "30 2 * * *", "30 1 * * *", "0 */6 * * *", "15,45 2-3 * * *", "0 12 * * 0", "0 0 28-31 * *", "*/30 * * * *")
	}
	switch n := len(d.spec.Audiences); {
	case n > 0 && d.often("audience"):
		r.Audience = d.spec.Audiences[d.upTo(n-1, "which")].Name
	case d.seldom("condition for an audience"):
		is := d.condition(1, audience)
		if is.Op == "metric" {
			is = naive.Call("!", is) // a bare name is that of an audience
		}
		r.Audience = is.String()
	}
	if d.often("alone") {
		r.Send = d.send(audience)
	} else {
		r.Steps = d.steps(audience, audience, 1)
	}
	if d.seldom("when") {
		r.When = d.condition(1, audience)
	}
	r.Expire = d.maybe("expire_after")
	r.Unless = d.clauses("unless", false)
}

// puts says that the policy may put the message off.
func (d *drawer) puts(s *naive.Send) bool {
	p := d.spec.Policy
	if p == nil || s.Class != "ad" {
		return false
	}
	if p.Profile == "kr" && len(p.Quiet) == 0 {
		return true
	}
	for _, q := range p.Quiet {
		if q.Then != "skip" {
			return true
		}
	}
	return false
}

func (d *drawer) clauses(label string, fields bool) []naive.Clause {
	var list []naive.Clause
	for range max(0, d.upTo(3, label)-1) {
		c := naive.Clause{On: d.on(label + " on")}
		if d.often(label + " where") {
			c.Where = d.condition(1, scope{event: true, trigger: true, fields: fields, user: true, metrics: true, keyed: true})
		}
		list = append(list, c)
	}
	return list
}

func (d *drawer) send(s scope) *naive.Send {
	m := &naive.Send{Channel: d.one("channel", "push", "sms"), Class: d.one("class", "ad", "ad", "transactional"), Template: "t" + strconv.Itoa(d.upTo(3, "template"))}
	for i := range d.upTo(2, "data") {
		m.Data = append(m.Data, naive.Datum{Name: "d" + strconv.Itoa(i), Of: d.value(s)})
	}
	return m
}

// steps are one to three, nested to the given depth. first is what a wait_until
// at the start can see.
func (d *drawer) steps(first, fired scope, depth int) []naive.Step {
	var list []naive.Step
	sends := false
	for i := range 1 + d.upTo(2, "steps") {
		s := naive.Step{}
		here := fired
		if i == 0 && depth == 2 {
			here = first
		}
		switch kind := d.upTo(7, "step"); {
		case kind <= 2:
			s.Send = d.send(fired)
			sends = true
		case kind <= 4:
			s.Wait = d.span("wait")
		case kind == 5:
			s.WaitUntil = d.until(here)
		default:
			s.For = &naive.Clause{On: d.on("wait_for on")}
			if d.often("wait_for where") {
				s.For.Where = d.condition(1, scope{event: true, trigger: true, fields: fired.fields, user: true, metrics: true, keyed: true})
			}
			s.Within = d.span("within")
			if depth > 0 {
				if d.often("then") {
					s.Then = d.steps(fired, fired, depth-1)
				}
				if d.often("else") {
					s.Else = d.steps(fired, fired, depth-1)
				}
			}
		}
		if d.seldom("step unless") {
			s.Unless = d.clauses("step unless", fired.fields)
			s.Exit = d.clauses("step exit", fired.fields)
		}
		list = append(list, s)
	}
	if !sends {
		list = append(list, naive.Step{Send: d.send(fired)})
	}
	return list
}
