package app

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/nudged/nudged/internal/config"
	"github.com/nudged/nudged/internal/embedded"
	"github.com/nudged/nudged/processor"
)

// patience bounds every wait for something that has to happen.
const patience = 60 * time.Second

// eventually asks again and again, for what gives no sign of its own.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("still not: %s", what)
		}
	}
}

// otlp is a receiver of spans.
type otlp struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*tracev1.Span
}

func newOTLP(t *testing.T) *otlp {
	t.Helper()
	o := &otlp{}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var req collector.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &req) != nil {
			http.Error(w, "not traces", http.StatusBadRequest)
			return
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, rs := range req.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				o.spans = append(o.spans, ss.Spans...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(o.Close)
	return o
}

func (o *otlp) named(name string) (out []*tracev1.Span) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.spans {
		if s.Name == name {
			out = append(out, s)
		}
	}
	return out
}

func attribute(s *tracev1.Span, key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			if v := a.Value.GetStringValue(); v != "" {
				return v
			}
			return fmt.Sprint(a.Value.GetIntValue())
		}
	}
	return ""
}

// system is a daemon on embedded services, whose clock the test moves.
type system struct {
	t      *testing.T
	cfg    config.Config
	ahead  atomic.Int64 // ms by which the daemon's clock is ahead
	pr     *processor.Processor
	client *kgo.Client
	sends  *kgo.Client
	base   string // URL of its pages
	stop   func()
}

func startSystem(t *testing.T, rules string) *system {
	t.Helper()
	s := &system{t: t, cfg: config.Default()}
	topics := &s.cfg.Kafka.Topics
	brokers, stopKafka, err := embedded.StartKafka(map[string]int32{topics.Events[0]: 1, topics.Sends: 1, topics.Decisions: 1, topics.DeadLetters: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stopKafka)
	redis, stopRedis, err := embedded.Redis()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stopRedis)
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free
	if err != nil {
		t.Fatal(err)
	}
	s.cfg.HTTP.Addr = config.Address(l.Addr().String())
	s.base = "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s.cfg.Kafka.Brokers, s.cfg.Redis.Addrs, s.cfg.Rules = []config.Address{config.Address(brokers[0])}, []config.Address{config.Address(redis)}, write(t, "r.yaml", rules)
	newClient := func(opts ...kgo.Opt) *kgo.Client {
		cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(brokers...))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		return cl
	}
	s.client = newClient(kgo.DefaultProduceTopic(topics.Events[0]))
	s.sends = newClient(kgo.ConsumeTopics(topics.Sends), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	ready := make(chan *processor.Processor, 1)
	d := Daemon{
		Config: s.cfg, Logger: slog.New(slog.DiscardHandler), Stdout: io.Discard,
		Now:   func() int64 { return time.Now().UnixMilli() + s.ahead.Load() },
		Ready: func(pr *processor.Processor, _ *processor.Counters) { ready <- pr },
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the daemon: %v", err)
		}
	})
	t.Cleanup(s.stop)
	select {
	case s.pr = <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatalf("the daemon: %v", err)
	}
	return s
}

// put produces an event of the type for the user and waits until it is taken in.
func (s *system) put(typ, user, traceparent string) {
	s.t.Helper()
	rec := &kgo.Record{Key: []byte(user), Value: fmt.Appendf(nil, `{"id":"e-%s-%s","type":%q,"user":%q,"time":%d}`, typ, user, typ, user, time.Now().UnixMilli())}
	if traceparent != "" {
		rec.Headers = []kgo.RecordHeader{{Key: "traceparent", Value: []byte(traceparent)}}
	}
	if err := s.client.ProduceSync(s.t.Context(), rec).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the event is taken in", func() bool {
		status := s.pr.Status()
		return len(status) == 1 && status[0].Offset > rec.Offset
	})
}

// sent reads the next n commands, by user.
func (s *system) sent(n int) map[string]*kgo.Record {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	out := map[string]*kgo.Record{}
	for len(out) < n {
		fetches := s.sends.PollFetches(ctx)
		if ctx.Err() != nil {
			s.t.Fatalf("%d commands, want %d", len(out), n)
		}
		fetches.EachRecord(func(r *kgo.Record) { out[string(r.Key)] = r })
	}
	return out
}

