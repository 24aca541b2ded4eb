package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
)

// serviceName is the service.name of everything that is exported.
const serviceName = "dms"

// Options describe the node whose telemetry it is.
type Options struct {
	Node    string // service.instance.id
	Version string // service.version
	Log     *slog.Logger
}

// Telemetry is the telemetry of one node. Nothing in it is global, so that several
// nodes can run in one process.
type Telemetry struct {
	registry *prometheus.Registry
	provider *sdkmetric.MeterProvider
	log      *slog.Logger
}

// Start builds the meter provider and its exporter. It starts no goroutine: metrics are
// collected when someone asks for them.
func Start(o Options) (*Telemetry, error) {
	if o.Node == "" || o.Log == nil {
		return nil, errors.New("telemetry: a node name and a logger are required")
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
	res := resource.NewSchemaless(
		attribute.String("service.name", serviceName),
		attribute.String("service.version", o.Version),
		attribute.String("service.instance.id", o.Node),
	)
	return &Telemetry{
		registry: registry,
		provider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithResource(res)),
		log:      o.Log.With("component", "monitor"),
	}, nil
}

// MeterProvider gives meters to the packages that measure.
func (t *Telemetry) MeterProvider() metric.MeterProvider { return t.provider }

// Handler serves the metrics in Prometheus' format.
func (t *Telemetry) Handler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{ErrorLog: scrapeLog{t.log}})
}

// Stop ends the provider. Meters that were handed out record nothing afterwards.
func (t *Telemetry) Stop(ctx context.Context) error {
	if err := t.provider.Shutdown(ctx); err != nil && !errors.Is(err, sdkmetric.ErrReaderShutdown) {
		return fmt.Errorf("telemetry: %w", err)
	}
	return nil
}

// scrapeLog passes on what the exporter complains about.
type scrapeLog struct{ log *slog.Logger }

// Println implements promhttp.Logger.
func (l scrapeLog) Println(v ...any) {
	l.log.Warn("metrics could not be collected", "problem", fmt.Sprint(v...))
}
