package mapping

import (
	"context"
	"time"

	"dms/mapping/dms"
)

// acknowledge settles deliveries of the lease from the front. A failure ends the
// lease: the failed message comes next, and is charged with it.
func (r *reader) acknowledge(ctx context.Context, receipts []receipt, acks []dms.Ack) (int, error) {
	var did outcome
	c, err := r.update(ctx, func(c *cursor) (change bool, err error) {
		if did, err = r.apply(ctx, c, receipts, acks); err != nil {
			return false, err
		}
		return did.taken > 0 || did.ended, nil
	})
	if err != nil {
		return 0, toError(err)
	}
	if did.ended && r.limited() && c.Failures >= r.q.MaxConsume() {
		// The dead letter is written before the answer, unless a poll is at it.
		r.sweep(ctx)
		r.s.sweepAt(r.q, r.ref, time.Now().Add(leaseGrace), time.Now().Add(engineAckWait))
	}
	return did.settled, nil
}

// outcome is what a request did to the cursor.
type outcome struct {
	settled int  // deliveries from the front that are done, now or before
	taken   int  // of these, the ones that were outstanding
	ended   bool // the lease ended before all of it was settled
}

// apply changes the cursor as the acknowledgements say. Deliveries that are settled
// already count as settled again, so that a lost answer can be asked for again; those
// of a lease that has ended otherwise are refused, and then nothing is changed.
func (r *reader) apply(ctx context.Context, c *cursor, receipts []receipt, acks []dms.Ack) (outcome, error) {
	for i, rc := range receipts {
		if rc.seq > c.Floor {
			if c.Lease == nil || c.Lease.Batch != rc.batchKey() {
				return outcome{}, dms.Errorf(dms.HandleInvalid, "the handler has been used, or its delivery has ended")
			}
			continue
		}
		ended, known := c.endedBefore(rc.batchKey(), rc.place)
		if !known {
			failed, err := r.s.failedIn(ctx, r.ref, rc)
			if err != nil {
				return outcome{}, err
			}
			ended = failed&(1<<rc.place) != 0
		}
		if ended || !acks[i].Success {
			return outcome{}, dms.Errorf(dms.HandleInvalid, "the handler has been used")
		}
	}
	var did outcome
	for i, rc := range receipts {
		if rc.seq > c.Floor {
			if !acks[i].Success || did.taken == len(c.Lease.Seqs) || c.Lease.Seqs[did.taken] != rc.seq {
				did.ended = true
				break
			}
			did.taken++
		}
		did.settled++
	}
	if did.ended {
		if err := r.end(ctx, c, did.taken, receipts[did.settled]); err != nil {
			return outcome{}, err
		}
	}
	inTurn := did.ended && did.taken < len(c.Lease.Seqs) && receipts[did.settled].seq == c.Lease.Seqs[did.taken]
	c.settle(did.taken)
	switch {
	case inTurn:
		first := acks[did.settled]
		c.fail(reasonOr(first.Reason))
		if dies := r.limited() && c.Failures >= r.q.MaxConsume(); first.Delay > 0 && !dies {
			pause := receipt{batch: randomBatch()}
			c.pause(pause.batchKey(), r.s.b.nodeKey(), first.Delay)
		}
	case did.ended:
		c.release() // out of order: the message whose turn it is was not failed
	}
	return did, nil
}

// end notes in the cursor that the rest of its lease is not settled by it. That takes
// effect together with whatever else is changed. Older notes make room by being written
// down beside the cursor, for as long as the handles they speak of could be used.
func (r *reader) end(ctx context.Context, c *cursor, taken int, one receipt) error {
	first := int(one.size) - len(c.Lease.Seqs) // the place of the first outstanding delivery
	out := c.note(endedLease{
		Batch: one.batchKey(), From: byte(first + taken), Size: one.size, Until: one.deadline.UnixMilli(),
	}, time.Now())
	return r.writeDown(ctx, out)
}
