package app

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

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
	// apply brings new rules into force, or says why that cannot be.
	apply func(*rules.Set) error
}

// run watches until ctx ends. current is what is in force at first. An edit that is
// not valid, or that nudged check --against refuses, changes nothing, and is said
// loudly.
func (w *ruleWatch) run(ctx context.Context, current *rulefile.Compiled) {
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
func (w *ruleWatch) reload(old *rulefile.Compiled) *rulefile.Compiled {
	loaded, err := compileRules(w.path)
	if err == nil && loaded.Set.Version != old.Set.Version {
		if err = refusals(old, loaded); err == nil {
			err = w.apply(loaded.Set)
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
	w.logger.Info("new rules are in force", "rules", w.path, "from", old.Set.Version, "to", loaded.Set.Version, "count", len(loaded.Set.Rules))
	return loaded
}

// compileRules reads rules with their text, to compare an edit with.
func compileRules(path string) (*rulefile.Compiled, error) {
	files, err := rulefile.Read(path)
	if err != nil {
		return nil, err
	}
	return rulefile.Compile(files)
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
