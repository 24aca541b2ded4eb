package mapping

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"time"

	"dms/mapping/dms"
)

// Acknowledge settles deliveries in their order, up to the first that is failed or
// out of order; that one and all after it go back to the group, the first of them
// charged with a failure if the caller failed it. A handle that is not good makes
// the whole call fail, without any effect. The settled ones are on disk on a quorum.
func (b *Broker) Acknowledge(ctx context.Context, ref dms.GroupRef, kind dms.Kind, acks []dms.Ack) (settled int, err error) {
	s, release, err := b.session(ctx, ref.Project)
	if err != nil {
		return 0, err
	}
	defer release()
	q, err := s.queue(ctx, ref.Queue)
	if err != nil {
		return 0, err
	}
	g, err := s.group(ctx, q, ref.Group)
	if err != nil {
		return 0, err
	}
	if len(acks) == 0 {
		return 0, s.gone(ctx, ref.Queue)
	}
	receipts, err := b.openAll(ref, kind, acks, time.Now())
	if err != nil {
		return 0, err
	}
	for settled < len(receipts) {
		// What came from the group's lane is settled there, in runs with the rest.
		n := sameKind(receipts[settled:])
		did, err := s.acknowledge(ctx, q, ref, g, receipts[settled:settled+n], acks[settled:settled+n])
		settled += did
		if err != nil && settled > 0 {
			return settled, nil // the caller can repeat the rest
		}
		if err != nil || did < n {
			return settled, err
		}
	}
	return settled, nil
}

// sameKind is how many receipts from the front are of one kind.
func sameKind(receipts []receipt) int {
	for i, r := range receipts {
		if r.kind != receipts[0].kind {
			return i
		}
	}
	return len(receipts)
}

// acknowledge settles deliveries from one store.
func (s *session) acknowledge(ctx context.Context, q *queue, ref dms.GroupRef, g groupRecord, receipts []receipt, acks []dms.Ack) (int, error) {
	if kind := receipts[0].kind; kind != dms.Live || q.Mode == dms.FIFO {
		return s.reader(q, ref, kind).acknowledge(ctx, receipts, acks)
	}
	at, err := s.sameReading(ctx, ref, g, receipts)
	if err != nil {
		return 0, err
	}
	if err := s.refuseFailed(ctx, ref, receipts); err != nil {
		return 0, err
	}
	n := inOrder(receipts, acks)
	// The settled ones first: if that is cut short, the caller can repeat the call.
	if err := s.settle(ctx, at, receipts[:n]); err != nil {
		return 0, toError(err)
	}
	if q.DeadLetters() && mayHaveDied(receipts[:n], q.MaxConsume(), time.Now()) {
		return 0, errTooLate
	}
	s.handedBack(at, receipts[:n])
	if back := receipts[n:]; len(back) > 0 {
		if err := s.noteFailed(ctx, ref, back); err != nil {
			return 0, toError(err)
		}
		s.returnFailed(ctx, q, at, s.handedBack(at, back), acks[n])
	}
	return n, nil
}

// notYet is for how long after its deadline a delivery is certainly not offered again: the
// log does that a second after, by a clock that may run apart from this one a little.
const notYet = 500 * time.Millisecond

var errTooLate = dms.Errorf(dms.Unavailable, "the handler expired while the acknowledgement was held: the message may have become a dead letter")

// mayHaveDied reports whether one of these deliveries, which were settled just now, may
// have been offered again before, for the last time: the log confirms what settles a
// message that is gone, and whoever was given it may be about to bury it.
func mayHaveDied(settled []receipt, maxConsume int, now time.Time) bool {
	return slices.ContainsFunc(settled, func(r receipt) bool {
		return int(r.deliveries) >= maxConsume && now.After(r.deadline.Add(notYet))
	})
}

// sameReading refuses handles of a reading that has ended.
func (s *session) sameReading(ctx context.Context, ref dms.GroupRef, g groupRecord, receipts []receipt) (reading, error) {
	for _, r := range receipts {
		if r.gen > g.Gen {
			// The group was moved, and this node has not heard of it.
			var err error
			if g, err = s.groupNow(ctx, ref); err != nil {
				return reading{}, toError(err)
			}
		}
		if r.gen != g.Gen {
			return reading{}, errHandleMoved
		}
	}
	return reading{ref, g.Gen}, nil
}

