package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"
)

// serviceName is the service.name of everything that is exported.
const serviceName = "dms"

// DefaultSeries bounds the series of one instrument where nothing else is said.
const DefaultSeries = 5000

// Options describe the node whose telemetry it is.
type Options struct {
	Node    string // service.instance.id
	Version string // service.version
	Series  int    // most series of one instrument; 0 is DefaultSeries
	Log     *slog.Logger
}

// Telemetry is the telemetry of one node. Nothing in it is global, so that several
// nodes can run in one process.
type Telemetry struct {
	registry *prometheus.Registry
	provider *sdkmetric.MeterProvider
	traces   traces
	series   int
	log      *slog.Logger
}

// Start builds the providers and their exporters. Metrics can be scraped in any case; they
// and traces are pushed as well where the standard variables of OpenTelemetry name an
// endpoint (OTEL_EXPORTER_OTLP_ENDPOINT and its variants for each signal).
func Start(o Options) (*Telemetry, error) {
	if o.Node == "" || o.Log == nil {
		return nil, errors.New("telemetry: a node name and a logger are required")
	}
	if o.Series == 0 {
		o.Series = DefaultSeries
	}
	registry := prometheus.NewRegistry()
	if err := errors.Join(
		registry.Register(collectors.NewGoCollector()),
		registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	); err != nil {
		return nil, fmt.Errorf("telemetry: register collectors: %w", err)
	}
	exporter, err := otelprom.New(otelprom.WithRegisterer(registry), otelprom.WithoutScopeInfo())
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	res, err := describe(o)
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	options := []sdkmetric.Option{
		sdkmetric.WithReader(exporter), sdkmetric.WithResource(res), sdkmetric.WithCardinalityLimit(o.Series),
	}
	if pushes("METRICS") {
		push, err := otlpmetrichttp.New(context.Background())
		if err != nil {
			return nil, fmt.Errorf("telemetry: push metrics: %w", err)
		}
		options = append(options, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(push)))
	}
	t := &Telemetry{
		registry: registry, series: o.Series, log: o.Log.With("component", "monitor"),
		provider: sdkmetric.NewMeterProvider(options...),
	}
	if t.traces, err = startTraces(res); err != nil {
		return nil, errors.Join(fmt.Errorf("telemetry: %w", err), t.provider.Shutdown(context.Background()))
	}
	return t, nil
}

// describe returns the attributes of everything that is exported. Those that operators
// give by OTEL_RESOURCE_ATTRIBUTES come first.
func describe(o Options) (*resource.Resource, error) {
	own := resource.NewSchemaless(
		attribute.String("service.name", serviceName),
		attribute.String("service.version", o.Version),
		attribute.String("service.instance.id", o.Node),
	)
	given, err := resource.New(context.Background(), resource.WithFromEnv())
	if err != nil {
		return nil, err
	}
	return resource.Merge(own, given)
}

// pushes reports whether the variables ask for a signal to be pushed. Only an endpoint
// does: the exporters' own default, localhost, would make every node without a collector
// complain.
func pushes(signal string) bool {
	if os.Getenv("OTEL_SDK_DISABLED") == "true" || os.Getenv("OTEL_"+signal+"_EXPORTER") == "none" {
		return false
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
}

// MeterProvider gives meters to the packages that measure.
func (t *Telemetry) MeterProvider() metric.MeterProvider { return t.provider }

// TracerProvider gives tracers; it makes spans that go nowhere unless traces are pushed.
func (t *Telemetry) TracerProvider() trace.TracerProvider { return t.traces.provider }

// Handler serves the metrics in Prometheus' format.
func (t *Telemetry) Handler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{ErrorLog: scrapeLog{t.log}})
}

// Stop pushes what is left and ends the providers. Meters and tracers that were handed out
// record nothing afterwards. A collector that does not answer is no failure of the stop.
func (t *Telemetry) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lastPush)
	defer cancel()
	if err := errors.Join(t.traces.stop(ctx), t.provider.Shutdown(ctx)); err != nil && !errors.Is(err, sdkmetric.ErrReaderShutdown) {
		t.log.LogAttrs(ctx, slog.LevelWarn, "the last telemetry was not delivered", slog.Any("err", err))
	}
	return nil
}

// scrapeLog passes on what the exporter complains about.
type scrapeLog struct{ log *slog.Logger }

// Println implements promhttp.Logger.
func (l scrapeLog) Println(v ...any) {
	l.log.Warn("metrics could not be collected", "problem", fmt.Sprint(v...))
}
