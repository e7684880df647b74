package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/rules"
)

func noEnv(string) (string, bool) { return "", false }

func env(vars map[string]string) Lookup {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

func start(t *testing.T, lookup Lookup) *Telemetry {
	t.Helper()
	tel, err := Start(t.Context(), lookup)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tel.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return tel
}

// scrape returns the families of a process's own metrics: name -> type and
// labels.
func scrape(t *testing.T, tel *Telemetry) (families map[string]string, text string) {
	t.Helper()
	rec := httptest.NewRecorder()
	tel.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	if rec.Code != http.StatusOK {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	text = rec.Body.String()
	types, labels := map[string]string{}, map[string]map[string]bool{}
	for line := range strings.Lines(text) {
		var name, kind string
		if n, _ := fmt.Sscanf(line, "# TYPE %s %s", &name, &kind); n == 2 && (strings.HasPrefix(name, "nudged_") || strings.HasPrefix(name, "db_")) {
			types[name], labels[name] = kind, map[string]bool{}
		}
	}
	sample := regexp.MustCompile(`(?m)^(\w+?)(_bucket|_sum|_count)?(?:\{(.*)\})? [0-9.e+-]+$`)
	label := regexp.MustCompile(`(\w+)="[^"]*"`)
	for _, m := range sample.FindAllStringSubmatch(text, -1) {
		name := m[1]
		if _, ok := types[name]; !ok {
			name = m[1] + m[2]
		}
		for _, l := range label.FindAllStringSubmatch(m[3], -1) {
			if labels[name] != nil && l[1] != "le" {
				labels[name][l[1]] = true
			}
		}
	}
	families = map[string]string{}
	for name, kind := range types {
		families[name] = kind + " " + strings.Join(slices.Sorted(maps.Keys(labels[name])), " ")
	}
	return families, text
}

// everything makes every metric say something.
func everything(t *testing.T, tel *Telemetry) {
	t.Helper()
	tp := processor.TopicPartition{Topic: "events", Partition: 3}
	err := tel.Watch(Sources{
		Counters: &processor.Counters{}, Now: func() int64 { return 100_000 },
		Status: func() []processor.Status {
			return []processor.Status{{Input: tp, Ready: true, Offset: 7, End: 10, Clock: 99_000, Stamp: 40_000}}
		},
		Pending: func() map[processor.TopicPartition]int64 { return map[processor.TopicPartition]int64{tp: 12} },
		Experiments: func() Experiments {
			return Experiments{[]AutoPause{{"r", true}, {"fine", false}}, []ExperimentAlarm{{"x", "sample_ratio"}}}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	o, err := tel.NewObserver(ObserverConfig{Group: "g", Sends: "sends", Now: func() int64 { return 100_000 }})
	if err != nil {
		t.Fatal(err)
	}
	p := o.Open(tp)
	now := time.Now()
	p.Written(&processor.BatchReport{Seq: 1, Begun: now, Computed: now, Stored: now, Decided: []processor.DecidedReport{
		{Rule: "r", Outcome: rules.Sent, Cause: processor.ByTimer, Due: 90_000, At: 99_000, User: 1},
		{Rule: "r", Outcome: rules.Cooldown, Cause: processor.ByEvent, Due: 90_000, At: 90_000, User: 1},
	}})
	p.Published(1)
	o.Transaction(time.Millisecond, nil)
	o.Transaction(time.Millisecond, errors.New("aborted"))
	hook, err := tel.RedisHook()
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{nil, redis.Nil, errors.New("away")} {
		_ = hook.ProcessHook(func(context.Context, redis.Cmder) error { return err })(t.Context(), redis.NewCmd(t.Context(), "hget", "k", "f")) // it is what is passed in
	}
	if err := tel.WatchForward(ForwardSources{
		Taken: func() int64 { return 1 }, DeadLetters: func() int64 { return 2 }, UnderWay: func() int { return 3 },
	}); err != nil {
		t.Fatal(err)
	}
	observe, err := tel.ForwardRequests()
	if err != nil {
		t.Fatal(err)
	}
	observe(200, time.Second)
}

// prometheusName is the name of a metric as it is scraped.
func (d *metricDef) prometheusName() string {
	name := strings.ReplaceAll(d.name, ".", "_")
	if d.unit == "s" {
		name += "_seconds"
	}
	if d.kind == counter {
		name += "_total"
	}
	return name
}

func (d *metricDef) describe() string {
	var labels []string
	for _, l := range d.labels {
		labels = append(labels, strings.ReplaceAll(string(l), ".", "_"))
	}
	slices.Sort(labels)
	return [...]string{"counter", "gauge", "histogram"}[d.kind] + " " + strings.Join(labels, " ")
}

// What is scraped is what the names say, no more and no less.
func TestMetricsAreThoseOfTheNames(t *testing.T) {
	tel := start(t, noEnv)
	everything(t, tel)
	families, text := scrape(t, tel)
	want := map[string]string{}
	for _, d := range append(slices.Clone(runMetrics), forwardMetrics...) {
		want[d.prometheusName()] = d.describe()
	}
	for name, what := range want {
		if families[name] != what {
			t.Errorf("%s is scraped as %q, want %q", name, families[name], what)
		}
		delete(families, name)
	}
	for name := range families {
		t.Errorf("%s is scraped and not among the names", name)
	}
	for _, line := range []string{
		`nudged_decisions_total{decision="sent",rule="r"} 1`, `nudged_decisions_total{decision="cooldown",rule="r"} 1`,
		`nudged_timer_lateness_seconds_sum 9`, `nudged_send_latency_seconds_sum 10`,
		`nudged_consumer_lag{partition="3",topic="events"} 3`, `nudged_consumer_lag_time_seconds{partition="3",topic="events"} 60`,
		`nudged_clock_lag_seconds{partition="3",topic="events"} 1`, `nudged_timers_pending{partition="3",topic="events"} 12`,
		`nudged_rule_auto_paused{rule="r"} 1`, `nudged_rule_auto_paused{rule="fine"} 0`, `nudged_experiment_alarm{check="sample_ratio",experiment="x"} 1`,
		`nudged_partition_ready{partition="3",topic="events"} 1`, `nudged_partition_stopped{partition="3",topic="events"} 0`,
		`db_client_operation_duration_seconds_count{db_operation_name="hget",db_system_name="redis"} 2`,
		`db_client_operation_duration_seconds_count{db_operation_name="hget",db_system_name="redis",error_type="failed"} 1`,
		`nudged_commit_duration_seconds_count{outcome="aborted"} 1`, `nudged_forward_request_duration_seconds_sum{http_response_status_code="200"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("not scraped: %s", line)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// docs/operations.md lists every metric with its type and labels.
func TestMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `((?:nudged|db)_\\w+)` \\| (counter|gauge|histogram) \\| ([^|]*) \\| ")
	documented := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		labels := strings.Fields(strings.NewReplacer("`", "", ",", "").Replace(m[3]))
		slices.Sort(labels)
		documented[m[1]] = m[2] + " " + strings.Join(labels, " ")
	}
	for _, d := range append(slices.Clone(runMetrics), forwardMetrics...) {
		if got := documented[d.prometheusName()]; got != d.describe() {
			t.Errorf("%s is documented as %q, it is %q:\n| `%s` | %s | %s | %s |", d.prometheusName(), got, d.describe(), d.prometheusName(),
				strings.Fields(d.describe())[0], strings.Join(strings.Fields(d.describe())[1:], ", "), d.help)
		}
		delete(documented, d.prometheusName())
	}
	for name := range documented {
		t.Errorf("%s is documented and does not exist", name)
	}
}

func TestTracingIsOffUnlessAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		vars map[string]string
		want bool
	}{
		"nothing set":     {nil, false},
		"an endpoint":     {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, true},
		"its endpoint":    {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"}, true},
		"other endpoint":  {map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:1"}, false},
		"an exporter":     {map[string]string{"OTEL_TRACES_EXPORTER": "console"}, true},
		"none":            {map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, false},
		"the SDK is off":  {map[string]string{"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"}, false},
		"off in capitals": {map[string]string{"OTEL_SDK_DISABLED": "TRUE", "OTEL_TRACES_EXPORTER": "otlp"}, false},
	} {
		if got := pushes(env(c.vars), "TRACES"); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if tel := start(t, noEnv); tel.Tracing {
		t.Error("tracing is on")
	}
}

func TestSampler(t *testing.T) {
	sampledLink := trace.Link{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled})}
	for name, c := range map[string]struct {
		sampler, arg    string
		root, withLinks bool
	}{
		"default":       {"", "", true, true},
		"always":        {"always_on", "", true, true},
		"never":         {"always_off", "", false, false},
		"none of it":    {"traceidratio", "0", false, true},
		"all of it":     {"parentbased_traceidratio", "1", true, true},
		"parents alone": {"parentbased_always_off", "", false, true},
	} {
		base, err := samplerOf(env(map[string]string{"OTEL_TRACES_SAMPLER": c.sampler, "OTEL_TRACES_SAMPLER_ARG": c.arg}))
		if err != nil {
			t.Fatal(err)
		}
		decide := func(links ...trace.Link) bool {
			return linkedSampler{base}.ShouldSample(sdktrace.SamplingParameters{ParentContext: t.Context(), TraceID: trace.TraceID{15: 7}, Links: links}).Decision == sdktrace.RecordAndSample
		}
		if got := decide(); got != c.root {
			t.Errorf("%s: root sampled %v, want %v", name, got, c.root)
		}
		if got := decide(sampledLink); got != c.withLinks {
			t.Errorf("%s: with a sampled link %v, want %v", name, got, c.withLinks)
		}
	}
	for _, vars := range []map[string]string{{"OTEL_TRACES_SAMPLER": "sometimes"}, {"OTEL_TRACES_SAMPLER_ARG": "2"}} {
		if _, err := samplerOf(env(vars)); err == nil {
			t.Errorf("%v is taken", vars)
		}
	}
}

func TestLogsCarryTraceIDs(t *testing.T) {
	var out bytes.Buffer
	base, err := NewLogger(&out, "info", "text")
	if err != nil {
		t.Fatal(err)
	}
	l, err := start(t, noEnv).Logger(t.Context(), base, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{15: 1}, SpanID: trace.SpanID{7: 2}})
	l.With("a", 1).InfoContext(trace.ContextWithSpanContext(t.Context(), sc), "in a trace")
	l.Info("in none")
	lines := strings.Split(out.String(), "\n")
	if !strings.Contains(lines[0], "a=1 trace_id=00000000000000000000000000000001 span_id=0000000000000002") || strings.Contains(lines[1], "trace_id") {
		t.Errorf("logged:\n%s", out.String())
	}
	if _, err := NewLogger(&out, "loud", "text"); err == nil {
		t.Error("level loud is taken")
	}
	// The copy hears what the first hears, no more.
	var one, two bytes.Buffer
	l = slog.New(both{slog.NewTextHandler(&one, nil), slog.NewTextHandler(&two, &slog.HandlerOptions{Level: slog.LevelDebug})})
	l.WithGroup("g").Debug("quiet")
	l.With("b", 2).Warn("heard")
	if !strings.Contains(one.String(), "heard b=2") || one.String() != two.String() {
		t.Errorf("one:\n%stwo:\n%s", one.String(), two.String())
	}
}

// A partition that is given up ends the spans of what it had not published.
func TestClosedEndsSpans(t *testing.T) {
	recorder := &ended{}
	tel := start(t, noEnv)
	tel.Tracing = true
	tel.tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer(scope)
	o, err := tel.NewObserver(ObserverConfig{Group: "g", Sends: "sends", Now: func() int64 { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	p := o.Open(processor.TopicPartition{Topic: "events"})
	d := &rules.Decision{Outcome: rules.Sent, Rule: "r", User: "u", Send: &rules.Send{}}
	if got := p.Send(d, processor.ByTimer); len(got) != 55 {
		t.Errorf("traceparent %q", got)
	}
	now := time.Now()
	p.Written(&processor.BatchReport{Seq: 1, Begun: now, Computed: now, Stored: now})
	p.Send(d, processor.ByTimer)
	if len(recorder.names) != 0 {
		t.Errorf("ended before they were published: %q", recorder.names)
	}
	p.Closed(processor.ErrFenced)
	slices.Sort(recorder.names)
	if want := []string{"process events Error", "send sends Error", "send sends Error"}; !slices.Equal(recorder.names, want) {
		t.Errorf("ended %q, want %q", recorder.names, want)
	}
	p.Published(1) // whatever the publisher still says
	d.Trigger.Trace = processor.TraceUnsampled
	if got := p.Send(d, processor.ByTimer); got != "" {
		t.Errorf("an unsampled trigger's command carries %q", got)
	}
}

// ended notes the spans that have ended.
type ended struct{ names []string }

func (e *ended) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (e *ended) OnEnd(s sdktrace.ReadOnlySpan) {
	e.names = append(e.names, s.Name()+" "+s.Status().Code.String())
}
func (e *ended) Shutdown(context.Context) error   { return nil }
func (e *ended) ForceFlush(context.Context) error { return nil }

func TestRecentDecisions(t *testing.T) {
	o, err := start(t, noEnv).NewObserver(ObserverConfig{Now: func() int64 { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	p := o.Open(processor.TopicPartition{Topic: "events"})
	if len(o.Recent()) != 0 {
		t.Errorf("decisions from nowhere: %v", o.Recent())
	}
	at := int64(0)
	for _, n := range []int{3, 70, 20} {
		b := &processor.BatchReport{}
		for range n {
			at++
			b.Decided = append(b.Decided, processor.DecidedReport{Rule: "r", Outcome: rules.Sent, At: at, User: 255})
		}
		p.Written(b)
	}
	recent := o.Recent()
	if len(recent) != recentDecisions || recent[0].At != 93 || recent[recentDecisions-1].At != 93-recentDecisions+1 || recent[0].User != "00000000000000ff" {
		t.Errorf("%d decisions from %d to %d", len(recent), recent[0].At, recent[len(recent)-1].At)
	}
}

func TestNoLabelNamesUsers(t *testing.T) {
	for _, d := range append(slices.Clone(runMetrics), forwardMetrics...) {
		for _, l := range d.labels {
			if strings.Contains(string(l), "user") {
				t.Errorf("%s has the label %s", d.name, l)
			}
		}
		if slices.Contains(d.labels, attribute.Key("")) || d.help == "" {
			t.Errorf("%s lacks something", d.name)
		}
	}
}
