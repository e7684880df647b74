package webhook

import (
	"context"
	"sync"
	"time"
)

// host bounds the requests to one host, and holds them back while it has asked
// for that.
type host struct {
	slots chan struct{}

	mu    sync.Mutex
	until time.Time
}

func newHost(limit int) *host { return &host{slots: make(chan struct{}, limit)} }

// enter waits until a request may be made; leave ends it.
func (h *host) enter(ctx context.Context, s *Sink) error {
	for {
		select {
		case h.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		if ctx.Err() != nil {
			h.leave()
			return ctx.Err()
		}
		left := h.paused(s.cfg.Now())
		if left <= 0 {
			return nil
		}
		h.leave()
		if err := s.wait(ctx, left); err != nil {
			return err
		}
	}
}

func (h *host) leave() { <-h.slots }

func (h *host) paused(now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.until.Sub(now)
}

// pause holds requests back until then.
func (h *host) pause(until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if until.After(h.until) {
		h.until = until
	}
}
