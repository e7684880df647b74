package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/internal/config"
	"github.com/nudged/nudged/internal/story"
)

const explainRules = `
attributes:
  age: {type: int, from: event.age, on: signup}
metrics:
  orders: {count: purchase, within: 30d}
rules:
  - name: cart
    on: add_to_cart
    key: event.cart
    wait: 7d
    unless: [{on: purchase, where: event.cart == trigger.cart}]
    when: orders == 0
    send: {channel: push, class: ad, template: c10}
  - {name: hello, on: signup, send: {channel: email, class: transactional, template: hi}}
`

// explained runs the daemon over some events, on the event clock, in this
// process.
func explained(t *testing.T) config.Config {
	t.Helper()
	demo := Demo{}
	cfg, stop, err := demo.embed()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	if err := os.WriteFile(cfg.Rules, []byte(explainRules), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Clock, cfg.StopAtEnd = "event", true
	cl, err := kgo.NewClient(kgo.SeedBrokers(config.Strings(cfg.Kafka.Brokers)...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	event := func(id int, typ, user, at, more string) {
		value := fmt.Sprintf(`{"id":"e%d","type":%q,"user":%q,"time":%q%s}`, id, typ, user, at, more)
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "events", Key: []byte(user), Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	event(1, "signup", "u1", "2026-01-01T00:00:00Z", `,"age":30`)
	event(2, "add_to_cart", "u1", "2026-01-01T01:00:00Z", `,"cart":"k1"`)
	event(3, "add_to_cart", "u1", "2026-01-01T02:00:00Z", `,"cart":"k2"`)
	event(4, "purchase", "u1", "2026-01-02T00:00:00Z", `,"cart":"k1"`)
	event(5, "add_to_cart", "u1", "2026-01-08T03:00:00Z", `,"cart":"k3"`)
	for i := range 20 {
		event(10+i, "signup", fmt.Sprintf("other%d", i), "2026-01-01T00:00:00Z", "")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	daemon := Daemon{Config: cfg, Logger: slog.New(slog.DiscardHandler), Stdout: io.Discard}
	if err := daemon.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// records counts what a topic holds.
func records(t *testing.T, cfg config.Config, topic string) int64 {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(config.Strings(cfg.Kafka.Brokers)...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n
}

func TestExplain(t *testing.T) {
	cfg := explained(t)
	explain := func(change func(*Explain)) *story.Account {
		t.Helper()
		e := Explain{Config: cfg, User: "u1", Now: func() int64 { return time.Now().UnixMilli() }}
		change(&e)
		a, err := e.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	text := func(a *story.Account) string {
		var b strings.Builder
		a.Print(&b)
		return b.String()
	}
	total, read := int64(0), 0
	now := text(explain(func(e *Explain) { e.OnTotal, e.OnRead = func(n int64) { total = n }, func(n int) { read += n } }))
	for _, want := range []string{
		"u1 as of 2026-01-08T03:00:00Z", "user.age      30", "orders        1 ", "newest event  2026-01-08T03:00:00Z  now",
		"cart [k3], since the add to cart of 2026-01-08T03:00:00Z\n      waits until 2026-01-15T03:00:00Z (in 7d); then it decides on push \"c10\" if orders == 0\n" +
			"      ended before by: purchase where event.cart == trigger.cart\n",
		`-> hello: sent email "hi"`, "-> cart [k1]: ended: an event of its unless came", "-> cart [k2]: not sent: the condition (when) did not hold: orders is 1\n",
	} {
		if !strings.Contains(now, want) {
			t.Errorf("no %q in\n%s", want, now)
		}
	}
	if strings.Contains(now, "other") || total == 0 || int64(read) > total {
		t.Errorf("%d of %d records read:\n%s", read, total, now)
	}
	if all := records(t, cfg, cfg.Kafka.Topics.Decisions); total >= all {
		t.Errorf("nobody was ever moved, and %d of all %d records are looked through", total, all)
	}

	then := explain(func(e *Explain) { e.At = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC).UnixMilli() })
	if len(then.Decisions) != 1 || then.Decisions[0].Rule != "hello" || len(then.States) != 0 || len(then.Pending) != 2 ||
		then.Pending[0].Instance != "k1" || then.Pending[1].Instance != "k2" {
		t.Errorf("at noon of the first day:\n%s", text(then))
	}
	later := explain(func(e *Explain) { e.At = time.Date(2026, 1, 9, 0, 0, 0, 0, time.UTC).UnixMilli() })
	if len(later.Decisions) != 3 || len(later.Pending) != 1 || later.Pending[0].Instance != "k3" || !strings.Contains(later.Pending[0].Words, "still pending") {
		t.Errorf("later:\n%s", text(later))
	}
	hello := explain(func(e *Explain) { e.Rule = "hello" })
	if len(hello.Decisions) != 1 || len(hello.States[0].Pending) != 0 {
		t.Errorf("only hello:\n%s", text(hello))
	}
	if nobody := explain(func(e *Explain) { e.User = "nobody" }); nobody.States[0].Known || len(nobody.Decisions) != 0 || !strings.Contains(text(nobody), "Nothing is known of the user") {
		t.Errorf("nobody:\n%s", text(nobody))
	}

	// The rule is gone from the files: its name is told all the same.
	if err := os.WriteFile(cfg.Rules, []byte("rules: [{name: hello, on: signup, send: {channel: email, class: transactional, template: hi}}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if gone := text(explain(func(*Explain) {})); !strings.Contains(gone, "cart [k3], since the add to cart of 2026-01-08T03:00:00Z\n      its rule, or the step at which it stood, is gone") {
		t.Errorf("under other rules:\n%s", gone)
	}
	cfg.Kafka.Topics.Decisions = "nowhere"
	if _, err := (&Explain{Config: cfg, User: "u1"}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), `topic "nowhere" does not exist`) {
		t.Errorf("error %v", err)
	}
}
