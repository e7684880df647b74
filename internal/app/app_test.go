package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nudged/nudged/processor"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const testRules = `
rules:
  - name: bought_nothing
    on: view
    wait: 1h
    unless: [{on: buy}]
    send: {channel: push, class: transactional, template: t, data: {item: trigger.item}}
`

func TestBacktest(t *testing.T) {
	events := write(t, "e.jsonl", `{"id":"1","type":"view","user":"a","time":"2026-01-01T23:30:00Z","item":"x"}
{"id":"2","type":"view","user":"b","time":"2026-01-01T23:31:00Z"}
not json
{"id":"3","type":"buy","user":"b","time":"2026-01-01T23:50:00Z"}
{"id":"3","type":"buy","user":"b","time":"2026-01-01T23:50:00Z"}
{"id":"4","type":"other","user":"c","time":"2026-01-02T02:00:00Z"}
{"id":"5","type":"view","user":"c","time":"2026-01-02T03:00:00Z"}
`)
	var decisions bytes.Buffer
	var complaints []error
	b := Backtest{Rules: write(t, "r.yaml", testRules), Files: []string{events}, Partitions: 1, Decisions: &decisions,
		Complain: func(err error) { complaints = append(complaints, err) }}
	res, err := b.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if res.Events != 6 || res.BadLines != 1 || res.Duplicates != 1 || res.Unread != 1 || res.Pending != 1 || res.Users != 3 {
		t.Errorf("result %+v", res)
	}
	if len(complaints) != 1 || !strings.Contains(complaints[0].Error(), "e.jsonl:3") {
		t.Errorf("complaints %v", complaints)
	}
	if got := res.Rules[0].Outcomes; got["sent"] != 1 || got["cancelled"] != 1 || len(got) != 2 {
		t.Errorf("outcomes %v", got)
	}
	// Fired at half past midnight of the next day.
	if len(res.Days) != 1 || res.Days[0] != (DayOutcomes{"2026-01-02", "bought_nothing", 1}) {
		t.Errorf("days %v", res.Days)
	}
	var first map[string]any
	if err := json.NewDecoder(&decisions).Decode(&first); err != nil || first["decision"] != "cancelled" || first["user"] != "b" {
		t.Errorf("first decision %v, %v", first, err)
	}
	var table bytes.Buffer
	res.Print(&table)
	if !strings.Contains(table.String(), "bought_nothing") || !strings.Contains(table.String(), "2026-01-02") {
		t.Errorf("printed:\n%s", table.String())
	}
}

func TestBacktestNamesMissingFiles(t *testing.T) {
	b := Backtest{Rules: write(t, "r.yaml", testRules), Files: []string{"nowhere.jsonl"}, Partitions: 1}
	if _, err := b.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "nowhere.jsonl") {
		t.Errorf("error %v", err)
	}
}

func TestReady(t *testing.T) {
	tp := processor.TopicPartition{Topic: "events", Partition: 3}
	yes := func(context.Context) error { return nil }
	no := func(context.Context) error { return errors.New("Kafka cannot be reached") }
	for name, c := range map[string]struct {
		status []processor.Status
		reach  func(context.Context) error
		code   int
		body   string
	}{
		"nothing assigned": {nil, yes, http.StatusOK, "[]"},
		"nothing in reach": {nil, no, http.StatusServiceUnavailable, "Kafka cannot be reached"},
		"processing":       {[]processor.Status{{Input: tp, Ready: true, Offset: 7}}, no, http.StatusOK, `"offset":7`},
		"claiming":         {[]processor.Status{{Input: tp}}, yes, http.StatusServiceUnavailable, `"ready":false`},
		"retrying":         {[]processor.Status{{Input: tp, Ready: true, Trouble: "redis is away"}}, yes, http.StatusServiceUnavailable, "redis is away"},
		"stopped": {[]processor.Status{{Input: tp, Stopped: &processor.StopError{Input: tp, Group: "g", Reason: "why", Wayout: "do this"}}}, yes,
			http.StatusServiceUnavailable, "partition events/3 of group"},
	} {
		rec := httptest.NewRecorder()
		ready(rec, httptest.NewRequest(http.MethodGet, "/readyz", http.NoBody), c.status, c.reach)
		if rec.Code != c.code || !strings.Contains(rec.Body.String(), c.body) {
			t.Errorf("%s: %d %s, want %d with %q", name, rec.Code, rec.Body, c.code, c.body)
		}
	}
}

// The whole thing in one process: what make demo runs, in a tenth of the time.
func TestDemo(t *testing.T) {
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	d := Demo{Out: &out, Duration: 3 * time.Second}
	if err := d.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatalf("%v\n%s", err, out.String())
	}
	text := out.String()
	for _, want := range []string{
		`day 10\.0 +\d+ events +\d+ events/s`,
		`cart_abandoned +│ treatment +│ sent`, `cart_abandoned +│ control +│ control`, `search_help +│ treatment +│ sent`,
		`The story of u\d+`, `-> cart_abandoned: sent push "cart_coupon_10" \(arm treatment\), due`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("the demo does not show %q:\n%s", want, text)
		}
	}
}
