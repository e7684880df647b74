// Package redistest starts a Redis for one test alone. The benchmark counts and
// removes every key it finds, which tests of others on a shared Redis would not
// survive.
package redistest

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Redis is a running server.
type Redis struct {
	Addr string // host:port
	PID  int
}

// Start starts a Redis and ends it with the test. Without a redis-server the
// test is left out.
func Start(t *testing.T) Redis {
	t.Helper()
	program := os.Getenv("REDIS_SERVER")
	if program == "" {
		var err error
		if program, err = exec.LookPath("redis-server"); errors.Is(err, exec.ErrNotFound) {
			t.Skip("needs a redis-server: REDIS_SERVER, as deploy/local/with-services sets it, or one in PATH")
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // says that it was killed
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "Ready to accept connections") {
			go func() {
				for lines.Scan() { // a full pipe would stop the server
				}
			}()
			return Redis{Addr: fmt.Sprintf("127.0.0.1:%d", port), PID: cmd.Process.Pid}
		}
	}
	t.Fatalf("%s ended before it was ready", program)
	return Redis{}
}
