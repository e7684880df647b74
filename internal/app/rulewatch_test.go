package app

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nudged/nudged/rules"
)

// lines is a log that tells of each line.
type lines struct {
	mu   sync.Mutex
	each chan string
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.each <- string(bytes.TrimSpace(p))
	return len(p), nil
}

func TestRulesAreReloaded(t *testing.T) {
	const patience = 30 * time.Second
	dir := t.TempDir()
	path := filepath.Join(dir, "rules.yaml")
	edit := func(name, text string) {
		t.Helper()
		// As an editor does: a new file takes the old one's place.
		if err := os.WriteFile(filepath.Join(dir, ".new"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, ".new"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	edit("rules.yaml", testRules)
	compiled, err := compileRules(dir)
	if err != nil {
		t.Fatal(err)
	}
	log := &lines{each: make(chan string, 100)}
	asked, applied := make(chan struct{}), make(chan *rules.Set, 10)
	w := ruleWatch{path: dir, asked: asked, logger: slog.New(slog.NewTextHandler(log, nil)), apply: func(s *rules.Set) error {
		applied <- s
		return nil
	}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.run(ctx, compiled)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	says := func(text string) {
		t.Helper()
		limit := time.After(patience)
		for {
			select {
			case line := <-log.each:
				if strings.Contains(line, text) {
					return
				}
			case <-limit:
				t.Fatalf("it has not said %q", text)
			}
		}
	}
	comes := func() *rules.Set {
		t.Helper()
		select {
		case s := <-applied:
			return s
		case <-time.After(patience):
			t.Fatal("no new rules came into force")
			return nil
		}
	}

	// Asked before it has begun to watch or after, a file that has not changed
	// changes nothing; the next answer shows that it was read.
	asked <- struct{}{}
	edit("rules.yaml", strings.Replace(testRules, "bought_nothing", "renamed", 1))
	asked <- struct{}{}
	if s := comes(); s.Rules[0].Name != "renamed" {
		t.Errorf("the rule is called %s", s.Rules[0].Name)
	}
	says("new rules are in force")
	edit("rules.yaml", testRules) // noticed by itself from here on
	if s := comes(); s.Rules[0].Name != "bought_nothing" {
		t.Errorf("the rule is called %s", s.Rules[0].Name)
	}
	edit("rules.yaml", "rules: [{name: broken}]")
	says("THE RULES WERE NOT RELOADED")
	edit("more.yaml", "rules: []\n")
	says("THE RULES WERE NOT RELOADED") // still broken
	edit("rules.yaml", strings.Replace(testRules, "1h", "2h", 1))
	if s := comes(); s.Version == compiled.Set.Version || len(s.Rules) != 1 {
		t.Errorf("in force: %d rules, version %s", len(s.Rules), s.Version)
	}
	const tried = testRules + `    experiment: tried
experiments:
  tried: {arms: [{name: control, weight: 1}, {name: other, weight: WEIGHT}]}
`
	edit("rules.yaml", strings.Replace(tried, "WEIGHT", "1", 1))
	comes()
	edit("rules.yaml", strings.Replace(tried, "WEIGHT", "3", 1)) // needs a new phase
	says("THE RULES WERE NOT RELOADED")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if s := comes(); len(s.Rules) != 0 {
		t.Errorf("in force: %d rules, want none", len(s.Rules))
	}
}
