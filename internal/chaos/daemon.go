package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nudged/nudged/internal/chaos/services"
)

// daemon is one nudged process, which dies and comes back.
type daemon struct {
	*services.Process
	front  *services.Proxy // its way to Redis
	orders string          // file, see NUDGED_CHAOS

	// turn is held by whoever lets it die, so that its end is expected.
	turn sync.Mutex

	mu   sync.Mutex
	from int64 // where in its log the process started last begins
}

// Timeouts of the daemons: short, so that a run sees many hand-overs.
const (
	sessionTimeout     = 6 * time.Second
	transactionTimeout = 3 * time.Second
)

// stopPatience bounds a graceful stop. It takes less than 10 s on its own; here it
// has to share the machine with all the rest, broken as it is.
const stopPatience = 45 * time.Second

// newDaemon prepares a process of the world.
func (w *world) newDaemon(n int) (*daemon, error) {
	name := fmt.Sprintf("%s-%d", w.name, n)
	front, err := w.stage.redis.Front("redis-for-" + name)
	if err != nil {
		return nil, err
	}
	path := func(suffix string) string {
		return filepath.Join(w.stage.dir, fmt.Sprintf("%s-%d%s", w.group, n, suffix))
	}
	d := &daemon{front: front, orders: path(".orders")}
	config := fmt.Sprintf(`kafka:
  brokers: [%s]
  group: %s
  topics: {events: [%s], sends: %s, decisions: %s, dead_letters: %s}
  session_timeout: %s
  transaction_timeout: %s
redis: {addrs: [%s], user_buckets: 16}
rules: %s
clock: %s
http: {addr: "127.0.0.1:0"}
log: {format: json}
`, strings.Join(w.stage.kafka.Proxied(), ", "), w.group, w.events, w.sends, w.decisions, w.dead, sessionTimeout, transactionTimeout,
		front.Address(), w.rules, w.clock)
	if err := os.WriteFile(path(".yaml"), []byte(config), 0o600); err != nil {
		return nil, err
	}
	d.Process = &services.Process{
		Name: name, Log: path(".log"), Args: []string{w.stage.program, "run", "--config", path(".yaml")},
		Env: append(plainEnvironment(), "NUDGED_CHAOS="+d.orders),
	}
	return d, d.order("")
}

// plainEnvironment is ours without what configures nudged.
func plainEnvironment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "NUDGED_") {
			env = append(env, v)
		}
	}
	return env
}

// order tells the process what to do, see NUDGED_CHAOS; "" takes all back.
func (d *daemon) order(text string) error {
	next := d.orders + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(next, d.orders)
}

// start starts the process.
func (d *daemon) start() error {
	d.mu.Lock()
	d.from = 0
	if info, err := os.Stat(d.Log); err == nil {
		d.from = info.Size()
	}
	d.mu.Unlock()
	return d.Start()
}

// said returns the log of the process started last.
func (d *daemon) said() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	text, err := os.ReadFile(d.Log)
	if err != nil {
		return err.Error()
	}
	return string(text[min(int64(len(text)), d.from):])
}

// keepUp starts a process again that has ended on its own, as an orchestrator would,
// until stop is closed. A process that cannot reach its services when it starts ends
// with an error; any other end is a problem.
func (d *daemon) keepUp(w *world, stop <-chan struct{}) {
	wait := time.Second
	for {
		select {
		case <-stop:
			return
		case <-d.Done():
		}
		d.turn.Lock()
		if !d.Running() && !w.stage.over(stop) {
			said := d.said()
			if end := d.Ended(); end.ExitCode() == 1 && !strings.Contains(said, `"health checks"`) {
				w.stage.exits.Add(1)
				w.stage.say("%s could not start: %.160s", d.Name, lastLine(said))
				wait = min(2*wait, 8*time.Second)
			} else {
				w.problem("%s has ended on its own (%s); the end of its log:\n%s", d.Name, end, d.Tail(40))
				wait = time.Second
			}
			w.stage.pause(wait)
			if err := d.start(); err != nil {
				w.problem("%v", err)
			}
		}
		d.turn.Unlock()
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// grumbles looks through the whole log for what must not be in it, whatever happens.
func (d *daemon) grumbles() []string {
	text, err := os.ReadFile(d.Log)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it never had its turn
	}
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.Contains(line, "DATA RACE"), strings.HasPrefix(line, "panic:"), strings.HasPrefix(line, "fatal error:"):
			out = append(out, fmt.Sprintf("%s: %s", d.Name, strings.TrimSpace(line)))
		case strings.Contains(line, `"partition is stopped"`):
			var entry struct{ Time, Partition, Reason string }
			if json.Unmarshal([]byte(line), &entry) == nil {
				out = append(out, fmt.Sprintf("%s: %s: partition %s is stopped: %s", d.Name, entry.Time, entry.Partition, entry.Reason))
			}
		}
	}
	return out
}

// between returns a span of time.
func between(dice *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(dice.Int64N(int64(to-from)+1))
}

// hold pauses the process for a while.
func (d *daemon) hold(s *stage, span time.Duration) {
	d.Signal(syscall.SIGSTOP)
	s.pause(span)
	d.Signal(syscall.SIGCONT)
}
