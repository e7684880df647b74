package naive

import (
	"fmt"
	"strconv"
	"strings"
)

// Text writes the spec as a rule file.
func (s *Spec) Text() string {
	w := &writer{}
	w.section("attributes", len(s.Attributes), func(i int) {
		a := s.Attributes[i]
		w.line(1, "%s: %s", a.Name, flow{}.text("type", a.Type).expr("from", a.From).types("on", a.On))
	})
	w.section("metrics", len(s.Metrics), func(i int) {
		m := s.Metrics[i]
		f := flow{}
		if m.Value != nil {
			f = f.expr(m.Kind, m.Value).types("on", m.On)
		} else {
			f = f.types(m.Kind, m.On)
		}
		f = f.expr("where", m.Where).span("within", m.Within).types("reset", m.Reset)
		if m.By != "" {
			f = f.text("by", "event."+m.By)
		}
		w.line(1, "%s: %s", m.Name, f)
	})
	w.section("audiences", len(s.Audiences), func(i int) {
		w.line(1, "%s: %s", s.Audiences[i].Name, quote(s.Audiences[i].Is.String()))
	})
	w.section("experiments", len(s.Experiments), func(i int) { w.experiment(&s.Experiments[i]) })
	if h := s.Holdout; h != nil {
		w.line(0, "holdout: {percent: %s, salt: %s}", amount(h.Percent), h.Salt)
	}
	if s.Policy != nil {
		w.policy(s.Policy)
	}
	w.line(0, "rules:")
	for i := range s.Rules {
		w.rule(&s.Rules[i])
	}
	return w.String()
}

type writer struct{ strings.Builder }

func (w *writer) line(depth int, format string, args ...any) {
	w.WriteString(strings.Repeat("  ", depth))
	fmt.Fprintf(w, format, args...)
	w.WriteByte('\n')
}

func (w *writer) section(name string, n int, each func(i int)) {
	if n > 0 {
		w.line(0, "%s:", name)
	}
	for i := range n {
		each(i)
	}
}

func (w *writer) experiment(x *Experiment) {
	w.line(1, "%s:", x.Name)
	var arms []string
	for _, a := range x.Arms {
		arms = append(arms, fmt.Sprintf("{name: %s, weight: %d}", a.Name, a.Weight))
	}
	w.line(2, "arms: [%s]", strings.Join(arms, ", "))
	w.entry(2, "salt", x.Salt, x.Salt != "")
	w.entry(2, "coverage", x.Coverage, x.Coverage != 0)
	w.entry(2, "phase", x.Phase, x.Phase != 0)
	if l := x.Layer; l != nil {
		w.line(2, "layer: {name: %s, from: %d, to: %d}", l.Name, l.From, l.To)
	}
	if g := x.Goal; g != nil {
		w.line(2, "goal: %s", flow{}.types("on", g.On).expr("where", g.Where).span("within", g.Within).expr("value", g.Value))
	}
}

func (w *writer) entry(depth int, key string, value any, given bool) {
	if given {
		w.line(depth, "%s: %v", key, value)
	}
}

func (w *writer) policy(p *Policy) {
	w.line(0, "policy:")
	w.entry(1, "profile", p.Profile, p.Profile != "")
	if len(p.Caps) > 0 {
		w.line(1, "caps:")
	}
	for _, c := range p.Caps {
		w.line(2, "- %s", flow{}.text("class", c.Class).text("channel", c.Channel).text("max", strconv.Itoa(c.Max)).span("per", c.Per))
	}
	var quiet, consent []string
	for _, q := range p.Quiet {
		quiet = append(quiet, flow{}.text("class", q.Class).text("from", `"`+q.From+`"`).text("to", `"`+q.To+`"`).
			expr("timezone", q.Timezone).text("default_timezone", q.Default).text("then", q.Then).String())
	}
	for _, c := range p.Consent {
		consent = append(consent, flow{}.text("class", c.Class).text("require", c.Require).text("night", c.Night).String())
	}
	w.oneOrMore("quiet_hours", quiet)
	w.oneOrMore("consent", consent)
}

// oneOrMore writes one map as it is, several as a list.
func (w *writer) oneOrMore(key string, maps []string) {
	switch len(maps) {
	case 0:
	case 1:
		w.line(1, "%s: %s", key, maps[0])
	default:
		w.line(1, "%s: [%s]", key, strings.Join(maps, ", "))
	}
}

