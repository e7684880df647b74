package redis_test

import (
	"errors"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/redis"
)

func do(t *testing.T, client goredis.UniversalClient, args ...any) {
	t.Helper()
	if err := client.Do(t.Context(), args...).Err(); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
}

// owned returns a store whose partition is claimed and holds batch 0.
func owned(t *testing.T, client goredis.UniversalClient) *store {
	t.Helper()
	s := open(t, client, 4)
	redis.SetLargeBatch(s.Store, 3)
	own(t, s)
	return s
}

// What Redis refuses because of its own condition it refuses whole, and the same
// call passes when the condition has passed.
func TestRefusedByCondition(t *testing.T) {
	client := ownServer(t)
	for name, tc := range map[string]struct {
		spoil, mend [][]any
		want        string // in the error
	}{
		"memory": {
			[][]any{{"CONFIG", "SET", "maxmemory", "1"}},
			[][]any{{"CONFIG", "SET", "maxmemory", "0"}},
			"raise it (CONFIG SET maxmemory)",
		},
		"replicas": {
			[][]any{{"CONFIG", "SET", "min-replicas-to-write", "1"}},
			[][]any{{"CONFIG", "SET", "min-replicas-to-write", "0"}},
			"min-replicas-to-write",
		},
		"role": {
			[][]any{{"REPLICAOF", "127.0.0.1", "1"}},
			[][]any{{"REPLICAOF", "NO", "ONE"}},
			"the address of the master",
		},
		"scripts forgotten": {[][]any{{"SCRIPT", "FLUSH"}}, nil, ""},
	} {
		for _, n := range []int64{1, 2} { // by a transaction, by a script
			t.Run(name, func(t *testing.T) {
				s := owned(t, client)
				for i := int64(1); i < n; i++ {
					if err := s.Write(t.Context(), tp, batch(i)); err != nil {
						t.Fatal(err)
					}
				}
				before := s.content(t)
				for _, args := range tc.spoil {
					do(t, client, args...)
				}
				calls := map[string]func() error{
					"Write": func() error { return s.Write(t.Context(), tp, batch(n)) },
					"Claim": func() error {
						_, err := s.Claim(t.Context(), tp, processor.Claim{ID: "id", Epoch: 2, Claimer: "me"})
						return err
					},
					"Wipe": func() error { return s.Wipe(t.Context(), tp, 1) },
				}
				for name, call := range calls {
					if tc.want == "" {
						break
					}
					err := call()
					var e *redis.Error
					if !errors.As(err, &e) || !e.Temporary() || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), s.prefix) {
						t.Errorf("%s = %v, want an error that passes and says %q", name, err, tc.want)
					}
				}
				for _, args := range tc.mend {
					do(t, client, args...)
				}
				if tc.want != "" {
					same(t, "after calls that were refused", s.content(t), before)
				}
				if err := calls["Write"](); err != nil {
					t.Errorf("Write = %v afterwards", err)
				}
			})
		}
	}
}

