package rules_test

import (
	"fmt"
	"math"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules"
)

const metricRules = `
metrics:
  spent:  {sum: event.price, on: buy, within: 30d, reset: clear}
  dear:   {sum: event.price, on: buy, where: event.price > 10.0}
  seen:   {distinct: event.item, on: [view, buy], within: 7d, reset: clear}
  ever:   {distinct: event.item, on: view, where: event.item != "x"}
  first:  {first: buy, reset: clear}
  latest: {value: event.item, on: [view, buy], reset: clear}
rules:
  - name: ask
    on: [ask, buy]
    send: {channel: push, class: ad, template: t, data: {spent: spent, dear: dear, seen: seen, ever: ever, first: first, latest: latest}}
`

func TestMetrics(t *testing.T) {
	runAll(t, metricRules, []scenario{
		{name: "of nothing", script: "0s ask", want: `0s ask sent spent=0 dear=0 seen=0 ever=0`},
		{name: "numbers of both kinds add up", script: `
			0s buy price=10
			1s buy price=10.5
			2s ask`, want: `
			0s ask sent spent=10 dear=0 seen=0 ever=0 first=0s
			1s ask sent spent=20.5 dear=10.5 seen=0 ever=0 first=0s
			2s ask sent spent=20.5 dear=10.5 seen=0 ever=0 first=0s`},
		{name: "a window is half open", script: `
			0s      buy price=1 item=a
			1s      buy price=2 item=b
			7d      ask
			30d-1ms ask
			30d     ask`, want: `
			0s ask sent spent=1 dear=0 seen=1 ever=0 first=0s latest=a
			1s ask sent spent=3 dear=0 seen=2 ever=0 first=0s latest=b
			7d ask sent spent=3 dear=0 seen=1 ever=0 first=0s latest=b
			29d23h59m59s999ms ask sent spent=3 dear=0 seen=0 ever=0 first=0s latest=b
			30d ask sent spent=2 dear=0 seen=0 ever=0 first=0s latest=b`},
		{name: "the same thing twice is one, whatever kind of number it is", script: `
			0s view item=a
			1s view item=a
			2s view item=7
			3s view item=7.0
			4s view item=x
			5s ask`, want: `5s ask sent spent=0 dear=0 seen=3 ever=2 latest=x`},
		{name: "first goes back for a late event, value stays with the newest", script: `
			9d buy price=1 item=b
			1d buy price=1 item=a
			9d ask`, want: `
			9d ask sent spent=1 dear=0 seen=1 ever=0 first=9d latest=b
			1d ask sent spent=1 dear=0 seen=0 ever=0 first=1d latest=b
			9d ask sent spent=2 dear=0 seen=1 ever=0 first=1d latest=b`},
		{name: "of two of the same time the later applied is the value", script: `
			1d view item=a
			1d view item=b
			1d ask`, want: `1d ask sent spent=0 dear=0 seen=2 ever=2 latest=b`},
		{name: "a reset clears", script: `
			0s buy price=20 item=a
			1s clear
			2s ask
			3s buy price=1 item=b`, want: `
			0s ask sent spent=20 dear=20 seen=1 ever=0 first=0s latest=a
			2s ask sent spent=0 dear=20 seen=0 ever=0
			3s ask sent spent=1 dear=20 seen=1 ever=0 first=3s latest=b`},
	})
	// What has no value, or one of another type, is passed over and counted.
	p := play(t, compile(t, metricRules), `
		0s buy item=[1]
		1s buy price=much`, false)
	if p.missing < 2 || p.mismatches != 2 {
		t.Errorf("%d missing, %d of another type", p.missing, p.mismatches)
	}
}

// Values of every kind are kept as they are.
func TestLatestKeepsAnyValue(t *testing.T) {
	set := compile(t, `
metrics: {v: {value: event.v, on: go}}
rules: [{name: r, on: ask, send: {channel: push, class: ad, template: t, data: {v: v}}}]`)
	for _, want := range []string{"text", "7", "-2.5", "true", `[1, {"a": null}]`} {
		p := play(t, set, "0s go v="+replace(want, " ", "")+"\n1s ask", false)
		checkLines(t, p.lines, "1s r sent v="+replace(want, " ", ""))
	}
}

