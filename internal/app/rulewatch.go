package app

import (
	"context"
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

// run watches until ctx ends. set is what is in force at first. An edit that is
// not valid changes nothing, and is said loudly.
func (w *ruleWatch) run(ctx context.Context, set *rules.Set) {
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
		set = w.reload(set)
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
func (w *ruleWatch) reload(old *rules.Set) *rules.Set {
	set, err := rulefile.Load(w.path)
	if err == nil && set.Version != old.Version {
		err = w.apply(set)
	}
	switch {
	case err != nil:
		w.logger.Error("THE RULES WERE NOT RELOADED: those of before stay in force until the files are mended", "rules", w.path,
			"in_force", old.Version, "error", err.Error())
		return old
	case set.Version == old.Version:
		return old
	}
	w.logger.Info("new rules are in force", "rules", w.path, "from", old.Version, "to", set.Version, "count", len(set.Rules))
	return set
}
