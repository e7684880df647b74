package services

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Redis is a master and a replica. Clients reach the master through proxies, which
// are led to the other server when it takes over.
type Redis struct {
	servers [2]*redisServer
	link    *Proxy // what the replica replicates through
	fronts  *Proxies
	stop    context.CancelFunc
	grown   sync.WaitGroup

	mu      sync.Mutex
	master  int
	proxies []*Proxy
}

// redisServer is one of the two.
type redisServer struct {
	*Process
	address string
	dir     string
	tiny    bool // dir is a file system of its own, which can be filled up
	client  *goredis.Client
	damaged atomic.Int64 // times that its file was thrown away

	mu    sync.Mutex
	sizes []fileSize // of its append-only file, as it grew lately
}

// fileSize is how large the append-only file was at a time.
type fileSize struct {
	at    time.Time
	name  string
	bytes int64
}

// tinyDisk is how large the file system of a Redis is, where one can be mounted.
const tinyDisk = 160 << 20

// StartRedis starts both in a new folder and waits until the replica follows.
func StartRedis(ctx context.Context, programs Programs, dir string, proxies *Proxies) (*Redis, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	r := &Redis{fronts: proxies}
	for i, port := range ports {
		s := &redisServer{address: loopback(port), dir: filepath.Join(dir, fmt.Sprintf("redis-%d", i+1))}
		if err := os.Mkdir(s.dir, 0o700); err != nil {
			return r, err
		}
		s.tiny = mountTiny(s.dir, tinyDisk) == nil
		config := filepath.Join(dir, fmt.Sprintf("redis-%d.conf", i+1))
		// The settings are those that nudged recommends, as in deploy/local.
		text := fmt.Sprintf(`bind 127.0.0.1
port %d
dir "%s"
daemonize no
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
hash-max-listpack-entries 128
hash-max-listpack-value 512
auto-aof-rewrite-min-size 16mb
repl-diskless-sync-delay 0
repl-timeout 20
`, port, s.dir)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			return r, err
		}
		s.Process = &Process{
			Name: fmt.Sprintf("redis-%d", i+1), Log: filepath.Join(dir, fmt.Sprintf("redis-%d.log", i+1)),
			Args: []string{programs.RedisServer, config},
		}
		s.client = goredis.NewClient(&goredis.Options{Addr: s.address, MaxRetries: -1, DialerRetries: 1})
		r.servers[i] = s
		if err := s.up(ctx); err != nil {
			return r, err
		}
	}
	if r.link, err = proxies.Add("redis-replication", 0, r.servers[0].address); err != nil {
		return r, err
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stop = stop
	for _, s := range r.servers {
		r.grown.Go(func() { s.watch(watching) })
	}
	return r, r.follow(ctx)
}

// Front makes a proxy before the master.
func (r *Redis) Front(name string) (*Proxy, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.fronts.Add(name, 0, r.servers[r.master].address)
	if err == nil {
		r.proxies = append(r.proxies, p)
	}
	return p, err
}

// Master is a client of the master that goes past the proxies.
func (r *Redis) Master() *goredis.Client { return r.server(0).client }

// server returns the master, or the other one.
func (r *Redis) server(other int) *redisServer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.servers[(r.master+other)%2]
}

// up starts the server and waits until it has loaded its data. After its disk was
// full Redis 7.0 may find that it has damaged its own file: then nobody can help it,
// the file is thrown away.
func (s *redisServer) up(ctx context.Context) error {
	if name, _, err := s.appendOnly(); err == nil { // there is none at first
		if err := mendAOF(name); err != nil {
			return err
		}
	}
	err := s.begin(ctx)
	if !errors.Is(err, errEnded) || !strings.Contains(s.Tail(5), "Bad file format reading the append only file") {
		return err
	}
	s.damaged.Add(1)
	if err := os.RemoveAll(filepath.Join(s.dir, "appendonlydir")); err != nil {
		return err
	}
	return s.begin(ctx)
}

func (s *redisServer) begin(ctx context.Context) error {
	if err := s.Start(); err != nil {
		return err
	}
	return s.await(ctx, "it does not answer", patience, func(ctx context.Context) error { return s.client.Ping(ctx).Err() })
}

// follow lets the replica follow the master.
func (r *Redis) follow(ctx context.Context) error {
	master, replica := r.server(0), r.server(1)
	if err := r.link.Lead(master.address); err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(r.link.Address()) // it is one
	err := Eventually(ctx, patience, func(ctx context.Context) error {
		if err := replica.client.ReplicaOf(ctx, host, port).Err(); err != nil {
			return err
		}
		return r.inSync(ctx)
	})
	if err != nil {
		return fmt.Errorf("the replica of Redis does not follow: %w", err)
	}
	return nil
}

// Healed waits until both run and the replica is in step.
func (r *Redis) Healed(ctx context.Context) error {
	if err := r.Master().ConfigSet(ctx, "maxmemory", "0").Err(); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	if err := r.link.Mend(); err != nil {
		return err
	}
	if err := Eventually(ctx, patience, r.inSync); err != nil {
		return fmt.Errorf("the replica of Redis does not follow: %w", err)
	}
	return nil
}

