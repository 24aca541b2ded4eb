package monitor

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// TraceLog adds the trace and the span to what is logged within one, so that a line and a
// trace can be found by each other.
func TraceLog(h slog.Handler) slog.Handler { return traceLog{h} }

type traceLog struct{ slog.Handler }

// Handle implements slog.Handler.
func (l traceLog) Handle(ctx context.Context, r slog.Record) error {
	if c := trace.SpanContextFromContext(ctx); c.IsValid() {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", c.TraceID().String()), slog.String("span_id", c.SpanID().String()))
	}
	return l.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (l traceLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return traceLog{l.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (l traceLog) WithGroup(name string) slog.Handler { return traceLog{l.Handler.WithGroup(name)} }
