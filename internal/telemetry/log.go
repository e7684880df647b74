// Package telemetry sets up what operators see: the log.
package telemetry

import (
	"io"
	"log/slog"
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
