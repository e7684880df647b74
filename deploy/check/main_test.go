// Package check holds what is deployed to what it promises: the compose file, the
// image, the manifests, rights, alerts, the dashboard. It is a module of its own,
// so that what checks them is no dependency of nudged.
package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// root is the repository's.
const root = "../.."

// patience bounds every wait for something that has to happen.
const patience = 90 * time.Second

var program string // the nudged that is deployed

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	scratch, err := os.MkdirTemp("", "nudged-check-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	program = filepath.Join(scratch, "nudged")
	build := exec.Command("go", "build", "-o", program, "./cmd/nudged")
	build.Dir, build.Stderr = root, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "go build of cmd/nudged:", err)
		return 1
	}
	return m.Run()
}

// leaveOut skips the test, or fails it where everything is required.
func leaveOut(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("NUDGED_REQUIRE_SERVICES") == "1" {
		t.Fatalf("NUDGED_REQUIRE_SERVICES=1, but %s", why)
	}
	t.Skipf("LEFT OUT: %s", why)
}

// path is that of a file of the repository.
func path(name string) string { return filepath.Join(root, filepath.FromSlash(name)) }

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// environment is ours without the variables that configure nudged.
func environment(extra ...string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "NUDGED_") && !strings.HasPrefix(v, "OTEL_") {
			env = append(env, v)
		}
	}
	return append(env, extra...)
}

// ending is how a command ended.
type ending struct {
	code           int
	stdout, stderr string
}

// command runs a program to its end, in the repository's root.
func command(t *testing.T, env []string, name string, args ...string) ending {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = root, environment(env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.Bytes())
	}
	return ending{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// output runs a program that must succeed and returns what it printed.
func output(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	e := command(t, env, name, args...)
	if e.code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s%s", name, strings.Join(args, " "), e.code, e.stdout, e.stderr)
	}
	return e.stdout
}

// requireKnownFlags fails unless nudged takes the arguments: what it does not
// know it says before it shows its help.
func requireKnownFlags(t *testing.T, args []string) {
	t.Helper()
	if e := command(t, nil, program, append(args[:len(args):len(args)], "--help")...); e.code != 0 {
		t.Errorf("nudged %s: %s", strings.Join(args, " "), e.stderr)
	}
}

func TestUnknownFlagsAreFound(t *testing.T) {
	if e := command(t, nil, program, "run", "--konfig", "x", "--help"); e.code != 2 {
		t.Errorf("nudged run --konfig x --help ends with code %d, want 2: requireKnownFlags cannot tell", e.code)
	}
	if e := command(t, nil, program, "runn", "--help"); e.code == 0 {
		t.Error("nudged runn --help ends well: requireKnownFlags cannot tell")
	}
}

// eventually asks again and again, for what gives no sign of its own.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
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