// handedBack tells the group's dispatcher, if this node has one, that deliveries need
// not be charged when their time is over, and returns when each was handed out, where
// this node knows.
func (s *session) handedBack(at reading, receipts []receipt) []returned {
	s.mu.Lock()
	d := s.dispatchers[at.GroupRef]
	s.mu.Unlock()
	back := make([]returned, len(receipts))
	for i, r := range receipts {
		back[i].receipt = r
		if d != nil && d.ref == at {
			back[i].handed = d.handed.take1(r.seq)
		}
	}
	return back
}

// returned is a delivery that a client has given back.
type returned struct {
	receipt
	handed time.Time // when it was handed out; zero if this node does not know
}

// openAll opens all handles and refuses the first that is not good for this call.
func (b *Broker) openAll(ref dms.GroupRef, kind dms.Kind, acks []dms.Ack, now time.Time) ([]receipt, error) {
	receipts := make([]receipt, len(acks))
	for i, a := range acks {
		r, err := b.sealer.open(ref.Project, a.Handle)
		switch {
		case err != nil:
			return nil, dms.Wrap(dms.HandleInvalid, err)
		case r.ref != ref:
			return nil, dms.Errorf(dms.HandleOfOther, "the handler belongs to another queue or consumer group")
		case r.kind != kind && !(kind == dms.Live && r.kind == dms.Again):
			return nil, dms.Errorf(dms.HandleOfOtherKind, "a handler of a message cannot acknowledge a dead letter, nor the reverse")
		case !now.Before(r.deadline) && planted != handleUnproven:
			return nil, dms.Errorf(dms.HandleInvalid, "the handler has expired")
		}
		for _, before := range receipts[:i] {
			if before.batch == r.batch && before.place == r.place {
				return nil, dms.Errorf(dms.HandleInvalid, "the handler is given twice")
			}
		}
		receipts[i] = r
	}
	return receipts, nil
}

// inOrder is how many acknowledgements from the front succeed: until the first
// failed one, and within each consumed batch without a gap or a step back.
func inOrder(receipts []receipt, acks []dms.Ack) int {
	next := make(map[[16]byte]byte, 1)
	for i, r := range receipts {
		if !acks[i].Success {
			return i
		}
		if want, ok := next[r.batch]; ok && r.place != want {
			return i
		}
		next[r.batch] = r.place + 1
	}
	return len(receipts)
}

// failedPlaces are the deliveries of one batch that were failed, as bits.
type failedPlaces struct {
	Places uint16 `json:"places"`
	Until  int64  `json:"until,omitempty"` // when the last of their handles expires, epoch milliseconds
}

// refuseFailed refuses handles whose delivery was failed before, on any node. A
// delivery that was acknowledged may be acknowledged again: the log takes it as the
// same acknowledgement, so that a client whose answer was lost can ask again.
func (s *session) refuseFailed(ctx context.Context, ref dms.GroupRef, receipts []receipt) error {
	if planted == handleUnproven {
		return nil
	}
	for _, batch := range batchesOf(receipts) {
		places, err := s.failedIn(ctx, ref, batch[0])
		if err != nil {
			return toError(err)
		}
		for _, r := range batch {
			if places&(1<<r.place) != 0 {
				return dms.Errorf(dms.HandleInvalid, "the handler has been used")
			}
		}
	}
	return nil
}

// failedIn returns the failed places of the receipt's batch. The only node knows its
// own batches; among several the record is asked.
func (s *session) failedIn(ctx context.Context, ref dms.GroupRef, r receipt) (uint16, error) {
	if s.b.nodes == 1 && r.node == s.b.node {
		return s.failures.of(r.batch), nil
	}
	f, _, err := s.failedRecord(ctx, failedKey(ref, r.batchKey()))
	return f.Places, err
}

func (s *session) failedRecord(ctx context.Context, key string) (f failedPlaces, revision uint64, err error) {
	value, revision, err := s.ctl.get(ctx, key)
	if err != nil || revision == 0 {
		return failedPlaces{}, revision, err
	}
	err = json.Unmarshal(value, &f)
	return f, revision, err
}

