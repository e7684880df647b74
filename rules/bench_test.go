package rules_test

import (
	"strconv"
	"testing"

	"github.com/nudged/nudged/rules"
)

// shopRules are those of the bench: a rule that fires at once, a cart that waits
// and a sign-up that waits, each in an experiment.
const shopRules = `
metrics:
  searches: {count: search, within: 30m, reset: product_view}
experiments:
  a: {arms: [{name: control, weight: 50}, {name: treatment, weight: 50}]}
rules:
  - {name: three_searches, on: search, when: searches >= 3, cooldown: 24h, experiment: a, send: {{send}}}
  - {name: cart, on: add_to_cart, wait: 7d, restart: true, unless: [{on: purchase}], experiment: a, send: {{send}}}
  - {name: sign_up, on: signup, wait: 24h, unless: [{on: product_view}], experiment: a, send: {{send}}}
`

// shopEvents are events of one user in the proportions of the bench.
func shopEvents(set *rules.Set, n int) []*rules.Event {
	types := []string{"search", "product_view", "search", "product_view", "search", "add_to_cart", "search", "product_view", "search", "search"}
	events := make([]*rules.Event, n)
	for i := range events {
		events[i] = event(set, "e"+strconv.Itoa(i), types[i%len(types)], start+int64(i)*minute)
	}
	return events
}

// seriesBeside is a rule with steps and the whole policy, beside shopRules.
const seriesBeside = shopRules + `
  - name: series
    on: search
    steps:
      - {send: {channel: push, class: ad, template: t}}
      - {wait: 400d, unless: [{on: purchase}]}
      - {wait_for: {on: add_to_cart, within: 9d}, then: [{send: {{send}}}], else: [{wait: 1d}, {send: {{send}}}]}
attributes:
  ok: {type: bool, from: event.ok, on: signup}
policy:
  caps: [{class: ad, max: 1, per: 30d}]
  consent: {class: ad, require: ok}
  quiet_hours: {class: ad, from: "21:00", to: "08:00", default_timezone: Asia/Seoul}
`

// An event allocates nothing, but for what an instance keeps of its trigger.
func TestStepAllocatesNothing(t *testing.T) {
	for name, text := range map[string]string{"plain": shopRules, "steps": seriesBeside} {
		t.Run(name, func(t *testing.T) {
			set := compile(t, text)
			events := shopEvents(set, 2000)
			st, out, i := &rules.State{}, rules.Result{}, 0
			var blob []byte
			step := func() {
				if err := st.Decode(blob); len(blob) > 0 && err != nil {
					t.Fatal(err)
				}
				for events[i].Type == "add_to_cart" {
					i++
				}
				out.Reset()
				st.NextDue(set)
				set.Step(st, "u1", rules.Input{Event: events[i]}, &out)
				st.NextDue(set)
				blob = st.Append(blob[:0], set)
				i++
			}
			for range 200 {
				step()
			}
			if n := testing.AllocsPerRun(1000, step); n > 0 {
				t.Errorf("%v allocations for an event", n)
			}
		})
	}
}

// BenchmarkStep is one event of a user: decoded state, step, stored state.
func BenchmarkStep(b *testing.B) {
	set := compile(b, shopRules)
	events := shopEvents(set, 5000)
	st, out := &rules.State{}, rules.Result{}
	var blob []byte
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i == len(events) {
			i, blob = 0, blob[:0]
		}
		if len(blob) > 0 {
			if err := st.Decode(blob); err != nil {
				b.Fatal(err)
			}
		} else {
			st.Reset()
		}
		out.Reset()
		st.NextDue(set)
		set.Step(st, "u1", rules.Input{Event: events[i]}, &out)
		st.NextDue(set)
		blob = st.Append(blob[:0], set)
		i++
	}
	b.ReportMetric(float64(len(blob)), "bytes/state")
}