func (s *system) get(path, accept string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.base+path, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func headerOf(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

const traceRules = `
rules:
  - {name: atonce, on: signup, send: {channel: push, class: transactional, template: t}}
  - {name: later, on: view, wait: 7d, send: {channel: push, class: transactional, template: t}}
`

// From the producer's trace over the batch and the timer, days later, to the send
// command; and nothing of records that are not sampled.
func TestTraces(t *testing.T) {
	o := newOTLP(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", o.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	t.Setenv("OTEL_METRICS_EXPORTER", "none")
	t.Setenv("OTEL_LOGS_EXPORTER", "none")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	s := startSystem(t, traceRules)
	const trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	s.put("view", "secret-waits", "00-"+trace+"-"+span+"-01")
	s.put("view", "secret-unsampled", "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
	s.put("signup", "secret-atonce", "00-2af7651916cd43dd8448eb211c80319c-"+span+"-01")
	s.put("signup", "secret-plain", "")
	s.ahead.Store(8 * 24 * time.Hour.Milliseconds())
	sent := s.sent(4)
	eventually(t, "the spans of the sends", func() bool { return len(o.named("send sends")) == 3 })
	sends := map[string]*tracev1.Span{}
	for _, sp := range o.named("send sends") {
		sends[attribute(sp, "nudged.trigger.id")] = sp
	}

	// Each command carries the context of its span.
	for user, id := range map[string]string{"secret-waits": "e-view-secret-waits", "secret-atonce": "e-signup-secret-atonce", "secret-plain": "e-signup-secret-plain"} {
		sp := sends[id]
		if sp == nil {
			t.Fatalf("no span of the send to %s", user)
		}
		want := "00-" + hex.EncodeToString(sp.TraceId) + "-" + hex.EncodeToString(sp.SpanId) + "-01"
		if got := headerOf(sent[user], "traceparent"); got != want {
			t.Errorf("%s: header traceparent %q, want %q", user, got, want)
		}
	}
	if got := headerOf(sent["secret-unsampled"], "traceparent"); got != "" {
		t.Errorf("the command of an unsampled event carries %q", got)
	}
	// The timer's send is a trace of its own that links back.
	waits := sends["e-view-secret-waits"]
	if len(waits.ParentSpanId) != 0 || hex.EncodeToString(waits.TraceId) == trace || len(waits.Links) != 1 ||
		hex.EncodeToString(waits.Links[0].TraceId) != trace || hex.EncodeToString(waits.Links[0].SpanId) != span || attribute(waits, "nudged.trigger.offset") != "0" {
		t.Errorf("the span of the timer's send: %+v", waits)
	}
	// What an event decides at once belongs to its trace.
	if atonce := sends["e-signup-secret-atonce"]; hex.EncodeToString(atonce.TraceId) != "2"+trace[1:] || hex.EncodeToString(atonce.ParentSpanId) != span {
		t.Errorf("the span of the send at once: %+v", atonce)
	}
	// The batches link the sampled producers, and no others.
	var linked []string
	batches := 0
	eventually(t, "the spans of the batches", func() bool {
		linked, batches = nil, 0
		for _, b := range o.named("process events") {
			batches++
			for _, l := range b.Links {
				linked = append(linked, hex.EncodeToString(l.TraceId))
			}
			var stages []string
			for _, e := range b.Events {
				stages = append(stages, e.Name)
			}
			if !slices.Equal(stages, []string{"computed", "stored", "published"}) {
				t.Fatalf("stages of a batch: %q", stages)
			}
		}
		return len(linked) == 2
	})
	slices.Sort(linked)
	if !slices.Equal(linked, []string{trace, "2" + trace[1:]}) {
		t.Errorf("the batches link %q", linked)
	}

	// Exemplars lead from the histograms to the sends; nowhere is a user's id.
	_, metrics := s.get("/metrics", "application/openmetrics-text; version=1.0.0")
	leads := func(name string, to ...*tracev1.Span) bool {
		return slices.ContainsFunc(strings.Split(metrics, "\n"), func(l string) bool {
			return strings.HasPrefix(l, name) && slices.ContainsFunc(to, func(s *tracev1.Span) bool {
				return strings.Contains(l, `trace_id="`+hex.EncodeToString(s.TraceId)+`"`)
			})
		})
	}
	if !leads("nudged_timer_lateness_seconds_bucket", waits) {
		t.Error("no exemplar of the lateness leads to the timer's send")
	}
	// Of sends that took as long as each other a bucket keeps one.
	if !leads("nudged_send_latency_seconds_bucket", o.named("send sends")...) {
		t.Error("no exemplar of the latency leads to a send")
	}
	_, page := s.get("/", "text/html")
	if !strings.Contains(page, "<td>later</td><td>sent</td>") || !strings.Contains(page, hex.EncodeToString(waits.TraceId)) {
		t.Errorf("the status page does not show the last decisions:\n%s", page)
	}
	for what, text := range map[string]string{"metrics": metrics, "the status page": page} {
		if strings.Contains(text, "secret-") {
			t.Errorf("%s name a user:\n%s", what, text)
		}
	}
	s.stop()
	for _, sp := range o.spans {
		for _, a := range sp.Attributes {
			// Ids of events are the producer's; these here hold the user's for the test.
			if strings.Contains(a.Value.String(), "secret-") && a.Key != "nudged.trigger.id" {
				t.Errorf("span %s: attribute %s names a user: %s", sp.Name, a.Key, a.Value)
			}
		}
	}
	if n := len(o.named("send sends")); n != 3 {
		t.Errorf("%d spans of sends in the end, want 3: none of the unsampled event", n)
	}
}

// write makes a file for the test.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
