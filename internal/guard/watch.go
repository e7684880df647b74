package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nudged/nudged/internal/decisions"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/sinks"
)

// Topic is the decisions topic.
type Topic interface {
	// Extents tells what the topic holds. committed asks for ends below which no
	// transaction is open; else they are those of everything written.
	Extents(ctx context.Context, committed bool) (Extents, error)
	// Read reads committed records from the offsets on.
	Read(from map[int32]int64) (Reader, error)
	// Announcer takes the right to write from whoever had it: what he is about to
	// write is written by now, or never will be.
	Announcer(ctx context.Context) (Announcer, error)
}

// Extents of a topic.
type Extents struct {
	ID           string
	Starts, Ends map[int32]int64 // by partition
}

// Reader reads records in the order of each partition.
type Reader interface {
	// Next returns what has come, waiting for a second at most. Marks of transactions
	// come with Control set.
	Next(ctx context.Context) ([]Record, error)
	Close()
}

// Record is one of the topic. Its Value is good until the next call of Next.
type Record struct {
	Partition int32
	Offset    int64
	Value     []byte
	Control   bool
}

// Announcer writes messages to the topic.
type Announcer interface {
	// Announce writes all of them or none. After an error a new Announcer has to be
	// made, and the topic read to its end, to know which.
	Announce(ctx context.Context, messages [][]byte) error
	Close()
}

// Memory keeps what was counted, so that it need not be counted anew. It may lose
// it, or fall back to something older.
type Memory interface {
	Load(ctx context.Context) ([]byte, error) // nil: there is nothing
	Save(ctx context.Context, kept []byte) error
}

// Watcher counts while its process leads, and learns what others have found while
// it does not.
type Watcher struct {
	Topic  Topic
	Memory Memory
	Set    func() *rules.Set // in force
	Leads  func() bool       // this process counts
	// Pause is told of all phases that are paused, whenever there is a new one.
	Pause  func(map[Phase]bool)
	Logger *slog.Logger
	Now    func() int64  // ms
	Every  time.Duration // how often it looks

	mu     sync.Mutex
	paused map[Phase]bool
	alarms []Finding
	told   map[string]bool // findings that were logged
}

// Begin learns what is paused as of now, before anything is decided.
func (w *Watcher) Begin(ctx context.Context) error {
	if !Watches(w.Set()) {
		return nil
	}
	t, err := w.catchUp(ctx, true)
	if err == nil {
		w.know(t.Paused)
	}
	return err
}

// Run watches until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	tick := time.NewTicker(w.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !Watches(w.Set()) {
			w.setAlarms(nil)
			continue
		}
		what, look := "learn which experiments are paused", w.follow
		if w.Leads() {
			what, look = "watch the experiments", w.lead
		}
		if err := look(ctx); err != nil && ctx.Err() == nil {
			w.Logger.Warn(what+": it is tried again", "error", err.Error())
		}
	}
}

// Alarms are the findings of this process, if it counts.
func (w *Watcher) Alarms() []Finding {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.alarms
}

func (w *Watcher) setAlarms(found []Finding) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alarms = found
}

// know adds phases to those that are known to be paused. None is ever taken away.
func (w *Watcher) know(phases []Phase) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := maps.Clone(w.paused)
	if all == nil {
		all = map[Phase]bool{}
	}
	for _, p := range phases {
		all[p] = true
	}
	if len(all) > len(w.paused) {
		w.paused = all
		w.Pause(all)
	}
}

func (w *Watcher) follow(ctx context.Context) error {
	w.setAlarms(nil)
	kept, err := w.Memory.Load(ctx)
	if err != nil {
		return err
	}
	t, err := ParseTally(kept)
	if err != nil {
		return fmt.Errorf("what is kept of the experiments cannot be read: %w", err)
	}
	w.know(t.Paused)
	return nil
}

