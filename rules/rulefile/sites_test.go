package rulefile

import (
	"testing"

	"github.com/nudged/nudged/rules"
)

// Expressions mean the same wherever they stand: what the engine gets of each
// place is asked directly, by both back ends.
func TestSites(t *testing.T) {
	backends(t, func(t *testing.T, onlyCEL bool) {
		s := parseText(t, `attributes:
  tz: {type: string, from: event.tz, on: a}
metrics:
  total: {sum: event.price * double(event.n), on: a, where: event.n > 0}
  names: {distinct: event.name, on: a}
  latest: {value: event.items, on: a}
experiments:
  x:
    arms: [{name: control, weight: 1}]
    goal: {on: a, where: event.price > 1, within: 1d, value: event.price - 0.5}
policy:
  quiet_hours: {class: ad, from: "21:00", to: "08:00", timezone: user.tz}
rules:
  - name: dynamic
    on: a
    wait_until: event.when
    send: {channel: c, class: transactional, template: t}
  - name: computed
    on: a
    wait_until: timestamp(event.when) - duration("24h")
    send: {channel: c, class: transactional, template: t}
  - name: later
    on: a
    steps:
      - wait_for: {on: b, within: 1d, where: event.n == trigger.n}
      - wait_until: trigger.time + duration("48h")
      - send: {channel: c, class: transactional, template: t, data: {n: trigger.n}}
`, onlyCEL)
		e := eventOf(s, "e", "a", start, fields{
			"price": rules.FloatValue(2), "n": rules.IntValue(3), "name": rules.StringValue("shoe"), "items": rules.JSONValue("[1,2]"),
			"when": rules.StringValue("2026-01-03T00:00:00Z"),
		})
		env := &rules.Env{Set: s, State: &rules.State{}, User: "u1", Event: e, Now: start}
		at := start + 2*dayMilli
		goal := s.Experiments[0].Goal
		for name, c := range map[string]struct{ got, want rules.Value }{
			"sum":                {s.Metrics[0].Value(env), rules.FloatValue(6)},
			"distinct":           {s.Metrics[1].Value(env), rules.StringValue("shoe")},
			"value":              {s.Metrics[2].Value(env), rules.JSONValue("[1,2]")},
			"goal":               {goal.Value(env), rules.FloatValue(1.5)},
			"no time zone known": {s.Policy.Quiet[0].Timezone(env), rules.Value{}},
			"text as a time":     {s.Rules[0].Program[0].Until(env), rules.TimeValue(at)},
			"time":               {s.Rules[1].Program[0].Until(env), rules.TimeValue(at - dayMilli)},
		} {
			if c.got != c.want {
				t.Errorf("%s: got %+v, expected %+v", name, c.got, c.want)
			}
		}
		if got := s.Metrics[0].Where(env); got != rules.True {
			t.Errorf("where of a metric: %v", got)
		}
		if got := goal.Where(env); got != rules.True {
			t.Errorf("where of a goal: %v", got)
		}

		later := s.Rules[2].Program
		env.Trigger = &rules.Trigger{ID: "t", Time: start}
		if got := later[0].For.Where(env); got != rules.Unknown {
			t.Errorf("where of a wait_for that reads what the trigger lacks: %v", got)
		}
		env.Event, env.Now = nil, start+dayMilli
		if got := later[1].Until(env); got != rules.TimeValue(at) {
			t.Errorf("a later wait_until: %+v", got)
		}
		// A text that is no time, or nothing at all, is no time.
		for _, when := range []rules.Value{rules.StringValue("tomorrow"), rules.IntValue(5), {}} {
			env.Event = eventOf(s, "e", "a", start, fields{"when": when})
			if got := s.Rules[0].Program[0].Until(env); got.Present() {
				t.Errorf("until %+v: got %+v", when, got)
			}
		}
	})
}
