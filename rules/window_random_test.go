package rules_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules"
)

// counter is a set with one count, whose value every hit and ask reads, and the
// state of one user under it.
type counter struct {
	set   *rules.Set
	st    *rules.State
	out   rules.Result
	n     int
	store bool // the state is stored and read back after each step
}

func newCounter(t testing.TB, within int64, keyed bool) *counter {
	by := ""
	if keyed {
		by = ", by: event.key"
	}
	return &counter{st: &rules.State{}, set: compile(t, fmt.Sprintf(`
metrics:
  n: {count: hit, within: %dms, reset: clear%s}
rules:
  - {name: r, on: [hit, ask], send: {channel: push, class: ad, template: t, data: {n: n}}}
`, within, by))}
}

// take applies an event and returns the count that it saw, -1 if it asked none.
func (c *counter) take(t require, typ string, at int64, key int) int64 {
	c.n++
	c.out.Reset()
	e := event(c.set, strconv.Itoa(c.n), typ, at, "key="+strconv.Itoa(key))
	c.set.Step(c.st, "u1", rules.Input{Event: e}, &c.out)
	if c.store {
		blob := c.st.Append(nil, c.set)
		c.st = &rules.State{}
		if err := c.st.Decode(blob); err != nil {
			t.Fatalf("%v", err)
		}
	}
	if typ == "clear" {
		return -1
	}
	if len(c.out.Decisions) != 1 || len(c.out.Decisions[0].Data) != 1 {
		t.Fatalf("the count was not told: %+v", c.out)
	}
	return c.out.Decisions[0].Data[0].Value.Int()
}

// require is what rapid.T and testing.T share.
type require interface {
	Fatalf(format string, args ...any)
}

// hit is one occurrence of the naive list.
type hit struct {
	t   int64
	key int
}

// countIn counts the naive list's occurrences in (from, to].
func countIn(hits []hit, key int, from, to int64) (n int64) {
	for _, h := range hits {
		if h.key == key && h.t > from && h.t <= to {
			n++
		}
	}
	return n
}

// The count agrees with a naive list: exactly while the window holds at most 64
// occurrences, and else up to what shares a pane of W/64 with either end of the
// window. Time jumps, many occurrences share a millisecond, some come late.
func TestCountAgainstAList(tb *testing.T) {
	rapid.Check(tb, func(t *rapid.T) {
		within := rapid.SampledFrom([]int64{1, 7, 63, 64, 65, 1000, 6400, 100_000}).Draw(t, "within")
		keys := rapid.SampledFrom([]int{1, 1, 3}).Draw(t, "keys")
		c := newCounter(tb, within, keys > 1)
		c.store = rapid.Bool().Draw(t, "store")
		pane := max(within/64, 1)
		pace := rapid.SampledFrom([]int64{1, within/500 + 1, within/100 + 1, within/20 + 1}).Draw(t, "pace")
		var hits []hit
		newest := start
		c.take(t, "ask", newest, 1)
		for range rapid.IntRange(1, 600).Draw(t, "events") {
			at := newest + rapid.Int64Range(0, pace).Draw(t, "step")
			if rapid.IntRange(0, 9).Draw(t, "late") == 0 {
				at = newest - rapid.Int64Range(0, within+within/2).Draw(t, "by")
			}
			typ := "hit"
			switch rapid.IntRange(0, 99).Draw(t, "type") {
			case 0:
				typ = "clear"
			case 1, 2, 3, 4, 5:
				typ = "ask"
			}
			key := rapid.IntRange(1, keys).Draw(t, "key")
			newest = max(newest, at)
			switch typ {
			case "hit":
				hits = append(hits, hit{at, key})
			case "clear":
				hits = nil
			}
			got := c.take(t, typ, at, key)
			if typ == "clear" {
				continue
			}
			lower := newest - within
			recent := 0
			for _, h := range hits {
				if h.t > lower {
					recent++
				}
			}
			exact := countIn(hits, key, lower, at)
			if recent <= rules.ExactOccurrences {
				if got != exact {
					t.Fatalf("at %d of %d: counted %d, the list has %d in (%d, %d]", at-start, newest-start, got, exact, lower-start, at-start)
				}
				continue
			}
			least, most := countIn(hits, key, lower, at-pane), countIn(hits, key, lower-pane, at)
			if at == newest {
				least = exact
			}
			if got < least || got > most {
				t.Fatalf("at %d of %d: counted %d, expected %d to %d (exactly %d)", at-start, newest-start, got, least, most, exact)
			}
		}
	})
}