// catchUp counts from where memory has got to, up to the topic's end as of now.
func (w *Watcher) catchUp(ctx context.Context, committed bool) (*Tally, error) {
	kept, err := w.Memory.Load(ctx)
	if err != nil {
		return nil, err
	}
	t, err := ParseTally(kept)
	if err != nil {
		w.Logger.Warn("what is kept of the experiments cannot be read: the decisions are counted anew", "error", err.Error())
		t = &Tally{}
	}
	x, err := w.Topic.Extents(ctx, committed)
	if err != nil {
		return nil, err
	}
	t.Begin(x.ID, x.Starts)
	ahead := func() bool {
		for p, end := range x.Ends {
			if t.Read[p].Next < end {
				return true
			}
		}
		return false
	}
	if !ahead() {
		return t, nil
	}
	in, err := w.Topic.Read(t.next())
	if err != nil {
		return nil, err
	}
	defer in.Close()
	for ahead() {
		if _, err := t.take(ctx, in); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// next are the offsets to go on at.
func (t *Tally) next() map[int32]int64 {
	from := make(map[int32]int64, len(t.Read))
	for p, x := range t.Read {
		from[p] = x.Next
	}
	return from
}

// take counts what comes in, and says whether anything did.
func (t *Tally) take(ctx context.Context, in Reader) (bool, error) {
	recs, err := in.Next(ctx)
	var d decisions.Decision
	for _, r := range recs {
		if r.Control || d.Parse(r.Value) != nil {
			t.Skip(r.Partition, r.Offset)
			continue
		}
		t.Add(r.Partition, r.Offset, &d)
	}
	return len(recs) > 0, err
}

// lead counts, and announces what it finds, as long as this process leads.
func (w *Watcher) lead(ctx context.Context) error {
	// First: after this nobody else announces what has been found already.
	out, err := w.Topic.Announcer(ctx)
	if err != nil {
		return err
	}
	defer out.Close()
	t, err := w.catchUp(ctx, false)
	if err != nil {
		return err
	}
	in, err := w.Topic.Read(t.next())
	if err != nil {
		return err
	}
	defer in.Close()
	for set := w.Set(); Watches(set) && w.Leads(); set = w.Set() {
		t.Forget(set)
		found, err := t.Findings(set)
		if err != nil {
			return err
		}
		w.setAlarms(found)
		if err := w.announce(ctx, set, t, found, out); err != nil {
			return err
		}
		w.know(t.Paused)
		if err := w.keep(ctx, t); err != nil {
			return err
		}
		until, cancel := context.WithTimeout(ctx, w.Every)
		for more := true; more && err == nil && until.Err() == nil; {
			more, err = t.take(until, in)
		}
		cancel()
		if err != nil && until.Err() == nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	return nil
}

// announce writes what was found of phases that are not paused yet, and says it in
// the log.
func (w *Watcher) announce(ctx context.Context, set *rules.Set, t *Tally, found []Finding, out Announcer) error {
	var messages [][]byte
	var phases []Phase
	for i := range found {
		f := &found[i]
		log := []any{"experiment", f.Experiment, "phase", f.Phase.Phase, "check", f.Check, "found", f.Statement}
		if key := fmt.Sprint(f.Phase, f.Check); !w.told[key] {
			if w.told == nil {
				w.told = map[string]bool{}
			}
			w.told[key] = true
			w.Logger.Warn("an experiment goes wrong", log...)
		}
		if slices.Contains(t.Paused, f.Phase) || slices.Contains(phases, f.Phase) {
			continue
		}
		for _, d := range f.Decisions(set, w.Now()) {
			messages = append(messages, sinks.AppendDecision(nil, &d, sinks.Origin{RulesVersion: set.Version}))
			w.Logger.Error("RULE IS PAUSED (auto_pause): it goes on with a new phase of the experiment, or without auto_pause", append([]any{"rule", d.Rule}, log...)...)
			if !slices.Contains(phases, f.Phase) {
				phases = append(phases, f.Phase)
			}
		}
	}
	if len(messages) == 0 {
		return nil
	}
	if err := out.Announce(ctx, messages); err != nil {
		return fmt.Errorf("write that rules are paused: %w", err)
	}
	for _, p := range phases {
		t.Pause(p)
	}
	return nil
}

// keep sees to it that memory holds the tally.
func (w *Watcher) keep(ctx context.Context, t *Tally) error {
	mine, err := json.Marshal(t)
	if err != nil {
		return err
	}
	kept, err := w.Memory.Load(ctx)
	if err != nil || bytes.Equal(kept, mine) {
		return err
	}
	return w.Memory.Save(ctx, mine)
}
