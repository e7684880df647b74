package main

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/nudged/nudged/bench/load"
	"github.com/nudged/nudged/bench/measure"
	"github.com/nudged/nudged/bench/workload"
)

// sampledOneIn is how many records carry one sampled context, where any do.
const sampledOneIn = 100

// tracingMode is one way to run nudged.
type tracingMode struct {
	name    string
	sampled bool     // over the events of which some are sampled
	spans   bool     // it must send some; else none
	env     []string // beside the exporter's
	most    float64  // aim for the ratio to none
}

var tracingModes = []tracingMode{
	{name: "none"},
	{name: "off", env: []string{"OTEL_TRACES_EXPORTER=none"}, most: 1.00},
	{name: "unsampled", env: []string{"OTEL_TRACES_SAMPLER=always_off"}, most: 1.03},
	{name: "sampled", sampled: true, spans: true, env: []string{"OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.01"}, most: 1.10},
}

// tracingReport is what the command prints.
type tracingReport struct {
	When   time.Time `json:"when"`
	CPUs   int       `json:"cpus"`
	Events int       `json:"events"`
	Rounds int       `json:"rounds"`
	// CPU is that of the process by mode, µs an event; Ratio that of the same round,
	// divided by none's.
	CPU   map[string]measure.Summary `json:"cpu_us_per_event"`
	Ratio map[string]measure.Summary `json:"ratio"`
	Spans map[string]int64           `json:"spans"` // of all rounds
}

// tracingCommand measures what tracing costs.
func tracingCommand(ctx context.Context, args []string, out io.Writer) (err error) {
	fs := flag.NewFlagSet("tracing", flag.ContinueOnError)
	cfg := workloadFlags(fs)
	nudged := nudgedFlag(fs)
	none := fs.String("none", "", "the program that runs without tracing; empty: the same")
	repeat := fs.Int("repeat", 5, "measured rounds of four runs each")
	warm := fs.Int("warm", 1, "rounds before them that are verified, but not counted")
	asJSON := fs.Bool("json", false, "print JSON instead of a table")
	timeout := timeoutFlag(fs)
	if err := parse(fs, args); err != nil {
		return err
	}
	if *repeat < 1 || *warm < 0 {
		return errUsage{fmt.Errorf("-repeat %d -warm %d: want at least 1 and 0", *repeat, *warm)}
	}
	if *none == "" {
		*none = *nudged
	}
	for _, path := range []string{*nudged, *none} {
		if err := program(path); err != nil {
			return err
		}
	}
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "OTEL_") {
			if err := os.Unsetenv(name); err != nil {
				return err
			}
		}
	}
	b, rep, err := prepare(ctx, *cfg, true, false)
	if err != nil {
		return err
	}
	b.timeout = *timeout
	defer func() {
		if closeErr := b.close(ctx, err != nil); err == nil {
			err = closeErr
		}
	}()
	topics, drop, err := loadTraced(ctx, b, *cfg)
	defer drop()
	if err != nil {
		return err
	}
	receiver, err := receiveSpans()
	if err != nil {
		return err
	}
	defer receiver.close()

	t := tracingReport{
		When: rep.When, CPUs: rep.CPUs, Events: cfg.Events, Rounds: *repeat,
		CPU: map[string]measure.Summary{}, Ratio: map[string]measure.Summary{}, Spans: map[string]int64{},
	}
	cpu, ratio := map[string][]float64{}, map[string][]float64{}
	for n := 1; n <= *warm+*repeat; n++ {
		used := map[string]float64{}
		for i := range tracingModes {
			m := &tracingModes[(i+n)%len(tracingModes)]
			b.nudged, b.env, b.events = *nudged, receiver.environment(m), topics[m.sampled]
			if m.name == "none" {
				b.nudged, b.env = *none, nil
			}
			before := receiver.spans.Load()
			f, err := b.traced(ctx, fmt.Sprintf("%d-%s", n, m.name))
			if err != nil {
				return fmt.Errorf("round %d, %s: %w", n, m.name, err)
			}
			spans := receiver.spans.Load() - before
			if m.spans != (spans > 0) {
				return fmt.Errorf("round %d, %s: %d spans came", n, m.name, spans)
			}
			used[m.name] = f.CPUSeconds
			fmt.Fprintf(b.progress, "round %d of %d, %s: %.2f s CPU, %.2f s, %d spans\n", n-*warm, *repeat, m.name, f.CPUSeconds, f.WallSeconds, spans)
			if n > *warm {
				t.Spans[m.name] += spans
			}
		}
		if n <= *warm {
			continue
		}
		for name, s := range used {
			cpu[name] = append(cpu[name], s*1e6/float64(cfg.Events))
			ratio[name] = append(ratio[name], s/used["none"])
		}
	}
	for name := range cpu {
		t.CPU[name], t.Ratio[name] = measure.Summarize(cpu[name]), measure.Summarize(ratio[name])
	}
	if *asJSON {
		return json.NewEncoder(out).Encode(t)
	}
	return t.write(out)
}