var errBehind = errors.New("the link is down")

func (r *Redis) inSync(ctx context.Context) error {
	info, err := r.server(1).client.Info(ctx, "replication").Result()
	if err != nil {
		return err
	}
	if !strings.Contains(info, "master_link_status:up") {
		return errBehind
	}
	return nil
}

// Restart ends the master as an operator would, leaves it down for a while, and
// starts it again.
func (r *Redis) Restart(ctx context.Context, down time.Duration) error {
	s := r.server(0)
	s.Terminate(patience)
	pause(ctx, down)
	return s.up(ctx)
}

// Kill is kill -9. What it had written to its file is there when it comes back.
func (r *Redis) Kill(ctx context.Context, down time.Duration) error {
	s := r.server(0)
	s.Kill()
	pause(ctx, down)
	return s.up(ctx)
}

// LosePower is kill -9 of the machine: of the last second and some more, the end of
// the append-only file had not reached the disk. It returns how many bytes are gone.
func (r *Redis) LosePower(ctx context.Context, dice *rand.Rand, down time.Duration) (lost int64, err error) {
	s := r.server(0)
	s.Kill()
	if lost, err = s.tear(dice); err != nil {
		return 0, err
	}
	pause(ctx, down)
	return lost, s.up(ctx)
}

// FailOver lets the replica take over, without the writes of the last moments: it
// has been cut off for lag. The old master comes back as its replica.
func (r *Redis) FailOver(ctx context.Context, lag, down time.Duration) error {
	old, next := r.server(0), r.server(1)
	r.link.Cut()
	pause(ctx, lag)
	old.Kill()
	pause(ctx, down)
	if err := next.client.ReplicaOf(ctx, "NO", "ONE").Err(); err != nil {
		return fmt.Errorf("redis: the replica cannot take over: %w", err)
	}
	r.mu.Lock()
	r.master = 1 - r.master
	proxies := append([]*Proxy{}, r.proxies...)
	r.mu.Unlock()
	for _, p := range proxies {
		if err := p.Lead(next.address); err != nil {
			return err
		}
	}
	if err := old.up(ctx); err != nil {
		return err
	}
	return r.follow(ctx)
}

// Damaged is how often a server has found its own file damaged, and begun with
// nothing.
func (r *Redis) Damaged() int64 { return r.servers[0].damaged.Load() + r.servers[1].damaged.Load() }

// Empty removes everything.
func (r *Redis) Empty(ctx context.Context) error {
	if err := r.Master().FlushAll(ctx).Err(); err != nil {
		return fmt.Errorf("redis: FLUSHALL: %w", err)
	}
	return nil
}

// FillMemory lets the master refuse to take anything in, for a while.
func (r *Redis) FillMemory(ctx context.Context, full time.Duration) error {
	master := r.Master()
	if err := master.ConfigSet(ctx, "maxmemory", "1mb").Err(); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	pause(ctx, full)
	if err := master.ConfigSet(ctx, "maxmemory", "0").Err(); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}

// CanFillDisk says whether the servers have small disks of their own.
func (r *Redis) CanFillDisk() bool {
	return r.servers[0] != nil && r.servers[1] != nil && r.servers[0].tiny && r.servers[1].tiny
}

// FillDisk fills the master's disk for a while.
func (r *Redis) FillDisk(ctx context.Context, full time.Duration) error {
	ballast := filepath.Join(r.server(0).dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		return fmt.Errorf("fill the disk: %w", err)
	}
	// Again and again: what is freed in between is taken as well.
	block := make([]byte, 4096)
	limit := time.After(full)
	for over := false; !over; {
		if _, err = f.Write(block); err == nil {
			continue
		}
		if !errors.Is(err, syscall.ENOSPC) {
			break
		}
		err = nil
		select {
		case <-ctx.Done():
			over = true
		case <-limit:
			over = true
		case <-time.After(20 * time.Millisecond):
		}
	}
	f.Close()
	if rerr := os.Remove(ballast); err == nil {
		err = rerr
	}
	if err != nil {
		return fmt.Errorf("fill the disk: %w", err)
	}
	return nil
}

// Close ends both and their disks.
func (r *Redis) Close() {
	if r.stop != nil {
		r.stop()
	}
	r.grown.Wait()
	for _, s := range r.servers {
		if s == nil {
			continue
		}
		if s.Process != nil {
			s.Kill()
		}
		if s.client != nil {
			s.client.Close()
		}
		if s.tiny {
			unmountTiny(s.dir)
		}
	}
}

// Problem says what is wrong with the processes that ought to run.
func (r *Redis) Problem() error {
	var errs []error
	for _, s := range r.servers {
		if !s.Running() {
			errs = append(errs, fmt.Errorf("%s is not running; the end of its log:\n%s", s.Name, s.Tail(25)))
		}
	}
	return errors.Join(errs...)
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
