package naive

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

// Read makes a spec of the texts of rule files. It understands the whole language
// but only the expressions that Expr covers, and says little of mistakes: it is
// for rules that the compiler has accepted, or will have to.
func Read(texts ...string) (*Spec, error) {
	s := &Spec{}
	for _, text := range texts {
		var file yaml.MapSlice
		if err := yaml.UnmarshalWithOptions([]byte(text), &file, yaml.UseOrderedMap()); err != nil {
			return nil, err
		}
		r := &reader{}
		r.file(s, file)
		if r.err != nil {
			return nil, r.err
		}
	}
	return s, nil
}

// reader reads YAML; the first mistake stays in err.
type reader struct{ err error }

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// keys calls for each key of a map the function that reads it.
func (r *reader) keys(what string, v any, read map[string]func(any)) {
	r.each(what, v, func(key string, v any) {
		if f := read[key]; f != nil {
			f(v)
		} else {
			r.fail("%s has no key %s", what, key)
		}
	})
}

func (r *reader) each(what string, v any, f func(key string, v any)) {
	m, ok := v.(yaml.MapSlice)
	if !ok {
		r.fail("%s is no map: %v", what, v)
	}
	for _, item := range m {
		f(fmt.Sprint(item.Key), item.Value)
	}
}

// list calls f for each element, or for the value itself if it is no list.
func (r *reader) list(v any, f func(any)) {
	l, ok := v.([]any)
	if !ok {
		l = []any{v}
	}
	for _, x := range l {
		f(x)
	}
}

func (r *reader) texts(to *[]string) func(any) {
	return func(v any) { r.list(v, func(x any) { *to = append(*to, fmt.Sprint(x)) }) }
}

func (r *reader) text(to *string) func(any) { return func(v any) { *to = fmt.Sprint(v) } }

func (r *reader) number(to *int) func(any) {
	return func(v any) {
		n, err := strconv.Atoi(fmt.Sprint(v))
		if err != nil {
			r.fail("no number: %v", v)
		}
		*to = n
	}
}

func (r *reader) amount(to *float64) func(any) {
	return func(v any) {
		f, err := strconv.ParseFloat(fmt.Sprint(v), 64)
		if err != nil {
			r.fail("no number: %v", v)
		}
		*to = f
	}
}

func (r *reader) span(to *int64) func(any) {
	return func(v any) {
		ms, err := ParseSpan(fmt.Sprint(v))
		if err != nil {
			r.fail("%w", err)
		}
		*to = ms
	}
}

func (r *reader) yes(to *bool) func(any) {
	return func(v any) {
		b, ok := v.(bool)
		if !ok {
			r.fail("neither true nor false: %v", v)
		}
		*to = b
	}
}

func (r *reader) expr(to **Expr) func(any) {
	return func(v any) {
		e, err := ParseExpr(fmt.Sprint(v))
		if err != nil {
			r.fail("%w", err)
		}
		*to = e
	}
}

func (r *reader) file(s *Spec, v any) {
	r.keys("a rule file", v, map[string]func(any){
		"attributes": func(v any) {
			r.each("attributes", v, func(name string, v any) {
				a := Attribute{Name: name}
				r.keys(name, v, map[string]func(any){"type": r.text(&a.Type), "from": r.expr(&a.From), "on": r.texts(&a.On)})
				s.Attributes = append(s.Attributes, a)
			})
		},
		"metrics": func(v any) {
			r.each("metrics", v, func(name string, v any) { s.Metrics = append(s.Metrics, r.metric(name, v)) })
		},
		"audiences": func(v any) {
			r.each("audiences", v, func(name string, v any) {
				a := Audience{Name: name}
				r.expr(&a.Is)(v)
				s.Audiences = append(s.Audiences, a)
			})
		},
		"experiments": func(v any) {
			r.each("experiments", v, func(name string, v any) { s.Experiments = append(s.Experiments, r.experiment(name, v)) })
		},
		"holdout": func(v any) {
			s.Holdout = &Holdout{}
			r.keys("holdout", v, map[string]func(any){"salt": r.text(&s.Holdout.Salt), "percent": r.amount(&s.Holdout.Percent)})
		},
		"policy": func(v any) { s.Policy = r.policy(v) },
		"rules":  func(v any) { r.list(v, func(v any) { s.Rules = append(s.Rules, r.rule(v)) }) },
	})
}

