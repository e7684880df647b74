package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/nudged/nudged/internal/config"
	"github.com/nudged/nudged/internal/forward"
	"github.com/nudged/nudged/internal/telemetry"
	"github.com/nudged/nudged/sinks/webhook"
)

// Forwarding is nudged forward: it posts the commands of the send topic.
type Forwarding struct {
	Config config.Config
	Logger *slog.Logger

	telemetry *telemetry.Telemetry
}

// forwardGrace is how long requests under way may go on when the process is to
// stop, or a partition goes to another one.
const forwardGrace = 5 * time.Second

// Run forwards until ctx ends, then lets requests under way end.
func (f *Forwarding) Run(ctx context.Context) error {
	if err := f.Config.ForwardReady(); err != nil {
		return err
	}
	told := *f
	flush, err := startTelemetry(ctx, &told.telemetry, &told.Logger)
	if err != nil {
		return err
	}
	defer flush()
	return told.run(ctx)
}

func (f *Forwarding) run(ctx context.Context) error {
	c := &f.Config.Forward
	opts, err := KafkaOptions(&f.Config.Kafka)
	if err != nil {
		return err
	}
	observe, err := f.telemetry.ForwardRequests()
	if err != nil {
		return err
	}
	sink, err := webhook.New(webhook.Config{
		URL: c.URL, Channels: c.Channels, Secrets: c.Secrets, Headers: c.Headers,
		Timeout: time.Duration(c.Timeout), RetryFor: time.Duration(c.RetryFor), MaxWait: time.Duration(c.MaxWait),
		MaxRetryAfter: time.Duration(c.MaxRetryAfter), PerHost: c.PerHost, Grace: forwardGrace, Observe: observe,
	})
	if err != nil {
		return err
	}
	fw, err := forward.New(ctx, forward.Config{
		Options: opts, Topic: f.Config.Kafka.Topics.Sends, Group: c.Group, DeadLetters: c.DeadLetters,
		Receiver: sink, Window: c.Window, Logger: f.Logger,
	})
	if err != nil {
		return err
	}
	err = f.telemetry.WatchForward(telemetry.ForwardSources{
		Taken: fw.Counters.Taken.Load, DeadLetters: fw.Counters.DeadLetters.Load,
		UnderWay: func() int { _, _, n := fw.Status(); return n },
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { forwardReady(w, fw) })
	mux.Handle("GET /metrics", f.telemetry.Handler())
	web, err := listen(f.Config.HTTP.Addr, f.Logger, mux)
	if err != nil {
		return err
	}
	defer web.close()
	err = fw.Run(ctx)
	f.Logger.Info("stopped", "taken", fw.Counters.Taken.Load(), "dead_letters", fw.Counters.DeadLetters.Load())
	return err
}

// forwardReady answers 200 while commands can be read, else 503.
func forwardReady(w http.ResponseWriter, fw *forward.Forwarder) {
	ok, trouble, underWay := fw.Status()
	w.Header().Set("Content-Type", "application/json")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(struct { // the client has gone
		Ready    bool   `json:"ready"`
		Trouble  string `json:"trouble,omitempty"`
		UnderWay int    `json:"under_way"`
	}{ok, trouble, underWay})
}
