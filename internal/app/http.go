package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/nudged/nudged/processor"
)

// web answers health checks.
type web struct{ server *http.Server }

// listen starts answering at http.addr, if one is configured.
func (d *Daemon) listen(pr *processor.Processor) (*web, error) {
	if d.Config.HTTP.Addr == "" {
		return &web{}, nil
	}
	l, err := net.Listen("tcp", string(d.Config.HTTP.Addr))
	if err != nil {
		return nil, fmt.Errorf("http.addr %s: %w; choose another, or leave it empty for none", d.Config.HTTP.Addr, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { ready(w, pr.Status()) })
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	d.Logger.Info("health checks", "livez", "http://"+l.Addr().String()+"/livez", "readyz", "http://"+l.Addr().String()+"/readyz")
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			d.Logger.Error("http", "error", err.Error())
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

// partitionState is a partition as /readyz shows it.
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

// ready answers 200 if every partition owned is being processed, else 503.
func ready(w http.ResponseWriter, status []processor.Status) {
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
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(states) // the client has gone
}