// Sums and distincts agree with a plain list, exactly while the window holds at
// most 64 occurrences, however many there were before.
func TestSumAndDistinctAgainstAList(t *testing.T) {
	const within = 60_000
	set := compile(t, fmt.Sprintf(`
metrics:
  sum: {sum: event.n, on: hit, within: %dms, reset: clear}
  distinct: {distinct: event.n, on: hit, within: %dms, reset: clear}
  total: {sum: event.n, on: hit}
rules: [{name: r, on: [hit, ask], send: {channel: push, class: transactional, template: t, data: {sum: sum, distinct: distinct, total: total}}}]`, within, within))
	rapid.Check(t, func(t *rapid.T) {
		var hits []hit
		st, out, newest, total := &rules.State{}, rules.Result{}, start, 0
		gaps := rapid.SampledFrom([][]int64{{0, 1, 500, 2000}, {900, 1000, 5000, 70_000}, {0, 10, -10, -3000}}).Draw(t, "gaps")
		for i := range rapid.IntRange(1, 300).Draw(t, "events") {
			at := newest + rapid.SampledFrom(gaps).Draw(t, "after")
			newest = max(newest, at)
			typ := rapid.SampledFrom([]string{"hit", "hit", "hit", "hit", "hit", "ask", "clear"}).Draw(t, "type")
			if typ == "clear" && rapid.IntRange(0, 9).Draw(t, "really") > 0 {
				typ = "hit"
			}
			n := rapid.IntRange(-3, 9).Draw(t, "n")
			switch typ {
			case "hit":
				hits = append(hits, hit{at, n})
				total += n
			case "clear":
				hits = nil
			}
			out.Reset()
			set.Step(st, "u1", rules.Input{Event: event(set, strconv.Itoa(i), typ, at, "n="+strconv.Itoa(n))}, &out)
			if rapid.IntRange(0, 3).Draw(t, "store") == 0 {
				if err := st.Decode(st.Append(nil, set)); err != nil {
					t.Fatal(err)
				}
			}
			if typ == "clear" {
				continue
			}
			sum, different, inside := 0, map[int]bool{}, 0
			for _, h := range hits {
				if h.t > newest-within {
					inside++
					if h.t <= at {
						sum += h.key
						different[h.key] = true
					}
				}
			}
			data := out.Decisions[0].Data
			if got := data[2].Value.Float(); got != float64(total) {
				t.Fatalf("event %d: in total %v, want %d", i, got, total)
			}
			if inside > rules.ExactOccurrences {
				continue
			}
			if gotSum, got := data[0].Value.Float(), data[1].Value.Int(); gotSum != float64(sum) || got != int64(len(different)) {
				t.Fatalf("event %d: sum %v, distinct %d, want %d and %d of %v", i, gotSum, got, sum, len(different), hits)
			}
		}
	})
}

// Beyond 64 occurrences a sum is off by at most what happened within a 64th of
// the window, and however much happens a state stays small.
func TestPanesOfSums(t *testing.T) {
	set := compile(t, `
metrics:
  sum: {sum: event.n, on: hit, within: 64s}
  distinct: {distinct: event.k, on: hit, within: 64s}
  ever: {distinct: event.k, on: hit}
rules: [{name: r, on: [hit], send: {channel: push, class: transactional, template: t, data: {sum: sum, distinct: distinct, ever: ever}}}]`)
	st, out := &rules.State{}, rules.Result{}
	const every, n = 50, 6000 // 20 a second for five minutes, each worth 2
	for i := range n {
		out.Reset()
		set.Step(st, "u1", rules.Input{Event: event(set, strconv.Itoa(i), "hit", start+int64(i)*every, "n=2", "k="+strconv.Itoa(i%700))}, &out)
		want := 2 * min(float64(i+1), 64_000/every)
		if got := out.Decisions[0].Data[0].Value.Float(); math.Abs(got-want) > 2*1000/every {
			t.Fatalf("after %d: %v, want %v", i+1, got, want)
		}
	}
	if size := len(st.Append(nil, set)); size > 8000 {
		t.Errorf("the state has %d bytes", size)
	}
	if got := out.Decisions[0].Data[2].Value.Int(); got != 512 {
		t.Errorf("a distinct since ever counts %d, it should stop at 512", got)
	}
}
