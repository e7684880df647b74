package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/nudged/nudged/sinks"
	"github.com/nudged/nudged/sinks/sinktest"
)

const (
	secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	second = "whsec_C2FtcGxlLXNlY3JldC1mb3ItdGVzdHMtMzItYnl0ZXM="
)

// receiver is an endpoint that keeps what it is sent and answers as it is told.
type receiver struct {
	*httptest.Server
	// answer, if not nil, is asked for each request, counted from 1.
	answer func(n int, w http.ResponseWriter, r *http.Request)

	mu      sync.Mutex
	bodies  []string
	headers []http.Header
}

func newReceiver(t testing.TB, answer func(n int, w http.ResponseWriter, r *http.Request)) *receiver {
	t.Helper()
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) serve(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	r.bodies, r.headers = append(r.bodies, string(body)), append(r.headers, req.Header.Clone())
	n := len(r.bodies)
	r.mu.Unlock()
	if r.answer != nil {
		r.answer(n, w, req)
	}
}

func (r *receiver) received() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string{}, r.bodies...)
}

// clock is a clock that only waiting moves.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	waits []time.Duration
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) wait(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.waits = append(c.waits, d)
	return ctx.Err()
}

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// open makes a sink whose waits take no time.
func open(t testing.TB, change func(*Config)) (*Sink, *clock) {
	t.Helper()
	c := &clock{now: start}
	cfg := Config{
		Secrets: []string{secret}, Timeout: 10 * time.Second, RetryFor: time.Hour, MaxWait: time.Minute, MaxRetryAfter: 10 * time.Minute,
		PerHost: 4, Now: c.read,
	}
	change(&cfg)
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.wait = c.wait
	return s, c
}

func record(id string, more ...string) sinks.Record {
	return sinks.Record{Key: []byte("u1"), Value: []byte(`{"command_id":"` + id + `"` + strings.Join(more, "") + `}`)}
}

func TestSuite(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) (sinks.Sink, func() []string) {
		r := newReceiver(t, nil)
		s, _ := open(t, func(c *Config) { c.URL = r.URL })
		return s, r.received
	})
}

