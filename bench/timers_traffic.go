package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/bench/load"
)

// shopper makes the events of `bench timers` and keeps what they owe.
type shopper struct {
	sender *load.Sender
	users  int
	owed   *promises
	number atomic.Int64
	phase  atomic.Int64 // of the steady traffic
}

func userName(n int) string { return fmt.Sprintf("u%07d", n) }

// event produces one event dated at.
func (s *shopper) event(ctx context.Context, typ string, user int, at time.Time, owes func(id string)) {
	id := typ[:1] + strconv.FormatInt(s.number.Add(1), 36)
	if owes != nil {
		owes(id)
	}
	name := userName(user)
	b := make([]byte, 0, 160)
	b = append(b, `{"id":"`...)
	b = append(b, id...)
	b = append(b, `","type":"`...)
	b = append(b, typ...)
	b = append(b, `","user":"`...)
	b = append(b, name...)
	b = append(b, `","time":"`...)
	b = at.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = append(b, `","n":"`...)
	b = append(b, id...)
	b = append(b, `"}`...)
	s.sender.Send(ctx, []byte(name), b)
}

// park makes one event of every user, over the last two weeks: they are due in two
// to four weeks.
func (s *shopper) park(ctx context.Context) error {
	now := time.Now()
	rng := rand.New(rand.NewPCG(1, 2))
	for u := range s.users {
		s.event(ctx, "park", u, now.Add(-time.Duration(rng.Int64N(int64(parkedWait/2)))), nil)
	}
	return s.sender.Flush(ctx)
}

// steady makes rate events a second, evenly, until ctx ends: every other one sets
// a timer. The users are any.
func (s *shopper) steady(ctx context.Context, rate int) error {
	rng := rand.New(rand.NewPCG(3, 4))
	whole := context.WithoutCancel(ctx) // what is owed goes out
	began := time.Now()
	for n := 0; ctx.Err() == nil; {
		want := int(time.Since(began).Seconds() * float64(rate))
		for ; n < want; n++ {
			now := time.Now().Truncate(time.Millisecond)
			user := rng.IntN(s.users)
			if n%2 == 0 {
				s.event(whole, "look", user, now, nil)
				continue
			}
			of := phase(s.phase.Load())
			s.event(whole, "soon", user, now, func(id string) {
				s.owed.owe(id, promise{rule: "soon", user: userName(user), due: now.Add(soonWait).UnixMilli(), phase: of})
			})
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Millisecond):
		}
	}
	return s.sender.Flush(whole)
}

// later makes n events whose timers are due from due on, evenly over the span.
func (s *shopper) later(ctx context.Context, n int, due time.Time, span time.Duration, of phase) error {
	due = due.Truncate(time.Millisecond)
	for i := range n {
		at := due.Add(time.Duration(float64(span) * float64(i) / float64(n))).Truncate(time.Millisecond)
		user := i % s.users
		s.event(ctx, "later", user, at.Add(-laterWait), func(id string) {
			s.owed.owe(id, promise{rule: "later", user: userName(user), due: at.UnixMilli(), phase: of})
		})
	}
	return s.sender.Flush(ctx)
}

// watchSends hands the committed records of the sends topic to the promises until
// ctx ends.
func watchSends(ctx context.Context, brokers []string, topic string, owed *promises) error {
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	if err != nil {
		return fmt.Errorf("consumer of topic %q: %w", topic, err)
	}
	defer cl.Close()
	for {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		now := time.Now()
		var failed error
		for _, e := range fetches.Errors() {
			failed = errors.Join(failed, fmt.Errorf("topic %q partition %d: %w", e.Topic, e.Partition, e.Err))
		}
		if failed != nil {
			return failed
		}
		fetches.EachRecord(func(r *kgo.Record) { owed.take(r.Value, now) })
	}
}
