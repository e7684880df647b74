package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// gone is the user who is forgotten; every text that holds the id is about him.
const gone = "zq7-to-be-forgotten"

// mentions lists where Redis has the text, in a key, a field or a value of any kind.
func (w *world) mentions(text string) (where []string) {
	w.t.Helper()
	ctx := w.t.Context()
	has := func(values ...string) bool { return strings.Contains(strings.Join(values, "\x00"), text) }
	keys := w.redis.Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		key := keys.Val()
		var values []string
		var err error
		switch kind := w.redis.Type(ctx, key).Val(); kind {
		case "hash":
			var fields map[string]string
			fields, err = w.redis.HGetAll(ctx, key).Result()
			for field, value := range fields {
				values = append(values, field, value)
			}
		case "list":
			values, err = w.redis.LRange(ctx, key, 0, -1).Result()
		case "set":
			values, err = w.redis.SMembers(ctx, key).Result()
		case "string":
			values = []string{w.redis.Get(ctx, key).Val()}
		case "none": // gone since
		default:
			w.t.Fatalf("key %s is a %s: look into it as well", key, kind)
		}
		if err != nil {
			w.t.Fatalf("read %s: %v", key, err)
		}
		if has(key) || has(values...) {
			where = append(where, key)
		}
	}
	if err := keys.Err(); err != nil {
		w.t.Fatalf("scan Redis: %v", err)
	}
	return where
}

// sentTo are the sends that are visible now of the user, as rule and trigger.
func (w *world) sentTo(user string) (sent []string) {
	w.t.Helper()
	for _, r := range w.committed(w.sends) {
		o, err := parse(r.Value)
		if err != nil {
			w.t.Fatal(err)
		}
		if o.user == user {
			sent = append(sent, o.rule+" "+o.triggerID)
		}
	}
	return sent
}

