package integration

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// A Redis that may evict states is refused, with the way out; once it has been
// told otherwise the daemon runs.
func TestRefusesRedisThatEvicts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	w.redisAddr = ownRedis(t, "allkeys-lru")
	e := nudged(t, nil, "run", "--config", w.config("testdata/rules.yaml", "event"), "--stop-at-end")
	e.requireSays(t, 1, "redis "+w.redisAddr, "maxmemory-policy is allkeys-lru", "CONFIG SET maxmemory-policy noeviction")
	if n := len(w.committed(w.decisions)); n > 0 {
		t.Errorf("%d decisions were made all the same", n)
	}

	client := goredis.NewClient(&goredis.Options{Addr: w.redisAddr})
	defer client.Close()
	if err := client.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err(); err != nil {
		t.Fatal(err)
	}
	e = nudged(t, nil, "run", "--config", w.config("testdata/rules.yaml", "event"), "--stop-at-end")
	e.requireSays(t, 0)
}

// ownRedis starts a Redis with an eviction policy and returns its address.
func ownRedis(t *testing.T, policy string) string {
	t.Helper()
	server := os.Getenv("REDIS_SERVER")
	if server == "" {
		var err error
		if server, err = exec.LookPath("redis-server"); err != nil {
			leaveOut(t, "there is no redis-server to start another one with: neither REDIS_SERVER nor PATH has it")
		}
	}
	for range 3 {
		if addr, ok := tryRedis(t, server, policy); ok {
			return addr
		}
	}
	t.Fatal("redis-server does not come up; see above")
	return ""
}

// tryRedis starts a Redis on a port that is free now; somebody may be faster.
func tryRedis(t *testing.T, server, policy string) (addr string, ok bool) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(server, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no",
		"--dir", t.TempDir(), "--maxmemory", "64mb", "--maxmemory-policy", policy)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", server, err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	var lines []string
	said := bufio.NewScanner(out)
	for said.Scan() {
		lines = append(lines, said.Text())
		if strings.Contains(said.Text(), "Ready to accept connections") {
			go func() {
				for said.Scan() {
				}
			}()
			return addr, true
		}
	}
	t.Logf("redis-server has ended:\n%s", strings.Join(lines, "\n"))
	return "", false
}

// Topics that are missing are named, all at once, each with how to create it.
func TestNamesMissingTopics(t *testing.T) {
	t.Parallel()
	w := connect(t)
	w.events, w.sends, w.decisions, w.dead = w.group+"-e", w.group+"-s", w.group+"-d", w.group+"-l"
	w.create(w.sends, 1, nil)
	e := nudged(t, nil, "run", "--config", w.config("testdata/rules.yaml", "event"), "--stop-at-end")
	var says []string
	for _, topic := range []string{w.events, w.decisions, w.dead} {
		says = append(says, fmt.Sprintf("topic %q cannot be used", topic), "--create --topic "+topic+" ")
	}
	e.requireSays(t, 1, says...)
	if strings.Contains(e.stderr, w.sends) {
		t.Errorf("a topic that is there is complained of: %s", e.stderr)
	}
}