// The latest 64 occurrences are kept one by one, however many there are: as the
// window moves off over what was folded, the last 64 leave it one at a time.
func TestLatestOccurrencesAreExact(t *testing.T) {
	const within, n = 640_000, 193 // one more than is kept unfolded
	c := newCounter(t, within, false)
	for i := range int64(n) {
		c.take(t, "hit", start+i*10, 1)
	}
	folded := false
	for i := range int64(n) {
		got, want := c.take(t, "ask", start+within+i*10, 1), n-1-i
		if want > rules.ExactOccurrences {
			folded = folded || got != want
		} else if got != want {
			t.Errorf("counted %d, the window holds %d", got, want)
		}
	}
	if !folded {
		t.Error("nothing was folded: the test shows nothing")
	}
}

// Full windows are what folding is for: 10,000 occurrences in the window keep
// the state small and the count within a pane of the truth.
func TestFoldingBounds(t *testing.T) {
	for _, c := range []struct {
		name     string
		keys     int
		maxBytes int
		late     bool
	}{
		{"one count", 1, 1200, false},
		{"one count, late events", 1, 1200, true},
		{"counts by three values", 3, 3500, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			const within = 30 * day
			const pane = within / 64
			counter := newCounter(t, within, c.keys > 1)
			var hits []hit
			newest, largest, inexact := start, 0, 0
			for i := range 20_000 {
				at := newest + within/10_000
				if c.late && i%7 == 0 {
					at = newest - int64(i%13)*within/26
				}
				newest = max(newest, at)
				key := i % c.keys
				hits = append(hits, hit{at, key})
				got := counter.take(t, "hit", at, key)
				if i%10 != 0 {
					continue
				}
				lower := newest - within
				exact := countIn(hits, key, lower, at)
				least, most := countIn(hits, key, lower, at-pane), countIn(hits, key, lower-pane, at)
				if at == newest {
					least = exact
				}
				if got < least || got > most {
					t.Fatalf("event %d: counted %d, expected %d to %d (exactly %d)", i, got, least, most, exact)
				}
				if got != exact {
					inexact++
				}
				largest = max(largest, len(counter.st.Append(nil, counter.set)))
			}
			if inexact == 0 {
				t.Error("nothing was ever folded: the test shows nothing")
			}
			if largest > c.maxBytes {
				t.Errorf("the state grew to %d bytes, want at most %d", largest, c.maxBytes)
			}
		})
	}
}

// A count by a field of ever new values keeps the latest 512 occurrences.
func TestCountByFieldIsBounded(t *testing.T) {
	const within = 10_000_000
	c := newCounter(t, within, true)
	for i := range 5000 {
		if got := c.take(t, "hit", start+int64(i), i); got != 1 {
			t.Fatalf("value %d was counted %d times", i, got)
		}
	}
	if size := len(c.st.Append(nil, c.set)); size > 512*8+200 {
		t.Errorf("the state has %d bytes", size)
	}
	for i, want := range map[int]int64{4999: 1, 5000 - 512: 1, 5000 - 513: 0, 0: 0} {
		if got := c.take(t, "ask", start+5000, i); got != want {
			t.Errorf("value %d is counted %d times, want %d", i, got, want)
		}
	}
}

// What was folded does not depend on when the state was stored: a backtest,
// which stores nothing, and the daemon must count the same.
func TestFoldingDoesNotDependOnStoring(t *testing.T) {
	const within = 64_000 // panes of a second
	var counts [2][]int64
	for i, store := range []bool{false, true} {
		c := newCounter(t, within, false)
		c.store = store
		for n := range int64(100) { // all out of the window by the time of what follows
			c.take(t, "hit", start+n, 1)
		}
		const later = start + 10*60_000
		for n := range int64(93) {
			c.take(t, "hit", later+n*100, 1)
		}
		for n := range int64(30) {
			counts[i] = append(counts[i], c.take(t, "ask", later+within+n*100, 1))
		}
	}
	if !slices.Equal(counts[0], counts[1]) {
		t.Errorf("kept in memory: %v\nstored at each step: %v", counts[0], counts[1])
	}
}
