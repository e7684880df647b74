package backtest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nudged/nudged/internal/decode"
	"github.com/nudged/nudged/internal/input"
	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/sim"
	"github.com/nudged/nudged/sinks"
)

// item is one event of the history, still encoded.
type item struct {
	value     []byte
	partition int32
	offset    int64  // in the topic; -1: of a file
	timestamp int64  // of the record, ms; 0: none
	forget    string // the user whom the record orders to forget; the rest is not looked at
	seq       int    // place in the input of a file
	where     string
}

// worker runs the rules over some of the partitions. It is used by one
// goroutine.
type worker struct {
	cfg  *Config
	runs []*run
	seen history
	// write takes a decision of the first rule set, nil: nobody wants it.
	write func(partition int32, line []byte)
	line  []byte
}

// history is what the events themselves tell.
type history struct {
	events, bad int
	first, last int64
}

// run is one rule set's pass over the history.
type run struct {
	set   *rules.Set
	sim   *sim.Sim
	dec   *decode.Decoder
	tally tally
	goals map[string][]goalOf // by event type
	any   []goalOf            // goals on "*"
	// early are goal events of types that no rule reads, by user: they do not move
	// the clock, so that a message that was due before one may fire after it.
	early map[string][]hit
}

// hit is one event that reached a goal.
type hit struct {
	at    int64
	goal  *rules.Goal
	worth float64
	known bool
}

// goalOf is a goal and the rules whose goal it is.
type goalOf struct {
	goal  *rules.Goal
	rules []string
}

func newWorker(c *Config, sets []*rules.Set, partitions int, origin sinks.Origin, m input.Mapping) *worker {
	w := &worker{cfg: c}
	for i, set := range sets {
		r := &run{set: set, dec: decode.New(set, m), tally: tally{}, early: map[string][]hit{}}
		r.goals, r.any = goals(set, c.Goal)
		goalOf := map[string]*rules.Goal{}
		for _, rule := range set.Rules {
			goalOf[rule.Name] = goalFor(rule, c.Goal)
		}
		r.sim = sim.New(set, partitions, false, func(partition int32, d *rules.Decision) {
			if d.Outcome == rules.Forgotten {
				return // no rule has decided it
			}
			r.tally.add(d)
			for _, h := range r.early[d.User] {
				if h.goal == goalOf[d.Rule] {
					r.tally.convert(d.Rule, d.User, &h)
				}
			}
			if i == 0 && w.write != nil {
				w.line = append(sinks.AppendDecision(w.line[:0], d, origin), '\n')
				w.write(partition, w.line)
			}
		})
		w.runs = append(w.runs, r)
	}
	return w
}

// goals tells by event type which goals of which rules it may reach.
func goals(set *rules.Set, all *rules.Goal) (byType map[string][]goalOf, any []goalOf) {
	var list []goalOf
	at := map[*rules.Goal]int{}
	for _, r := range set.Rules {
		g := goalFor(r, all)
		if g == nil {
			continue
		}
		i, known := at[g]
		if !known {
			i = len(list)
			at[g] = i
			list = append(list, goalOf{goal: g})
		}
		list[i].rules = append(list[i].rules, r.Name)
	}
	byType = map[string][]goalOf{}
	for _, g := range list {
		for _, typ := range g.goal.On {
			if typ == rules.AnyType {
				any = append(any, g)
			} else {
				byType[typ] = append(byType[typ], g)
			}
		}
	}
	return byType, any
}

// goalFor is the goal that a rule is measured by: the one given for all, else
// that of its experiment.
func goalFor(r *rules.Rule, all *rules.Goal) *rules.Goal {
	switch {
	case all != nil:
		return all
	case r.Experiment != nil:
		return r.Experiment.Goal
	}
	return nil
}

// apply takes in one event. The error says why it is none.
func (w *worker) apply(it *item) error {
	if it.forget != "" {
		if it.timestamp >= w.cfg.From && (w.cfg.To == 0 || it.timestamp < w.cfg.To) {
			for _, r := range w.runs {
				r.sim.ForgetAt(it.forget, it.partition, it.offset, it.timestamp)
				delete(r.early, it.forget)
			}
		}
		return nil
	}
	for i, r := range w.runs {
		var ev rules.Event
		if err := w.decode(r, &ev, it); err != nil {
			w.seen.bad++
			if it.where != "" {
				err = fmt.Errorf("%s: %w", it.where, err)
			}
			return err
		}
		if ev.Time < w.cfg.From || w.cfg.To > 0 && ev.Time >= w.cfg.To {
			return nil
		}
		if i == 0 {
			w.seen.events++
			if w.seen.first == 0 || ev.Time < w.seen.first {
				w.seen.first = ev.Time
			}
			w.seen.last = max(w.seen.last, ev.Time)
		}
		if it.offset >= 0 {
			r.sim.ApplyAt(&ev)
		} else {
			r.sim.Apply(&ev)
		}
		r.convert(&ev)
	}
	return nil
}

var (
	errNoValue = errors.New("the record has no value")
	errTooLong = errors.New("the value is longer than max_event_bytes")
)

// decode does as the daemon does with a record; a line of a file has its id and
// is of no topic.
func (w *worker) decode(r *run, ev *rules.Event, it *item) error {
	switch {
	case it.value == nil:
		return errNoValue
	case w.cfg.MaxEvent > 0 && it.offset >= 0 && len(it.value) > w.cfg.MaxEvent:
		return errTooLong
	}
	if err := r.dec.Decode(ev, it.value); err != nil {
		return err
	}
	if it.offset < 0 {
		return nil
	}
	ev.Partition, ev.Offset = it.partition, it.offset
	if ev.ID == "" {
		ev.ID = processor.DeriveID(processor.TopicPartition{Topic: w.cfg.Topic, Partition: it.partition}, it.offset, it.value)
	}
	if w.cfg.MaxAhead > 0 && it.timestamp > 0 && ev.Time > it.timestamp+w.cfg.MaxAhead {
		ev.Time = it.timestamp
	}
	return nil
}

// convert notes whom the event brings to a goal: who was sent to before, within
// the goal's time.
func (r *run) convert(ev *rules.Event) {
	for _, list := range [...][]goalOf{r.goals[ev.Type], r.any} {
		for _, g := range list {
			env := rules.Env{Set: r.set, State: r.sim.StateAt(ev.Partition, ev.User), User: ev.User, Event: ev, Now: ev.Time}
			if env.State == nil {
				continue // never sent to
			}
			if g.goal.Where != nil && g.goal.Where(&env) != rules.True {
				continue
			}
			h := hit{at: ev.Time, goal: g.goal}
			if g.goal.Value != nil {
				if v := g.goal.Value(&env); v.Kind == rules.Int || v.Kind == rules.Float {
					h.worth, h.known = v.Float(), true
				}
			}
			for _, rule := range g.rules {
				r.tally.convert(rule, ev.User, &h)
			}
			if !r.set.Reads(ev) {
				user := strings.Clone(ev.User)
				r.early[user] = append(r.early[user], h)
			}
		}
	}
}
