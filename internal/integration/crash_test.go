package integration

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// smallCache makes small batches, so that a run has a middle however fast the
// machine is, and states come back from Redis.
const smallCache = "cache_bytes: 1048576"

// A process that is killed in the middle of a backlog and started again decides
// the same: nothing is missing and nothing is there twice.
func TestKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		kills []moment
	}{
		{"once", []moment{visible}},
		{"with batches written and not published, then while it recovers", []moment{written, claimed}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			topic, want := bigShop(t)
			w := newWorldOver(t, topic)
			crash := crashing{w: w, sends: w.tail(w.sends), rnd: rand.New(rand.NewPCG(1, 0))}
			for _, moment := range tc.kills {
				before := crash.epochs()
				d := start(t, "--config", w.config(shopRules, "event", smallCache))
				crash.until(moment, before, want.sent().total()/3)
				d.kill()
				if w.consumed() {
					t.Fatal("the process was killed when all had been done: there was no middle")
				}
				t.Logf("killed with %d sends seen, %d partitions with an outbox", len(crash.sends.records), crash.outboxes())
			}
			w.replay().requireExit(0)
			w.requireOutcomes(want)
		})
	}
}

// The same while events come in, again and again.
func TestKilledWhileEventsComeIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shopPartitions, nil)
	want := expected(t, python(t), shopFile)
	config := w.config(shopRules, "event")
	// The 170 minutes in 41 seconds. After each kill the group misses the process
	// for six seconds.
	loaded := w.load(shopFile, "--speed", "250x")
	crash := crashing{w: w, sends: w.tail(w.sends), rnd: rand.New(rand.NewPCG(1, 1))}
	for range 3 {
		d := start(t, "--config", config)
		crash.until(visible, "", want.sent().total()/20)
		d.kill()
		seen := len(crash.sends.records)
		if seen >= want.sent().total() {
			t.Fatal("the process was killed when all had been sent: there was no middle")
		}
		t.Logf("killed with %d sends seen, %d partitions with an outbox", seen, crash.outboxes())
	}
	d := start(t, "--config", config)
	loaded()
	w.untilConsumed()
	d.terminate()
	w.requireOutcomes(want)
}

// moment is when a process is killed.
type moment int

const (
	visible moment = iota // some more sends are visible, how many is drawn
	written               // a batch with records is in Redis
	claimed               // a partition was claimed in Redis
)

// crashing finds the moments.
type crashing struct {
	w     *world
	sends *tail
	rnd   *rand.Rand
}

// until returns at the moment: when up to so many more sends are visible; or when
// the epochs are no more those of before.
func (c *crashing) until(m moment, before string, sends int) {
	c.w.t.Helper()
	switch m {
	case visible:
		c.sends.untilCount(len(c.sends.records) + 1 + c.rnd.IntN(sends))
	case written:
		eventually(c.w.t, "a batch with records in Redis", func() bool { return c.outboxes() > 0 })
	case claimed:
		eventually(c.w.t, "a claim in Redis", func() bool { return c.epochs() != before })
	}
}

func (c *crashing) key(partition int, suffix string) string {
	return fmt.Sprintf("nudged:{%s:%s:%d}:%s", c.w.group, c.w.events, partition, suffix)
}

// outboxes counts the partitions that have records in Redis.
func (c *crashing) outboxes() int {
	c.w.t.Helper()
	n := 0
	for p := range shopPartitions {
		length, err := c.w.redis.LLen(c.w.t.Context(), c.key(p, "o")).Result()
		if err != nil {
			c.w.t.Fatalf("read an outbox: %v", err)
		}
		if length > 0 {
			n++
		}
	}
	return n
}

// epochs tells under which claims the partitions are.
func (c *crashing) epochs() string {
	c.w.t.Helper()
	all := ""
	for p := range shopPartitions {
		fields, err := c.w.redis.HMGet(c.w.t.Context(), c.key(p, "h"), "e").Result()
		if err != nil {
			c.w.t.Fatalf("read the header: %v", err)
		}
		all += fmt.Sprint(fields) + " "
	}
	return all
}