// latest is when the last of the handles expires.
func latest(batch []receipt) (t time.Time) {
	for _, r := range batch {
		t = later(t, r.deadline)
	}
	return t
}

// noteFailed writes down, before they are returned, that these deliveries are failed,
// for as long as their handles could be used.
func (s *session) noteFailed(ctx context.Context, ref dms.GroupRef, back []receipt) error {
	for _, batch := range batchesOf(back) {
		var places uint16
		for _, r := range batch {
			places |= 1 << r.place
		}
		key := failedKey(ref, batch[0].batchKey())
		until := latest(batch)
		if time.Until(until) < -9*time.Second {
			continue // no handle of it can be used any more
		}
		for {
			known, revision, err := s.failedRecord(ctx, key)
			if err != nil {
				return err
			}
			// A place that was failed before may be good for longer, if its time was extended.
			until = later(until, time.UnixMilli(known.Until))
			record := failedPlaces{Places: known.Places | places, Until: until.UnixMilli()}
			_, err = s.ctl.put(ctx, key, mustJSON(record), revision, time.Until(until)+10*time.Second)
			if errors.Is(err, errConflict) {
				continue
			}
			if err != nil {
				return err
			}
			s.failures.note(batch[0].batch, record.Places, until)
			break
		}
	}
	return nil
}

// returnFailed sends deliveries back to the group. All but a first one that the
// caller failed are not charged, and that is on record before the log counts on.
func (s *session) returnFailed(ctx context.Context, q *queue, at reading, back []returned, first dms.Ack) {
	charge := !first.Success
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), holdFor)
	defer cancel()
	var buried <-chan struct{}
	bookings := make([]booking, len(back))
	receipts := make([]receipt, len(back))
	after := make([]time.Duration, len(back))
	for i, r := range back {
		receipts[i] = r.receipt
		bookings[i] = booking{seq: r.seq, delivery: r.deliveries, at: r.handed}
	}
	if charge {
		after[0] = first.Delay
		bookings[0].charge, bookings[0].reason = true, reasonOr(first.Reason)
	}
	if charge && q.DeadLetters() {
		t, err := s.book(ctx, q, at, bookings[0])
		if err != nil {
			s.log.LogAttrs(ctx, slog.LevelWarn, "a failure is not on record", slog.Any("err", err))
		}
		if len(t.Charged) >= q.MaxConsume() {
			done, stop := s.awaitBurial(at, back[0].seq)
			defer stop()
			buried = done
			after[0] = 0
		}
		bookings = bookings[1:]
	}
	if err := s.bookAll(ctx, q, at, bookings); err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "the return of a delivery is not on record", slog.Any("err", err))
	}
	heard, cancelled := context.WithTimeout(ctx, attemptFor)
	defer cancelled()
	if err := s.nakLater(heard, at, receipts, after); err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "a delivery returns only after its time", slog.Any("err", err))
	}
	if buried != nil {
		s.buryNow(ctx, q, at.GroupRef, buried)
	}
}

func reasonOr(given string) string {
	if given == "" {
		return reasonFailed
	}
	return given
}

// burialFor is how long the answer to a failure waits for the dead letter it causes.
const burialFor = 3 * time.Second

// buryNow lets the log deliver the message once more, to this node, which makes it a
// dead letter. Only a message that is still outstanding is delivered, so one that was
// settled cannot die.
func (s *session) buryNow(ctx context.Context, q *queue, ref dms.GroupRef, buried <-chan struct{}) {
	s.sweep(q, ref)
	timer := time.NewTimer(burialFor)
	defer timer.Stop()
	select {
	case <-buried:
	case <-timer.C:
		s.sweepAt(q, ref, time.Now(), time.Now().Add(engineAckWait))
	case <-ctx.Done():
	}
}

// batchesOf groups receipts by the consume call they came from, in order.
func batchesOf(receipts []receipt) [][]receipt {
	var batches [][]receipt
	for _, r := range receipts {
		i := slices.IndexFunc(batches, func(b []receipt) bool { return b[0].batch == r.batch })
		if i < 0 {
			batches = append(batches, []receipt{r})
		} else {
			batches[i] = append(batches[i], r)
		}
	}
	return batches
}