func (w *writer) rule(r *Rule) {
	w.line(1, "- name: %s", r.Name)
	each := flow{}.types("on", r.On).expr("where", r.Where).expr("key", r.Key).span("wait", r.Wait).expr("wait_until", r.WaitUntil).
		flag("restart", r.Restart).clauses("unless", r.Unless).clauses("exit", r.Exit).expr("when", r.When).
		span("cooldown", r.Cooldown).span("expire_after", r.Expire)
	if r.Priority != 0 {
		each = each.text("priority", strconv.Itoa(r.Priority))
	}
	each = each.text("experiment", r.Experiment).flag("paused", r.Paused)
	if s := r.Schedule; s != nil {
		f := flow{}
		if s.At != "" {
			f = f.text("at", `"`+s.At+`"`)
		} else {
			f = f.text("cron", `"`+s.Cron+`"`)
		}
		each = each.text("schedule", f.text("timezone", s.Timezone).String())
	}
	if r.Audience != "" {
		each = each.text("audience", quote(r.Audience))
	}
	if c := r.Cost; c != nil {
		each = each.text("cost", flow{}.text("send", amount(c.Send)).text("coupon", amount(c.Coupon)).String())
	}
	if r.Send != nil {
		each = each.text("send", r.Send.String())
	}
	for _, e := range each {
		w.line(2, "%s", e)
	}
	if len(r.Steps) > 0 {
		w.line(2, "steps:")
		w.steps(3, r.Steps)
	}
}

// String writes the send as YAML.
func (s *Send) String() string {
	f := flow{}.text("channel", s.Channel).text("class", s.Class).text("template", s.Template)
	if len(s.Data) > 0 {
		data := flow{}
		for _, d := range s.Data {
			data = data.expr(d.Name, d.Of)
		}
		f = f.text("data", data.String())
	}
	return f.String()
}

func (w *writer) steps(depth int, steps []Step) {
	for i := range steps {
		s := &steps[i]
		f := flow{}.span("wait", s.Wait).expr("wait_until", s.WaitUntil)
		if s.Send != nil {
			f = f.text("send", s.Send.String())
		}
		if s.For != nil {
			f = f.text("wait_for", flow{}.types("on", s.For.On).expr("where", s.For.Where).span("within", s.Within).String())
		}
		for j, e := range f.clauses("unless", s.Unless).clauses("exit", s.Exit) {
			start := "  "
			if j == 0 {
				start = "- "
			}
			w.line(depth, "%s%s", start, e)
		}
		if len(s.Then) > 0 {
			w.line(depth+1, "then:")
			w.steps(depth+2, s.Then)
		}
		if len(s.Else) > 0 {
			w.line(depth+1, "else:")
			w.steps(depth+2, s.Else)
		}
	}
}

// flow is a map of YAML on one line, entry by entry. What is not given is left
// out.
type flow []string

func (f flow) String() string { return "{" + strings.Join(f, ", ") + "}" }

func (f flow) text(key, value string) flow {
	if value == "" {
		return f
	}
	return append(f, key+": "+value)
}

func (f flow) expr(key string, e *Expr) flow {
	if e == nil {
		return f
	}
	return append(f, key+": "+quote(e.String()))
}

func (f flow) span(key string, ms int64) flow {
	if ms == 0 {
		return f
	}
	return append(f, key+": "+SpanText(ms))
}

func (f flow) flag(key string, v bool) flow {
	if !v {
		return f
	}
	return append(f, key+": true")
}

func (f flow) types(key string, on []string) flow {
	switch len(on) {
	case 0:
		return f
	case 1:
		return append(f, key+": "+quote(on[0]))
	}
	var quoted []string
	for _, t := range on {
		quoted = append(quoted, quote(t))
	}
	return append(f, key+": ["+strings.Join(quoted, ", ")+"]")
}

func (f flow) clauses(key string, clauses []Clause) flow {
	if len(clauses) == 0 {
		return f
	}
	var maps []string
	for _, c := range clauses {
		maps = append(maps, flow{}.types("on", c.On).expr("where", c.Where).String())
	}
	return append(f, key+": ["+strings.Join(maps, ", ")+"]")
}

func amount(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
