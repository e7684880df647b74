package processor_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/memory"
)

// counting counts what is written to the store.
type counting struct {
	*memory.Store
	entries, states, batches int
}

func (c *counting) Write(ctx context.Context, tp processor.TopicPartition, b *processor.Batch) error {
	c.batches++
	c.states += len(b.States)
	for _, w := range b.Timers {
		c.entries += len(w.Entries)
	}
	return c.Store.Write(ctx, tp, b)
}

// Every event moves the pending instance on. The index is not written again
// until the hint has come up: once an hour for each user, not 100,000 times.
func TestRearmingWritesFewEntries(t *testing.T) {
	const events, users, step = 100_000, 4, 500 // 13.9 hours
	rule := after(hour, "a")
	rule.Restart = true
	sc := newScenario(theRules(rule), processor.DecisionsFires, 1)
	for i := range events {
		sc.add(eventAt(1_700_000_000_000+int64(i)*step, "a", fmt.Sprint("u", i%users)), 0)
	}
	var store *counting
	s := newStand(t, sc, func(c *processor.Config) {
		store = &counting{Store: c.Store.(*memory.Store)}
		c.Store = store
	})
	part := s.claim(inputPartition(0))
	for recs := sc.input[0]; len(recs) > 0; recs = recs[100:] {
		s.consume(part, recs[:100])
		s.flush(part)
	}
	if store.batches != events/100 || store.states != events/100*users {
		t.Errorf("%d batches, %d states; the test is not what it was", store.batches, store.states)
	}
	if hours := events * step / int(hour); store.entries > users*(hours+2) {
		t.Errorf("%d index entries for %d users in %d hours, want about one an hour", store.entries, users, hours)
	}
	checkHints(t, s.sc.set, s.store, inputPartition(0), sc.users[0], part)
	s.publish()
	checkOutcome(t, sc, s.log, s.store)
	if n := sc.pending(); n != users {
		t.Errorf("%d instances are pending, want one for each user", n)
	}
}

// Buckets that are over are removed, by whoever owns the partition then.
func TestBucketsThatAreOverGo(t *testing.T) {
	sc := newScenario(theRules(after(30*sec, "a"), after(5*hour, "a")), processor.DecisionsFires, 1)
	for i := range int64(600) {
		sc.add(eventAt(1_700_000_000_000+i*5*mins, "a", fmt.Sprint("u", i)), 0) // 50 hours
	}
	s := newStand(t, sc, nil)
	part := s.claim(inputPartition(0))
	for i := 0; i < len(sc.input[0]); i += 20 {
		s.consume(part, sc.input[0][i:i+20])
		s.flush(part)
		if i%100 == 80 {
			part = s.claim(inputPartition(0))
		}
	}
	claimed, err := s.store.Claim(t.Context(), inputPartition(0), processor.Claim{ID: "group " + topicID + " 1", Epoch: 1 << 50})
	if err != nil {
		t.Fatal(err)
	}
	// What is pending is due within the coming five hours.
	if n := len(claimed.Buckets); n < 1 || n > 5+60 {
		t.Errorf("%d buckets are left after 50 hours: %v", n, claimed.Buckets)
	}
	for _, b := range claimed.Buckets {
		if b.End() <= part.Clock() {
			t.Errorf("the bucket from %d to %d is left, the clock stands at %d", b.Start, b.End(), part.Clock())
		}
	}
}

// More users than the partition keeps in memory: states go to the store and come
// back as they were.
func TestStatesThatDoNotFit(t *testing.T) {
	d := dice(rand.New(rand.NewPCG(11, 1)).IntN)
	sc := newScenario(randomSet(d, anyWait), processor.DecisionsFires, 1)
	sc.fill(d, &walk{d: d, users: 6000, clock: 1_700_000_000_000, far: 1, near: 90}, 40_000)
	s := newStand(t, sc, func(c *processor.Config) { c.CacheBytes, c.BatchUsers = 64<<10, 300 })
	part := s.claim(inputPartition(0))
	for recs := sc.input[0]; len(recs) > 0; recs = recs[min(500, len(recs)):] {
		s.consume(part, recs[:min(500, len(recs))])
	}
	s.flush(part)
	checkHints(t, s.sc.set, s.store, inputPartition(0), sc.users[0], part)
	s.publish()
	checkOutcome(t, sc, s.log, s.store)
	if n := s.cfg.Counters.Loaded.Load(); n < 3000 {
		t.Errorf("%d states were loaded: nothing had to go", n)
	}
}
