// Package funnel tells how users come from a visit to a purchase: how many take
// each step, where most are lost, how long it takes; by period, by source, for
// new and returning users; when a user counts as lapsed; and how long lies
// between purchases.
package funnel

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Step is one step of the funnel.
type Step struct {
	Name     string
	Types    []string // of events, any of them; "*": every event is one
	Optional bool     // is counted, and not asked of those who go on
}

// DefaultSteps are those of a shop. Every event is a visit where no event says
// visit; a search is not asked of those who find what they want without.
const DefaultSteps = "visit,search?,product_view,add_to_cart,purchase"

// ParseSteps reads steps: names separated by commas, each with a ? if it is
// optional, and with =type|type where the event types differ from the name.
func ParseSteps(s string) ([]Step, error) {
	var out []Step
	for _, part := range strings.Split(s, ",") {
		name, types, found := strings.Cut(strings.TrimSpace(part), "=")
		name, optional := strings.CutSuffix(name, "?")
		step := Step{Name: name, Types: []string{name}, Optional: optional}
		if found {
			step.Types = strings.Split(types, "|")
		}
		if name == "" || slices.Contains(step.Types, "") {
			return nil, fmt.Errorf("step %q: write NAME, NAME?, or NAME=type|type", part)
		}
		if slices.ContainsFunc(out, func(o Step) bool { return o.Name == name }) {
			return nil, fmt.Errorf("step %q is listed twice", name)
		}
		out = append(out, step)
	}
	if len(out) > maxSteps {
		return nil, fmt.Errorf("%d steps: at most %d", len(out), maxSteps)
	}
	if out[0].Optional {
		return nil, fmt.Errorf("the first step, %q, cannot be optional", out[0].Name)
	}
	required := 0
	for _, s := range out {
		if !s.Optional {
			required++
		}
	}
	if required < 2 {
		return nil, fmt.Errorf("%q: a funnel has at least two steps that are not optional", s)
	}
	return out, nil
}

const maxSteps = 30

// Options say what is asked.
type Options struct {
	Steps  []Step
	Period Period // of the table by period; None: no such table
	By     string // the field of the table by source; empty: no such table
	// Purchase is the step that ends the funnel for repurchase intervals; empty:
	// the last one.
	Purchase string
}

// Funnel collects events. They may come in any order.
type Funnel struct {
	opts   Options
	typed  map[string]uint32 // event type -> the steps it is, as bits
	any    uint32            // steps that every event is
	buying uint32
	users  map[uint64]uint32
	texts  map[string]uint32
	names  []string
	events []event
	seen   uint32 // steps that occurred
}

// event is one event, in as little space as will do.
type event struct {
	at               int64
	user             uint32
	steps            uint32 // bits
	source, category uint32 // index in names, 0: none
}

// New returns an empty Funnel. Steps must be as ParseSteps returns them.
func New(o Options) *Funnel {
	f := &Funnel{opts: o, typed: map[string]uint32{}, users: map[uint64]uint32{}, texts: map[string]uint32{"": 0}, names: []string{""}}
	for i, s := range o.Steps {
		for _, typ := range s.Types {
			if typ == "*" {
				f.any |= 1 << i
			} else {
				f.typed[typ] |= 1 << i
			}
		}
		if s.Name == o.Purchase || o.Purchase == "" && i == len(o.Steps)-1 {
			f.buying = 1 << i
		}
	}
	return f
}

// Add takes an event in. source and category are those of the event, empty
// where it has none. Nothing of the strings is kept but their text.
func (f *Funnel) Add(user string, at int64, typ, source, category string) {
	h := xxhash.Sum64String(user)
	u, ok := f.users[h]
	if !ok {
		u = uint32(len(f.users))
		f.users[h] = u
	}
	steps := f.typed[typ] | f.any
	f.seen |= steps
	if steps&f.buying == 0 {
		category = "" // only purchases have one
	}
	f.events = append(f.events, event{at: at, user: u, steps: steps, source: f.text(source), category: f.text(category)})
}

func (f *Funnel) text(s string) uint32 {
	i, ok := f.texts[s]
	if !ok {
		s = strings.Clone(s)
		i = uint32(len(f.names))
		f.texts[s] = i
		f.names = append(f.names, s)
	}
	return i
}

// order sorts the events by user and time, and drops those that are alike in
// user, time, step and category: the same one told twice.
func (f *Funnel) order() {
	slices.SortStableFunc(f.events, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.user, b.user), cmp.Compare(a.at, b.at), cmp.Compare(a.steps, b.steps), cmp.Compare(a.category, b.category))
	})
	f.events = slices.CompactFunc(f.events, func(a, b event) bool {
		return a.user == b.user && a.at == b.at && a.steps == b.steps && a.category == b.category
	})
}

// byUser visits the events of each user, in order of time.
func (f *Funnel) byUser(visit func(events []event)) {
	for from := 0; from < len(f.events); {
		to := from + 1
		for to < len(f.events) && f.events[to].user == f.events[from].user {
			to++
		}
		visit(f.events[from:to])
		from = to
	}
}