func (r *reader) metric(name string, v any) Metric {
	m := Metric{Name: name}
	read := map[string]func(any){
		"on": r.texts(&m.On), "where": r.expr(&m.Where), "within": r.span(&m.Within), "reset": r.texts(&m.Reset),
		"by": func(v any) { m.By = strings.TrimPrefix(fmt.Sprint(v), "event.") },
	}
	for _, kind := range []string{"count", "first", "last"} {
		read[kind] = func(v any) {
			m.Kind = kind
			r.texts(&m.On)(v)
		}
	}
	for _, kind := range []string{"sum", "distinct", "value"} {
		read[kind] = func(v any) {
			m.Kind = kind
			r.expr(&m.Value)(v)
		}
	}
	r.keys(name, v, read)
	return m
}

func (r *reader) experiment(name string, v any) Experiment {
	x := Experiment{Name: name}
	r.keys(name, v, map[string]func(any){
		"arms": func(v any) {
			r.list(v, func(v any) {
				a := Arm{}
				r.keys("an arm", v, map[string]func(any){"name": r.text(&a.Name), "weight": r.number(&a.Weight)})
				x.Arms = append(x.Arms, a)
			})
		},
		"salt": r.text(&x.Salt), "coverage": r.number(&x.Coverage), "phase": r.number(&x.Phase),
		"layer": func(v any) {
			x.Layer = &Layer{}
			r.keys("a layer", v, map[string]func(any){"name": r.text(&x.Layer.Name), "from": r.number(&x.Layer.From), "to": r.number(&x.Layer.To)})
		},
		"goal": func(v any) {
			g := &Goal{}
			x.Goal = g
			r.keys("a goal", v, map[string]func(any){"on": r.texts(&g.On), "where": r.expr(&g.Where), "within": r.span(&g.Within), "value": r.expr(&g.Value)})
		},
		"guardrails": func(v any) {
			r.list(v, func(v any) {
				g := Rail{}
				r.keys("a guardrail", v, map[string]func(any){
					"name": r.text(&g.Name), "on": r.texts(&g.On), "where": r.expr(&g.Where), "within": r.span(&g.Within),
					"max_percent": func(v any) { g.MaxPercent = fmt.Sprint(v) }, "max_ratio": func(v any) { g.MaxRatio = fmt.Sprint(v) },
				})
				x.Rails = append(x.Rails, g)
			})
		},
	})
	return x
}

func (r *reader) policy(v any) *Policy {
	p := &Policy{}
	r.keys("policy", v, map[string]func(any){
		"profile": r.text(&p.Profile),
		"caps": func(v any) {
			r.list(v, func(v any) {
				c := Cap{}
				r.keys("a cap", v, map[string]func(any){"class": r.text(&c.Class), "channel": r.text(&c.Channel), "max": r.number(&c.Max), "per": r.span(&c.Per)})
				p.Caps = append(p.Caps, c)
			})
		},
		"quiet_hours": func(v any) {
			r.list(v, func(v any) {
				q := Quiet{}
				r.keys("quiet hours", v, map[string]func(any){
					"class": r.text(&q.Class), "from": r.text(&q.From), "to": r.text(&q.To),
					"timezone": func(v any) {
						if text := fmt.Sprint(v); strings.Contains(text, "/") {
							q.Default = text // a fixed zone
						} else {
							r.expr(&q.Timezone)(v)
						}
					}, "default_timezone": r.text(&q.Default), "then": r.text(&q.Then),
				})
				p.Quiet = append(p.Quiet, q)
			})
		},
		"consent": func(v any) {
			r.list(v, func(v any) {
				c := Consent{}
				r.keys("consent", v, map[string]func(any){"class": r.text(&c.Class), "require": r.text(&c.Require), "night": r.text(&c.Night)})
				p.Consent = append(p.Consent, c)
			})
		},
	})
	return p
}

