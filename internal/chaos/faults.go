package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// fault is one kind of what goes wrong. It returns once that is over, and what was
// broken is whole again.
type fault struct {
	name string
	do   func(ctx context.Context, dice *rand.Rand) error
}

// faultNames are all there are, but for those named die:STEP, see boundaries.
var faultNames = []string{
	"kill", "terminate", "kill-all", "pause", "zombie", "clock-step", "storm",
	"kafka-restart", "kafka-kill", "kafka-outage", "kafka-leaders",
	"kafka-slow", "kafka-cut", "kafka-lost-replies", "kafka-torn-requests", "kafka-silence",
	"redis-restart", "redis-kill", "redis-power-loss", "redis-failover", "redis-emptied", "redis-full-memory", "redis-full-disk",
	"redis-slow", "redis-cut", "redis-lost-replies", "redis-torn-requests", "redis-silence",
}

// faultGroups stand for all whose names begin so.
var faultGroups = []string{"die", "kafka", "redis"}

// unknownFault returns a name that no fault has.
func unknownFault(names []string) (string, bool) {
	for _, name := range names {
		step, dies := strings.CutPrefix(name, "die:")
		if dies && slices.ContainsFunc(boundaries, func(b boundary) bool { return b.step == step }) ||
			slices.Contains(faultNames, name) || slices.Contains(faultGroups, name) {
			continue
		}
		return name, true
	}
	return "", false
}

// play lets things go wrong until ctx ends: in each world, in Kafka and in Redis one
// after the other, all at the same time.
func (s *stage) play(ctx context.Context) {
	var loops sync.WaitGroup
	loop := func(name string, faults []fault) {
		faults = slices.DeleteFunc(faults, func(f fault) bool { return !s.wanted(f.name) })
		if len(faults) > 0 {
			loops.Go(func() { s.repeat(ctx, name, faults) })
		}
	}
	for _, w := range s.worlds {
		loop(w.name, s.processFaults(w))
	}
	loop("kafka", s.kafkaFaults())
	loop("redis", s.redisFaults())
	loops.Wait()
	<-ctx.Done()
}

// wanted says whether a fault was asked for.
func (s *stage) wanted(name string) bool {
	named := func(list []string) bool {
		return slices.ContainsFunc(list, func(n string) bool {
			return name == n || slices.Contains(faultGroups, n) && strings.HasPrefix(name, n)
		})
	}
	return (len(s.only) == 0 || named(s.only)) && !named(s.without)
}

// repeat goes through the faults in an order of the seed's, again and again.
func (s *stage) repeat(ctx context.Context, loop string, faults []fault) {
	dice := s.dice(loop)
	least, most := 500*time.Millisecond, 3*time.Second
	if s.duration >= longRun {
		// Time to get on in between, too.
		least, most = time.Second, 8*time.Second
	}
	for {
		dice.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		for _, f := range faults {
			s.rest(ctx, between(dice, least, most))
			if ctx.Err() != nil {
				return
			}
			s.mu.Lock()
			s.faults[f.name]++
			s.mu.Unlock()
			s.say("%-6s %s", loop, f.name)
			// What has begun is brought to its end: the run ends whole.
			if err := f.do(context.WithoutCancel(ctx), dice); err != nil {
				s.fail(fmt.Errorf("%s: %w", f.name, err))
				return
			}
		}
	}
}

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