func (t *tracingReport) write(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d CPUs, %d events, %d rounds; median (smallest to largest)\n\n", t.When.Format(time.RFC3339), t.CPUs, t.Events, t.Rounds)
	fmt.Fprintf(&b, "%-10s %-28s %-28s %-6s %s\n", "tracing", "CPU of the process, µs/event", "ratio to none", "aim", "spans")
	for _, m := range tracingModes {
		c, r, aim := t.CPU[m.name], t.Ratio[m.name], ""
		if m.most > 0 {
			aim = fmt.Sprintf("%.2f", m.most)
		}
		fmt.Fprintf(&b, "%-10s %-28s %-28s %-6s %d\n", m.name, fmt.Sprintf("%.3f (%.3f to %.3f)", c.Median, c.Min, c.Max),
			fmt.Sprintf("%.3f (%.3f to %.3f)", r.Median, r.Min, r.Max), aim, t.Spans[m.name])
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// traced runs nudged once and verifies it.
func (b *bench) traced(ctx context.Context, tag string) (f figures, err error) {
	tag = b.tag + "-" + tag
	topics := load.OutputTopics(tag)
	topics.Events = b.events
	if err := load.Create(ctx, b.services.brokers, b.partitions, topics.Outputs()...); err != nil {
		return f, err
	}
	defer func() {
		if delErr := load.Delete(context.WithoutCancel(ctx), b.services.brokers, topics.Outputs()...); err == nil {
			err = delErr
		}
	}()
	var r round
	if err := b.runNudged(ctx, &r, topics, tag); err != nil {
		return f, err
	}
	if !r.Verdict.OK() {
		return f, fmt.Errorf("%w: %s", errVerification, r.Verdict)
	}
	return r.Nudged, nil
}

// loadTraced loads the workload twice more: with contexts of which none is sampled,
// and of which some are.
func loadTraced(ctx context.Context, b *bench, cfg workload.Config) (topics map[bool]string, drop func(), err error) {
	topics = map[bool]string{false: b.events + "-unsampled", true: b.events + "-sampled"}
	names := []string{topics[false], topics[true]}
	events := b.events
	drop = func() {
		b.events = events
		if err := load.Delete(context.WithoutCancel(ctx), b.services.brokers, names...); err != nil {
			fmt.Fprintln(b.progress, err)
		}
	}
	if err := load.Create(ctx, b.services.brokers, cfg.Partitions, names...); err != nil {
		return nil, func() {}, err
	}
	for sampled, name := range topics {
		g, err := workload.New(cfg)
		if err != nil {
			return nil, drop, err
		}
		_, err = load.Produce(ctx, b.services.brokers, name, g, func(n int) []kgo.RecordHeader {
			return []kgo.RecordHeader{{Key: "traceparent", Value: traceparent(n, sampled && n%sampledOneIn == 0)}}
		})
		if err != nil {
			return nil, drop, err
		}
	}
	return topics, drop, nil
}

// traceparent is the context of the n-th record.
func traceparent(n int, sampled bool) []byte {
	var id [24]byte // trace and span; the low bits of a trace id are what a sampler looks at
	binary.BigEndian.PutUint64(id[:], uint64(n+1))
	binary.BigEndian.PutUint64(id[8:], uint64(n+1)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(id[16:], uint64(n+1))
	b := hex.AppendEncode([]byte("00-"), id[:16])
	b = hex.AppendEncode(append(b, '-'), id[16:])
	if sampled {
		return append(b, "-01"...)
	}
	return append(b, "-00"...)
}

// spanReceiver takes spans over OTLP and counts them.
type spanReceiver struct {
	server *http.Server
	addr   string
	spans  atomic.Int64
}

func receiveSpans() (*spanReceiver, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("receive spans: %w", err)
	}
	r := &spanReceiver{addr: l.Addr().String()}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = r.server.Serve(l) }() // until it is closed
	return r, nil
}

func (r *spanReceiver) close() { _ = r.server.Close() }

func (r *spanReceiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	var traces collector.ExportTraceServiceRequest
	if err != nil || req.URL.Path != "/v1/traces" || proto.Unmarshal(body, &traces) != nil {
		http.Error(w, "not traces", http.StatusBadRequest)
		return
	}
	for _, rs := range traces.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			r.spans.Add(int64(len(ss.Spans)))
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// environment has nudged send its spans here, and nothing else.
func (r *spanReceiver) environment(m *tracingMode) []string {
	return append([]string{
		"OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_EXPORTER_OTLP_ENDPOINT=http://" + r.addr,
		"OTEL_METRICS_EXPORTER=none", "OTEL_LOGS_EXPORTER=none",
	}, m.env...)
}
