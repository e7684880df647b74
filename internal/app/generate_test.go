package app

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/internal/embedded"
)

// Each visitor's events are the beginning of one or several visits, nobody is
// inside twice, and the pause between two events of one visit is as asked.
func TestVisitorsWalkThroughTheShop(t *testing.T) {
	const rate, pause, events = 100, 5 * time.Second, 50_000
	g := Generate{Topic: "events", Rate: rate, Pause: pause, Users: 2000, Traced: 0.25, Seed: 7}
	v := newVisitors(&g)
	may := map[string]string{ // what may come before
		"search": " signup search product_view add_to_cart purchase", "product_view": "search product_view", "add_to_cart": "product_view",
		"purchase": "add_to_cart", "signup": " search product_view add_to_cart purchase",
	}
	last, lastAt := map[string]string{}, map[string]int64{}
	ids := map[string]bool{}
	traced := 0
	var pauses []float64
	for i := range events {
		now := int64(i) * 1000 / rate
		rec := v.next("events", now)
		var e struct {
			ID, Type, User string
			Time           time.Time
		}
		if err := json.Unmarshal(rec.Value, &e); err != nil {
			t.Fatal(err)
		}
		if e.User != string(rec.Key) || e.Time.UnixMilli() != now || ids[e.ID] {
			t.Fatalf("event %d: key %q, value %s", i, rec.Key, rec.Value)
		}
		ids[e.ID] = true
		// Whoever was inside at the beginning may be anywhere on his way.
		if before, seen := last[e.User]; seen && !strings.Contains(may[e.Type], before) {
			t.Fatalf("event %d: %s after %q", i, e.Type, before)
		}
		if e.Type == "product_view" || e.Type == "add_to_cart" || e.Type == "purchase" {
			if at, ok := lastAt[e.User]; ok {
				pauses = append(pauses, float64(now-at))
			}
		}
		last[e.User], lastAt[e.User] = e.Type, now
		for _, h := range rec.Headers {
			var version, flags string
			var trace, span string
			if n, err := fmt.Sscanf(strings.ReplaceAll(string(h.Value), "-", " "), "%2s %32s %16s %2s", &version, &trace, &span, &flags); n != 4 || err != nil ||
				h.Key != "traceparent" || len(h.Value) != 55 || version+flags != "0001" {
				t.Fatalf("header %s: %s", h.Key, h.Value)
			}
			traced++
		}
	}
	if share := float64(traced) / events; share < 0.24 || share > 0.26 {
		t.Errorf("%.3f of the events are traced, want 0.25", share)
	}
	sum := 0.0
	for _, p := range pauses {
		sum += p
	}
	if mean := sum / float64(len(pauses)); mean < 4500 || mean > 5500 {
		t.Errorf("mean pause %.0f ms, want 5000", mean)
	}
}

func TestSameSeedSameVisits(t *testing.T) {
	g := Generate{Topic: "events", Rate: 10, Pause: time.Second, Users: 50, Seed: 3}
	a, b := newVisitors(&g), newVisitors(&g)
	for i := range 1000 {
		if x, y := a.next("events", 1), b.next("events", 1); string(x.Value) != string(y.Value) {
			t.Fatalf("event %d: %s and %s", i, x.Value, y.Value)
		}
	}
}

func TestGenerateProduces(t *testing.T) {
	addrs, stop, err := embedded.StartKafka(map[string]int32{"events": 3})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	g := Generate{Options: []kgo.Opt{kgo.SeedBrokers(addrs...)}, Topic: "events", Rate: 10_000, Pause: time.Second, Users: 1000, Events: 200}
	if err := g.Validate(); err != nil {
		t.Fatal(err)
	}
	n, err := g.Run(t.Context())
	if err != nil || n != 200 {
		t.Fatalf("%d events, %v", n, err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ConsumeTopics("events"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for read := 0; read < 200; {
		fetches := cl.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		read += fetches.NumRecords()
	}

	g.Topic = "absent"
	if _, err := g.Run(t.Context()); err == nil || !strings.Contains(err.Error(), `topic "absent" does not exist`) {
		t.Errorf("without its topic: %v", err)
	}
	g = Generate{}
	if err := g.Validate(); err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("the zero value: %v", err)
	}
}
