package monitor

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Request is one answered HTTP request.
type Request struct {
	Method   string
	Route    string // pattern of the route, "" when the URL is unknown
	TLS      bool
	Status   int
	Code     string // the service's error code, "" for a success
	Duration time.Duration
}

// Requests measures HTTP requests by the conventions of OpenTelemetry.
type Requests struct {
	duration metric.Float64Histogram
}

// Requests returns the instrument for the requests of one listener.
func (t *Telemetry) Requests() (*Requests, error) {
	duration, err := t.provider.Meter("dms/monitor").Float64Histogram("http.server.request.duration",
		metric.WithUnit("s"),
		metric.WithDescription("Duration of HTTP server requests."),
		// The conventional boundaries, and two more for consumers that wait.
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60),
	)
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	return &Requests{duration: duration}, nil
}

// Record counts one request. Only values from bounded sets become attributes: whatever
// a client can choose freely would multiply the series.
func (r *Requests) Record(ctx context.Context, q Request) {
	scheme := "http"
	if q.TLS {
		scheme = "https"
	}
	attrs := []attribute.KeyValue{
		attribute.String("http.request.method", knownMethod(q.Method)),
		attribute.Int("http.response.status_code", q.Status),
		attribute.String("url.scheme", scheme),
	}
	if q.Route != "" {
		attrs = append(attrs, attribute.String("http.route", q.Route))
	}
	if q.Code != "" {
		attrs = append(attrs, attribute.String("dms.error.code", q.Code))
	}
	if q.Status >= 500 {
		attrs = append(attrs, attribute.String("error.type", strconv.Itoa(q.Status)))
	}
	r.duration.Record(ctx, q.Duration.Seconds(), metric.WithAttributes(attrs...))
}

func knownMethod(m string) string {
	switch m {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE":
		return m
	}
	return "_OTHER"
}
