package integration

import (
	"bufio"
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// redisServer is a Redis, or a Sentinel, of the test's own.
type redisServer struct {
	t      *testing.T
	cmd    *exec.Cmd
	addr   string
	port   string
	client *goredis.Client
}

// ownRedis starts a Redis with an eviction policy and returns its address.
func ownRedis(t *testing.T, policy string) string {
	t.Helper()
	return startRedis(t, nil, func(port string) []string {
		return []string{"--bind", "127.0.0.1", "--port", port, "--maxmemory", "64mb", "--maxmemory-policy", policy}
	}).addr
}

// startRedis starts a server with the arguments for the port that it is given.
func startRedis(t *testing.T, secured *tls.Config, args func(port string) []string) *redisServer {
	t.Helper()
	program := os.Getenv("REDIS_SERVER")
	if program == "" {
		var err error
		if program, err = exec.LookPath("redis-server"); err != nil {
			leaveOut(t, "there is no redis-server to start another one with: neither REDIS_SERVER nor PATH has it")
		}
	}
	for range 3 {
		if s := tryRedis(t, program, args); s != nil {
			s.client = goredis.NewClient(&goredis.Options{Addr: s.addr, TLSConfig: secured})
			t.Cleanup(func() { s.client.Close() })
			return s
		}
	}
	t.Fatal("redis-server does not come up; see above")
	return nil
}

// tryRedis starts a server on a port that is free now; somebody may be faster.
func tryRedis(t *testing.T, program string, args func(port string) []string) *redisServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &redisServer{t: t, addr: l.Addr().String()}
	l.Close()
	_, s.port, _ = net.SplitHostPort(s.addr)
	more := args(s.port)
	if more[len(more)-1] != "--sentinel" {
		more = append(more, "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	}
	s.cmd = exec.Command(program, more...)
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // it may have ended
		_ = s.cmd.Wait()
	})
	var lines []string
	said := bufio.NewScanner(out)
	for said.Scan() {
		lines = append(lines, said.Text())
		if strings.Contains(said.Text(), "Ready to accept connections") || strings.Contains(said.Text(), "+monitor master") {
			go func() {
				for said.Scan() {
				}
			}()
			return s
		}
	}
	t.Logf("redis-server has ended:\n%s", strings.Join(lines, "\n"))
	return nil
}

// do sends a command.
func (s *redisServer) do(args ...any) any {
	s.t.Helper()
	got, err := s.client.Do(s.t.Context(), args...).Result()
	if err != nil {
		s.t.Fatalf("redis %s: %v: %v", s.addr, args, err)
	}
	return got
}

// info asks for a section of INFO.
func (s *redisServer) info(section string) string {
	text, err := s.client.Info(s.t.Context(), section).Result()
	if err != nil {
		return err.Error()
	}
	return text
}

func (s *redisServer) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("%s to Redis: %v", sig, err)
	}
}
