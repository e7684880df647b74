package funnel

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/nudged/nudged/rules/eventtime"
)

// Result is what the events tell.
type Result struct {
	Events  int         `json:"events"`
	Users   int         `json:"users"`
	From    string      `json:"from,omitempty"`
	To      string      `json:"to,omitempty"`
	Steps   []StepCount `json:"steps"`
	Leak    *Leak       `json:"largest_leak"` // nil: nobody took the first step
	Periods []Part      `json:"periods,omitempty"`
	Sources []Part      `json:"sources,omitempty"`
	// NewAndReturning counts a user once in each period (in each day without
	// one): new in that of the first event, returning in every later one.
	NewAndReturning []Part       `json:"new_and_returning"`
	Lapse           Lapse        `json:"lapse"`
	Repurchase      []Repurchase `json:"repurchase"`
	Notes           []string     `json:"notes"`

	opts Options
	unit Period // of NewAndReturning
}

// Part is the funnel of a part of the journeys.
type Part struct {
	Name  string      `json:"name"`
	Steps []StepCount `json:"steps"`
}

// Leak is the step that most do not take.
type Leak struct {
	From string  `json:"from"`
	To   string  `json:"to"`
	Lost int     `json:"lost"` // users
	Rate float64 `json:"rate"` // of those who took From
}

// Repurchase is how long lies between two purchases of a user in a category.
type Repurchase struct {
	Category  string  `json:"category"` // empty: any
	Intervals int     `json:"intervals"`
	Median    float64 `json:"median_days"`
	P25       float64 `json:"p25_days"`
	P75       float64 `json:"p75_days"`
}

// Result works everything out.
func (f *Funnel) Result() *Result {
	read := len(f.events)
	f.everyEventIsAVisit()
	f.order()
	r := &Result{Events: read, Users: len(f.users), opts: f.opts, Notes: []string{}, unit: f.opts.Period}
	if r.unit == None {
		r.unit = Day
	}
	if n := read - len(f.events); n > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%s events are like another in user, time, step and category, and were not counted again.", count(n)))
	}
	first, last := f.span()
	if read > 0 {
		r.From, r.To = string(eventtime.AppendRFC3339(nil, first)), string(eventtime.AppendRFC3339(nil, last))
	}
	f.funnels(r)
	r.Leak = leak(r.Steps)
	r.Lapse = f.lapse(first, last)
	r.Repurchase = f.repurchase()
	for i, s := range f.opts.Steps {
		if f.seen&(1<<i) == 0 {
			r.Notes = append(r.Notes, fmt.Sprintf("No event is a %s (types %v).", s.Name, s.Types))
		}
	}
	return r
}

// everyEventIsAVisit makes every event a visit where none says so.
func (f *Funnel) everyEventIsAVisit() {
	s := f.opts.Steps[0]
	if f.seen&1 != 0 || s.Name != "visit" || len(f.events) == 0 {
		return
	}
	f.seen |= 1
	for i := range f.events {
		f.events[i].steps |= 1
	}
}

func (f *Funnel) span() (first, last int64) {
	for i, e := range f.events {
		if i == 0 || e.at < first {
			first = e.at
		}
		if i == 0 || e.at > last {
			last = e.at
		}
	}
	return first, last
}

func (f *Funnel) funnels(r *Result) {
	whole := f.newTally()
	fresh, back := f.newTally(), f.newTally()
	periods, sources := map[int64]*tally{}, map[uint32]*tally{}
	f.byUser(func(events []event) {
		f.count(whole, events)
		if f.opts.By != "" {
			f.count(at(sources, sourceOf(events), f), events)
		}
		for from := 0; from < len(events); {
			n := r.unit.of(events[from].at)
			to := from + 1
			for to < len(events) && r.unit.of(events[to].at) == n {
				to++
			}
			part := events[from:to]
			if f.opts.Period != None {
				f.count(at(periods, n, f), part)
			}
			if from == 0 {
				f.count(fresh, part)
			} else {
				f.count(back, part)
			}
			from = to
		}
	})
	r.Steps = f.steps(whole)
	for _, n := range slices.Sorted(maps.Keys(periods)) {
		r.Periods = append(r.Periods, Part{r.unit.start(n).Format("2006-01-02"), f.steps(periods[n])})
	}
	for s, t := range sources {
		name := f.names[s]
		if s == 0 {
			name = "(none)"
		}
		r.Sources = append(r.Sources, Part{name, f.steps(t)})
	}
	slices.SortFunc(r.Sources, func(a, b Part) int {
		return cmp.Or(b.Steps[0].Users-a.Steps[0].Users, cmp.Compare(a.Name, b.Name))
	})
	r.NewAndReturning = []Part{{"new", f.steps(fresh)}, {"returning", f.steps(back)}}
}

func at[K comparable](m map[K]*tally, k K, f *Funnel) *tally {
	t := m[k]
	if t == nil {
		t = f.newTally()
		m[k] = t
	}
	return t
}

// sourceOf is the first source that a journey names.
func sourceOf(events []event) uint32 {
	for _, e := range events {
		if e.source != 0 {
			return e.source
		}
	}
	return 0
}

// leak finds the required step that the largest share of those before it do not
// take.
func leak(steps []StepCount) *Leak {
	var worst *Leak
	ahead := -1
	for i, s := range steps {
		if s.Optional {
			continue
		}
		if ahead >= 0 && s.Rate != nil {
			l := Leak{From: steps[ahead].Step, To: s.Step, Lost: steps[ahead].Users - s.Users, Rate: 1 - *s.Rate}
			if worst == nil || l.Rate > worst.Rate {
				worst = &l
			}
		}
		ahead = i
	}
	return worst
}

// repurchase looks at the purchases of each user, those at one moment in one
// category being one.
func (f *Funnel) repurchase() []Repurchase {
	days := map[uint32][]float64{}
	any := []float64{}
	f.byUser(func(events []event) {
		before := map[uint32]int64{}
		last, bought := int64(0), false
		for _, e := range events {
			if e.steps&f.buying == 0 {
				continue
			}
			if bought && e.at > last {
				any = append(any, float64(e.at-last)/dayMillis)
			}
			last, bought = e.at, true
			if e.category == 0 {
				continue
			}
			if at, again := before[e.category]; again && e.at > at {
				days[e.category] = append(days[e.category], float64(e.at-at)/dayMillis)
			}
			before[e.category] = e.at
		}
	})
	out := []Repurchase{}
	add := func(name string, days []float64) {
		if len(days) > 0 {
			slices.Sort(days)
			out = append(out, Repurchase{name, len(days), *quantile(days, 0.5), *quantile(days, 0.25), *quantile(days, 0.75)})
		}
	}
	for c, d := range days {
		add(f.names[c], d)
	}
	slices.SortFunc(out, func(a, b Repurchase) int {
		return cmp.Or(b.Intervals-a.Intervals, cmp.Compare(a.Category, b.Category))
	})
	all := out
	out = []Repurchase{}
	add("", any)
	return append(out, all...)
}
