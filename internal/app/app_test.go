package app

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nudged/nudged/processor"
)

const testRules = `
rules:
  - name: bought_nothing
    on: view
    wait: 1h
    unless: [{on: buy}]
    send: {channel: push, class: transactional, template: t, data: {item: trigger.item}}
`

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
		"stopped": {
			[]processor.Status{{Input: tp, Stopped: &processor.StopError{Input: tp, Group: "g", Reason: "why", Wayout: "do this"}}},
			yes,
			http.StatusServiceUnavailable, "partition events/3 of group",
		},
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
		`The story of u\d+`, `Known \(events, partition \d\)`, `-> cart_abandoned: sent push "cart_coupon_10" \(arm treatment of cart_coupon\)\n +due \S+, since the add to cart of`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("the demo does not show %q:\n%s", want, text)
		}
	}
}
