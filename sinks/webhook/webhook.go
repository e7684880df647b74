// Package webhook posts send commands to HTTP endpoints: signed, at least once,
// repeated until they are taken or it is certain that they will not be.
package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/nudged/nudged/sinks"
)

// Config says where commands go and how.
type Config struct {
	// URL takes the commands of every channel that Channels does not name. If it
	// is empty those are passed over.
	URL      string
	Channels map[string]string
	// Secrets sign each request, in the form of Standard Webhooks: whsec_ and
	// base64 of 24 to 64 bytes. With two, receivers can change from one to the
	// other.
	Secrets []string
	// Headers go with each request, for example an Authorization.
	Headers map[string]string
	// Timeout bounds one request.
	Timeout time.Duration
	// RetryFor is how long a command is tried.
	RetryFor time.Duration
	// MaxWait bounds the time between two tries that grows from half a second.
	// A receiver's Retry-After may ask for more, up to MaxRetryAfter.
	MaxWait, MaxRetryAfter time.Duration
	// PerHost bounds the requests to one host that are under way.
	PerHost int
	// Grace is how long a request may go on once the context has ended.
	Grace time.Duration
	// Client sends; nil: one that PerHost fits. It must not follow redirects.
	Client *http.Client
	// Now reads the clock; nil: the machine's.
	Now func() time.Time
	// Observe, if not nil, is told of each request: the status, 0 if there was no
	// answer, and how long it took. It is called by many goroutines.
	Observe func(status int, took time.Duration)
}

// RejectedError says that a command will not be taken, however often it is sent.
type RejectedError struct {
	CommandID string
	Tries     int // requests made
	Reason    string
}

func (e *RejectedError) Error() string {
	if e.Tries == 0 {
		return e.Reason
	}
	return fmt.Sprintf("%s (after %d tries)", e.Reason, e.Tries)
}

// Sink posts commands. It is safe for concurrent use.
type Sink struct {
	cfg      Config
	signer   signer
	channels map[string]*target
	other    *target // nil: commands of other channels are passed over
	// wait waits, or ends with the context; tests need not.
	wait func(context.Context, time.Duration) error
}

// target is one URL.
type target struct {
	url  string
	host *host
}

// New returns a sink.
func New(cfg Config) (*Sink, error) {
	s := &Sink{cfg: cfg, channels: map[string]*target{}, wait: sleep}
	if s.cfg.Now == nil {
		s.cfg.Now = time.Now
	}
	var err error
	if s.signer, err = newSigner(cfg.Secrets); err != nil {
		return nil, err
	}
	hosts := map[string]*host{}
	open := func(text string) (*target, error) {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, fmt.Errorf("webhook: %q is not an http or https URL", text)
		}
		if hosts[u.Host] == nil {
			hosts[u.Host] = newHost(max(cfg.PerHost, 1))
		}
		return &target{text, hosts[u.Host]}, nil
	}
	if cfg.URL != "" {
		if s.other, err = open(cfg.URL); err != nil {
			return nil, err
		}
	}
	for channel, text := range cfg.Channels {
		if s.channels[channel], err = open(text); err != nil {
			return nil, err
		}
	}
	if s.cfg.Client == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = max(cfg.PerHost, 1)
		s.cfg.Client = &http.Client{Transport: transport, CheckRedirect: noRedirect}
	}
	return s, nil
}

// noRedirect makes a redirect an answer like any other: a signed command does not
// go where somebody else points.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// command is what has to be known of a command.
type command struct {
	CommandID string    `json:"command_id"`
	Channel   string    `json:"channel"`
	Expires   time.Time `json:"expires"`
}

