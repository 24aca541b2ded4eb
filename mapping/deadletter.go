package mapping

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"dms/mapping/dms"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// bury stores the message as a dead letter of the group. The subject names the
// message and may be written once only, so that whatever is repeated, by whomever,
// there is one dead letter. The caller settles the message afterwards, never before.
func (s *session) bury(ctx context.Context, ref dms.GroupRef, seq uint64, payload []byte) error {
	if err := s.deadStore.ensure(ctx, s); err != nil {
		return err
	}
	m := &nats.Msg{
		Subject: deadSubject(ref, seq),
		Data:    payload,
		Header:  nats.Header{jetstream.ExpectedLastSubjSeqHeader: {"0"}},
	}
	id := "dead-" + groupKey(ref.Group) + "-" + strconv.FormatUint(seq, 10)
	_, err := s.publish(ctx, m, id)
	if wrongSequence(err) {
		return nil // it is there already
	}
	if err != nil {
		return fmt.Errorf("dead-letter message %d of group %s: %w", seq, ref.Group, err)
	}
	return nil
}

// buryDelivered makes a dead letter of a delivery in hand and settles it.
func (s *session) buryDelivered(ctx context.Context, ref dms.GroupRef, a *arrival) error {
	delivery := []receipt{{ref: ref, deliveries: uint32(a.deliveries), seq: a.streamSeq, consumerSeq: a.consumerSeq}}
	if planted == settleFirst && unlucky() {
		return s.settle(ctx, ref, delivery) // and the node dies here
	}
	if err := s.bury(ctx, ref, a.streamSeq, a.payload); err != nil {
		return err
	}
	return s.settle(ctx, ref, delivery)
}

// settle acknowledges deliveries of a consumer. It returns nil when a quorum has all
// of them on disk; to repeat it changes nothing.
func (s *session) settle(ctx context.Context, ref dms.GroupRef, done []receipt) error {
	stream, consumer := streamName(ref.Queue), consumerName(ref.Group)
	settled := make([]bool, len(done))
	return hold(ctx, func(ctx context.Context) error {
		calls := make([]*call, len(done))
		var failed error
		for i, r := range done {
			if settled[i] {
				continue
			}
			c, err := s.calls.start(&nats.Msg{Subject: ackSubject(stream, consumer, uint64(r.deliveries), r.seq, r.consumerSeq)})
			if err != nil {
				failed = err
				continue
			}
			calls[i] = c
			if planted == ackUnawaited {
				c.forget()
				calls[i], settled[i] = nil, true
			}
		}
		for i, c := range calls {
			if c == nil {
				continue
			}
			if _, err := c.wait(ctx); err != nil {
				failed = err
				continue
			}
			settled[i] = true
		}
		if errors.Is(failed, nats.ErrNoResponders) {
			if err := s.consumerGone(ctx, ref); err != nil {
				return err
			}
		}
		return failed
	})
}

// consumerGone tells a deleted group from one whose consumer has no leader.
func (s *session) consumerGone(ctx context.Context, ref dms.GroupRef) error {
	if err := s.gone(ctx, ref.Queue); err != nil {
		return err
	}
	q, err := s.queue(ctx, ref.Queue)
	if err != nil {
		return err
	}
	r, err := s.freshRecord(ctx, q)
	if err != nil {
		return err
	}
	if r.group(ref.Group) == nil {
		return dms.Errorf(dms.GroupNotFound, "the consumer group does not exist")
	}
	return nil
}

// awaitBurial returns a channel that is closed when the dead letter is stored, on
// whichever node that happens. The caller calls the function when it waits no longer.
func (s *session) awaitBurial(ref dms.GroupRef, seq uint64) (<-chan struct{}, func()) {
	subject, done := deadSubject(ref, seq), make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.burials[subject] = append(s.burials[subject], done)
	return done, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		left := slices.DeleteFunc(s.burials[subject], func(c chan struct{}) bool { return c == done })
		if len(left) == 0 {
			delete(s.burials, subject)
		} else {
			s.burials[subject] = left
		}
	}
}

func (s *session) buried(subject string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, done := range s.burials[subject] {
		close(done)
	}
	delete(s.burials, subject)
}
