package integration

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/rules/sim"
)

// grow gives a topic more partitions.
func (w *world) grow(topic string, partitions int) {
	w.t.Helper()
	res, err := w.adm.UpdatePartitions(w.t.Context(), partitions, topic)
	if err == nil {
		err = res.Error()
	}
	if err != nil {
		w.t.Fatalf("grow %s to %d partitions: %v", topic, partitions, err)
	}
	eventually(w.t, "the broker knows of the partitions", func() bool {
		topics, err := w.adm.ListTopics(w.t.Context(), topic)
		return err == nil && topics.Error() == nil && len(topics[topic].Partitions) == partitions
	})
}

// parts splits the shop's file: each part has its head, and so many of its rows.
func parts(t *testing.T, rows ...int) []string {
	t.Helper()
	f, err := os.Open(shopFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := bytes.Cut(text, []byte("\n"))
	lines := bytes.SplitAfter(rest, []byte("\n"))
	var files []string
	for i, n := range append(rows, len(lines)) {
		n = min(n, len(lines))
		path := filepath.Join(t.TempDir(), string(rune('a'+i))+".csv")
		if err := os.WriteFile(path, append(append(bytes.Clone(head), '\n'), bytes.Join(lines[:n], nil)...), 0o600); err != nil {
			t.Fatal(err)
		}
		files, lines = append(files, path), lines[n:]
	}
	return files
}

// anywhere leaves out in which partition of which topic something was decided.
func (all outcomes) anywhere() outcomes {
	out := outcomes{}
	for o, n := range all {
		// Ids of events are made of their place, too.
		o.partition, o.offset, o.triggerID, o.commandID = 0, 0, "", ""
		out[o] += n
	}
	return out
}

// moving says whether Redis holds headers of users on their way.
func (w *world) moving() bool {
	w.t.Helper()
	id, err := w.redis.HGet(w.t.Context(), "nudged:{"+w.group+":"+w.events+":0}:h", "id").Result()
	return err == nil && strings.Contains(id, ">")
}

// epoch is that of the last claim of partition 0 in Redis.
func (w *world) epoch() string {
	w.t.Helper()
	e, err := w.redis.HGet(w.t.Context(), "nudged:{"+w.group+":"+w.events+":0}:h", "e").Result()
	if err != nil {
		w.t.Fatalf("read the header: %v", err)
	}
	return e
}

// The topic gets more partitions while carts wait and events lie unread. The daemon
// refuses to go on, nudged rescale moves the users, killed again and again meanwhile,
// and what was decided in the end is what the oracle says of the whole.
func TestTopicThatHasGrown(t *testing.T) {
	t.Parallel()
	const before, after = 5, shopPartitions
	w := newWorld(t, before, nil)
	want := expected(t, python(t), shopFile)
	files := parts(t, 7000, 2500)
	config := w.config(shopRules, "event")
	w.load(files[0])()
	w.replay().requireExit(0)
	w.load(files[1])() // nobody reads it before the topic grows
	w.grow(w.events, after)
	w.grow(w.sends, sendPartitions+1)

	d := w.replay()
	d.requireExit(1)
	d.requireSaid("numbers of partitions have changed", "nudged rescale")
	seen := len(w.committed(w.decisions))

	e := nudged(t, nil, "rescale", "--config", config, "--dry-run", "--format", "json", "--settle", "0s")
	e.requireSays(t, 0)
	var plan []struct {
		Needed     bool
		Partitions []struct {
			MovedIn int `json:"moved_in"`
		}
	}
	if err := json.Unmarshal([]byte(e.stdout), &plan); err != nil || len(plan) != 1 || !plan[0].Needed || len(plan[0].Partitions) != after || plan[0].Partitions[after-1].MovedIn == 0 {
		t.Fatalf("--dry-run says %s (%v)", e.stdout, err)
	}
	nudged(t, nil, "rescale", "--config", config).requireSays(t, 1, "--settle 0s") // it was written to just now

	// kill -9 while users are on their way, and then while that is carried on.
	rnd := rand.New(rand.NewPCG(3, 0))
	for range 2 {
		before := w.epoch()
		ctx, kill := context.WithCancel(t.Context())
		cmd := exec.CommandContext(ctx, program, "rescale", "--config", config, "--settle", "0s")
		cmd.Env = environment()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "users are on their way", func() bool { return w.moving() && w.epoch() != before })
		time.Sleep(time.Duration(rnd.IntN(20)) * time.Millisecond)
		kill()
		if err := cmd.Wait(); err == nil {
			t.Log("it had ended before it was killed")
		}
	}
	if w.moving() {
		d := w.replay()
		d.requireExit(1)
		d.requireSaid("nudged rescale")
	}
	e = nudged(t, nil, "rescale", "--config", config, "--settle", "0s")
	e.requireSays(t, 0)
	t.Logf("%s", e.stdout)
	nudged(t, nil, "rescale", "--config", config).requireSays(t, 0)
	if n := len(w.committed(w.decisions)); n <= seen {
		t.Error("nothing was decided over what lay unread: the test shows less than it should")
	}

	w.load(files[2])()
	w.replay().requireExit(0)
	requireSame(t, "decisions", fromRecords(t, w.committed(w.decisions)).anywhere(), want.anywhere())
	requireSame(t, "sends", fromRecords(t, w.committed(w.sends)).anywhere(), want.sent().anywhere())
	if dead := w.committed(w.dead); len(dead) > 0 {
		t.Errorf("%d dead letters, the first one: %s", len(dead), dead[0].Value)
	}
	w.requireExplained(config)
}

