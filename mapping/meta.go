package mapping

import (
	"context"
	"time"

	"dms/mapping/dms"
)

// What a consumer can be told of a message that it is handed.

// metaOf tells of a consumer's delivery. When it was first handed out is on record once
// a delivery of it has failed, on queues with dead letters; without a record a repeated
// delivery does not tell.
func (s *session) metaOf(ctx context.Context, d *dispatcher, a *arrival, now time.Time) *dms.Meta {
	m := &dms.Meta{ID: a.id, Sequence: a.streamSeq, Sent: a.sent, Deliveries: int(a.deliveries)}
	if a.deliveries == 1 {
		m.First = now
		return m
	}
	if !d.q.DeadLetters() {
		return m
	}
	// Nobody waits for what is not there: a delivery is worth more than its history.
	if t, _, err := s.tally(ctx, d.ref, a.streamSeq); err == nil && t.First > 0 {
		m.First = time.UnixMilli(t.First)
	}
	return m
}

// metaOf tells of a delivery that the cursor grants.
func (r *reader) metaOf(c cursor, f found, deliveries int, now time.Time) *dms.Meta {
	m := &dms.Meta{ID: f.id(), Sequence: f.seq, Sent: f.sent, Deliveries: deliveries, First: now}
	if c.Head == f.seq {
		m.First = time.Time{}
		if c.First > 0 {
			m.First = time.UnixMilli(c.First)
		}
	}
	return m
}
