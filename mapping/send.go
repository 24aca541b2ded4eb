package mapping

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"time"

	"dms/mapping/dms"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// outgoing is one message on its way into a stream.
type outgoing struct {
	message *nats.Msg
	id      dms.MessageID
	delayed bool
	stored  bool
	err     error // final
	last    error // of the latest attempt
}

// Send stores the messages. On a FIFO queue those without delay are stored together
// or not at all. The call fails as a whole when nothing is known to be refused and
// the outcome of a message is unknown; repeating it under the same key is safe.
func (b *Broker) Send(ctx context.Context, ref dms.QueueRef, req dms.Send) ([]dms.Sent, error) {
	s, release, err := b.session(ctx, ref.Project)
	if err != nil {
		return nil, err
	}
	defer release()
	q, err := s.queue(ctx, ref.Queue)
	if err != nil {
		return nil, err
	}
	for i, m := range req.Messages {
		// White space inside a body is kept but not counted by the published limit.
		if len(m.Payload) > largestPayload {
			return nil, dms.Errorf(dms.MessageTooBig, "message %d takes %d bytes with its white space, more than the %d that can be stored", i+1, len(m.Payload), largestPayload)
		}
		if err := s.checkLabels(ctx, q, m.Labels); err != nil {
			return nil, err
		}
	}
	out := make([]*outgoing, len(req.Messages))
	var now, later []*outgoing
	var size int64
	for i, m := range req.Messages {
		o := newOutgoing(q, m, messageID(ref, req.Key, i))
		size += int64(len(m.Payload)) + recordOverhead
		if o.delayed {
			later = append(later, o)
		} else {
			now = append(now, o)
		}
		out[i] = o
	}
	settle, err := s.quota.reserve(ctx, size)
	if err != nil {
		return nil, err
	}
	defer settle()
	if len(later) > 0 {
		// The delay store takes a message for a queue that was deleted through another
		// node, so the queue itself is asked for.
		if err := s.gone(ctx, ref.Queue); err != nil {
			return nil, err
		}
		if err := s.due.prepare(ctx); err != nil {
			return nil, toError(err)
		}
	}
	if err := s.store(ctx, q, now, later); err != nil {
		return nil, err
	}
	sent := make([]dms.Sent, len(out))
	for i, o := range out {
		sent[i] = dms.Sent{ID: o.id, Err: o.err}
	}
	return sent, nil
}

// store repeats what is not known to be stored until it is, is refused, or the hold
// is over.
func (s *session) store(ctx context.Context, q *queue, now, later []*outgoing) error {
	all := append(append(make([]*outgoing, 0, len(now)+len(later)), now...), later...)
	err := hold(ctx, func(ctx context.Context) error {
		if q.Mode == dms.FIFO && len(now) > 1 {
			s.storeTogether(ctx, now)
			s.storeEach(ctx, later)
		} else {
			s.storeEach(ctx, all)
		}
		for _, o := range all {
			if !o.stored && o.err == nil {
				if errors.Is(o.last, nats.ErrNoResponders) {
					// Either the queue is deleted or its leader is away.
					if err := s.gone(ctx, q.Ref.Queue); err != nil {
						return err
					}
				}
				return o.last
			}
		}
		return nil
	})
	return toError(err)
}

// storeEach publishes all messages before it waits for the first answer.
func (s *session) storeEach(ctx context.Context, out []*outgoing) {
	calls := make([]*call, len(out))
	for i, o := range out {
		if o.stored || o.err != nil {
			continue
		}
		if planted == skipOne && unlucky() {
			o.stored = true
			continue
		}
		c, err := s.calls.start(o.message)
		if err != nil {
			o.last = err
			continue
		}
		calls[i] = c
		if planted == answerEarly {
			c.forget()
			calls[i], o.stored = nil, true
		}
	}
	for i, c := range calls {
		if c != nil {
			out[i].answered(c.wait(ctx))
		}
	}
}

func (o *outgoing) answered(m *nats.Msg, err error) {
	if err == nil {
		err = reply(m, nil)
	}
	switch {
	case err == nil:
		o.stored = true
	case transient(err):
		o.last = err
	default:
		o.err = toError(err)
	}
}

// The log's headers for a batch that is stored whole or not at all.
const (
	batchID       = "Nats-Batch-Id"
	batchSequence = "Nats-Batch-Sequence"
	batchCommit   = "Nats-Batch-Commit"
)

// storeTogether publishes the messages as one atomic batch. The ids of the messages
// stay what they are, so a batch that is repeated after a lost answer is refused as a
// duplicate, which means that it is stored.
func (s *session) storeTogether(ctx context.Context, out []*outgoing) {
	if out[0].stored || out[0].err != nil {
		return
	}
	if planted == answerEarly || planted == skipOne {
		s.storeEach(ctx, out)
		return
	}
	err := s.publishBatch(ctx, out)
	switch {
	case err == nil:
		for _, o := range out {
			o.stored = true
		}
	case code(err) == codeBatchDuplicate:
		// One by one, in order, a stored message is answered as a duplicate, and
		// one that was not part of the earlier batch is stored now.
		s.storeEach(ctx, out)
	case transient(err):
		for _, o := range out {
			o.last = err
		}
	default:
		for _, o := range out {
			o.err = toError(err)
		}
	}
}

func (s *session) publishBatch(ctx context.Context, out []*outgoing) error {
	id := uuid.NewString()
	for i, o := range out {
		m := &nats.Msg{Subject: o.message.Subject, Data: o.message.Data, Header: nats.Header{
			jetstream.MsgIDHeader: o.message.Header[jetstream.MsgIDHeader],
			batchID:               {id},
			batchSequence:         {strconv.Itoa(i + 1)},
		}}
		if trace, ok := o.message.Header[headerTrace]; ok {
			m.Header[headerTrace] = trace
		}
		if i < len(out)-1 {
			if err := s.conn.PublishMsg(m); err != nil {
				return err
			}
			continue
		}
		m.Header.Set(batchCommit, "1")
		c, err := s.calls.start(m)
		if err != nil {
			return err
		}
		answer, err := c.wait(ctx)
		if err != nil {
			return err
		}
		return reply(answer, nil)
	}
	return nil
}

func newOutgoing(q *queue, m dms.Message, id dms.MessageID) *outgoing {
	subject := messageSubject(q.Ref.Queue, m.Labels)
	o := &outgoing{id: id, delayed: m.Delay > 0}
	if o.delayed {
		o.message = scheduled(q.Ref.Queue, id, subject, m, time.Now())
		o.traced(m.Trace)
		return o
	}
	o.message = &nats.Msg{Subject: subject, Data: m.Payload, Header: nats.Header{jetstream.MsgIDHeader: {string(id)}}}
	o.traced(m.Trace)
	return o
}

// traced lets the message carry the trace it was sent in, so that consuming can point
// back to it.
func (o *outgoing) traced(trace string) {
	if trace != "" {
		o.message.Header[headerTrace] = []string{trace}
	}
}

// messageID is random, or derived from the request's key and the message's place so
// that a repeated request has the same ids on every node.
func messageID(ref dms.QueueRef, key string, place int) dms.MessageID {
	if key == "" {
		id, err := uuid.NewV7()
		if err != nil {
			panic("mapping: no randomness: " + err.Error())
		}
		return dms.MessageID(id.String())
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d\n%s", ref.Project, ref.Queue, place, key))
	var id uuid.UUID
	copy(id[:], sum[:])
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // version 8, the variant of RFC 9562
	return dms.MessageID(id.String())
}