// A user is forgotten while two processes run. Nothing is left in Redis, nothing that
// was pending is sent, neither then nor after a crash and a rebuild from Kafka; who
// comes back starts fresh; and no log line or metric has ever had the id.
func TestForget(t *testing.T) {
	t.Parallel()
	// One partition of events for each process. The user's neighbours share his.
	w := newWorld(t, 2, nil)
	rules := writeFile(t, "rules.yaml", `
rules:
  - name: later
    on: product_view
    wait: 1h
    unless: [{on: purchase}]
    send: {channel: push, class: ad, template: later}
  - name: now
    on: add_to_cart
    cooldown: 30d
    send: {channel: push, class: ad, template: now}
`)
	config := w.config(rules, "event", "max_ahead: 0s")
	a := start(t, "--config", config)
	a.untilReady(2)
	b := start(t, "--config", config)
	a.untilReady(1)
	b.untilReady(1)

	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(d time.Duration) time.Time { return began.Add(d) }
	same := func(rec *kgo.Record, key string) *kgo.Record { rec.Key = []byte(key); return rec } // in his partition
	w.put(
		event("v1", "product_view", gone, at(0)), event("c1", "add_to_cart", gone, at(time.Second)),
		same(event("v2", "product_view", "neighbour", at(2*time.Second)), gone),
	)
	w.untilConsumed()
	if m := w.mentions(gone); len(m) < 2 {
		t.Fatalf("Redis has the user in %v: a state and a timer are missing", m)
	}

	var said struct {
		Orders []struct {
			Obeyed  bool
			Pending int
			State   int `json:"state_bytes"`
			Timers  int `json:"timer_entries"`
		}
		Left, Tombstones []string
	}
	forget := func() {
		t.Helper()
		out := outputOf(t, program, "forget", "--config", config, "--user", gone, "--format", "json")
		if err := json.Unmarshal(out, &said); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	forget()
	if len(said.Orders) != 1 || !said.Orders[0].Obeyed || said.Orders[0].Pending != 1 || said.Orders[0].State == 0 || said.Orders[0].Timers != 1 || said.Left != nil {
		t.Errorf("it says %+v", said)
	}
	if m := w.mentions(gone); len(m) > 0 {
		t.Errorf("Redis still has the user in %v", m)
	}
	var account struct {
		States    []struct{ Known bool }
		Decisions []any
	}
	explained := outputOf(t, program, "explain", "--config", config, "--user", gone, "--format", "json")
	if err := json.Unmarshal(explained, &account); err != nil || len(account.States) != 1 || account.States[0].Known || len(account.Decisions) > 0 {
		t.Errorf("explain says %s, %v", explained, err)
	}

	// The owner of his partition dies; the clock passes what was pending.
	a.kill()
	tick := func(d time.Duration) {
		w.put(same(event(fmt.Sprint("tick", d), "product_view", "clock", at(d)), gone))
		w.untilConsumed()
	}
	tick(2 * time.Hour)
	if n := w.sentTo("neighbour"); len(n) != 1 {
		t.Errorf("the neighbour got %v, want what was pending", n)
	}
	if n := w.sentTo(gone); len(n) != 1 || n[0] != "now c1" {
		t.Errorf("the user got %v, want only what was sent before", n)
	}

	// He comes back: no cooldown holds him back, and what he does counts.
	w.put(event("c2", "add_to_cart", gone, at(3*time.Hour)), event("v3", "product_view", gone, at(3*time.Hour)))
	tick(5 * time.Hour)
	if n := w.sentTo(gone); len(n) != 3 || n[1] != "now c2" || n[2] != "later v3" {
		t.Errorf("the user got %v after he came back", n)
	}
	w.put(event("v4", "product_view", gone, at(6*time.Hour)))
	w.untilConsumed()
	metrics := b.page("/metrics")
	b.terminate()

	// Nobody is there to obey, and Redis is emptied: who comes next rebuilds past
	// both orders.
	eventually(t, "the group is empty", func() bool {
		g, err := w.adm.DescribeGroups(t.Context(), w.group)
		return err == nil && len(g[w.group].Members) == 0
	})
	late := nudged(t, nil, "forget", "--config", config, "--user", gone)
	if late.code != 1 || !strings.Contains(late.stdout, "No process of group") {
		t.Errorf("with nobody there it ends with %d and says %s%s", late.code, late.stdout, late.stderr)
	}
	w.emptyRedis()
	c := start(t, "--config", config)
	c.untilReady(2)
	w.untilConsumed()
	if m := w.mentions(gone); len(m) > 0 {
		t.Errorf("after the rebuild Redis has the user in %v", m)
	}
	tick(9 * time.Hour)
	if n := w.sentTo(gone); len(n) != 3 {
		t.Errorf("after the rebuild the user got %v", n)
	}

	// A backtest of the topic obeys the orders as the daemon did; it does not list them.
	again := fromLines(t, outputOf(t, program, "backtest", "--rules", rules, "--topic", w.events, "--brokers", w.brokers, "--decisions", "-"))
	decided := fromRecords(t, w.committed(w.decisions))
	maps.DeleteFunc(decided, func(o outcome, _ int) bool { return o.decision == "forgotten" })
	requireSame(t, "decisions", decided, again)
	requireSame(t, "sends", fromRecords(t, w.committed(w.sends)), again.sent())

	// Of whom nothing is known he is forgotten once more, and a topic that is compacted
	// by now drops what it has of him.
	compact := "compact"
	if _, err := w.adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "cleanup.policy", Value: &compact}}, w.dead); err != nil {
		t.Fatal(err)
	}
	forget()
	tombstones := w.committed(w.dead)
	if len(tombstones) != 1 || string(tombstones[0].Key) != gone || tombstones[0].Value != nil || !slices.Equal(said.Tombstones, []string{w.dead}) {
		t.Errorf("tombstones in %v: %v", said.Tombstones, tombstones)
	}
	for i, d := range []*daemon{a, b, c} {
		if strings.Contains(d.said(), gone) {
			t.Errorf("the log of process %d has the id", i)
		}
	}
	for _, page := range []string{metrics, c.page("/metrics"), c.page("/")} {
		if !strings.Contains(page, "nudged") || strings.Contains(page, gone) {
			t.Error("a page has the id, or is none")
		}
	}
}

// page gets one of the pages beside /readyz.
func (d *daemon) page(path string) string {
	d.t.Helper()
	d.status() // knows the address
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(d.url, "/readyz")+path, http.NoBody)
	if err != nil {
		d.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	var body bytes.Buffer
	if _, err := io.Copy(&body, res.Body); err != nil || res.StatusCode != http.StatusOK {
		d.t.Fatalf("%s: %d, %v", path, res.StatusCode, err)
	}
	return body.String()
}
