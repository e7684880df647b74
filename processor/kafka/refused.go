package kafka

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// errRefused is all that the session tells of a transaction that it has aborted.
var errRefused = errors.New("the group is rebalancing, or the broker refused it")

const (
	// patienceRefusals and patienceTime say when transactions with records have been
	// refused too often, without one that was committed in between, to be explained by
	// rebalances: then the producer and the membership are given up for new ones. The
	// partitions would wait for ever otherwise, as they once did in a run of make chaos.
	patienceRefusals = 6
	patienceTime     = 5 * time.Second
)

// refusals counts transactions with records that were refused in a row.
type refusals struct {
	n     int
	since time.Time
}

// more notes one, and says that these are too many.
func (r *refusals) more(now time.Time) bool {
	if r.n == 0 {
		r.since = now
	}
	r.n++
	return r.n >= patienceRefusals && now.Sub(r.since) >= patienceTime
}

// told passes on what an operator should see of a Kafka client, its errors, and keeps
// what it said last for the day when that is asked.
type told struct {
	slog.Handler
	kept *kept
}

func (h told) Enabled(ctx context.Context, l slog.Level) bool {
	if h.kept != nil && l >= slog.LevelInfo {
		return true
	}
	return l >= slog.LevelError && h.Handler.Enabled(ctx, l)
}

func (h told) Handle(ctx context.Context, r slog.Record) error {
	if h.kept != nil {
		h.kept.add(r)
	}
	if r.Level < slog.LevelError || !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h told) WithAttrs(a []slog.Attr) slog.Handler { return told{h.Handler.WithAttrs(a), h.kept} }

func (h told) WithGroup(n string) slog.Handler { return told{h.Handler.WithGroup(n), h.kept} }

// kept are the latest lines of a client.
type kept struct {
	mu    sync.Mutex
	lines [24]slog.Record
	n     int
}

func (k *kept) add(r slog.Record) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lines[k.n%len(k.lines)] = r
	k.n++
}

// text is what they say, the oldest first.
func (k *kept) text() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var b strings.Builder
	h := slog.NewTextHandler(&b, nil)
	for i := max(0, k.n-len(k.lines)); i < k.n; i++ {
		_ = h.Handle(context.Background(), k.lines[i%len(k.lines)]) // a Builder takes everything
	}
	return b.String()
}
