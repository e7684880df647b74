package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/redis"
)

var tp = processor.TopicPartition{Topic: "clicks", Partition: 3}

// fault is a hook that sees every command sent, in the order they are sent; those
// of a transaction are one.
type fault struct {
	calls int
	// around is called for each; send carries it out.
	around func(call int, cmds []goredis.Cmder, send func() error) error
}

func (f *fault) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (f *fault) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		return f.see([]goredis.Cmder{cmd}, func() error { return next(ctx, cmd) })
	}
}

func (f *fault) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		return f.see(cmds, func() error { return next(ctx, cmds) })
	}
}

func (f *fault) see(cmds []goredis.Cmder, send func() error) error {
	f.calls++
	if f.around == nil {
		return send()
	}
	err := f.around(f.calls-1, cmds, send)
	if err != nil {
		for _, c := range cmds {
			c.SetErr(err)
		}
	}
	return err
}

var errNoReply = &net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by peer")}

// faulty returns a store whose client has the hook, and one without, of the same
// group.
func faulty(t *testing.T, connectTo func(testing.TB) goredis.UniversalClient, f *fault) (with, without *store) {
	t.Helper()
	client := connectTo(t)
	without = open(t, client, 4)
	hooked, err := redis.Connect(redis.Endpoint{Addrs: []string{client.(*goredis.Client).Options().Addr}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hooked.Close() })
	// The first connection is made before the hook is there.
	if err := hooked.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	hooked.AddHook(f)
	s, err := redis.New(hooked, redis.Options{Group: without.group, UserBuckets: 4})
	if err != nil {
		t.Fatal(err)
	}
	redis.SetLargeBatch(s, 3)
	redis.SetLargeBatch(without.Store, 3)
	return &store{Store: s, client: hooked, group: without.group, prefix: without.prefix}, without
}

// batch is the n-th of an owner under epoch 1, counted from 0. Each second one is
// large.
func batch(n int64) *processor.Batch {
	bucket := processor.Bucket{Start: n * processor.FarBucket, Width: processor.FarBucket}
	b := &processor.Batch{
		Epoch: 1, Version: n,
		Next:      processor.Header{Seq: n + 1, Offset: 10 * (n + 1), Clock: n, History: processor.History{{Epoch: 1, First: 1}}},
		Published: n - 1,
		Timers:    []processor.TimerWrite{{Bucket: bucket, New: true, Entries: []processor.TimerEntry{{At: bucket.Start, User: "ann"}}}},
		Outbox:    &processor.OutboxEntry{Seq: n + 1, Records: fmt.Append(nil, "records ", n)},
	}
	if n > 1 {
		b.Done = []processor.Bucket{{Start: (n - 2) * processor.FarBucket, Width: processor.FarBucket}}
	}
	users := 2
	if n%2 == 1 {
		users = 10
	}
	for i := range users {
		b.States = append(b.States, processor.StateWrite{User: fmt.Sprint("user ", i), State: fmt.Append(nil, "state ", n, i)})
	}
	return b
}

// session is what an owner does in a partition that another has left: claim,
// empty, write. Each call is repeated until it is answered.
func session(t *testing.T, s *store) {
	t.Helper()
	repeat := func(what string, call func() error) {
		t.Helper()
		for range 5 {
			err := call()
			if err == nil {
				return
			}
			var unknown *redis.Error
			if !errors.As(err, &unknown) || !unknown.Temporary() {
				t.Fatalf("%s = %v", what, err)
			}
		}
		t.Fatalf("%s has had no answer five times", what)
	}
	repeat("Claim", func() error {
		c, err := s.Claim(t.Context(), tp, processor.Claim{ID: "id", Epoch: 1, Claimer: "me", Names: map[uint32]string{1: "one"}})
		if err == nil && c.Header.Wiping {
			t.Error("the partition was left to be emptied")
		}
		return err
	})
	repeat("Wipe", func() error { return s.Wipe(t.Context(), tp, 1) })
	var h *processor.Header
	repeat("Peek", func() (err error) { h, err = s.Peek(t.Context(), tp); return err })
	if h.Version == 0 {
		t.Fatal("the version does not tell that the partition was emptied")
	}
	for n := range int64(4) {
		b := batch(n)
		b.Version = h.Version + n
		repeat("Write", func() error { return s.Write(t.Context(), tp, b) })
	}
}

// leave makes what the session finds.
func leave(t *testing.T, s *store) {
	t.Helper()
	empty(t, s, 0, "other")
	b := batch(1)
	b.Epoch, b.Version = 0, s.version(t)
	if err := s.Write(t.Context(), tp, b); err != nil {
		t.Fatal(err)
	}
}

// empty claims the partition and empties it.
func empty(t *testing.T, s *store, epoch int64, claimer string) {
	t.Helper()
	if _, err := s.Claim(t.Context(), tp, processor.Claim{ID: "id", Epoch: epoch, Claimer: claimer}); err != nil {
		t.Fatal(err)
	}
	if err := s.Wipe(t.Context(), tp, epoch); err != nil {
		t.Fatal(err)
	}
}

// own makes s the owner under epoch 1 of a partition that holds batch 0.
func own(t *testing.T, s *store) {
	t.Helper()
	empty(t, s, 0, "other")
	if _, err := s.Claim(t.Context(), tp, processor.Claim{ID: "id", Epoch: 1, Claimer: "me"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), tp, batch(0)); err != nil {
		t.Fatal(err)
	}
}

