package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/nudged/nudged/internal/config"
	"github.com/nudged/nudged/processor"
)

// web answers over HTTP.
type web struct{ server *http.Server }

// listen starts answering at the address; an empty one: nowhere. /livez is
// answered here, the rest by the mux.
func listen(addr config.Address, logger *slog.Logger, mux *http.ServeMux) (*web, error) {
	if addr == "" {
		return &web{}, nil
	}
	l, err := net.Listen("tcp", string(addr))
	if err != nil {
		return nil, fmt.Errorf("http.addr %s: %w; choose another, or leave it empty for none", addr, err)
	}
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	base := "http://" + l.Addr().String()
	logger.Info("health checks", "livez", base+"/livez", "readyz", base+"/readyz", "metrics", base+"/metrics", "status", base+"/")
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("http", "error", err.Error())
		}
	}()
	return &web{s}, nil
}

func (w *web) close() {
	if w.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = w.server.Shutdown(ctx) // the process ends anyway
	}
}

// partitionState is a partition as /readyz shows it, or what cannot be reached.
type partitionState struct {
	Partition string `json:"partition"`
	Ready     bool   `json:"ready"`
	Stopped   string `json:"stopped,omitempty"`
	Trouble   string `json:"trouble,omitempty"`
	Replaying bool   `json:"replaying,omitempty"`
	Offset    int64  `json:"offset"`
	End       int64  `json:"end"`
	Clock     int64  `json:"clock_ms"`
}

// ready answers 200 if every partition owned is being processed, else 503. Of a
// process that owns none, waiting for an assignment, reach says whether it could
// take one on.
func ready(w http.ResponseWriter, r *http.Request, status []processor.Status, reach func(context.Context) error) {
	states := make([]partitionState, 0, len(status))
	code := http.StatusOK
	for _, s := range status {
		p := partitionState{Partition: s.Input.String(), Ready: s.Ready, Trouble: s.Trouble, Replaying: s.Replaying, Offset: s.Offset, End: s.End, Clock: s.Clock}
		if s.Stopped != nil {
			p.Stopped = s.Stopped.Error()
		}
		if !s.Ready || s.Trouble != "" {
			code = http.StatusServiceUnavailable
		}
		states = append(states, p)
	}
	if len(status) == 0 {
		if err := reach(r.Context()); err != nil {
			code = http.StatusServiceUnavailable
			states = append(states, partitionState{Trouble: err.Error()})
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(states) // the client has gone
}

// reachable asks services whether they answer. An answer is believed for a
// second: probes must not become load.
type reachable struct {
	ask map[string]func(context.Context) error

	mu   sync.Mutex
	at   time.Time
	last error
}

const (
	reachEvery   = time.Second
	reachTimeout = 2 * time.Second
)

func (r *reachable) check(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.at) < reachEvery {
		return r.last
	}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	var errs []error
	for _, name := range sorted(r.ask) {
		if err := r.ask[name](ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s cannot be reached: %w", name, err))
		}
	}
	r.at, r.last = time.Now(), errors.Join(errs...)
	return r.last
}
