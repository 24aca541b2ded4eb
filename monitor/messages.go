package monitor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dms/mapping/dms"
	"dms/monitor/sample"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/semconv/v1.43.0/messagingconv"
	"go.opentelemetry.io/otel/trace"
)

// Messages moves messages; it is what the API is given.
type Messages interface {
	Send(context.Context, dms.QueueRef, dms.Send) ([]dms.Sent, error)
	Receive(context.Context, dms.GroupRef, dms.Receive) (dms.Batch, error)
	Acknowledge(context.Context, dms.GroupRef, dms.Kind, []dms.Ack) (settled int, err error)
}

// system is the messaging.system of everything here: the service is one, whatever it
// stores its messages in.
const system messagingconv.SystemAttr = "dms"

// metered measures what passes through Messages, and puts it into spans.
type metered struct {
	next    Messages
	traffic *sample.Traffic
	tracer  trace.Tracer
	traced  bool

	duration messagingconv.ClientOperationDuration
	sent     messagingconv.ClientSentMessages
	consumed messagingconv.ClientConsumedMessages
}

// Measure returns Messages that measure by the conventions of OpenTelemetry, count for
// the samples of queues, and trace.
func (t *Telemetry) Measure(next Messages, traffic *sample.Traffic) (Messages, error) {
	meter := t.provider.Meter("dms/monitor")
	m := &metered{next: next, traffic: traffic, tracer: t.tracer(), traced: t.traces.on}
	var errs [3]error
	// The conventional boundaries, and two more for consumers that wait.
	m.duration, errs[0] = messagingconv.NewClientOperationDuration(meter, metric.WithExplicitBucketBoundaries(
		0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60))
	m.sent, errs[1] = messagingconv.NewClientSentMessages(meter)
	m.consumed, errs[2] = messagingconv.NewClientConsumedMessages(meter)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	return m, nil
}

// Send implements Messages.
func (m *metered) Send(ctx context.Context, ref dms.QueueRef, req dms.Send) ([]dms.Sent, error) {
	begin := time.Now()
	var span trace.Span
	if m.traced {
		ctx, span = m.tracer.Start(ctx, "send "+string(ref.Queue), trace.WithSpanKind(trace.SpanKindProducer),
			trace.WithAttributes(spanAttributes("send", "send", ref, "", len(req.Messages))...))
		if parent := traceparent(ctx); parent != "" {
			messages := make([]dms.Message, len(req.Messages)) // the caller's stay as they are
			for i, msg := range req.Messages {
				msg.Trace = parent
				messages[i] = msg
			}
			req.Messages = messages
		}
	}
	sent, err := m.next.Send(ctx, ref, req)
	stored, bytes := 0, 0
	for i, s := range sent {
		if s.Err == nil && err == nil {
			stored++
			bytes += len(req.Messages[i].Payload)
		}
	}
	m.end(ctx, span, "send", "send", begin, err)
	if stored > 0 {
		m.sent.Inst().Add(ctx, int64(stored), metric.WithAttributeSet(destination("send", ref, "")))
	}
	m.traffic.Add(sample.Place{Project: ref.Project, Queue: ref.Queue}, sample.Counts{Requests: 1, Bytes: uint64(bytes)}, begin)
	return sent, err
}

// Receive implements Messages.
func (m *metered) Receive(ctx context.Context, ref dms.GroupRef, req dms.Receive) (dms.Batch, error) {
	begin := time.Now()
	batch, err := m.next.Receive(ctx, ref, req)
	n := len(batch.Deliveries)
	var span trace.Span
	if m.traced && (n > 0 || err != nil) { // a poll that found nothing is not worth a span
		var links []trace.Link
		for _, d := range batch.Deliveries {
			if link, ok := linkTo(d.Trace); ok && d.Trace != "" {
				links = append(links, link)
			}
		}
		_, span = m.tracer.Start(ctx, "receive "+string(ref.Queue), trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(begin),
			trace.WithLinks(links...), trace.WithAttributes(spanAttributes("receive", "receive", ref.QueueRef, ref.Group, n)...))
	}
	m.end(ctx, span, "receive", "receive", begin, err)
	counts := sample.Counts{Polls: 1}
	if n > 0 && req.Kind == dms.Live {
		counts.Delivered = uint64(n)
	}
	if n > 0 {
		m.consumed.Inst().Add(ctx, int64(n), metric.WithAttributeSet(destination("receive", ref.QueueRef, ref.Group)))
	}
	m.count(ref, counts, begin)
	return batch, err
}

