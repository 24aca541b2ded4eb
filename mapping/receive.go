package mapping

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
		// Nothing that follows would notice that the group or the queue was deleted
		// through another node.
		q.forget()
		if _, err := s.group(ctx, q, ref.Group); err != nil {
			return dms.Batch{}, err
		}
		if !q.DeadLetters() {
			// There never will be one. The wait is kept, or an idle client would spin.
			return dms.Batch{}, idle(ctx, s.base, req)
		}
		return s.reader(q, ref, dms.Dead).receive(ctx, req)
	}
	labels := slices.Compact(slices.Sorted(slices.Values(req.Labels)))
	end := time.Now().Add(req.Wait)
	for {
		g, err := s.claim(ctx, q, ref.Group, labels, req.Match)
		if err != nil {
			return dms.Batch{}, err
		}
		if q.Mode == dms.FIFO {
			return s.reader(q, ref, dms.Live).receive(ctx, req)
		}
		wait := time.Until(end)
		if g.Again {
			batch, next, _, err := s.reader(q, ref, dms.Again).offer(ctx, req)
			if err != nil || len(batch.Deliveries) > 0 {
				return batch, toError(err)
			}
			wait = min(wait, next)
		}
		d := s.dispatcher(q, reading{ref, g.Gen})
		d.filtered.Store(len(g.Labels) > 0)
		arrivals, err := d.receive(ctx, req, wait)
		switch {
		case err != nil && !errors.Is(err, errMoved):
			return dms.Batch{}, err
		case len(arrivals) > 0:
			return s.handOut(ctx, d, arrivals, req), nil
		case ctx.Err() != nil || s.base.Err() != nil || over(req.Until) || !time.Now().Before(end):
			return dms.Batch{}, nil
		}
		// There is time left: the poll was sent on, to the group's lane or new position.
	}
}

func over(until <-chan struct{}) bool {
	select {
	case <-until:
		return true
	default:
		return false
	}
}

func idle(ctx, base context.Context, req dms.Receive) error {
	timer := time.NewTimer(req.Wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-req.Until:
	case <-base.Done():
	case <-ctx.Done():
		return dms.Wrap(dms.Unavailable, context.Cause(ctx))
	}
	return nil
}

// handOut makes handles for deliveries of a consumer. With an ack_wait other than
// the default the log is told when to offer each message again, one second after
// its handle has ended.
func (s *session) handOut(ctx context.Context, d *dispatcher, arrivals []*arrival, req dms.Receive) dms.Batch {
	ackWait, now := req.AckWait, time.Now()
	r := receipt{ref: d.ref.GroupRef, gen: d.ref.gen, kind: dms.Live, batch: randomBatch(), size: byte(len(arrivals)), node: s.b.node}
	batch := dms.Batch{Deliveries: make([]dms.Delivery, len(arrivals))}
	var last time.Time
	var out []handOut
	for i, a := range arrivals {
		r.place, r.deliveries, r.seq, r.consumerSeq = byte(i), uint32(a.deliveries), a.streamSeq, a.consumerSeq
		r.deadline = a.base.Add(ackWait)
		if ackWait != dms.DefaultAckWait {
			s.delay(d.ref, a.delivered, ackWait+time.Second)
		}
		if d.q.DeadLetters() {
			out = append(out, handOut{a.streamSeq, uint32(a.deliveries), r.deadline, now})
		}
		if d.lastChance(a.delivered) {
			last = r.deadline
		}
		batch.Deliveries[i] = dms.Delivery{Payload: a.payload, Handle: s.b.sealer.seal(r), Trace: a.trace}
		if req.Meta {
			batch.Deliveries[i].Meta = s.metaOf(ctx, d, a, now)
		}
	}
	if !last.IsZero() {
		// Until the consumer's own time, in case the log did not hear of a shorter one.
		first := last.Add(2 * time.Second)
		s.sweepAt(d.q, d.ref.GroupRef, first, first.Add(engineAckWait))
	}
	if len(out) > 0 {
		d.handed.add(out, func() { s.spawn(func() { s.charge(d.q, d.ref, d.handed.expired(time.Now())) }) })
	}
	batch.Return = func() {
		for _, o := range out {
			d.handed.forget(o.seq)
		}
		s.spawn(func() { s.giveBack(d.q, d.ref, arrivals) })
	}
	return batch
}

// delay tells the log to offer a delivery again after the given time. If that is
// lost, the consumer's own time holds: earlier or later, never not at all.
func (s *session) delay(ref reading, at delivered, after time.Duration) {
	_ = s.conn.PublishMsg(&nats.Msg{
		Subject: ackSubject(streamName(ref.Queue), ref.consumer(), at.deliveries, at.streamSeq, at.consumerSeq),
		Data:    fmt.Appendf(nil, `-NAK {"delay":%d}`, after.Nanoseconds()),
	})
}

