package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// daemon is a `nudged run` under way.
type daemon struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended

	readyz chan string // gets the address of /readyz once it is known
	url    string

	mu    sync.Mutex
	lines []string // standard error
}

// start runs the daemon as a child process. It is killed when the test ends.
func start(t *testing.T, args ...string) *daemon {
	t.Helper()
	return startWith(t, nil, args...)
}

// startWith does it with more in its environment.
func startWith(t *testing.T, env []string, args ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, done: make(chan struct{}), readyz: make(chan string, 1)}
	d.cmd = exec.Command(program, append([]string{"run"}, args...)...)
	d.cmd.Env = environment(env...)
	stderr, err := d.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.done)
		lines := bufio.NewScanner(stderr)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			d.heard(lines.Text())
		}
		_ = d.cmd.Wait() // the exit code tells
	}()
	t.Cleanup(func() {
		if t.Failed() {
			// What each goroutine does, for whoever looks for the reason.
			_ = d.cmd.Process.Signal(syscall.SIGQUIT)
			select {
			case <-d.done:
			case <-time.After(patience / 10):
			}
		}
		_ = d.cmd.Process.Kill() // it may have ended
		<-d.done
		said := d.said()
		if strings.Contains(said, "DATA RACE") || strings.Contains(said, "panic:") {
			t.Errorf("process %d:\n%s", d.cmd.Process.Pid, said)
		} else if t.Failed() {
			t.Logf("process %d said:\n%s", d.cmd.Process.Pid, said)
		}
	})
	return d
}

// heard keeps a line of standard error.
func (d *daemon) heard(line string) {
	d.mu.Lock()
	d.lines = append(d.lines, line)
	d.mu.Unlock()
	var entry struct{ Readyz string }
	if json.Unmarshal([]byte(line), &entry) == nil && entry.Readyz != "" {
		d.readyz <- entry.Readyz
	}
}

func (d *daemon) said() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.lines, "\n")
}

// partitionState is an entry of what /readyz answers.
type partitionState struct {
	Partition string
	Ready     bool
	Stopped   string
	Trouble   string
	Offset    int64
}

// status asks /readyz.
func (d *daemon) status() (code int, states []partitionState) {
	d.t.Helper()
	if d.url == "" {
		select {
		case d.url = <-d.readyz:
		case <-d.done:
			d.t.Fatalf("the process ended before it answered health checks, with code %d", d.cmd.ProcessState.ExitCode())
		case <-time.After(patience):
			d.t.Fatal("the process does not answer health checks")
		}
	}
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url, http.NoBody)
	if err != nil {
		d.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatalf("/readyz: %v", err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&states); err != nil {
		d.t.Fatalf("/readyz: %v", err)
	}
	return res.StatusCode, states
}

// untilReady waits until the process is ready with so many partitions.
func (d *daemon) untilReady(partitions int) {
	d.t.Helper()
	eventually(d.t, "ready", func() bool {
		code, states := d.status()
		return code == http.StatusOK && len(states) == partitions
	})
}

// kill ends the process as a crash would.
func (d *daemon) kill() {
	d.t.Helper()
	if err := d.cmd.Process.Kill(); err != nil {
		d.t.Fatalf("kill -9: %v", err)
	}
	<-d.done
	if s, ok := d.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !s.Signaled() {
		d.t.Fatalf("the process had ended before it was killed: %s", d.cmd.ProcessState)
	}
}

// terminate sends SIGTERM; the process must end well, and soon.
func (d *daemon) terminate() {
	d.t.Helper()
	const allowed = 10 * time.Second
	sent := time.Now()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatalf("SIGTERM: %v", err)
	}
	d.requireExit(0)
	if took := time.Since(sent); took > allowed {
		d.t.Errorf("the process took %s from SIGTERM to its end, at most %s are promised", took, allowed)
	}
}

// requireExit waits for the end of the process.
func (d *daemon) requireExit(code int) {
	d.t.Helper()
	select {
	case <-d.done:
	case <-time.After(patience):
		d.t.Fatalf("the process has not ended within %s", patience)
	}
	if got := d.cmd.ProcessState.ExitCode(); got != code {
		d.t.Fatalf("the process ended with code %d, want %d", got, code)
	}
}

// requireSaid fails unless standard error holds all parts.
func (d *daemon) requireSaid(parts ...string) {
	d.t.Helper()
	said := d.said()
	for _, part := range parts {
		if !strings.Contains(said, part) {
			d.t.Errorf("standard error does not say %q", part)
		}
	}
}

// eventually asks again and again, for what gives no sign of its own.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after %s still not: %s", patience, what)
		}
	}
}