// The library of Standard Webhooks verifies what is sent, by either secret; a
// changed byte is found.
func TestSignature(t *testing.T) {
	r := newReceiver(t, nil)
	s, _ := open(t, func(c *Config) {
		c.URL, c.Secrets, c.Headers, c.Now = r.URL, []string{secret, second}, map[string]string{"Authorization": "Bearer x", "webhook-id": "mine"}, time.Now
	})
	rec := record("9f2c", `,"text":"물"`)
	rec.Headers = []sinks.Header{{Key: "traceparent", Value: []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")}, {Key: "nudged-at", Value: []byte("n1;")}}
	if err := s.Send(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	h := r.headers[0]
	for name, want := range map[string]string{
		"Idempotency-Key": "9f2c", "Webhook-Id": "9f2c", "Content-Type": "application/json", "Authorization": "Bearer x",
		"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Nudged-At": "",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	for _, text := range []string{secret, second} {
		hook, err := standardwebhooks.NewWebhook(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := hook.Verify([]byte(r.bodies[0]), h); err != nil {
			t.Errorf("verify: %v", err)
		}
		if hook.Verify([]byte(r.bodies[0]+" "), h) == nil {
			t.Error("a changed body is verified")
		}
	}
}

// knownSignature was worked out with openssl, as a receiver without a library
// may:
//
//	printf %s 'msg.1767225600.{"a":1}' | openssl dgst -sha256 -mac HMAC -macopt hexkey:31f290f6bf06298aab4f08d43c3f082cf648a362da2da4b0 -binary | base64
const knownSignature = "v1,otAxwcMNDydxhpxD4CPsesjWh6CP2Xa2wnqe1QI6Sn4="

func TestKnownSignature(t *testing.T) {
	s, err := newSigner([]string{secret})
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	s.sign(h, "msg", start, []byte(`{"a":1}`))
	if h.Get(TimestampHeader) != "1767225600" || h.Get(SignatureHeader) != knownSignature {
		t.Errorf("headers %v, want signature %s", h, knownSignature)
	}
}

// status answers each request with the next of the list, then with 204.
func status(list ...int) func(int, http.ResponseWriter, *http.Request) {
	return func(n int, w http.ResponseWriter, _ *http.Request) {
		if n <= len(list) {
			http.Error(w, "because\nof this", list[n-1])
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func TestRetries(t *testing.T) {
	all := []int{408, 425, 429, 500, 502, 503, 504, 301, 307, 599}
	r := newReceiver(t, status(all...))
	s, c := open(t, func(c *Config) { c.URL = r.URL })
	if err := s.Send(t.Context(), record("a")); err != nil {
		t.Fatal(err)
	}
	if n := len(r.received()); n != len(all)+1 {
		t.Errorf("%d requests, want %d", n, len(all)+1)
	}
	// Half a second, doubled each time, give or take a half, up to the most.
	base := 500 * time.Millisecond
	for i, wait := range c.waits {
		if wait < base/2 || wait > base*3/2 {
			t.Errorf("wait %d is %s, want %s or half more or less", i, wait, base)
		}
		base = min(2*base, time.Minute)
	}
	for i, h := range r.headers {
		if h.Get("Idempotency-Key") != "a" {
			t.Errorf("request %d has the key %q", i, h.Get("Idempotency-Key"))
		}
	}
}

func requireRejected(t *testing.T, err error, tries int, part string) {
	t.Helper()
	var r *RejectedError
	if !errors.As(err, &r) || r.Tries != tries || !strings.Contains(err.Error(), part) {
		t.Errorf("error %v, want a rejection after %d tries with %q", err, tries, part)
	}
}

func TestRejections(t *testing.T) {
	for _, code := range []int{400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 451} {
		r := newReceiver(t, status(code))
		s, _ := open(t, func(c *Config) { c.URL = r.URL })
		requireRejected(t, s.Send(t.Context(), record("a")), 1, fmt.Sprintf("answered %d %s: because", code, http.StatusText(code)))
		if n := len(r.received()); n != 1 {
			t.Errorf("%d: %d requests, want 1", code, n)
		}
	}
	r := newReceiver(t, nil)
	s, _ := open(t, func(c *Config) { c.URL = r.URL })
	for _, value := range []string{"", "no json", `{"rule":"r"}`, `{"command_id":7}`} {
		requireRejected(t, s.Send(t.Context(), sinks.Record{Value: []byte(value)}), 0, "not a send command")
	}
	if n := len(r.received()); n != 0 {
		t.Errorf("%d requests for what is no command", n)
	}
}

func TestGivesUp(t *testing.T) {
	r := newReceiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	s, c := open(t, func(c *Config) { c.URL = r.URL })
	err := s.Send(t.Context(), record("a"))
	requireRejected(t, err, len(r.received()), "has not taken it within 1h0m0s, and answered 502 Bad Gateway")
	if took := c.now.Sub(start); took > time.Hour || took < time.Hour-90*time.Second {
		t.Errorf("gave up after %s, want about an hour", took)
	}
}

func TestNobodyListens(t *testing.T) {
	r := newReceiver(t, nil)
	r.Close()
	var seen []int
	s, _ := open(t, func(c *Config) {
		c.URL, c.RetryFor = r.URL, 3*time.Second
		c.Observe = func(status int, _ time.Duration) { seen = append(seen, status) }
	})
	err := s.Send(t.Context(), record("a"))
	requireRejected(t, err, len(seen), "answered nothing: dial tcp")
	if len(seen) < 2 || seen[0] != 0 {
		t.Errorf("observed %v", seen)
	}
}

func TestExpired(t *testing.T) {
	r := newReceiver(t, status(500, 500, 500, 500, 500, 500, 500, 500))
	s, c := open(t, func(c *Config) { c.URL = r.URL })
	err := s.Send(t.Context(), record("a", `,"expires":"2026-01-01T00:00:10Z"`))
	requireRejected(t, err, len(r.received()), "the command expired at 2026-01-01T00:00:10Z")
	if took := c.now.Sub(start); took < 10*time.Second || len(r.received()) < 3 {
		t.Errorf("gave up after %s and %d requests", took, len(r.received()))
	}
}

func TestRetryAfter(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"120": 2 * time.Minute, "0": 0, "": 0, "soon": 0, "-5": 0, "1.5": 0,
		"Thu, 01 Jan 2026 00:01:00 GMT": time.Minute, "Wed, 31 Dec 2025 00:00:00 GMT": 0,
		"99999": 10 * time.Minute, // not longer than allowed
	} {
		r := newReceiver(t, func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 1 {
				w.Header().Set("Retry-After", text)
				w.WriteHeader(http.StatusTooManyRequests)
			}
		})
		s, c := open(t, func(c *Config) { c.URL = r.URL })
		if err := s.Send(t.Context(), record("a")); err != nil {
			t.Fatal(err)
		}
		took := c.now.Sub(start)
		if want == 0 && took > 750*time.Millisecond || want > 0 && took != want {
			t.Errorf("Retry-After %q: went on after %s, want %s", text, took, want)
		}
	}
}

// A host that asks for a pause gets it from everybody.
func TestRetryAfterHoldsTheHost(t *testing.T) {
	r := newReceiver(t, nil)
	s, c := open(t, func(c *Config) { c.URL = r.URL })
	s.other.host.pause(start.Add(time.Minute))
	if err := s.Send(t.Context(), record("b")); err != nil {
		t.Fatal(err)
	}
	if took := c.now.Sub(start); took != time.Minute {
		t.Errorf("sent after %s, want a minute", took)
	}
}

func TestChannels(t *testing.T) {
	push, mail := newReceiver(t, nil), newReceiver(t, nil)
	s, _ := open(t, func(c *Config) { c.URL, c.Channels = push.URL, map[string]string{"email": mail.URL} })
	for _, channel := range []string{"push", "email", "sms"} {
		if err := s.Send(t.Context(), record(channel, `,"channel":"`+channel+`"`)); err != nil {
			t.Fatal(err)
		}
	}
	if len(push.received()) != 2 || len(mail.received()) != 1 || !strings.Contains(mail.received()[0], `"email"`) {
		t.Errorf("push got %q, mail %q", push.received(), mail.received())
	}
	// Without a URL for the rest, the rest is somebody else's.
	only, _ := open(t, func(c *Config) { c.Channels = map[string]string{"email": mail.URL} })
	if err := only.Send(t.Context(), record("x", `,"channel":"push"`)); err != nil {
		t.Error(err)
	}
	if len(mail.received()) != 1 {
		t.Errorf("mail got %q", mail.received())
	}
}

// At most so many requests to one host are under way, whatever the channels, and
// so many really are.
func TestPerHost(t *testing.T) {
	const limit, commands = 3, 12
	entered, let := make(chan struct{}, commands), make(chan struct{})
	var mu sync.Mutex
	now, most := 0, 0
	r := newReceiver(t, func(int, http.ResponseWriter, *http.Request) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		entered <- struct{}{}
		<-let
		mu.Lock()
		now--
		mu.Unlock()
	})
	s, _ := open(t, func(c *Config) {
		c.URL, c.Channels, c.PerHost = r.URL+"/a", map[string]string{"email": r.URL + "/b"}, limit
	})
	var all []sinks.Record
	for i := range commands {
		rec := record(fmt.Sprint(i), fmt.Sprintf(`,"channel":"%s"`, []string{"push", "email"}[i%2]))
		rec.Key = []byte(fmt.Sprint(i))
		all = append(all, rec)
	}
	done := make(chan error, 1)
	go func() { done <- s.Deliver(context.Background(), all) }()
	for range limit {
		<-entered // all at the same time, or this waits for ever
	}
	close(let)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if most != limit {
		t.Errorf("%d requests at a time, want %d", most, limit)
	}
}

// A request under way when the context ends may be answered within the grace;
// nothing new is begun.
func TestGrace(t *testing.T) {
	entered, let := make(chan struct{}), make(chan struct{})
	r := newReceiver(t, func(n int, _ http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			close(entered)
			<-let
		}
	})
	s, _ := open(t, func(c *Config) { c.URL, c.Grace = r.URL, time.Minute })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Send(ctx, record("a")) }()
	<-entered
	cancel()
	close(let)
	if err := <-done; err != nil {
		t.Errorf("the request was answered, yet: %v", err)
	}
	if err := s.Send(ctx, record("b")); !errors.Is(err, context.Canceled) || len(r.received()) != 1 {
		t.Errorf("error %v after %d requests, want none begun", err, len(r.received()))
	}
	// Without grace it is cut short.
	entered2 := make(chan struct{})
	hangs := newReceiver(t, func(_ int, _ http.ResponseWriter, req *http.Request) { close(entered2); <-req.Context().Done() })
	s, _ = open(t, func(c *Config) { c.URL = hangs.URL })
	ctx, cancel = context.WithCancel(t.Context())
	go func() { done <- s.Send(ctx, record("c")) }()
	<-entered2
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

func TestTimeout(t *testing.T) {
	r := newReceiver(t, func(n int, _ http.ResponseWriter, req *http.Request) {
		if n == 1 {
			<-req.Context().Done()
		}
	})
	s, _ := open(t, func(c *Config) { c.URL, c.Timeout = r.URL, 50*time.Millisecond })
	if err := s.Send(t.Context(), record("a")); err != nil || len(r.received()) < 2 {
		t.Errorf("%v after %d requests, want it taken at a later one", err, len(r.received()))
	}
}

func TestNewRefuses(t *testing.T) {
	for want, c := range map[string]Config{
		"no secret to sign with": {URL: "http://a"},
		"secret 1 is not whsec_": {URL: "http://a", Secrets: []string{"hunter2"}},
		"secret 2 is not whsec_": {URL: "http://a", Secrets: []string{secret, "whsec_AAAA"}},
		`"a" is not an http`:     {URL: "a", Secrets: []string{secret}},
		`"ftp://b" is not`:       {Channels: map[string]string{"push": "ftp://b"}, Secrets: []string{secret}},
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
