// Package integration runs the nudged program against a real Kafka and a real
// Redis, as its users do: child processes, files, topics, signals.
//
// NUDGED_TEST_KAFKA and NUDGED_TEST_REDIS name the services; deploy/local brings
// them up. Every test has topics and a group of its own.
package integration

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience bounds every wait for something that has to happen. A loaded machine
// may be slow; what never comes is a failure all the same.
const patience = 90 * time.Second

var (
	program string // the nudged that is tested
	scratch string // a folder that lives as long as the test binary
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "nudged-integration-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	program = filepath.Join(scratch, "nudged")
	args := []string{"build", "-o", program}
	if raceEnabled {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "../../cmd/nudged")...)
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "go build of cmd/nudged:", err)
		return 1
	}
	defer dropShared()
	return m.Run()
}

// leaveOut skips the test, or fails it where the services are required.
func leaveOut(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("NUDGED_REQUIRE_SERVICES") == "1" {
		t.Fatalf("NUDGED_REQUIRE_SERVICES=1, but %s", why)
	}
	t.Skipf("LEFT OUT: %s", why)
}

// services returns the addresses of the broker and of Redis.
func services(t *testing.T) (kafka, redis string) {
	t.Helper()
	kafka, redis = os.Getenv("NUDGED_TEST_KAFKA"), os.Getenv("NUDGED_TEST_REDIS")
	if kafka == "" || redis == "" {
		leaveOut(t, "NUDGED_TEST_KAFKA and NUDGED_TEST_REDIS name no broker and no Redis: bring them up with deploy/local/up")
	}
	return kafka, redis
}

// environment is ours without the variables that configure nudged.
func environment(extra ...string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "NUDGED_") {
			env = append(env, v)
		}
	}
	return append(env, extra...)
}

// outputOf runs a program that must succeed and returns what it printed.
func outputOf(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = environment()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}

// ending is how a program ended.
type ending struct {
	code           int
	stdout, stderr string
}

// nudged runs the program to its end.
func nudged(t *testing.T, env []string, args ...string) ending {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = environment(env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("nudged %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return ending{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// requireSays fails unless the program ended with the code and said all of it.
func (e ending) requireSays(t *testing.T, code int, parts ...string) {
	t.Helper()
	if e.code != code {
		t.Errorf("exit code %d, want %d", e.code, code)
	}
	for _, part := range parts {
		if !strings.Contains(e.stderr, part) {
			t.Errorf("standard error does not say %q", part)
		}
	}
	if t.Failed() {
		t.Logf("standard error:\n%s", e.stderr)
	}
}

// python returns the interpreter for the oracle.
func python(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		leaveOut(t, "there is no python3 to run the oracle with")
	}
	return path
}

func randomName() string {
	b := make([]byte, 4)
	rand.Read(b)
	return hex.EncodeToString(b)
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