// The rights that the error recommends are enough, and none too few is taken for
// something that passes.
func TestRights(t *testing.T) {
	client := ownServer(t)
	address := client.Options().Addr
	do(t, client, "ACL", "SETUSER", "nudged", "on", ">secret",
		"~nudged:*", "+@hash", "+@list", "+@set", "+@scripting", "+@keyspace", "+@transaction", "+@connection", "+info", "+config|get")
	user := connect(t, redis.Endpoint{Addrs: []string{address}, Username: "nudged", Password: "secret"})
	if err := redis.CheckPolicy(t.Context(), user); err != nil {
		t.Error(err)
	}
	s := open(t, user, 4)
	redis.SetLargeBatch(s.Store, 3)
	leave(t, s)
	session(t, s)

	for right, call := range map[string]func(*store) error{
		"-@scripting": func(s *store) error { return s.Write(t.Context(), tp, batch(2)) },
		"-hset":       func(s *store) error { return s.Write(t.Context(), tp, batch(1)) },
		"-hmget": func(s *store) error {
			_, err := s.States(t.Context(), tp, processor.Fence{}, []string{"user 1"})
			return err
		},
		"-lrange": func(s *store) error {
			_, err := s.Timers(t.Context(), tp, processor.Fence{}, processor.Bucket{}, 0, 10)
			return err
		},
		"-hgetall": func(s *store) error { _, err := s.Peek(t.Context(), tp); return err },
		"-scan":    func(s *store) error { return s.Wipe(t.Context(), tp, 1) },
		"-watch":   func(s *store) error { return s.Write(t.Context(), tp, batch(1)) },
	} {
		t.Run(right, func(t *testing.T) {
			s := owned(t, user)
			do(t, client, "ACL", "SETUSER", "nudged", right)
			defer do(t, client, "ACL", "SETUSER", "nudged", "+"+right[1:])
			err := call(s)
			var e *redis.Error
			if !errors.As(err, &e) || e.Temporary() || !strings.Contains(err.Error(), "ACL SETUSER") {
				t.Errorf("error = %v, want one that does not pass by itself and names the rights", err)
			}
		})
	}
	for name, e := range map[string]redis.Endpoint{
		"no password":    {Addrs: []string{address}},
		"wrong password": {Addrs: []string{address}, Username: "nudged", Password: "no"},
	} {
		t.Run(name, func(t *testing.T) {
			do(t, client, "ACL", "SETUSER", "default", "on", ">hidden", "resetpass", ">hidden")
			s, err := redis.New(connect(t, e), redis.Options{Group: "g"})
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Peek(t.Context(), tp)
			var failure *redis.Error
			if !errors.As(err, &failure) || failure.Temporary() || !strings.Contains(err.Error(), "password") {
				t.Errorf("Peek = %v, want an error that does not pass by itself and names the password", err)
			}
		})
	}
}

// A key that somebody has changed by hand ends in an error that says so, not in a
// batch that is half written and counts.
func TestWrongType(t *testing.T) {
	client := ownServer(t)
	s := owned(t, client)
	redis.SetLargeBatch(s.Store, never)
	key := s.prefix + "clicks:3}:t:0"
	do(t, client, "DEL", key)
	do(t, client, "SET", key, "by hand")
	b := batch(1)
	b.Timers[0].Bucket.Start, b.Timers[0].Entries[0].At = 0, 0
	err := s.Write(t.Context(), tp, b)
	var e *redis.Error
	if !errors.As(err, &e) || e.Temporary() || !strings.Contains(err.Error(), "changed by hand") {
		t.Fatalf("Write = %v, want an error that does not pass by itself and says why", err)
	}
	if h, err := s.Peek(t.Context(), tp); err != nil || h.Seq != 1 {
		t.Errorf("Peek = %+v, %v: the batch counts", h, err)
	}
	do(t, client, "DEL", key)
	if err := s.Write(t.Context(), tp, b); err != nil {
		t.Errorf("Write = %v afterwards", err)
	}
}

func TestCheckPolicy(t *testing.T) {
	client := ownServer(t)
	for _, policy := range []string{"allkeys-lru", "allkeys-random", "volatile-lru", "volatile-ttl"} {
		do(t, client, "CONFIG", "SET", "maxmemory-policy", policy)
		refuses(t, client, policy, "CONFIG SET maxmemory-policy noeviction", client.Options().Addr)
	}

	// Hosted ones forbid CONFIG, but INFO tells.
	do(t, client, "ACL", "SETUSER", "hosted", "on", ">secret", "+@all", "-config")
	hosted := connect(t, redis.Endpoint{Addrs: []string{client.Options().Addr}, Username: "hosted", Password: "secret"})
	refuses(t, hosted, "volatile-ttl")
	do(t, client, "CONFIG", "SET", "maxmemory-policy", "noeviction")
	for _, c := range []goredis.UniversalClient{client, hosted} {
		if err := redis.CheckPolicy(t.Context(), c); err != nil {
			t.Errorf("CheckPolicy = %v with noeviction", err)
		}
	}
	do(t, client, "ACL", "SETUSER", "hosted", "-info")
	refuses(t, hosted, "+config|get", "+info")
}

func refuses(t *testing.T, client goredis.UniversalClient, says ...string) {
	t.Helper()
	err := redis.CheckPolicy(t.Context(), client)
	if err == nil {
		t.Fatal("CheckPolicy = nil")
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("CheckPolicy = %v, want it to say %q", err, s)
		}
	}
}
