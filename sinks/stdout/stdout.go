// Package stdout prints send commands as JSON lines.
package stdout

import (
	"bytes"
	"context"
	"io"
	"sync"

	"github.com/nudged/nudged/sinks"
)

// Sink writes each command as one line. It is safe for concurrent use.
type Sink struct {
	mu  sync.Mutex
	out io.Writer
	buf bytes.Buffer
}

// New returns a sink that writes to out.
func New(out io.Writer) *Sink { return &Sink{out: out} }

// Deliver implements sinks.Sink.
func (s *Sink) Deliver(_ context.Context, commands []sinks.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf.Reset()
	for _, c := range commands {
		s.buf.Write(c.Value)
		s.buf.WriteByte('\n')
	}
	_, err := s.out.Write(s.buf.Bytes())
	return err
}
