package funnel

import (
	"math"
	"slices"
)

// never is when a step is reached that is not.
const never = int64(math.MaxInt64)

// journey says when each step was reached by one user within one period: a step
// at its first event not before the required step ahead of it was reached.
func (f *Funnel) journey(events []event, reached []int64) {
	from, at := int64(math.MinInt64), 0
	for i, s := range f.opts.Steps {
		reached[i] = never
		if at == len(events) {
			continue
		}
		for _, e := range events[at:] {
			if e.steps&(1<<i) != 0 && e.at >= from {
				reached[i] = e.at
				break
			}
		}
		if s.Optional {
			continue
		}
		from = reached[i]
		for at < len(events) && events[at].at < from {
			at++
		}
	}
}

// tally sums up journeys.
type tally struct {
	users []int       // reached the step in order
	any   []int       // did it at all
	took  [][]float64 // seconds since the required step ahead
}

func (f *Funnel) newTally() *tally {
	n := len(f.opts.Steps)
	return &tally{users: make([]int, n), any: make([]int, n), took: make([][]float64, n)}
}

func (f *Funnel) count(t *tally, events []event) {
	reached := make([]int64, len(f.opts.Steps))
	f.journey(events, reached)
	var did uint32
	for _, e := range events {
		did |= e.steps
	}
	ahead := never
	for i, s := range f.opts.Steps {
		if did&(1<<i) != 0 {
			t.any[i]++
		}
		if reached[i] != never {
			t.users[i]++
			if ahead != never {
				t.took[i] = append(t.took[i], float64(reached[i]-ahead)/1000)
			}
		}
		if !s.Optional {
			ahead = reached[i]
		}
	}
}

// StepCount is one step of one funnel.
type StepCount struct {
	Step     string   `json:"step"`
	Optional bool     `json:"optional,omitempty"`
	Users    int      `json:"users"`     // reached it, after the required steps ahead
	AnyOrder int      `json:"any_order"` // did it, whatever else they did
	Rate     *float64 `json:"rate"`      // Users by those of the required step ahead
	Overall  *float64 `json:"overall"`   // Users by those of the first step
	Median   *float64 `json:"median_s"`  // seconds since the required step ahead
	P90      *float64 `json:"p90_s"`
}

func (f *Funnel) steps(t *tally) []StepCount {
	var out []StepCount
	ahead := -1
	for i, s := range f.opts.Steps {
		if f.left(i) {
			continue
		}
		c := StepCount{Step: s.Name, Optional: s.Optional, Users: t.users[i], AnyOrder: t.any[i]}
		if ahead >= 0 && t.users[ahead] > 0 {
			c.Rate = ratio(t.users[i], t.users[ahead])
		}
		if t.users[0] > 0 {
			c.Overall = ratio(t.users[i], t.users[0])
		}
		if len(t.took[i]) > 0 {
			slices.Sort(t.took[i])
			c.Median, c.P90 = quantile(t.took[i], 0.5), quantile(t.took[i], 0.9)
		}
		out = append(out, c)
		if !s.Optional {
			ahead = i
		}
	}
	return out
}

// left tells whether an optional step that never occurs is left out.
func (f *Funnel) left(i int) bool { return f.opts.Steps[i].Optional && f.seen&(1<<i) == 0 }

func ratio(a, b int) *float64 {
	r := float64(a) / float64(b)
	return &r
}

// quantile of sorted numbers, between neighbours in proportion.
func quantile(sorted []float64, q float64) *float64 {
	at := q * float64(len(sorted)-1)
	low := int(at)
	x := sorted[low]
	if low+1 < len(sorted) {
		x += (at - float64(low)) * (sorted[low+1] - x)
	}
	return &x
}
