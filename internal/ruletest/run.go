package ruletest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/nudged/nudged/internal/decode"
	"github.com/nudged/nudged/internal/input"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/sim"
	"github.com/nudged/nudged/sinks"
)

// runOn is how long the clock runs on after the last event while instances are
// pending: 400 days.
const runOn = int64(400 * 86_400_000)

// Result is what came of one test.
type Result struct {
	Test *Test
	Diff []Row // empty: passed
	Why  []string

	happened []happened
}

// Failed tells whether anything differs from what was expected.
func (r *Result) Failed() bool { return len(r.Diff) > 0 }

// Run runs one test of the file. The error is a Problems: an event that cannot
// be decoded, or no expectation.
func (f *File) Run(t *Test) (*Result, error) {
	if t.expectNode == nil {
		d := *f.doc
		d.problems = nil
		d.add(t.fields.at, "write expect: [] if nothing is to be decided, or let nudged test --update write it", "the test %q has no expect", t.Name)
		return nil, d.err()
	}
	w, err := f.play(t)
	if err != nil {
		return nil, err
	}
	r := &Result{Test: t, happened: w.happened}
	r.Diff = t.compare(w.happened)
	r.Why = w.why(r.Diff)
	return r, nil
}

// world is what has happened at the end of a test.
type world struct {
	test     *Test
	set      *rules.Set
	sim      *sim.Sim
	happened []happened
	clock    int64
	unread   []string // types that no rule reads
}

// play runs the events of a test.
func (f *File) play(t *Test) (*world, error) {
	set := pinned(f.Set, t)
	w := &world{test: t, set: set, clock: t.start}
	var line []byte
	var failed error
	w.sim = sim.New(set, 1, false, func(_ int32, d *rules.Decision) {
		if d.Verbose || d.Outcome == rules.Armed {
			return // a start is nothing decided
		}
		h := happened{at: d.At, due: d.Due, expires: d.Expires, order: len(w.happened)}
		line = sinks.AppendDecision(line[:0], d, sinks.Origin{RulesVersion: set.Version})
		if err := json.Unmarshal(line, &h.Message); err != nil {
			failed = fmt.Errorf("a decision is not JSON: %w", err)
		}
		w.happened = append(w.happened, h)
	})
	dec := decode.New(set, input.Mapping{})
	d := *f.doc
	d.problems = nil
	for i := range t.events {
		var ev rules.Event
		if err := dec.Decode(&ev, t.events[i].value); err != nil {
			d.add(t.events[i].at, "correct the event", "%s", err)
			continue
		}
		if !set.Reads(&ev) && !slices.Contains(w.unread, ev.Type) {
			w.unread = append(w.unread, ev.Type)
		}
		w.clock = max(w.clock, ev.Time)
		w.sim.Apply(&ev)
	}
	if err := cmp.Or(failed, d.err()); err != nil {
		return nil, err
	}
	w.finish()
	slices.SortStableFunc(w.happened, func(a, b happened) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.User, b.User))
	})
	return w, failed
}

// finish lets the clock run on.
func (w *world) finish() {
	if w.test.until != 0 {
		w.clock = w.test.until
		w.sim.Advance(w.clock)
		return
	}
	most := w.clock + runOn
	for {
		due, pending := w.sim.NextDue()
		if !pending || due > most {
			return
		}
		w.clock = max(w.clock, due)
		w.sim.Advance(w.clock)
	}
}

// pinned is the set with the arms of the test, and without the holdout if it is
// switched off. The experiments are the set's own: a file's tests run one after
// the other, each pinning anew.
func pinned(set *rules.Set, t *Test) *rules.Set {
	for _, x := range set.Experiments {
		x.Pinned = t.arms[x.Name]
	}
	if !t.noHoldout {
		return set
	}
	open := *set
	open.Holdout = nil
	return &open
}

// compare lines up what was expected with what happened. It returns nothing if
// they agree.
func (t *Test) compare(got []happened) []Row {
	var rows []Row
	if t.subset {
		rows = t.within(got)
	} else {
		rows = t.align(got)
	}
	if !slices.ContainsFunc(rows, func(r Row) bool { return r.Mark != Same }) {
		return nil
	}
	return rows
}
