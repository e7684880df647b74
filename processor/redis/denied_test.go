package redis_test

import (
	"strings"
	"testing"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/redis"
)

// Without one of the commands that deploy/redis/users.acl allows, some call says which
// one is missing and what to do; with all of them every call passes.
func TestMissingRightIsNamed(t *testing.T) {
	admin := ownServer(t)
	args := []any{"ACL", "SETUSER", "nudged", ">secret"}
	var commands []string
	for _, word := range deployed(t) {
		args = append(args, word)
		if command, ok := strings.CutPrefix(word, "+"); ok {
			commands = append(commands, command)
		}
	}
	do(t, admin, args...)
	// These have a substitute, serve other settings or other users of the client, or
	// may always be called.
	spare := map[string]bool{
		"hello": true, "auth": true, "client|setname": true, "ping": true, "select": true, "config|get": true, "info": true,
		"unwatch": true, "hget": true, "time": true,
	}
	for _, command := range append([]string{""}, commands...) {
		if command != "" {
			do(t, admin, "ACL", "SETUSER", "nudged", "-"+command)
			do(t, admin, "SCRIPT", "FLUSH")
		}
		said := ""
		client := connect(t, redis.Endpoint{Addrs: []string{admin.Options().Addr}, Username: "nudged", Password: "secret"})
		s := open(t, admin, 4) // which also tidies up
		own, err := redis.New(client, redis.Options{Group: s.group, UserBuckets: 4})
		if err != nil {
			t.Fatal(err)
		}
		if err := redis.CheckPolicy(t.Context(), client); err != nil {
			said += err.Error() + "\n"
		}
		redis.SetLargeBatch(own, 3)
		for _, call := range everything(t, own) {
			if err := call(); err != nil {
				said += err.Error() + "\n"
			}
		}
		switch {
		case command == "" && said != "":
			t.Fatalf("with all documented rights: %s", said)
		case command == "" || spare[command]:
		case !strings.Contains(said, "'"+command+"'"), !strings.Contains(said, "ACL SETUSER"):
			t.Errorf("without %s it is said: %q", command, said)
		}
		if command != "" {
			do(t, admin, "ACL", "SETUSER", "nudged", "+"+command)
		}
	}
}

// everything is a partition's life: claimed, written by scripts and transactions,
// read, emptied.
func everything(t *testing.T, s *redis.Store) []func() error {
	ctx := t.Context()
	return []func() error{
		func() error {
			_, err := s.Claim(ctx, tp, processor.Claim{ID: "id", Epoch: 1, Claimer: "a", Names: map[uint32]string{1: "rule"}})
			return err
		},
		func() error { return s.Wipe(ctx, tp, 1) },
		func() error {
			_, err := s.Claim(ctx, tp, processor.Claim{ID: "id", Epoch: 1, Claimer: "a"})
			return err
		},
		func() error {
			h, err := s.Peek(ctx, tp)
			for n := int64(0); n < 4 && err == nil && h != nil; n++ {
				b := batch(n)
				b.Version = h.Version + n
				if n == 3 {
					b.Erased = batch(2).Timers
				}
				err = s.Write(ctx, tp, b)
			}
			return err
		},
		func() error { _, _, err := s.Fence(ctx, tp); return err },
		func() error { _, err := s.States(ctx, tp, processor.Fence{}, []string{"user 1"}); return err },
		func() error { _, _, err := s.Users(ctx, tp, processor.Fence{}, 0); return err },
		func() error { _, err := s.Names(ctx, tp); return err },
		func() error { _, err := s.CountTimers(ctx, tp); return err },
		func() error {
			_, err := s.Timers(ctx, tp, processor.Fence{}, processor.Bucket{Start: 3 * processor.FarBucket, Width: processor.FarBucket}, 0, 10)
			return err
		},
		func() error { return s.Wipe(ctx, tp, 1) },
	}
}