func (r *reader) rule(v any) Rule {
	u := Rule{}
	r.keys("a rule", v, map[string]func(any){
		"name": r.text(&u.Name), "on": r.texts(&u.On), "where": r.expr(&u.Where), "key": r.expr(&u.Key),
		"wait": r.span(&u.Wait), "wait_until": r.expr(&u.WaitUntil), "restart": r.yes(&u.Restart),
		"unless": r.clauses(&u.Unless), "exit": r.clauses(&u.Exit), "when": r.expr(&u.When),
		"cooldown": r.span(&u.Cooldown), "expire_after": r.span(&u.Expire), "priority": r.number(&u.Priority),
		"experiment": r.text(&u.Experiment), "paused": r.yes(&u.Paused), "auto_pause": r.yes(&u.AutoPause), "audience": r.text(&u.Audience),
		"schedule": func(v any) {
			s := &Schedule{}
			u.Schedule = s
			r.keys("a schedule", v, map[string]func(any){"at": r.text(&s.At), "cron": r.text(&s.Cron), "timezone": r.text(&s.Timezone)})
		},
		"send": func(v any) { u.Send = r.send(v) }, "steps": r.steps(&u.Steps),
		"cost": func(v any) {
			c := &Cost{}
			u.Cost = c
			r.keys("a cost", v, map[string]func(any){"send": r.amount(&c.Send), "coupon": r.amount(&c.Coupon)})
		},
	})
	return u
}

func (r *reader) clauses(to *[]Clause) func(any) {
	return func(v any) {
		r.list(v, func(v any) {
			c := Clause{}
			r.keys("a clause", v, map[string]func(any){"on": r.texts(&c.On), "where": r.expr(&c.Where)})
			*to = append(*to, c)
		})
	}
}

func (r *reader) send(v any) *Send {
	s := &Send{}
	r.keys("a send", v, map[string]func(any){
		"channel": r.text(&s.Channel), "class": r.text(&s.Class), "template": r.text(&s.Template),
		"data": func(v any) {
			r.each("data", v, func(name string, v any) {
				d := Datum{Name: name}
				if f, ok := v.(float64); ok {
					d.Of = Lit(F(f))
				} else {
					r.expr(&d.Of)(v)
				}
				s.Data = append(s.Data, d)
			})
		},
	})
	return s
}

func (r *reader) steps(to *[]Step) func(any) {
	return func(v any) {
		r.list(v, func(v any) {
			s := Step{}
			r.keys("a step", v, map[string]func(any){
				"send": func(v any) { s.Send = r.send(v) }, "wait": r.span(&s.Wait), "wait_until": r.expr(&s.WaitUntil),
				"wait_for": func(v any) {
					s.For = &Clause{}
					r.keys("wait_for", v, map[string]func(any){"on": r.texts(&s.For.On), "where": r.expr(&s.For.Where), "within": r.span(&s.Within)})
				},
				"then": r.steps(&s.Then), "else": r.steps(&s.Else), "unless": r.clauses(&s.Unless), "exit": r.clauses(&s.Exit),
			})
			*to = append(*to, s)
		})
	}
}

// units are those of durations in rule files, the longest first.
var units = []struct {
	name string
	ms   int64
}{{"w", 604_800_000}, {"d", 86_400_000}, {"h", 3_600_000}, {"m", 60_000}, {"s", 1000}, {"ms", 1}}

// ParseSpan reads a duration of a rule file, such as 1d12h, in milliseconds.
func ParseSpan(text string) (int64, error) {
	var total int64
	for rest := text; rest != ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		letters := len(rest) - digits - len(strings.TrimLeft(rest[digits:], "abcdefghijklmnopqrstuvwxyz"))
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		unit := slices.IndexFunc(units, func(u struct {
			name string
			ms   int64
		},
		) bool {
			return u.name == rest[digits:digits+letters]
		})
		if err != nil || unit < 0 {
			return 0, fmt.Errorf("no duration: %q", text)
		}
		total += n * units[unit].ms
		rest = rest[digits+letters:]
	}
	return total, nil
}

// SpanText writes milliseconds as a rule file has them.
func SpanText(ms int64) string {
	if ms == 0 {
		return "0s"
	}
	var b strings.Builder
	for _, u := range units {
		if n := ms / u.ms; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			ms -= n * u.ms
		}
	}
	return b.String()
}
