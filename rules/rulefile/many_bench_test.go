//go:build unix

package rulefile_test

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

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

// crowd is 500 users under manyRules, whose events come in turn.
type crowd struct {
	set      *rules.Set
	types    int  // event types with rules
	allTypes bool // each user has events of all of them, not of one
	price    int  // slot of the field
	states   [][]byte
	st       rules.State
	out      rules.Result
	events   int // so far
}

func newCrowd(b *testing.B, types int, allTypes bool) *crowd {
	set, err := rulefile.Parse([]rulefile.File{{Name: "rules.yaml", Text: []byte(manyRules(types))}})
	if err != nil {
		b.Fatal(err)
	}
	return &crowd{set: set, types: types, allTypes: allTypes, price: slices.Index(set.Fields, "price"), states: make([][]byte, 500)}
}

// apply applies the next n events.
func (c *crowd) apply(b *testing.B, n int) {
	users := len(c.states)
	for end := c.events + n; c.events < end; c.events++ {
		n, u := c.events, c.events%users
		typ := u % c.types
		if c.allTypes {
			typ = n / users % c.types
		}
		e := rules.Event{
			ID: fmt.Sprint("e", n), Type: fmt.Sprint("type_", typ), User: "u", Time: 1_700_000_000_000 + int64(n)*1000,
			Fields: make([]rules.Value, len(c.set.Fields)),
		}
		e.Fields[c.price] = rules.FloatValue(float64(n * 7919 % 100))
		c.st.Reset()
		if len(c.states[u]) > 0 {
			if err := c.st.Decode(c.states[u]); err != nil {
				b.Fatal(err)
			}
		}
		c.out.Reset()
		c.set.Step(&c.st, e.User, rules.Input{Event: &e}, &c.out)
		c.states[u] = c.st.Append(c.states[u][:0], c.set)
	}
}

// BenchmarkManyRules is what an event costs, its user's state read and written
// again, under 5 rules and under 100 rules over 20 event types: it touches five of
// them either way. In "one type" each user has events of one type, as in a shop
// where most people do few things; in "all types" of all twenty, so that a state
// holds what a hundred rules keep.
//
// It is the processor's time that is told, each kind's in turn: so the figures can
// be compared on a machine that does other things too.
func BenchmarkManyRules(b *testing.B) {
	kinds := []struct {
		name string
		*crowd
		cpu time.Duration
	}{{"5-rules", newCrowd(b, 1, false), 0}, {"100-rules,one-type", newCrowd(b, 20, false), 0}, {"100-rules,all-types", newCrowd(b, 20, true), 0}}
	for _, k := range kinds {
		k.apply(b, 60*len(k.states))
	}
	b.ResetTimer()
	for done := 0; done < b.N; {
		n := min(1000, b.N-done)
		for i := range kinds {
			before := cpuTime(b)
			kinds[i].apply(b, n)
			kinds[i].cpu += cpuTime(b) - before
		}
		done += n
	}
	for _, k := range kinds {
		b.ReportMetric(float64(k.cpu.Nanoseconds())/float64(b.N), k.name+"-cpu-ns")
		b.ReportMetric(float64(len(k.states[0])), k.name+"-state-bytes")
	}
}

// cpuTime is the processor's time that this process has taken.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
