package integration

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// sentinelled is a master with a replica, watched by a Sentinel.
type sentinelled struct {
	master, replica, sentinel *redisServer
}

func startSentinel(t *testing.T) *sentinelled {
	t.Helper()
	plain := func(more ...string) func(string) []string {
		return func(port string) []string {
			return append([]string{"--bind", "127.0.0.1", "--port", port, "--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0"}, more...)
		}
	}
	s := &sentinelled{master: startRedis(t, nil, plain())}
	s.replica = startRedis(t, nil, plain("--replicaof", "127.0.0.1 "+s.master.port))
	eventually(t, "the replica follows", func() bool { return strings.Contains(s.replica.info("replication"), "master_link_status:up") })
	s.sentinel = startRedis(t, nil, func(port string) []string {
		// A Sentinel writes its own file.
		return []string{writeFile(t, "sentinel.conf", fmt.Sprintf(`bind 127.0.0.1
port %s
sentinel monitor main 127.0.0.1 %s 1
sentinel down-after-milliseconds main 2000
sentinel failover-timeout main 10000
`, port, s.master.port)), "--sentinel"}
	})
	eventually(t, "the Sentinel knows the replica", func() bool { return strings.Contains(s.sentinel.info("sentinel"), "slaves=1") })
	return s
}

// Sentinel puts the replica in the place of a master that has died, in the middle of
// events coming in. The process goes on with it by itself: with a replica that had
// everything, and with one that lacks the last writes, also those that are published
// already.
func TestSentinelFailsOver(t *testing.T) {
	t.Parallel()
	for name, die := range map[string]func(s *sentinelled, sends *tail, more int){
		"CaughtUp": func(s *sentinelled, _ *tail, _ int) {
			s.master.do("CLIENT", "PAUSE", 600_000, "WRITE")
			if n := s.master.do("WAIT", 1, 0); n != int64(1) {
				s.master.t.Fatalf("WAIT: %v replicas have everything, want 1", n)
			}
			s.master.signal(syscall.SIGKILL)
		},
		"LacksTheLastWrites": func(s *sentinelled, sends *tail, more int) {
			s.replica.signal(syscall.SIGSTOP)
			s.master.do("CLIENT", "KILL", "TYPE", "replica")
			sends.untilCount(len(sends.records) + more)
			s.master.signal(syscall.SIGKILL)
			s.replica.signal(syscall.SIGCONT)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, shopPartitions, nil)
			want := expected(t, python(t), shopFile)
			s := startSentinel(t)
			w.redisConfig = fmt.Sprintf("{mode: sentinel, master: main, addrs: [%q]}", s.sentinel.addr)
			d := start(t, "--config", w.config(shopRules, "event"))
			d.untilReady(shopPartitions)
			// The 170 minutes in 10 seconds.
			loaded := w.load(shopFile, "--speed", "1000x")
			sends := w.tail(w.sends)
			sends.untilCount(want.sent().total() / 4)
			die(s, sends, want.sent().total()/6)
			eventually(t, "the replica is the master", func() bool { return strings.Contains(s.replica.info("replication"), "role:master") })
			loaded()
			w.untilConsumed()
			d.untilReady(shopPartitions)
			d.terminate()
			w.requireOutcomes(want)
			if replayed := !strings.Contains(d.said(), `"replayed":0,`); replayed != (name == "LacksTheLastWrites") {
				t.Errorf("input was replayed: %v", replayed)
			}
		})
	}
}
