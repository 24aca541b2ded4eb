package mapping

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"dms/mapping/dms"

	"github.com/nats-io/nats.go"
)

// Receive waits for messages of the group, or for its dead letters. An empty batch
// means that none came in time.
func (b *Broker) Receive(ctx context.Context, ref dms.GroupRef, req dms.Receive) (dms.Batch, error) {
	s, release, err := b.session(ctx, ref.Project)
	if err != nil {
		return dms.Batch{}, err
	}
	defer release()
	q, err := s.queue(ctx, ref.Queue)
	if err != nil {
		return dms.Batch{}, err
	}
	if req.Kind == dms.Dead {
		if _, err := s.group(ctx, q, ref.Group); err != nil {
			return dms.Batch{}, err
		}
		if !q.DeadLetters() {
			// There never will be one. The wait is kept, or an idle client would spin.
			return dms.Batch{}, idle(ctx, s.base, req.Wait)
		}
		return s.reader(q, ref, dms.Dead).receive(ctx, req)
	}
	labels := slices.Compact(slices.Sorted(slices.Values(req.Labels)))
	g, err := s.claim(ctx, q, ref.Group, labels, req.Match)
	if err != nil {
		return dms.Batch{}, err
	}
	if q.Mode == dms.FIFO {
		return s.reader(q, ref, dms.Live).receive(ctx, req)
	}
	d := s.dispatcher(q, ref, g)
	arrivals, err := d.receive(ctx, req.Max, req.Wait)
	if err != nil || len(arrivals) == 0 {
		return dms.Batch{}, err
	}
	return s.handOut(d, arrivals, req.AckWait), nil
}

func idle(ctx, base context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-base.Done():
	case <-ctx.Done():
		return dms.Wrap(dms.Unavailable, context.Cause(ctx))
	}
	return nil
}

// handOut makes handles for deliveries of a consumer. With an ack_wait other than
// the default the log is told when to offer each message again, one second after
// its handle has ended.
func (s *session) handOut(d *dispatcher, arrivals []*arrival, ackWait time.Duration) dms.Batch {
	r := receipt{ref: d.ref, kind: dms.Live, batch: randomBatch(), size: byte(len(arrivals)), node: s.b.node}
	batch := dms.Batch{Deliveries: make([]dms.Delivery, len(arrivals))}
	var last time.Time
	for i, a := range arrivals {
		r.place, r.deliveries, r.seq, r.consumerSeq = byte(i), uint32(a.deliveries), a.streamSeq, a.consumerSeq
		r.deadline = a.base.Add(ackWait)
		if ackWait != dms.DefaultAckWait {
			s.delay(d.ref, a.delivered, ackWait+time.Second)
		}
		if d.lastChance(a.delivered) {
			last = r.deadline
		}
		batch.Deliveries[i] = dms.Delivery{Payload: a.payload, Handle: s.b.sealer.seal(r)}
	}
	if !last.IsZero() {
		s.sweepAt(d.q, d.ref, last.Add(2*time.Second), last.Add(2*time.Second))
	}
	batch.Return = func() { s.spawn(func() { s.giveBack(d.q, d.ref, arrivals) }) }
	return batch
}

// delay tells the log to offer a delivery again after the given time. If that is
// lost, the consumer's own time holds: earlier or later, never not at all.
func (s *session) delay(ref dms.GroupRef, at delivered, after time.Duration) {
	_ = s.conn.PublishMsg(&nats.Msg{
		Subject: ackSubject(streamName(ref.Queue), consumerName(ref.Group), at.deliveries, at.streamSeq, at.consumerSeq),
		Data:    fmt.Appendf(nil, `-NAK {"delay":%d}`, after.Nanoseconds()),
	})
}

// nak asks the log to offer deliveries again at once, and waits until it has heard.
// What it has not heard returns when its time is over.
func (s *session) nak(ctx context.Context, ref dms.GroupRef, back []receipt) error {
	calls := make([]*call, 0, len(back))
	var failed error
	for _, r := range back {
		c, err := s.calls.start(&nats.Msg{
			Subject: ackSubject(streamName(ref.Queue), consumerName(ref.Group), uint64(r.deliveries), r.seq, r.consumerSeq),
			Data:    []byte("-NAK"),
		})
		if err != nil {
			failed = err
			continue
		}
		calls = append(calls, c)
	}
	for _, c := range calls {
		if _, err := c.wait(ctx); err != nil {
			failed = err
		}
	}
	return failed
}

// giveBack returns deliveries that never reached a client. They do not count as
// failures, which has to be on record before the log counts the next delivery.
func (s *session) giveBack(q *queue, ref dms.GroupRef, arrivals []*arrival) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.base), attemptFor)
	defer cancel()
	back := make([]receipt, len(arrivals))
	for i, a := range arrivals {
		back[i] = receipt{deliveries: uint32(a.deliveries), seq: a.streamSeq, consumerSeq: a.consumerSeq}
		if err := s.uncharge(ctx, q, ref, a.streamSeq); err != nil {
			s.log.LogAttrs(ctx, slog.LevelWarn, "a returned delivery will count as a failure", slog.Any("err", err))
		}
	}
	if err := s.nak(ctx, ref, back); err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "a delivery returns only after its time", slog.Any("err", err))
	}
}

// uncharge notes that one more delivery of the message is not a failure. The note
// matters only where failures are counted.
func (s *session) uncharge(ctx context.Context, q *queue, ref dms.GroupRef, seq uint64) error {
	if !q.DeadLetters() {
		return nil
	}
	key := unchargedKey(ref, seq)
	for {
		n, revision, err := s.uncharged(ctx, key)
		if err != nil {
			return err
		}
		_, err = s.ctl.put(ctx, key, strconv.AppendUint(nil, n+1, 10), revision, dms.Retention)
		if !errors.Is(err, errConflict) {
			return err
		}
	}
}

func (s *session) uncharged(ctx context.Context, key string) (n, revision uint64, err error) {
	value, revision, err := s.ctl.get(ctx, key)
	if err != nil || revision == 0 {
		return 0, revision, err
	}
	n, err = strconv.ParseUint(string(value), 10, 64)
	return n, revision, err
}

// mayBeDead reports whether the delivery is one more than the message may fail,
// unless some of the earlier ones do not count.
func (d *dispatcher) mayBeDead(at delivered) bool {
	return d.q.DeadLetters() && at.deliveries > uint64(d.q.MaxConsumeCount)
}

// lastChance reports whether the message may become a dead letter when this delivery
// is not acknowledged.
func (d *dispatcher) lastChance(at delivered) bool {
	return d.q.DeadLetters() && at.deliveries >= uint64(d.q.MaxConsumeCount)
}

// judge hands on a message that was delivered often, or makes it a dead letter. It
// tries for as long as the delivery is its own: until then nobody else gets it.
func (d *dispatcher) judge(a *arrival) {
	ctx, cancel := context.WithTimeout(d.s.base, engineAckWait)
	defer cancel()
	for {
		uncharged, _, err := d.s.uncharged(ctx, unchargedKey(d.ref, a.streamSeq))
		if err == nil && a.deliveries-1-uncharged < uint64(d.q.MaxConsumeCount) {
			d.take(a)
			return
		}
		if err == nil {
			err = d.s.buryDelivered(ctx, d.ref, a)
		}
		if err == nil {
			d.sweep() // there may be more
			return
		}
		if d.s.base.Err() == nil {
			d.s.log.LogAttrs(ctx, slog.LevelWarn, "cannot dead-letter a message yet", slog.String("group", string(d.ref.Group)), slog.Any("err", err))
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
	}
}
