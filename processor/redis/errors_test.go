package redis_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/redis"
)

// calls are all methods of a store.
func calls(ctx context.Context, s *redis.Store) map[string]func() error {
	large := batch(0)
	for range 300 {
		large.States = append(large.States, processor.StateWrite{User: "ann"})
	}
	return map[string]func() error{
		"Peek":         func() error { _, err := s.Peek(ctx, tp); return err },
		"Claim":        func() error { _, err := s.Claim(ctx, tp, processor.Claim{ID: "id", Epoch: 1}); return err },
		"Write":        func() error { return s.Write(ctx, tp, batch(0)) },
		"Write, large": func() error { return s.Write(ctx, tp, large) },
		"Fence":        func() error { _, _, err := s.Fence(ctx, tp); return err },
		"States":       func() error { _, err := s.States(ctx, tp, processor.Fence{}, []string{"ann"}); return err },
		"CountTimers":  func() error { _, err := s.CountTimers(ctx, tp); return err },
		"Timers":       func() error { _, err := s.Timers(ctx, tp, processor.Fence{}, processor.Bucket{}, 0, 10); return err },
		"Wipe":         func() error { return s.Wipe(ctx, tp, 1) },
	}
}

// Every method tells an error reply for what it is.
func TestErrorReplies(t *testing.T) {
	m := miniredis.RunT(t)
	client := connect(t, redis.Endpoint{Addrs: []string{m.Addr()}})
	s, err := redis.New(client, redis.Options{Group: "g"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Claim(t.Context(), tp, processor.Claim{ID: "id", Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		reply     string
		permanent bool
		says      string
	}{
		{"LOADING Redis is loading the dataset in memory", false, "LOADING"},
		{"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", false, "MASTERDOWN"},
		{"CLUSTERDOWN Hash slot not served", false, "CLUSTERDOWN"},
		{"TRYAGAIN Multiple keys request during rehashing of slot", false, "TRYAGAIN"},
		{"READONLY You can't write against a read only replica.", false, "Sentinel"},
		{"NOREPLICAS Not enough good replicas to write.", false, "min-replicas-to-write"},
		{"OOM command not allowed when used memory > 'maxmemory'.", false, "maxmemory"},
		{"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", false, "disk"},
		{"BUSY Redis is busy running a script.", false, "BUSY"},
		{"ERR max number of clients reached", false, "maxclients"},
		{"ERR something that nobody has heard of", false, "nobody has heard of"},
		{"NOAUTH Authentication required.", true, "password"},
		{"WRONGPASS invalid username-password pair or user is disabled.", true, "password"},
		{"NOPERM this user has no permissions to run the 'evalsha' command", true, "ACL SETUSER"},
		{"WRONGTYPE Operation against a key holding the wrong kind of value", true, "by hand"},
		{"ERR Error running script (call to f_1): @user_script:1: WRONGTYPE Operation against a key", true, "by hand"},
		{"ERR user_script:12: attempt to compare nil with number", true, "not what nudged writes"},
		{"ERR unknown command 'EVALSHA', with args beginning with:", true, "Redis 7"},
		{"CROSSSLOT Keys in request don't hash to the same slot", true, "braces"},
	} {
		m.SetError(tc.reply)
		for name, call := range calls(t.Context(), s) {
			err := call()
			var e *redis.Error
			if !errors.As(err, &e) {
				t.Errorf("%s = %v, want a *redis.Error: %s", name, err, tc.reply)
				continue
			}
			if e.Temporary() == tc.permanent {
				t.Errorf("%s: %v: Temporary = %t", name, err, e.Temporary())
			}
			for _, want := range []string{tc.says, tc.reply, m.Addr(), "clicks/3", "nudged:{g:clicks:3}:"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s = %v, want it to say %q", name, err, want)
				}
			}
			for _, not := range []error{processor.ErrFenced, processor.ErrLost, processor.ErrIdentity} {
				if errors.Is(err, not) {
					t.Errorf("%s = %v is taken for an answer of the store: %v", name, err, not)
				}
			}
		}
		m.SetError("")
	}
}

// Whatever way Redis does not answer, it is out of reach, not permanently broken.
func TestOutOfReach(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() // connections are made, but nobody takes them
	closing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := closing.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	defer closing.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()

	for name, tc := range map[string]struct {
		at  net.Listener
		ctx context.Context
		is  error
	}{
		"no answer":          {silent, t.Context(), nil},
		"connection closed":  {closing, t.Context(), nil},
		"connection refused": {gone, t.Context(), nil},
		"context ended":      {silent, cancelled, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			address := tc.at.Addr().String()
			client := connect(t, redis.Endpoint{Addrs: []string{address}, CallTimeout: 20 * time.Millisecond, DialTimeout: 20 * time.Millisecond})
			s, err := redis.New(client, redis.Options{Group: "g"})
			if err != nil {
				t.Fatal(err)
			}
			for name, call := range calls(tc.ctx, s) {
				err := call()
				var e *redis.Error
				if !errors.As(err, &e) || !e.Temporary() || !strings.Contains(err.Error(), address) {
					t.Errorf("%s = %v, want a temporary *redis.Error that names %s", name, err, address)
				}
				if tc.is != nil && !errors.Is(err, tc.is) {
					t.Errorf("%s = %v, want it to be %v", name, err, tc.is)
				}
			}
			if err := redis.CheckPolicy(tc.ctx, client); err == nil || !strings.Contains(err.Error(), address) {
				t.Errorf("CheckPolicy = %v, want an error that names %s", err, address)
			}
		})
	}
}

// A header that nudged has not written is an error, and stays one.
func TestDamagedHeader(t *testing.T) {
	client := embeddedClient(t)
	s := owned(t, client)
	key := s.prefix + "clicks:3}:h"
	for field, value := range map[string]string{"e": "x", "v": "", "s": "1.5", "h": "7", "x": "1,2,3", "o": "-", "u": "0", "c": "noon", "b": "99999999999999999999"} {
		old := client.HGet(t.Context(), key, field).Val()
		do(t, client, "HSET", key, field, value)
		_, err := s.Peek(t.Context(), tp)
		var e *redis.Error
		if !errors.As(err, &e) || e.Temporary() || !strings.Contains(err.Error(), "field "+field+":") || !strings.Contains(err.Error(), "restore a backup") {
			t.Errorf("Peek with %s = %q: %v, want an error that names the field and stays", field, value, err)
		}
		do(t, client, "HDEL", key, field)
		if _, err := s.Peek(t.Context(), tp); !errors.As(err, &e) || e.Temporary() {
			t.Errorf("Peek without %s: %v, want an error that stays", field, err)
		}
		do(t, client, "HSET", key, field, old)
	}
	if _, err := s.Peek(t.Context(), tp); err != nil {
		t.Errorf("Peek of the header as it was = %v", err)
	}
}

func TestCheckPolicyEmbedded(t *testing.T) {
	if err := redis.CheckPolicy(t.Context(), embeddedClient(t)); err != nil {
		t.Error(err)
	}
	// One that knows neither CONFIG nor what INFO tells.
	m := miniredis.RunT(t)
	refuses(t, connect(t, redis.Endpoint{Addrs: []string{m.Addr()}}), "+config|get", m.Addr())
}

func TestEndpoint(t *testing.T) {
	for _, tc := range []struct {
		e    redis.Endpoint
		says string
	}{
		{redis.Endpoint{}, "no address"},
		{redis.Endpoint{Addrs: []string{"a:1", "b:1"}}, "neither cluster nor the name of a Sentinel master"},
		{redis.Endpoint{Addrs: []string{"a:1"}, Cluster: true, Master: "m"}, "leave one of them out"},
		{redis.Endpoint{Addrs: []string{"a:1"}, Cluster: true, DB: 1}, "only database 0"},
	} {
		if c, err := redis.Connect(tc.e); err == nil || !strings.Contains(err.Error(), tc.says) || c != nil {
			t.Errorf("Connect(%+v) = %v, want an error that says %q", tc.e, err, tc.says)
		}
	}
	for _, tc := range []struct {
		e    redis.Endpoint
		want goredis.UniversalClient
	}{
		{redis.Endpoint{Addrs: []string{"127.0.0.1:1"}, DB: 2}, (*goredis.Client)(nil)},
		{redis.Endpoint{Addrs: []string{"127.0.0.1:1", "127.0.0.1:2"}, Master: "m"}, (*goredis.Client)(nil)},
		{redis.Endpoint{Addrs: []string{"127.0.0.1:1"}, Cluster: true}, (*goredis.ClusterClient)(nil)},
	} {
		c := connect(t, tc.e)
		_, single := c.(*goredis.Client)
		_, wantSingle := tc.want.(*goredis.Client)
		if single != wantSingle {
			t.Errorf("Connect(%+v) = %T, want %T", tc.e, c, tc.want)
		}
		if _, err := redis.New(c, redis.Options{Group: "g"}); err != nil {
			t.Errorf("New with the client of Connect(%+v) = %v", tc.e, err)
		}
	}
}

func TestOptions(t *testing.T) {
	client := connect(t, redis.Endpoint{Addrs: []string{"127.0.0.1:1"}})
	repeating := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:1"})
	defer repeating.Close()
	stale := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}, RouteRandomly: true})
	defer stale.Close()
	for _, tc := range []struct {
		client goredis.UniversalClient
		o      redis.Options
		says   string
	}{
		{client, redis.Options{}, "group is empty"},
		{client, redis.Options{Group: "a{b"}, "brace"},
		{client, redis.Options{Group: "a}b"}, "brace"},
		{client, redis.Options{Group: "g", UserBuckets: -1}, "-1 user buckets"},
		{client, redis.Options{Group: "g", UserBuckets: 1<<16 + 1}, "65537 user buckets"},
		{repeating, redis.Options{Group: "g"}, "MaxRetries"},
		{stale, redis.Options{Group: "g"}, "replicas"},
	} {
		if s, err := redis.New(tc.client, tc.o); err == nil || !strings.Contains(err.Error(), tc.says) || s != nil {
			t.Errorf("New(%+v) = %v, want an error that says %q", tc.o, err, tc.says)
		}
	}
}