// Whichever call of a session gets no reply, be it carried out or not, what is
// stored in the end is the same.
func TestNoReply(t *testing.T) {
	for name, connectTo := range map[string]func(testing.TB) goredis.UniversalClient{"Embedded": embeddedClient, "Real": realClient} {
		t.Run(name, func(t *testing.T) {
			s, clean := faulty(t, connectTo, &fault{})
			leave(t, clean)
			session(t, s)
			want := withoutVersion(clean.content(t))
			for _, carriedOut := range []bool{true, false} {
				// How many calls there are depends on what else is on that Redis.
				tried := 0
				for k := 0; k == tried; k++ {
					f := &fault{around: func(call int, _ []goredis.Cmder, send func() error) error {
						if call != k {
							return send()
						}
						tried++
						if carriedOut {
							if err := send(); err != nil && !goredis.HasErrorPrefix(err, "NOSCRIPT") {
								t.Errorf("call %d = %v", k, err)
							}
						}
						return errNoReply
					}}
					s, clean := faulty(t, connectTo, f)
					leave(t, clean)
					session(t, s)
					same(t, fmt.Sprintf("call %d without reply, carried out: %t", k, carriedOut), withoutVersion(clean.content(t)), want)
				}
				if tried < 15 {
					t.Errorf("only %d calls were tried", tried)
				}
			}
		})
	}
}

// withoutVersion leaves out the one thing that depends on how often an emptying
// was begun.
func withoutVersion(content map[string]any) map[string]any {
	for k, v := range content {
		if strings.HasSuffix(k, ":h") {
			delete(v.(map[string]string), "v")
		}
	}
	return content
}

// Whatever call of a session arrives once more when it is over changes nothing.
func TestLateCalls(t *testing.T) {
	for name, connectTo := range map[string]func(testing.TB) goredis.UniversalClient{"Embedded": embeddedClient, "Real": realClient} {
		t.Run(name, func(t *testing.T) {
			var sent [][]any
			f := &fault{around: func(_ int, cmds []goredis.Cmder, send func() error) error {
				if len(cmds) == 1 { // those in a transaction come late in TestOvertakenTransaction
					args := make([]any, len(cmds[0].Args()))
					for i, a := range cmds[0].Args() {
						args[i] = keep(t, a)
					}
					sent = append(sent, args)
				}
				return send()
			}}
			s, clean := faulty(t, connectTo, f)
			leave(t, clean)
			session(t, s)
			want := clean.content(t)
			for _, args := range sent {
				err := clean.client.Do(t.Context(), args...).Err()
				if err != nil && !errors.Is(err, goredis.Nil) && !goredis.HasErrorPrefix(err, "NOSCRIPT") {
					t.Errorf("%.60v = %v", args, err)
				}
				same(t, fmt.Sprintf("%.60v once more", args), clean.content(t), want)
			}
			if len(sent) < 12 {
				t.Errorf("only %d calls were seen", len(sent))
			}
		})
	}
}

// keep copies an argument, which the store uses again for other calls.
func keep(t *testing.T, arg any) any {
	switch a := arg.(type) {
	case *string:
		return *a
	case *int:
		return *a
	case []byte:
		return slices.Clone(a)
	case interface{ MarshalBinary() ([]byte, error) }:
		b, err := a.MarshalBinary()
		if err != nil {
			t.Error(err)
		}
		return slices.Clone(b)
	}
	return arg
}

// A transaction that reaches Redis after somebody else has written is not carried
// out, and what the store answers then is what has happened.
func TestOvertakenTransaction(t *testing.T) {
	for name, tc := range map[string]struct {
		overtake func(*testing.T, *store)
		want     error
	}{
		"by itself": {func(t *testing.T, s *store) {
			if err := s.Write(t.Context(), tp, batch(1)); err != nil {
				t.Error(err)
			}
		}, nil},
		"by itself and the next": {func(t *testing.T, s *store) {
			for _, n := range []int64{1, 2} {
				if err := s.Write(t.Context(), tp, batch(n)); err != nil {
					t.Error(err)
				}
			}
		}, processor.ErrLost},
		"by a claim": {func(t *testing.T, s *store) {
			if _, err := s.Claim(t.Context(), tp, processor.Claim{ID: "id", Epoch: 2, Claimer: "other"}); err != nil {
				t.Error(err)
			}
		}, processor.ErrFenced},
		"by a loss": {func(t *testing.T, s *store) {
			s.removeAll(t)
		}, processor.ErrLost},
	} {
		for redisName, connectTo := range map[string]func(testing.TB) goredis.UniversalClient{"Embedded": embeddedClient, "Real": realClient} {
			t.Run(name+"/"+redisName, func(t *testing.T) {
				var after map[string]any
				f := &fault{}
				s, clean := faulty(t, connectTo, f)
				own(t, s)
				f.around = func(_ int, cmds []goredis.Cmder, send func() error) error {
					if len(cmds) > 1 && after == nil {
						tc.overtake(t, clean)
						after = clean.content(t)
					}
					return send()
				}
				if err := s.Write(t.Context(), tp, batch(1)); !errors.Is(err, tc.want) {
					t.Errorf("Write = %v, want %v", err, tc.want)
				}
				if after == nil {
					t.Fatal("the batch was not written in a transaction")
				}
				same(t, "after the late transaction", clean.content(t), after)
			})
		}
	}
}