// Acknowledge implements Messages.
func (m *metered) Acknowledge(ctx context.Context, ref dms.GroupRef, kind dms.Kind, acks []dms.Ack) (int, error) {
	begin := time.Now()
	var span trace.Span
	if m.traced {
		ctx, span = m.tracer.Start(ctx, "ack "+string(ref.Queue), trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(spanAttributes("ack", "settle", ref.QueueRef, ref.Group, len(acks))...))
	}
	settled, err := m.next.Acknowledge(ctx, ref, kind, acks)
	m.end(ctx, span, "ack", "settle", begin, err)
	var counts sample.Counts
	if err == nil && kind == dms.Live {
		counts.Settled = uint64(settled)
		// The first that does not succeed is failed; those behind it go back uncharged.
		if settled < len(acks) && !acks[settled].Success {
			counts.Failed = 1
		}
	}
	m.count(ref, counts, begin)
	return settled, err
}

// count adds a request to a group, and to its queue.
func (m *metered) count(ref dms.GroupRef, c sample.Counts, now time.Time) {
	m.traffic.Add(sample.Place{Project: ref.Project, Queue: ref.Queue}, sample.Counts{Requests: 1}, now)
	m.traffic.Add(sample.Place{Project: ref.Project, Queue: ref.Queue, Group: ref.Group}, c, now)
}

// end measures an operation and ends its span, if it has one.
func (m *metered) end(ctx context.Context, span trace.Span, name, kind string, begin time.Time, err error) {
	attrs := []attribute.KeyValue{
		attribute.String("messaging.operation.name", name), attribute.String("messaging.operation.type", kind),
		attribute.String("messaging.system", string(system)),
	}
	reason := ""
	if err != nil {
		reason = "_OTHER"
		if own, ok := errors.AsType[*dms.Error](err); ok {
			reason = string(own.Code)
		}
		attrs = append(attrs, attribute.String("error.type", reason))
	}
	m.duration.Inst().Record(ctx, time.Since(begin).Seconds(), metric.WithAttributeSet(attribute.NewSet(attrs...)))
	if span == nil {
		return
	}
	if err != nil {
		span.SetStatus(codes.Error, reason)
		span.SetAttributes(attribute.String("error.type", reason))
	}
	span.End()
}

// destination is where messages went or came from. The number of queues and groups is
// bounded by the limit of series, beyond which they are counted together.
func destination(name string, ref dms.QueueRef, group dms.GroupID) attribute.Set {
	attrs := []attribute.KeyValue{
		attribute.String("messaging.operation.name", name), attribute.String("messaging.system", string(system)),
		attribute.String("messaging.destination.name", string(ref.Queue)), attribute.String("dms.project", string(ref.Project)),
	}
	if group != "" {
		attrs = append(attrs, attribute.String("messaging.consumer.group.name", string(group)))
	}
	return attribute.NewSet(attrs...)
}

func spanAttributes(name, kind string, ref dms.QueueRef, group dms.GroupID, n int) []attribute.KeyValue {
	attrs := []attribute.KeyValue{
		attribute.String("messaging.system", string(system)), attribute.String("messaging.operation.name", name),
		attribute.String("messaging.operation.type", kind), attribute.String("messaging.destination.name", string(ref.Queue)),
		attribute.Int("messaging.batch.message_count", n), attribute.String("dms.project", string(ref.Project)),
	}
	if group != "" {
		attrs = append(attrs, attribute.String("messaging.consumer.group.name", string(group)))
	}
	return attrs
}
