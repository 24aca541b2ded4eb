package mapping

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"

	"dms/mapping/dms"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// How a redrive stores messages at their target, and then removes the dead letters.

// store puts the messages where they go.
func (r *redrive) store(ctx context.Context, out []*outgoing) error {
	if r.target == nil {
		return hold(ctx, func(ctx context.Context) error {
			r.s.storeEach(ctx, out)
			for _, o := range out {
				if !o.stored && o.err == nil {
					return o.last
				}
			}
			return nil
		})
	}
	fit := make([]*outgoing, 0, len(out))
	for _, o := range out {
		if o.err = r.s.checkLabels(ctx, r.target, subjectLabels(o.message.Subject)); o.err == nil {
			fit = append(fit, o)
		}
	}
	if len(fit) == 0 {
		return nil
	}
	return r.s.store(ctx, r.target, fit, nil)
}

// outgoing is a dead letter as its target stores it.
func (r *redrive) outgoing(f found) *outgoing {
	id := redriveID(r.id, f.seq)
	if r.target != nil {
		return newOutgoing(r.target, dms.Message{Payload: f.payload, Labels: labelsOf(f.payload)}, id)
	}
	_, source, _ := parseDeadSubject(f.subject)
	return &outgoing{id: id, message: &nats.Msg{
		Subject: againSubject(r.ref, f.seq),
		Data:    f.payload,
		Header: nats.Header{
			jetstream.MsgIDHeader: {string(id)},
			headerID:              {f.header.Get(headerID)},
			headerSource:          {strconv.FormatUint(source, 10)},
		},
	}}
}

// redriveID is the same however often a dead letter is moved by a job.
func redriveID(job dms.JobID, place uint64) dms.MessageID {
	sum := sha256.Sum256(fmt.Appendf(nil, "redrive\n%s\n%d", job, place))
	var id uuid.UUID
	copy(id[:], sum[:])
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // version 8, the variant of RFC 9562
	return dms.MessageID(id.String())
}

// unbury removes dead letters. One that is gone already is removed.
func (s *session) unbury(ctx context.Context, places []uint64) error {
	gone := make([]bool, len(places))
	return hold(ctx, func(ctx context.Context) error {
		calls := make([]*call, len(places))
		var failed error
		for i, place := range places {
			if gone[i] {
				continue
			}
			c, err := s.calls.start(&nats.Msg{Subject: msgDeletePrefix + deadStream, Data: mustJSON(map[string]any{"seq": place, "no_erase": true})})
			if err != nil {
				failed = err
				continue
			}
			calls[i] = c
		}
		for i, c := range calls {
			if c == nil {
				continue
			}
			m, err := c.wait(ctx)
			if err == nil {
				err = reply(m, nil)
			}
			if code(err) == codeDeleteFailed {
				// So the log says when there is nothing to delete, among other things.
				if _, absence := s.stored(ctx, deadStream, places[i]); absent(absence) {
					err = nil
				}
			}
			if err == nil || code(err) == codeNoSequence {
				gone[i] = true
				continue
			}
			failed = err
		}
		return failed
	})
}
