package app

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/nudged/nudged/internal/guard"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/rulefile"
)

// settle is how long the rule files have to be left alone before they are read:
// an editor writes in several steps.
const settle = 300 * time.Millisecond

// ruleWatch reads the rules again when their files change, or when it is asked.
type ruleWatch struct {
	path   string
	asked  <-chan struct{} // nil: nobody asks
	logger *slog.Logger
	// paused tells which phases of experiments are paused; nil: nobody does.
	paused <-chan map[guard.Phase]bool
	// apply brings new rules into force, or says why that cannot be.
	apply func(*rules.Set) error
}

// run watches until ctx ends. current is what is in force at first. An edit that is
// not valid, or that nudged check --against refuses, changes nothing, and is said
// loudly.
func (w *ruleWatch) run(ctx context.Context, current *ruleText) {
	var changed <-chan fsnotify.Event
	var failed <-chan error
	watcher, err := w.watch()
	if err != nil {
		w.logger.Warn("changes of the rule files are not noticed: send SIGHUP after an edit", "rules", w.path, "error", err.Error())
	} else {
		defer watcher.Close()
		changed, failed = watcher.Events, watcher.Errors
	}
	var quiet <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			quiet = time.After(settle)
			continue
		case err := <-failed:
			w.logger.Warn("watching the rule files", "rules", w.path, "error", err.Error())
			continue
		case <-quiet:
			quiet = nil
		case <-w.asked:
		case phases := <-w.paused:
			current = w.pause(current, phases)
			continue
		}
		current = w.reload(current)
	}
}

// watch watches the folder of the rules: also files that are made anew, or links
// that are replaced, are noticed then.
func (w *ruleWatch) watch() (*fsnotify.Watcher, error) {
	dir := w.path
	if info, err := os.Stat(dir); err != nil {
		return nil, err
	} else if !info.IsDir() {
		dir = filepath.Dir(dir)
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	if err := watcher.Add(dir); err != nil {
		watcher.Close()
		return nil, err
	}
	return watcher, nil
}

// reload reads the rules and returns what is in force from now on.
func (w *ruleWatch) reload(old *ruleText) *ruleText {
	loaded, err := compileRules(w.path)
	if err == nil && loaded.Set.Version != old.Set.Version {
		if err = refusals(old.Compiled, loaded.Compiled); err == nil {
			if loaded, err = loaded.pausing(old.phases); err == nil {
				err = w.apply(loaded.Set)
			}
		}
	}
	switch {
	case err != nil:
		w.logger.Error("THE RULES WERE NOT RELOADED: those of before stay in force until the files are mended", "rules", w.path,
			"in_force", old.Set.Version, "error", err.Error())
		return old
	case loaded.Set.Version == old.Set.Version:
		return old
	}
	loaded.logPaused(w.logger)
	w.logger.Info("new rules are in force", "rules", w.path, "from", old.Set.Version, "to", loaded.Set.Version, "count", len(loaded.Set.Rules))
	return loaded
}

// pause pauses the rules that ask for it and returns what is in force from now on.
func (w *ruleWatch) pause(old *ruleText, phases map[guard.Phase]bool) *ruleText {
	paused, err := old.pausing(phases)
	if err == nil && slices.Equal(paused.paused, old.paused) {
		return paused // other rules than ours
	}
	if err == nil {
		err = w.apply(paused.Set)
	}
	if err != nil {
		w.logger.Error("rules could not be paused", "error", err.Error())
		return old
	}
	paused.logPaused(w.logger)
	return paused
}

// ruleText is rules with their text, to compare an edit with, and with what has
// paused some of them.
type ruleText struct {
	*rulefile.Compiled
	files  []rulefile.File
	phases map[guard.Phase]bool // that are paused, ours or not
	paused []string             // rules that are paused therefore
}

func compileRules(path string) (*ruleText, error) {
	files, err := rulefile.Read(path)
	if err != nil {
		return nil, err
	}
	compiled, err := rulefile.Compile(files)
	if err != nil {
		return nil, err
	}
	return &ruleText{Compiled: compiled, files: files}, nil
}

// pausing returns the same rules with those paused that ask for it. The set is one
// of its own: the one before may be in use.
func (t *ruleText) pausing(phases map[guard.Phase]bool) (*ruleText, error) {
	compiled, err := rulefile.Compile(t.files)
	if err != nil {
		return nil, err
	}
	out := &ruleText{Compiled: compiled, files: t.files, phases: phases}
	for _, r := range guard.PausedRules(compiled.Set, phases) {
		r.Paused = true
		out.paused = append(out.paused, r.Name)
	}
	return out, compiled.Set.Index()
}

func (t *ruleText) logPaused(logger *slog.Logger) {
	if len(t.paused) > 0 {
		logger.Warn("rules are paused by auto_pause: they go on with a new phase of their experiment, or without auto_pause", "rules", strings.Join(t.paused, ", "))
	}
}

// refusals are the edits that must not come into force while something runs.
func refusals(old, loaded *rulefile.Compiled) error {
	var refused []error
	for _, change := range rulefile.Compare(old, loaded) {
		if change.Refused {
			refused = append(refused, errors.New(change.String()))
		}
	}
	return errors.Join(refused...)
}