// requireExplained asks about a user whose earliest decisions lie in another partition
// than the later ones, and wants all of them told.
func (w *world) requireExplained(config string) {
	w.t.Helper()
	in := map[string]map[int32]int{} // of each user, by partition
	for _, r := range w.committed(w.decisions) {
		user := string(r.Key)
		if in[user] == nil {
			in[user] = map[int32]int{}
		}
		in[user][r.Partition]++
	}
	for user, by := range in {
		if len(by) < 2 {
			continue
		}
		want := 0
		for _, n := range by {
			want += n
		}
		var account struct{ Decisions []any }
		out := outputOf(w.t, program, "explain", "--config", config, "--user", user, "--format", "json")
		if err := json.Unmarshal(out, &account); err != nil || len(account.Decisions) != want {
			w.t.Errorf("explain tells %d decisions of user %s, there are %d in %d partitions (%v)", len(account.Decisions), user, want, len(by), err)
		}
		return
	}
	w.t.Error("nobody was moved between two decisions: that proves nothing")
}

// The topic grows under a running daemon, on the wall clock: it stops before it takes
// in what belongs elsewhere, and no clock moves past what may lie elsewhere. While some
// producers still go by the former number nothing of them is lost.
func TestTopicGrowsUnderTheDaemon(t *testing.T) {
	t.Parallel()
	const before, after = 2, 5
	w := newWorld(t, before, nil)
	config := w.config("testdata/rules.yaml", "wall", "decisions: all")
	d := start(t, "--config", config)
	d.untilReady(before)
	const users = 60
	name := func(i int) string { return "user-" + string(rune('a'+i/26)) + string(rune('a'+i%26)) }
	began := time.Now().Add(20 * time.Second) // nothing is due before the topic has grown
	var carts []*kgo.Record
	for i := range users {
		carts = append(carts, event("c"+name(i), "add_to_cart", name(i), began))
	}
	w.put(carts...)
	decisions := w.tail(w.decisions)
	decisions.decided("armed", users)

	// One that has learnt of the former number and does not ask again.
	stale := kafkaClient(t, w.brokers, kgo.DefaultProduceTopic(w.events), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.MetadataMaxAge(time.Hour))
	if err := stale.ProduceSync(t.Context(), event("x", "wishlist", name(0), began)).FirstErr(); err != nil {
		t.Fatal(err)
	}
	w.grow(w.events, after)
	buys := func(i int) bool { return i%3 != 2 }
	for i := range users {
		switch r := event("p"+name(i), "purchase", name(i), began.Add(time.Second)); {
		case i%3 == 0:
			w.put(r)
		case i%3 == 1:
			if err := stale.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "all partitions are stopped", func() bool {
		_, states := d.status()
		stopped := 0
		for _, s := range states {
			if strings.Contains(s.Stopped, "nudged rescale") {
				stopped++
			}
		}
		return stopped == before
	})
	e := nudged(t, nil, "rescale", "--config", config, "--settle", "0s")
	e.requireSays(t, 1, "has 1 members")
	d.terminate()
	nudged(t, nil, "rescale", "--config", config, "--settle", "0s").requireSays(t, 0)
	d = start(t, "--config", config)
	d.untilReady(after)
	sent := w.tail(w.sends).decided("sent", users/3)
	for i := range users {
		if _, is := sent[name(i)]; is == buys(i) {
			t.Errorf("%s: buys %v, sent %v", name(i), buys(i), is)
		}
	}

	// It goes on by the former number: what it writes for who has moved is not taken in
	// in the wrong place, and not lost.
	astray := 0
	for i := range users {
		r := event("s"+name(i), "signup", name(i), time.Now())
		if err := stale.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if p := r.Partition; sim.PartitionOf(name(i), after) != p {
			astray++
		}
	}
	w.untilConsumed()
	d.terminate()
	if dead := len(w.committed(w.dead)); dead != astray || astray == 0 {
		t.Errorf("%d dead letters, want %d", dead, astray)
	}
	requireSends(t, w, users/3+users-astray, "greeting")
}
