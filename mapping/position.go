package mapping

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"

	"dms/mapping/dms"

	"github.com/nats-io/nats.go/jetstream"
)

// MoveGroup makes the group go on reading somewhere else, or says what that would do.
//
// What was handed out before is nobody's afterwards: its handlers are refused, it is
// neither offered again for itself nor charged, and what it would count is not carried
// over, so that every message is delivered as if for the first time. Dead letters stay.
func (b *Broker) MoveGroup(ctx context.Context, ref dms.GroupRef, to dms.Position, dryRun bool) (dms.Move, error) {
	if err := to.Validate(); err != nil {
		return dms.Move{}, err
	}
	s, release, err := b.session(ctx, ref.Project)
	if err != nil {
		return dms.Move{}, err
	}
	defer release()
	q, err := s.present(ctx, ref.QueueRef)
	if err != nil {
		return dms.Move{}, err
	}
	m, err := s.move(ctx, q, ref, to, dryRun)
	return m, toError(err)
}

func (s *session) move(ctx context.Context, q *queue, ref dms.GroupRef, to dms.Position, dryRun bool) (dms.Move, error) {
	q.forget()
	g, err := s.group(ctx, q, ref.Group)
	if err != nil {
		return dms.Move{}, err
	}
	place, err := s.placeOf(ctx, q, to)
	if err != nil {
		return dms.Move{}, err
	}
	m, err := s.preview(ctx, q, g, place)
	if err != nil || dryRun {
		return m, err
	}
	if q.Mode == dms.FIFO {
		return m, s.reader(q, ref, dms.Live).move(ctx, place)
	}
	return m, s.moveConsumer(ctx, q, ref, place)
}

// placeOf is the first place to read from.
func (s *session) placeOf(ctx context.Context, q *queue, to dms.Position) (uint64, error) {
	info, err := s.streamInfo(ctx, streamName(q.Ref.Queue), nil)
	if err != nil {
		return 0, err
	}
	first, end := max(info.State.FirstSeq, 1), info.State.LastSeq+1
	switch to.To {
	case dms.AtBegin:
		return first, nil
	case dms.AtEnd:
		return end, nil
	case dms.AtSequence:
		if to.Sequence > end {
			return 0, dms.Errorf(dms.BadManageBody, "sequence must be at most %d, the one after the newest message", end)
		}
		return max(to.Sequence, first), nil
	}
	at, err := s.placeAt(ctx, streamName(q.Ref.Queue), to.Time)
	return min(max(at, first), end), err
}

// preview counts what a move to the place does to the group.
func (s *session) preview(ctx context.Context, q *queue, g groupRecord, place uint64) (dms.Move, error) {
	info, err := s.streamInfo(ctx, streamName(q.Ref.Queue), nil)
	if err != nil {
		return dms.Move{}, err
	}
	p, err := s.progressOf(ctx, q, g, info.State)
	if err != nil {
		return dms.Move{}, err
	}
	between := func(from, to uint64) (int64, error) { return s.countBetween(ctx, q, g, info.State, from, to) }
	m := dms.Move{From: max(p.floor+1, info.State.FirstSeq), To: place, Exact: true}
	if m.Skipped, err = between(p.floor+1, place); err != nil {
		return dms.Move{}, err
	}
	if m.Repeated, err = between(place, p.floor+1); err != nil || p.fifo || p.certain {
		return m, err
	}
	// Of what lies between floor and delivered some is settled: known is only how much.
	inDoubt, err := between(p.floor+1, p.delivered+1)
	if err != nil {
		return dms.Move{}, err
	}
	settled := max(inDoubt-p.pending, 0)
	if settled == 0 {
		return m, nil
	}
	switch {
	case place <= p.floor+1:
		m.Repeated += settled
	case place > p.delivered:
		m.Skipped -= settled
	default:
		part, err := between(place, p.delivered+1)
		if err != nil {
			return dms.Move{}, err
		}
		m.Exact = false
		m.Repeated = settled * part / inDoubt
		m.Skipped = max(m.Skipped-(settled-m.Repeated), 0)
	}
	return m, nil
}

