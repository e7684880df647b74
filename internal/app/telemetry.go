package app

import (
	"context"
	"log/slog"
	"os"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/nudged/nudged/internal/telemetry"
)

// flushTimeout bounds what sending the last spans and metrics may take.
const flushTimeout = 2 * time.Second

// startTelemetry starts what a process tells of itself, and extends its logger.
// flush sends the rest.
func startTelemetry(ctx context.Context, t **telemetry.Telemetry, logger **slog.Logger) (flush func(), err error) {
	if *t, err = telemetry.Start(ctx, os.LookupEnv); err != nil {
		return nil, err
	}
	flush = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		defer cancel()
		if err := (*t).Shutdown(ctx); err != nil {
			(*logger).Warn("the last telemetry was not sent", "error", err.Error())
		}
	}
	told, err := (*t).Logger(ctx, *logger, os.LookupEnv)
	if err != nil {
		flush()
		return nil, err
	}
	*logger = told
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { told.Warn("telemetry", "error", err.Error()) }))
	return flush, nil
}