// Send posts one command until it is taken. A RejectedError says that it will
// not be; any other error is that of the context: the command may or may not have
// been taken.
func (s *Sink) Send(ctx context.Context, rec sinks.Record) error {
	var c command
	if err := json.Unmarshal(rec.Value, &c); err != nil || c.CommandID == "" {
		return &RejectedError{Reason: "the record is not a send command: it has no command_id"}
	}
	t := s.channels[c.Channel]
	if t == nil {
		t = s.other
	}
	if t == nil {
		return nil
	}
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.Multiplier, waits.MaxInterval = 500*time.Millisecond, 2, s.cfg.MaxWait
	until := s.cfg.Now().Add(s.cfg.RetryFor)
	reject := func(tries int, format string, args ...any) error {
		return &RejectedError{CommandID: c.CommandID, Tries: tries, Reason: fmt.Sprintf(format, args...)}
	}
	for tries := 0; ; {
		if err := t.host.enter(ctx, s); err != nil {
			return err
		}
		now := s.cfg.Now()
		if !c.Expires.IsZero() && now.After(c.Expires) {
			t.host.leave()
			return reject(tries, "the command expired at %s before it was taken", c.Expires.Format(time.RFC3339Nano))
		}
		tries++
		a := s.post(ctx, t, &c, rec)
		t.host.leave()
		switch {
		case a.err == nil && a.status/100 == 2:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case a.final():
			return reject(tries, "%s answered %s", t.url, a)
		}
		wait := max(waits.NextBackOff(), min(a.retryAfter, s.cfg.MaxRetryAfter))
		if now = s.cfg.Now(); now.Add(wait).After(until) {
			return reject(tries, "%s has not taken it within %s, and answered %s", t.url, s.cfg.RetryFor, a)
		}
		if a.retryAfter > 0 {
			t.host.pause(now.Add(min(a.retryAfter, s.cfg.MaxRetryAfter)))
		}
		if err := s.wait(ctx, wait); err != nil {
			return err
		}
	}
}

// post makes one request.
func (s *Sink) post(ctx context.Context, t *target, c *command, rec sinks.Record) answer {
	ctx, cancel := s.grace(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(rec.Value))
	if err != nil {
		return answer{err: err}
	}
	for name, value := range s.cfg.Headers {
		req.Header.Set(name, value)
	}
	now := s.cfg.Now()
	req.Header.Set("Content-Type", sinks.ContentType)
	req.Header.Set("User-Agent", "nudged")
	req.Header.Set("Idempotency-Key", c.CommandID)
	s.signer.sign(req.Header, c.CommandID, now, rec.Value)
	for _, h := range rec.Headers {
		if h.Key == "traceparent" || h.Key == "tracestate" {
			req.Header.Set(h.Key, string(h.Value))
		}
	}
	res, err := s.cfg.Client.Do(req)
	if err != nil {
		s.observe(0, s.cfg.Now().Sub(now))
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the URL is named by the caller
		}
		return answer{err: err}
	}
	a := answer{status: res.StatusCode, retryAfter: retryAfter(res.Header.Get("Retry-After"), s.cfg.Now())}
	// What is read to its end leaves a connection for the next request.
	text, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	_ = res.Body.Close() // the status has been read
	a.text = firstLine(text)
	s.observe(res.StatusCode, s.cfg.Now().Sub(now))
	return a
}

func (s *Sink) observe(status int, took time.Duration) {
	if s.cfg.Observe != nil {
		s.cfg.Observe(status, took)
	}
}

// grace lets a request go on for a while once the context has ended: the receiver
// may just be answering.
func (s *Sink) grace(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Timeout)
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(s.cfg.Grace, cancel) })
	return longer, func() { stop(); cancel() }
}

// Deliver implements sinks.Sink: the commands of one user one after the other,
// those of different users at the same time. It returns once all of them are
// taken or rejected; the error joins the rejections.
func (s *Sink) Deliver(ctx context.Context, commands []sinks.Record) error {
	byUser := map[string][]sinks.Record{}
	for _, c := range commands {
		byUser[string(c.Key)] = append(byUser[string(c.Key)], c)
	}
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	for _, chain := range byUser {
		wg.Go(func() {
			for _, c := range chain {
				err := s.Send(ctx, c)
				if err == nil {
					continue
				}
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
				if ctx.Err() != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