// countBetween counts the messages for the group from one place up to before another.
func (s *session) countBetween(ctx context.Context, q *queue, g groupRecord, state jetstream.StreamState, from, to uint64) (int64, error) {
	from, to = max(from, state.FirstSeq, 1), min(to, state.LastSeq+1)
	if from >= to {
		return 0, nil
	}
	if len(g.Labels) == 0 {
		return int64(to - from), nil
	}
	upper, err := s.countLabelled(ctx, q, g, from)
	if err != nil {
		return 0, err
	}
	lower, err := s.countLabelled(ctx, q, g, to)
	return int64(upper) - int64(lower), err
}

// moveConsumer begins a new reading of a NORMAL queue. The record is written first, and
// with that it is done: every node refuses what the earlier reading handed out as soon as
// it hears, and whoever reads next makes the consumer.
func (s *session) moveConsumer(ctx context.Context, q *queue, ref dms.GroupRef, place uint64) error {
	r, err := s.change(ctx, q, func(r *record) error {
		g := r.group(ref.Group)
		if g == nil {
			return dms.Errorf(dms.GroupNotFound, "the consumer group does not exist")
		}
		g.Gen, g.Start = g.Gen+1, place
		return nil
	})
	if err != nil {
		return err
	}
	g := *r.group(ref.Group)
	s.regenerate(q, r)
	if !g.Used {
		return nil
	}
	if err := s.consumer(ctx, reading{ref, g.Gen}, g); err != nil {
		// The move is done all the same; the consumer is made when it is needed.
		s.log.LogAttrs(ctx, slog.LevelWarn, "the consumer of a moved group is not made yet", slog.String("group", string(ref.Group)), slog.Any("err", err))
	}
	return nil
}

// regenerate ends the dispatchers of readings that the record says have ended.
func (s *session) regenerate(q *queue, r *record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range r.Groups {
		ref := dms.GroupRef{QueueRef: q.Ref, Group: g.ID}
		if d, ok := s.dispatchers[ref]; ok && d.ref.gen < g.Gen {
			delete(s.dispatchers, ref)
			d.endMoved()
		}
	}
}

// recordChanged looks at a record that another node may have changed, if this node is
// handing out messages of the queue's groups.
func (s *session) recordChanged(id dms.QueueID) {
	s.mu.Lock()
	q := s.queues[id]
	serves := false
	for ref := range s.dispatchers {
		serves = serves || ref.Queue == id
	}
	s.mu.Unlock()
	if q == nil || !serves {
		return
	}
	s.spawn(func() {
		ctx, cancel := context.WithTimeout(s.base, holdFor)
		defer cancel()
		// Whoever asks next reads it too, should this fail.
		if r, err := s.freshRecord(ctx, q); err == nil {
			s.regenerate(q, r)
		}
	})
}

// move sets the cursor of a FIFO group. Its lease ends, and with it what was handed out.
func (r *reader) move(ctx context.Context, place uint64) error {
	select {
	case <-r.turn:
		defer func() { r.turn <- struct{}{} }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	_, err := r.update(ctx, func(c *cursor) (bool, error) {
		var out []endedLease
		if c.Lease != nil && !c.Lease.Pause {
			// The handles of the lease may lie before the new floor, where they would pass
			// for settled. How long they are good for is known to whoever granted it; it is
			// less than from now for as long again.
			until := time.Now().Add(c.Lease.AckWait + leaseGrace)
			out = c.note(endedLease{Batch: c.Lease.Batch, Size: dms.MaxBatch, Until: until.UnixMilli()}, time.Now())
		}
		c.Lease = nil
		c.newHead(0)
		c.Floor = place - 1
		c.Gen++
		return true, r.writeDown(ctx, out)
	})
	return err
}

// writeDown keeps ended leases beside the cursor, which has no room for them any more.
func (r *reader) writeDown(ctx context.Context, out []endedLease) error {
	for _, e := range out {
		batch, err := hex.DecodeString(e.Batch)
		if err != nil {
			return fmt.Errorf("cursor %s: batch of an ended lease: %w", r.key, err)
		}
		rest := make([]receipt, 0, e.Size-e.From)
		for place := e.From; place < e.Size; place++ {
			rest = append(rest, receipt{batch: [16]byte(batch), place: place, deadline: time.UnixMilli(e.Until)})
		}
		if err := r.s.noteFailed(ctx, r.ref, rest); err != nil {
			return err
		}
	}
	return nil
}
