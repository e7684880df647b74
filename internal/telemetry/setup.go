package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"go.opentelemetry.io/otel/attribute"
)

// Lookup is os.LookupEnv, or what stands for it.
type Lookup func(name string) (string, bool)

// Telemetry is what a process tells of itself. The OTEL_… variables turn on what
// is pushed; with none set, tracing is off and metrics are pulled at Handler.
type Telemetry struct {
	// Tracing says that spans go somewhere.
	Tracing bool

	meter    metric.Meter
	tracer   trace.Tracer
	registry *prometheus.Registry
	shutdown []func(context.Context) error
}

// Start sets telemetry up. Shutdown sends what is left.
func Start(ctx context.Context, lookup Lookup) (*Telemetry, error) {
	t := &Telemetry{registry: prometheus.NewRegistry(), tracer: noop.NewTracerProvider().Tracer(scope)}
	t.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	res, err := describe(ctx)
	if err != nil {
		return nil, err
	}
	if err := t.startMetrics(ctx, res, lookup); err != nil {
		return nil, errors.Join(err, t.Shutdown(ctx))
	}
	if err := t.startTraces(ctx, res, lookup); err != nil {
		return nil, errors.Join(err, t.Shutdown(ctx))
	}
	return t, nil
}

// describe says what the process is. OTEL_SERVICE_NAME and
// OTEL_RESOURCE_ATTRIBUTES win over it.
func describe(ctx context.Context) (*resource.Resource, error) {
	version := "unknown"
	if b, ok := debug.ReadBuildInfo(); ok {
		version = b.Main.Version
	}
	res, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", serviceName), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithProcessPID(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	return res, nil
}

// pushes says whether a signal is to be sent somewhere by the variables.
func pushes(lookup Lookup, signal string) bool {
	get := func(name string) string { v, _ := lookup(name); return v }
	if strings.EqualFold(get("OTEL_SDK_DISABLED"), "true") {
		return false
	}
	if exporter := get("OTEL_" + signal + "_EXPORTER"); exporter != "" {
		return exporter != "none"
	}
	return get("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || get("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
}

func (t *Telemetry) startMetrics(ctx context.Context, res *resource.Resource, lookup Lookup) error {
	pull, err := otelprometheus.New(otelprometheus.WithRegisterer(t.registry), otelprometheus.WithoutScopeInfo(),
		otelprometheus.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes))
	if err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	opts := []sdkmetric.Option{sdkmetric.WithResource(res), sdkmetric.WithReader(pull)}
	exporter, _ := lookup("OTEL_METRICS_EXPORTER")
	if pushes(lookup, "METRICS") && exporter != "prometheus" { // that is there already
		push, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return fmt.Errorf("telemetry: OTEL_METRICS_EXPORTER: %w", err)
		}
		opts = append(opts, sdkmetric.WithReader(push))
	}
	provider := sdkmetric.NewMeterProvider(opts...)
	t.shutdown = append(t.shutdown, provider.Shutdown)
	t.meter = provider.Meter(scope)
	return nil
}

func (t *Telemetry) startTraces(ctx context.Context, res *resource.Resource, lookup Lookup) error {
	if !pushes(lookup, "TRACES") {
		return nil
	}
	sampler, err := samplerOf(lookup)
	if err != nil {
		return err
	}
	exporter, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		return fmt.Errorf("telemetry: OTEL_TRACES_EXPORTER: %w", err)
	}
	// A batch links MaxTraces producers; the default limit is the same, but may be
	// lowered by a variable.
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(res), sdktrace.WithBatcher(exporter), sdktrace.WithSampler(linkedSampler{sampler}))
	t.shutdown = append(t.shutdown, provider.Shutdown)
	t.tracer, t.Tracing = provider.Tracer(scope), true
	return nil
}

// Logger returns base, extended by the trace ids of the context, and by a copy
// to where the OTEL_… variables send logs.
func (t *Telemetry) Logger(ctx context.Context, base *slog.Logger, lookup Lookup) (*slog.Logger, error) {
	handler := slog.Handler(traceHandler{base.Handler()})
	if !pushes(lookup, "LOGS") {
		return slog.New(handler), nil
	}
	res, err := describe(ctx)
	if err != nil {
		return nil, err
	}
	exporter, err := autoexport.NewLogExporter(ctx)
	if err != nil {
		return nil, fmt.Errorf("telemetry: OTEL_LOGS_EXPORTER: %w", err)
	}
	provider := sdklog.NewLoggerProvider(sdklog.WithResource(res), sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter)))
	t.shutdown = append(t.shutdown, provider.Shutdown)
	return slog.New(both{handler, otelslog.NewHandler(scope, otelslog.WithLoggerProvider(provider))}), nil
}

// Handler answers scrapes, in the OpenMetrics form with exemplars if that is
// asked for.
func (t *Telemetry) Handler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, Registry: nil})
}

// Shutdown sends what has not been sent.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	var errs []error
	for _, f := range t.shutdown {
		errs = append(errs, f(ctx))
	}
	t.shutdown = nil
	return errors.Join(errs...)
}

// linkedSampler samples what links to something sampled; the rest is up to base.
type linkedSampler struct{ base sdktrace.Sampler }

func (s linkedSampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	r := s.base.ShouldSample(p)
	if r.Decision == sdktrace.RecordAndSample || s.base.Description() == sdktrace.NeverSample().Description() ||
		trace.SpanContextFromContext(p.ParentContext).IsValid() {
		return r
	}
	for _, l := range p.Links {
		if l.SpanContext.IsSampled() {
			r.Decision = sdktrace.RecordAndSample
			break
		}
	}
	return r
}

func (s linkedSampler) Description() string { return "Linked{" + s.base.Description() + "}" }

// samplerOf reads OTEL_TRACES_SAMPLER and its argument.
func samplerOf(lookup Lookup) (sdktrace.Sampler, error) {
	name, _ := lookup("OTEL_TRACES_SAMPLER")
	ratio := 1.0
	if text, ok := lookup("OTEL_TRACES_SAMPLER_ARG"); ok && text != "" {
		var err error
		if ratio, err = strconv.ParseFloat(text, 64); err != nil || ratio < 0 || ratio > 1 {
			return nil, fmt.Errorf("telemetry: OTEL_TRACES_SAMPLER_ARG=%q is not a ratio from 0 to 1", text)
		}
	}
	switch name {
	case "", "parentbased_always_on":
		return sdktrace.ParentBased(sdktrace.AlwaysSample()), nil
	case "always_on":
		return sdktrace.AlwaysSample(), nil
	case "always_off":
		return sdktrace.NeverSample(), nil
	case "traceidratio":
		return sdktrace.TraceIDRatioBased(ratio), nil
	case "parentbased_always_off":
		return sdktrace.ParentBased(sdktrace.NeverSample()), nil
	case "parentbased_traceidratio":
		return sdktrace.ParentBased(sdktrace.TraceIDRatioBased(ratio)), nil
	}
	return nil, fmt.Errorf("telemetry: OTEL_TRACES_SAMPLER=%q: always_on, always_off, traceidratio, or one of them behind parentbased_ is expected", name)
}
