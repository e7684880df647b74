package check

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// services returns the addresses of the broker and of Redis.
func services(t *testing.T) (kafka, redis string) {
	t.Helper()
	kafka, redis = os.Getenv("NUDGED_TEST_KAFKA"), os.Getenv("NUDGED_TEST_REDIS")
	if kafka == "" || redis == "" {
		leaveOut(t, "NUDGED_TEST_KAFKA and NUDGED_TEST_REDIS name no broker and no Redis: bring them up with deploy/local/up")
	}
	return kafka, redis
}

// ownServices brings up a Kafka and a Redis for the test alone, as processes of
// this machine, and returns what services.env says of them.
func ownServices(t *testing.T, env ...string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	env = append(env, "NUDGED_SERVICES_DIR="+dir, "NUDGED_SERVICES_ENGINE=native")
	t.Cleanup(func() {
		down := exec.Command("deploy/local/down")
		down.Dir, down.Env = root, environment(env...)
		if said, err := down.CombinedOutput(); err != nil {
			t.Errorf("deploy/local/down: %v\n%s", err, said)
		}
	})
	output(t, env, "deploy/local/up")
	text, err := os.ReadFile(filepath.Join(dir, "services.env"))
	if err != nil {
		t.Fatal(err)
	}
	state := map[string]string{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		state[key] = value
	}
	return state
}

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
