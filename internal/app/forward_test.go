package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/internal/config"
	"github.com/nudged/nudged/internal/embedded"
)

const webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// What stands in the send topic arrives signed at the receiver, is committed, and
// what it does not want is in the dead-letter topic and in the log, by its trace.
func TestForwarding(t *testing.T) {
	brokers, stopKafka, err := embedded.StartKafka(map[string]int32{"sends": 2, "forward-dead-letters": 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stopKafka)
	hook, err := standardwebhooks.NewWebhook(webhookSecret)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got []string
	failed := false
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		switch key := r.Header.Get("Idempotency-Key"); {
		case hook.Verify(body, r.Header) != nil:
			t.Errorf("the signature of %s does not fit", body)
		case key == "unwanted":
			http.Error(w, "no such user", http.StatusNotFound)
		case key == "c1" && !failed:
			failed = true
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			got = append(got, key)
		}
	}))
	t.Cleanup(receiver.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Kafka.Brokers = []config.Address{config.Address(brokers[0])}
	cfg.HTTP.Addr = config.Address(l.Addr().String())
	cfg.Forward.URL, cfg.Forward.Secrets = receiver.URL, []string{webhookSecret}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	f := Forwarding{Config: cfg, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	defer cancel()

	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic("sends"), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	var recs []*kgo.Record
	for _, id := range []string{"c1", "c2", "unwanted", "c3"} {
		recs = append(recs, &kgo.Record{
			Key: []byte("u1"), Value: fmt.Appendf(nil, `{"command_id":%q,"channel":"push"}`, id),
			Headers: []kgo.RecordHeader{{Key: "traceparent", Value: []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")}},
		})
	}
	if err := cl.ProduceSync(ctx, recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	adm := kadm.NewClient(cl)
	eventually(t, "all of it is committed", func() bool {
		offsets, err := adm.FetchOffsets(ctx, cfg.Forward.Group)
		n := int64(0)
		offsets.Each(func(o kadm.OffsetResponse) { n += o.At })
		return err == nil && n == 4
	})
	s := &system{t: t, base: "http://" + string(cfg.HTTP.Addr)}
	if code, body := s.get("/readyz", ""); code != http.StatusOK || !strings.Contains(body, `"ready":true`) {
		t.Errorf("/readyz: %d %s", code, body)
	}
	_, metrics := s.get("/metrics", "")
	for _, line := range []string{
		"nudged_forward_commands_total 3", "nudged_forward_dead_letters_total 1", "nudged_forward_under_way 0",
		`nudged_forward_request_duration_seconds_count{http_response_status_code="503"} 1`,
		`nudged_forward_request_duration_seconds_count{http_response_status_code="404"} 1`,
		`nudged_forward_request_duration_seconds_count{http_response_status_code="200"} 3`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("not scraped: %s", line)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !slices.Equal(got, []string{"c1", "c2", "c3"}) {
		t.Errorf("taken %q", got)
	}
	if text := log.String(); !strings.Contains(text, "404 Not Found: no such user") || !strings.Contains(text, "trace_id=0af7651916cd43dd8448eb211c80319c") || strings.Contains(text, "u1") {
		t.Errorf("logged:\n%s", text)
	}
}

func TestForwardingNeedsAURL(t *testing.T) {
	f := Forwarding{Config: config.Default(), Logger: slog.New(slog.DiscardHandler)}
	if err := f.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "forward.url") {
		t.Errorf("error %v", err)
	}
}
