package mapping

import (
	"context"
	"errors"
	"time"

	"dms/mapping/dms"
)

// leastHold is what an extension is for at least, as an ack_wait.
const leastHold = 15 * time.Second

// Extend gives deliveries more time, counted from now, and returns a handle for each that
// is good until then. The earlier handles stay good for as long as they were. Nothing is
// extended when one of the handles is not good, or when it would be outstanding for longer
// than dms.MaxHold in all. On a FIFO queue the whole batch of a handle stays outstanding.
func (b *Broker) Extend(ctx context.Context, ref dms.GroupRef, kind dms.Kind, wanted []dms.Extend) ([]dms.Handle, error) {
	s, release, err := b.session(ctx, ref.Project)
	if err != nil {
		return nil, err
	}
	defer release()
	q, err := s.queue(ctx, ref.Queue)
	if err != nil {
		return nil, err
	}
	g, err := s.group(ctx, q, ref.Group)
	if err != nil {
		return nil, err
	}
	if len(wanted) == 0 {
		return nil, s.gone(ctx, ref.Queue)
	}
	now := time.Now()
	receipts, err := b.extended(ref, kind, wanted, now)
	if err != nil {
		return nil, err
	}
	if receipts[0].kind != dms.Live || q.Mode == dms.FIFO {
		err = s.reader(q, ref, receipts[0].kind).extend(ctx, receipts, now)
	} else {
		err = s.extendDeliveries(ctx, q, ref, g, receipts, now)
	}
	if err != nil {
		return nil, toError(err)
	}
	handles := make([]dms.Handle, len(receipts))
	for i, r := range receipts {
		handles[i] = b.sealer.seal(r)
	}
	return handles, nil
}

// extended opens the handles and gives each its new deadline.
func (b *Broker) extended(ref dms.GroupRef, kind dms.Kind, wanted []dms.Extend, now time.Time) ([]receipt, error) {
	acks := make([]dms.Ack, len(wanted))
	for i, w := range wanted {
		if w.AckWait < leastHold || w.AckWait > dms.MaxHold {
			return nil, dms.Errorf(dms.BadAckWait, "ack_wait must be %d to %d seconds", int(leastHold.Seconds()), int(dms.MaxHold.Seconds()))
		}
		acks[i].Handle = w.Handle
	}
	receipts, err := b.openAll(ref, kind, acks, now)
	if err != nil {
		return nil, err
	}
	for i, r := range receipts {
		if r.kind != receipts[0].kind {
			return nil, dms.Errorf(dms.HandleOfOtherKind, "handlers of messages and of returned dead letters cannot be extended together")
		}
		if r.origin.IsZero() {
			// A handle does not say when it was made; it was no earlier than this.
			r.origin = r.deadline.Add(-longestAckWait)
		}
		r.deadline = now.Add(wanted[i].AckWait).Truncate(time.Millisecond)
		if r.deadline.After(r.origin.Add(dms.MaxHold)) {
			return nil, dms.Errorf(dms.BadAckWait, "a delivery can be held for %d hours in all", int(dms.MaxHold.Hours()))
		}
		receipts[i] = r
	}
	return receipts, nil
}

// extendDeliveries tells the log when to offer deliveries of a consumer again, and waits
// until it has heard. One that was settled meanwhile stays settled.
func (s *session) extendDeliveries(ctx context.Context, q *queue, ref dms.GroupRef, g groupRecord, receipts []receipt, now time.Time) error {
	at, err := s.sameReading(ctx, ref, g, receipts)
	if err != nil {
		return err
	}
	if err := s.refuseFailed(ctx, ref, receipts); err != nil {
		return err
	}
	after := make([]time.Duration, len(receipts))
	for i, r := range receipts {
		after[i] = r.deadline.Sub(now) + time.Second
	}
	if err := hold(ctx, func(ctx context.Context) error { return s.nakLater(ctx, at, receipts, after) }); err != nil {
		if _, gone := s.groupNow(ctx, ref); gone != nil {
			return gone
		}
		return err
	}
	s.mu.Lock()
	d := s.dispatchers[ref]
	s.mu.Unlock()
	var last time.Time
	for _, r := range receipts {
		if d != nil && d.ref == at {
			d.handed.extend(r.seq, r.deliveries, r.deadline)
		}
		if q.DeadLetters() && int(r.deliveries) >= q.MaxConsume() {
			last = later(last, r.deadline)
		}
	}
	if !last.IsZero() {
		s.sweepAt(q, ref, last.Add(2*time.Second), last.Add(2*time.Second))
	}
	return nil
}

// extend lets the lease of a cursor last until the last of the deadlines. From then on
// this node is its owner, so that the one that granted it does not end it by its own clock.
func (r *reader) extend(ctx context.Context, receipts []receipt, now time.Time) error {
	until := latest(receipts)
	wait := until.Sub(now)
	for {
		c, rev, err := r.load(ctx)
		if err != nil {
			return err
		}
		for _, rc := range receipts {
			if rc.seq <= c.Floor || c.Lease == nil || c.Lease.Batch != rc.batchKey() {
				return dms.Errorf(dms.HandleInvalid, "the handler has been used, or its delivery has ended")
			}
		}
		c = c.clone()
		c.Lease.AckWait = max(wait, r.leaseLeft(c)-leaseGrace)
		c.Lease.Node = r.s.b.nodeKey()
		ends := now.Add(c.Lease.AckWait + leaseGrace)
		err = r.write(ctx, c, rev, ends)
		if errors.Is(err, errConflict) {
			continue
		}
		if err == nil && r.limited() && c.failuresOf(c.Lease.Seqs[0])+1 >= r.q.MaxConsume() {
			r.s.sweepAt(r.q, r.ref, ends.Add(leaseGrace), ends.Add(leaseGrace))
		}
		return err
	}
}
