package monitor

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// lastPush is how long a stopping node waits for its collector.
const lastPush = 3 * time.Second

// traces is where spans go.
type traces struct {
	provider trace.TracerProvider
	on       bool
	stop     func(context.Context) error
}

func startTraces(res *resource.Resource) (traces, error) {
	if !pushes("TRACES") {
		return traces{provider: noop.NewTracerProvider(), stop: func(context.Context) error { return nil }}, nil
	}
	exporter, err := otlptracehttp.New(context.Background())
	if err != nil {
		return traces{}, fmt.Errorf("push traces: %w", err)
	}
	// What is sampled is said by OTEL_TRACES_SAMPLER, which the provider reads.
	p := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res))
	return traces{provider: p, on: true, stop: p.Shutdown}, nil
}

func (t *Telemetry) tracer() trace.Tracer { return t.traces.provider.Tracer("dms") }

// Trace puts every request into a span, which goes on with the caller's trace if the
// request names one. What the request turns out to be is told by End.
func (t *Telemetry) Trace(next http.Handler) http.Handler {
	if !t.traces.on {
		return next
	}
	tracer := t.tracer()
	from := propagation.TraceContext{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := from.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := tracer.Start(ctx, knownMethod(r.Method), trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// End tells the request's span what the request was.
func (q Request) End(ctx context.Context) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	method := knownMethod(q.Method)
	span.SetAttributes(attribute.String("http.request.method", method), attribute.Int("http.response.status_code", q.Status))
	if q.Route != "" {
		span.SetName(method + " " + q.Route)
		span.SetAttributes(attribute.String("http.route", q.Route))
	}
	if q.Code != "" {
		span.SetAttributes(attribute.String("dms.error.code", q.Code))
	}
	if q.Status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, q.Code)
	}
}

// traceparent is the span in the form that travels with a message, "" unless the span is
// sampled.
func traceparent(ctx context.Context) string {
	c := trace.SpanContextFromContext(ctx)
	if !c.IsValid() || !c.IsSampled() {
		return ""
	}
	return "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + c.TraceFlags().String()
}

// linkTo points to the span that a message was sent in.
func linkTo(parent string) (trace.Link, bool) {
	carrier := propagation.MapCarrier{"traceparent": parent}
	c := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
	return trace.Link{SpanContext: c}, c.IsValid()
}
