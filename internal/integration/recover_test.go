package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// ownRedis gives the world a Redis of its own, whose content the test may take
// away.
func (w *world) ownRedis() {
	w.t.Helper()
	shared := w.redis
	w.redisAddr = ownRedis(w.t, "noeviction")
	w.redis = goredis.NewClient(&goredis.Options{Addr: w.redisAddr})
	w.t.Cleanup(func() {
		w.redis.Close()
		w.redis = shared
	})
}

// copyRedis takes a copy of all that Redis holds at one moment, and returns what
// sets it back to that, at one moment too.
func (w *world) copyRedis() (restore func()) {
	w.t.Helper()
	const dump = `local out = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  out[#out + 1] = key
  out[#out + 1] = redis.call('DUMP', key)
end
return out`
	copied, err := w.redis.Eval(w.t.Context(), dump, nil).StringSlice()
	if err != nil {
		w.t.Fatalf("copy Redis: %v", err)
	}
	return func() {
		w.t.Helper()
		if _, err := w.redis.TxPipelined(w.t.Context(), func(p goredis.Pipeliner) error {
			p.FlushAll(w.t.Context())
			for i := 0; i < len(copied); i += 2 {
				p.Restore(w.t.Context(), copied[i], 0, copied[i+1])
			}
			return nil
		}); err != nil {
			w.t.Fatalf("restore Redis: %v", err)
		}
	}
}

// Redis loses what it holds in the middle of a backlog, under the running process:
// what is visible in the end is what would have been without that, to the command
// id.
func TestRedisLosesItsContent(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(w *world, crash *crashing, sends int){
		"emptied": func(w *world, crash *crashing, sends int) {
			crash.until(visible, "", sends)
			for range 2 { // again while it recovers
				if err := w.redis.FlushAll(w.t.Context()).Err(); err != nil {
					w.t.Fatal(err)
				}
				crash.until(claimed, strings.Repeat("[<nil>] ", shopPartitions), 0)
			}
		},
		"set back": func(w *world, crash *crashing, sends int) {
			crash.until(visible, "", sends)
			restore, copied := w.copyRedis(), crash.epochs()
			crash.until(visible, "", sends)
			for range 2 {
				restore()
				crash.until(claimed, copied, 0)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			topic, want := bigShop(t)
			w := newWorldOver(t, topic)
			w.ownRedis()
			crash := &crashing{w: w, sends: w.tail(w.sends), rnd: rand.New(rand.NewPCG(2, 0))}
			d := start(t, "--config", w.config(shopRules, "event", smallCache))
			lose(w, crash, want.sent().total()/6)
			w.untilConsumed()
			d.untilReady(shopPartitions)
			d.terminate()
			w.requireOutcomes(want)
			if said := d.said(); !strings.Contains(said, `"replayed":`) || strings.Contains(said, `"replayed":0,`) {
				t.Error("nothing was replayed: the test shows nothing")
			}
		})
	}
}

// Redis was emptied while nothing ran: what waited is there again, and nothing is
// sent twice.
func TestRedisEmptiedBetweenRuns(t *testing.T) {
	t.Parallel()
	w := processed(t)
	now := time.Now()
	w.put(event("cart", "add_to_cart", "buyer", now))
	w.small().requireExit(0)
	w.emptyRedis()
	w.put(event("later", "wishlist", "buyer", now.Add(time.Minute)))
	w.small().requireExit(0)
	requireSends(t, w, 21, "reminder")
	w.emptyRedis()
	w.small().requireExit(0)
	requireSends(t, w, 21, "reminder")
}

// requireSends fails unless so many sends are there, the last of them of the rule,
// and none twice.
func requireSends(t *testing.T, w *world, n int, last string) {
	t.Helper()
	recs := w.committed(w.sends)
	for o, times := range fromRecords(t, recs) {
		if times > 1 {
			t.Errorf("sent %d times: %+v", times, o)
		}
	}
	if len(recs) != n {
		t.Fatalf("%d sends, want %d", len(recs), n)
	}
	found := false
	for _, r := range recs {
		o, err := parse(r.Value)
		found = found || err == nil && o.rule == last
	}
	if !found {
		t.Errorf("nothing was sent by %s", last)
	}
}

// The group's offsets are gone. The partitions stop, and go on as they are told to.
func TestDeletedOffsetsStopThePartitions(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"keep", "rebuild"} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			w := processed(t)
			w.deleteGroup()
			w.requireStopped(fmt.Sprintf("of group %q is stopped", w.group), "no committed offset", "--on-offset-reset")
			if answer == "rebuild" {
				w.emptyRedis()
				w.requireStopped("neither Kafka nor Redis", "--on-offset-reset rebuild")
			}
			d := start(t, "--config", w.config("testdata/rules.yaml", "event"), "--stop-at-end", "--on-offset-reset", answer)
			d.requireExit(0)
			d.requireSaid("a stop is answered")
			w.put(signups("late", 5)...)
			w.small().requireExit(0)
			requireSends(t, w, 25, "greeting")
		})
	}
}

// deleteGroup removes the group from Kafka, once the broker has noticed that
// nobody is in it any more.
func (w *world) deleteGroup() {
	w.t.Helper()
	eventually(w.t, "the group is deleted", func() bool {
		res, err := w.adm.DeleteGroups(w.t.Context(), w.group)
		return err == nil && res.Error() == nil
	})
}

// The input topic was deleted and created anew. The partitions stop; told to skip,
// they keep what waited.
func TestTopicCreatedAnewStopsThePartitions(t *testing.T) {
	t.Parallel()
	w := processed(t)
	now := time.Now()
	cart := event("cart", "add_to_cart", "buyer", now)
	w.put(cart)
	w.small().requireExit(0)
	w.recreate(w.events, 2)
	w.requireStopped("created anew", "--on-offset-reset skip")
	start(t, "--config", w.config("testdata/rules.yaml", "event"), "--stop-at-end", "--on-offset-reset", "skip").requireExit(0)
	w.put(event("later", "wishlist", "buyer", now.Add(time.Minute)))
	w.small().requireExit(0)
	requireSends(t, w, 21, "reminder")
	w.emptyRedis()
	d := w.small()
	d.requireExit(1)
	d.requireSaid("not in Redis any more", "--accept-state-loss")
	start(t, "--config", w.config("testdata/rules.yaml", "event"), "--stop-at-end", "--accept-state-loss").requireExit(0)
	requireSends(t, w, 21, "reminder")
}

// recreate deletes a topic and creates it again.
func (w *world) recreate(topic string, partitions int32) {
	w.t.Helper()
	ctx := context.Background()
	before, err := w.adm.ListTopics(ctx, topic)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.adm.DeleteTopic(ctx, topic); err != nil {
		w.t.Fatalf("delete topic %s: %v", topic, err)
	}
	eventually(w.t, "the topic is created anew", func() bool {
		_, err := w.adm.CreateTopic(ctx, partitions, 1, nil, topic)
		return err == nil
	})
	eventually(w.t, "the broker knows the new topic", func() bool {
		topics, err := w.adm.ListTopics(ctx, topic)
		return err == nil && topics.Error() == nil && len(topics[topic].Partitions) == int(partitions) && topics[topic].ID != before[topic].ID
	})
}