// nak asks the log to offer deliveries again at once, and waits until it has heard.
// What it has not heard returns when its time is over.
func (s *session) nak(ctx context.Context, ref reading, back []receipt) error {
	return s.nakLater(ctx, ref, back, make([]time.Duration, len(back)))
}

// nakLater is nak with a time for each delivery after which it is offered again.
func (s *session) nakLater(ctx context.Context, ref reading, back []receipt, after []time.Duration) error {
	naks := make([]*nats.Msg, len(back))
	for i, r := range back {
		say := []byte("-NAK")
		if after[i] > 0 {
			say = fmt.Appendf(nil, `-NAK {"delay":%d}`, after[i].Nanoseconds())
		}
		naks[i] = &nats.Msg{Subject: ackSubject(streamName(ref.Queue), ref.consumer(), uint64(r.deliveries), r.seq, r.consumerSeq), Data: say}
	}
	var failed error
	s.calls.askAll(ctx, naks, func(_ int, _ *nats.Msg, err error) { failed = cmp.Or(err, failed) })
	return failed
}

// giveBack returns deliveries that never reached a client. They are nobody's failure.
func (s *session) giveBack(q *queue, ref reading, arrivals []*arrival) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.base), holdFor)
	defer cancel()
	back := make([]receipt, len(arrivals))
	free := make([]booking, len(arrivals))
	for i, a := range arrivals {
		back[i] = receipt{deliveries: uint32(a.deliveries), seq: a.streamSeq, consumerSeq: a.consumerSeq}
		free[i] = booking{seq: a.streamSeq, delivery: uint32(a.deliveries)}
	}
	if err := s.bookAll(ctx, q, ref, free); err != nil {
		// Without the record they are charged to nobody either; it only takes longer
		// to be sure of it.
		s.log.LogAttrs(ctx, slog.LevelWarn, "the return of a delivery is not on record", slog.Any("err", err))
	}
	if err := s.nak(ctx, ref, back); err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "a delivery returns only after its time", slog.Any("err", err))
	}
}

// mayBeDead reports whether the delivery is one more than the message may fail, unless
// some of the earlier ones were nobody's failure.
func (d *dispatcher) mayBeDead(at delivered) bool {
	return d.q.DeadLetters() && at.deliveries > uint64(d.q.MaxConsume())
}

// lastChance reports whether the message may become a dead letter when this delivery
// is not acknowledged.
func (d *dispatcher) lastChance(at delivered) bool {
	return d.q.DeadLetters() && at.deliveries >= uint64(d.q.MaxConsume())
}

// bookPatience is how long a message that was delivered often waits for word on its
// earlier deliveries. The node that handed one out puts it on record when it expires,
// which is a second before the message is delivered again, unless the node has died.
// judgeLimit is how long it is held when nothing can be read.
const (
	bookPatience = time.Second
	judgeLimit   = 5 * time.Second
)

// freshFor is how old an arrival may be when it is handed out after it was judged.
const freshFor = 100 * time.Millisecond

// judge hands on a message that was delivered often, or makes it a dead letter.
func (d *dispatcher) judge(a *arrival) {
	ctx, cancel := context.WithTimeout(d.s.base, judgeLimit)
	defer cancel()
	pause := firstPause
	for {
		decided, err := d.decide(ctx, a)
		if decided {
			return
		}
		if err != nil && d.s.base.Err() == nil {
			d.s.log.LogAttrs(ctx, slog.LevelWarn, "cannot judge a message yet", slog.String("group", string(d.ref.Group)), slog.Any("err", err))
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, longestStop)
		case <-ctx.Done():
			d.let(a)
			d.s.giveBack(d.q, d.ref, []*arrival{a})
			return
		}
	}
}

// decide looks at the record once. It reports whether the message has been dealt with.
func (d *dispatcher) decide(ctx context.Context, a *arrival) (bool, error) {
	t, _, err := d.s.tally(ctx, d.ref, a.streamSeq)
	if err != nil {
		return false, err
	}
	if most := d.q.MaxConsume(); most > 0 && len(t.Charged) >= most {
		if err := d.s.buryDelivered(ctx, d.ref, a, t); err != nil {
			return false, err
		}
		d.let(a)
		d.sweep() // there may be more
		return true, nil
	}
	if t.known() < int(a.deliveries)-1 {
		if time.Since(a.base) < bookPatience {
			return false, nil
		}
		// Whoever had the others in hand has died. They are nobody's failure, and
		// the next delivery need not wait for word on them.
		if err := d.s.bookLost(ctx, d.ref, a.streamSeq, uint32(a.deliveries)); err != nil {
			return false, err
		}
	}
	if time.Since(a.base) > freshFor {
		// After a change of leader the log may have delivered it again meanwhile, to
		// another node, where it may be settled by now. Returning what is settled
		// does nothing, and anything else comes back at once.
		d.let(a)
		d.s.giveBack(d.q, d.ref, []*arrival{a})
		return true, nil
	}
	d.take(a)
	return true, nil
}
