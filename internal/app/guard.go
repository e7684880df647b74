package app

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/nudged/nudged/internal/guard"
	"github.com/nudged/nudged/internal/telemetry"
	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/kafka"
	"github.com/nudged/nudged/processor/redis"
	"github.com/nudged/nudged/rules"
)

// watching watches the experiments of the daemon's rules, and pauses rules.
type watching struct {
	guard.Watcher
	inForce atomic.Pointer[rules.Set]
	phases  chan map[guard.Phase]bool // paused: the latest
	off     string                    // why nothing is paused; "": it is
}

// guardEvery is how often experiments are looked at, and how old what a process
// knows of pauses may be.
const guardEvery = time.Second

func (d *Daemon) watching(kcfg *kafka.Config, store *redis.Store, now func() int64) *watching {
	w := &watching{phases: make(chan map[guard.Phase]bool, 1)}
	switch {
	case d.Config.Clock == "event":
		w.off = "on the event clock nothing is paused, so that history gives the same answer every time"
	case d.Config.Decisions == "none":
		w.off = "under decisions: none nothing can be counted"
	}
	w.Watcher = guard.Watcher{
		Topic: &decisionTopic{
			name: kcfg.Decisions, transactionalID: kcfg.Group + "-experiments", timeout: kcfg.TransactionTimeout, options: kcfg.Options,
		},
		Memory: watchedMemory{store},
		Set:    w.inForce.Load,
		Pause: func(all map[guard.Phase]bool) {
			select {
			case <-w.phases:
			default:
			}
			w.phases <- all
		},
		Logger: d.Logger, Now: now, Every: guardEvery,
	}
	return w
}

type watchedMemory struct{ store *redis.Store }

func (m watchedMemory) Load(ctx context.Context) ([]byte, error) { return m.store.LoadWatched(ctx) }
func (m watchedMemory) Save(ctx context.Context, kept []byte) error {
	return m.store.SaveWatched(ctx, kept)
}

// begin returns the rules with those paused of which that is known by now.
func (w *watching) begin(ctx context.Context, text *ruleText) (*ruleText, error) {
	w.use(text.Set)
	if w.off != "" {
		return text, nil
	}
	if err := w.Begin(ctx); err != nil {
		return nil, err
	}
	select {
	case phases := <-w.phases:
		paused, err := text.pausing(phases)
		if err != nil {
			return nil, err
		}
		paused.logPaused(w.Logger)
		w.use(paused.Set)
		return paused, nil
	default:
		return text, nil
	}
}

// use says which rules are in force.
func (w *watching) use(set *rules.Set) {
	w.inForce.Store(set)
	if w.off != "" && asksForPause(set) {
		w.Logger.Warn("auto_pause has no effect: "+w.off, "rules", set.Version)
	}
}

func asksForPause(set *rules.Set) bool {
	for _, r := range set.Rules {
		if r.AutoPause {
			return true
		}
	}
	return false
}

// pausedRules are the rules with those paused that auto_pause has paused, as far as
// Redis tells.
func pausedRules(ctx context.Context, text *ruleText, store *redis.Store) (*rules.Set, error) {
	if !asksForPause(text.Set) {
		return text.Set, nil
	}
	kept, err := store.LoadWatched(ctx)
	if err != nil {
		return nil, err
	}
	tally, err := guard.ParseTally(kept)
	if err != nil {
		return nil, err
	}
	phases := map[guard.Phase]bool{}
	for _, p := range tally.Paused {
		phases[p] = true
	}
	paused, err := text.pausing(phases)
	if err != nil {
		return nil, err
	}
	return paused.Set, nil
}

// run watches until ctx ends. The process that owns the first partition counts.
func (w *watching) run(ctx context.Context, status func() []processor.Status, first processor.TopicPartition) {
	if w.off != "" {
		return
	}
	w.Leads = func() bool {
		for _, s := range status() {
			if s.Input == first {
				return s.Ready
			}
		}
		return false
	}
	w.Run(ctx)
}

// experiments is what telemetry shows.
func (w *watching) experiments() telemetry.Experiments {
	var x telemetry.Experiments
	for _, r := range w.inForce.Load().Rules {
		if r.AutoPause {
			x.Rules = append(x.Rules, telemetry.AutoPause{Rule: r.Name, Paused: r.Paused})
		}
	}
	for _, f := range w.Alarms() {
		x.Alarms = append(x.Alarms, telemetry.ExperimentAlarm{Experiment: f.Experiment, Check: f.Check})
	}
	return x
}
