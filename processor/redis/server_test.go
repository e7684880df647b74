package redis_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/nudged/nudged/processor/redis"
)

// startServer starts a real Redis of the test's own, which it may spoil, and
// returns its address. It is ended with the test.
func startServer(t testing.TB, settings ...string) string {
	t.Helper()
	program := serverProgram(t)
	for range 5 { // somebody else may take the port first
		address, up := tryServer(t, program, settings)
		if up {
			return address
		}
	}
	t.Fatal("Redis found no free port five times")
	return ""
}

func tryServer(t testing.TB, program string, settings []string) (address string, up bool) {
	t.Helper()
	port := freePort(t)
	args := append([]string{
		"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", t.TempDir(), "--save", "", "--daemonize", "no",
		"--cluster-port", strconv.Itoa(freePort(t)),
	}, settings...)
	cmd := exec.Command(program, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var log strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		fmt.Fprintln(&log, lines.Text())
		if strings.Contains(lines.Text(), "Ready to accept connections") {
			go func() {
				for lines.Scan() { // Redis must not wait for a reader
				}
			}()
			return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), true
		}
	}
	if !strings.Contains(log.String(), "ddress already in use") {
		t.Fatalf("%s %q did not come up:\n%s", program, args, &log)
	}
	return "", false
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// serverProgram finds a redis-server to run. Where the real Redis of the other
// tests runs in a container there may be none.
func serverProgram(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"NUDGED_TEST_REDIS_BIN", "REDIS_SERVER"} {
		if program := os.Getenv(name); program != "" {
			path, err := filepath.Abs(program)
			if err != nil {
				t.Fatal(err)
			}
			return path
		}
	}
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("LEFT OUT: no redis-server to start one of the test's own: set NUDGED_TEST_REDIS_BIN to its path; deploy/local/with-services does where it starts Redis itself")
	}
	return program
}

// ownServer is a client of a Redis of the test's own.
func ownServer(t testing.TB, settings ...string) *goredis.Client {
	t.Helper()
	return connect(t, redis.Endpoint{Addrs: []string{startServer(t, settings...)}}).(*goredis.Client)
}
