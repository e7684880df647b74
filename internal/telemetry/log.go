package telemetry

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// NewLogger returns a structured logger. level is debug, info, warn or error,
// format text or json.
func NewLogger(out io.Writer, level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, err
	}
	opts := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(out, opts)), nil
	}
	return slog.New(slog.NewTextHandler(out, opts)), nil
}

// traceHandler adds the ids of the context's span.
type traceHandler struct{ slog.Handler }

func (h traceHandler) Handle(ctx context.Context, r slog.Record) error {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h traceHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return traceHandler{h.Handler.WithAttrs(a)}
}

func (h traceHandler) WithGroup(name string) slog.Handler {
	return traceHandler{h.Handler.WithGroup(name)}
}

// both passes records on to two handlers; the first says what is of interest.
type both struct{ one, two slog.Handler }

func (b both) Enabled(ctx context.Context, l slog.Level) bool { return b.one.Enabled(ctx, l) }

func (b both) Handle(ctx context.Context, r slog.Record) error {
	return errors.Join(b.one.Handle(ctx, r.Clone()), b.two.Handle(ctx, r.Clone()))
}

func (b both) WithAttrs(a []slog.Attr) slog.Handler {
	return both{b.one.WithAttrs(a), b.two.WithAttrs(a)}
}

func (b both) WithGroup(name string) slog.Handler {
	return both{b.one.WithGroup(name), b.two.WithGroup(name)}
}
