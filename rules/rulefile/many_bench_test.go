package rulefile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/rulefile"
)

// manyRules writes five rules for each of so many event types: two at once, a
// wait that the next event of the type ends, a wait with a condition, steps.
func manyRules(types int) string {
	var b strings.Builder
	b.WriteString("metrics:\n")
	for i := range types {
		fmt.Fprintf(&b, "  seen_%d: {count: type_%d, within: 1d}\n", i, i)
	}
	b.WriteString("rules:\n")
	for i := range types {
		fmt.Fprintf(&b, `
  - {name: often_%[1]d, on: type_%[1]d, when: seen_%[1]d >= 50, cooldown: 1d, send: {channel: push, class: ad, template: t}}
  - {name: dear_%[1]d, on: type_%[1]d, where: event.price > 1000.0, send: {channel: push, class: ad, template: t}}
  - {name: quiet_%[1]d, on: type_%[1]d, wait: 30d, restart: true, send: {channel: push, class: ad, template: t}}
  - {name: left_%[1]d, on: type_%[1]d, where: event.price > 90.0, wait: 7d, unless: [{on: type_%[1]d}], send: {channel: push, class: ad, template: t}}
  - name: series_%[1]d
    on: type_%[1]d
    where: event.first == true
    steps: [{wait: 1d}, {send: {channel: push, class: ad, template: t}}]
`, i)
	}
	return b.String()
}

// BenchmarkManyRules is what an event costs, its user's state read and written
// again, under 5 rules and under 100 rules over 20 event types: it touches five of
// them either way. In "one type" each user has events of one type, as in a shop
// where most people do few things; in "all types" of all twenty, so that a state
// holds what a hundred rules keep.
func BenchmarkManyRules(b *testing.B) {
	for _, c := range []struct {
		name         string
		types, other int // event types with rules; types that each user has events of
	}{{"5 rules", 1, 1}, {"100 rules, one type", 20, 1}, {"100 rules, all types", 20, 20}} {
		b.Run(c.name, func(b *testing.B) {
			set, err := rulefile.Parse([]rulefile.File{{Name: "rules.yaml", Text: []byte(manyRules(c.types))}})
			if err != nil {
				b.Fatal(err)
			}
			price := -1
			for slot, name := range set.Fields {
				if name == "price" {
					price = slot
				}
			}
			const users = 500
			states := make([][]byte, users)
			var st rules.State
			var out rules.Result
			event := func(n int) {
				u := n % users
				e := rules.Event{ID: fmt.Sprint("e", n), Type: fmt.Sprint("type_", u%c.types), User: "u", Time: 1_700_000_000_000 + int64(n)*1000,
					Fields: make([]rules.Value, len(set.Fields))}
				if c.other > 1 {
					e.Type = fmt.Sprint("type_", n/users%c.types)
				}
				e.Fields[price] = rules.FloatValue(float64(n * 7919 % 100))
				st.Reset()
				if len(states[u]) > 0 {
					if err := st.Decode(states[u]); err != nil {
						b.Fatal(err)
					}
				}
				out.Reset()
				set.Step(&st, e.User, rules.Input{Event: &e}, &out)
				states[u] = st.Append(states[u][:0], set)
			}
			const warm = 60 * users
			for n := range warm {
				event(n)
			}
			b.ResetTimer()
			for n := range b.N {
				event(warm + n)
			}
			b.ReportMetric(float64(len(states[0])), "state-bytes")
		})
	}
}
