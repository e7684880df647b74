package check

import (
	"bufio"
	"bytes"
	"fmt"
	"os/exec"
	"sync"
	"testing"
)

// running is a program under way.
type running struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu    sync.Mutex
	lines bytes.Buffer
}

// start runs nudged as a child process. It is killed when the test ends.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	return launch(t, nil, program, args...)
}

func launch(t *testing.T, env []string, name string, args ...string) *running {
	t.Helper()
	d := &running{cmd: exec.Command(name, args...), done: make(chan struct{})}
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
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			d.mu.Lock()
			fmt.Fprintln(&d.lines, lines.Text())
			d.mu.Unlock()
		}
		_ = d.cmd.Wait() // the exit code tells
	}()
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill() // it may have ended
		<-d.done
		if t.Failed() {
			t.Logf("%s said:\n%s", name, d.said())
		}
	})
	return d
}

func (d *running) said() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lines.String()
}

// untilReady waits until a nudged says at its address that it is ready.
func (d *running) untilReady(t *testing.T, addr string) {
	t.Helper()
	eventually(t, "ready at "+addr, func() bool {
		select {
		case <-d.done:
			t.Fatalf("%s has ended with code %d:\n%s", d.cmd, d.cmd.ProcessState.ExitCode(), d.said())
		default:
		}
		return command(t, nil, program, "health", "--addr", addr).code == 0
	})
}
