package mapping

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"dms/mapping/dms"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// bury stores the message as a dead letter of the group. The subject names the
// message and may be written once only, so that whatever is repeated, by whomever,
// there is one dead letter. The caller settles the message afterwards, never before.
func (s *session) bury(ctx context.Context, l letter) error {
	if err := s.deadStore.ensure(ctx, s); err != nil {
		return err
	}
	m := &nats.Msg{
		Subject: deadSubject(l.at, l.seq) + l.mark(),
		Data:    l.payload,
		Header: nats.Header{
			jetstream.ExpectedLastSubjSeqHeader: {"0"},
			headerReason:                        {url.QueryEscape(l.reason)},
			headerFailures:                      {strconv.Itoa(l.failures)},
		},
	}
	if l.id != "" {
		m.Header.Set(headerID, string(l.id))
	}
	id := "dead-" + groupKey(l.at.Group) + "-" + strconv.FormatUint(l.seq, 10) + generation("-", l.at.gen) + l.mark()
	_, err := s.publish(ctx, m, id)
	if wrongSequence(err) {
		return nil // it is there already
	}
	if err != nil {
		return fmt.Errorf("dead-letter message %d of group %s: %w", l.seq, l.at.Group, err)
	}
	return nil
}

// letter is a message that dies.
type letter struct {
	at       reading
	seq      uint64
	id       dms.MessageID
	payload  []byte
	failures int
	reason   string
	again    uint64 // its place in the lane of its group, if it died there
}

// mark tells apart the deaths of one message that was given back to its group.
func (l letter) mark() string {
	if l.again == 0 {
		return ""
	}
	return "-again-" + strconv.FormatUint(l.again, 10)
}

// buryDelivered makes a dead letter of a delivery in hand and settles it.
func (s *session) buryDelivered(ctx context.Context, ref reading, a *arrival, t tally) error {
	delivery := []receipt{{ref: ref.GroupRef, gen: ref.gen, deliveries: uint32(a.deliveries), seq: a.streamSeq, consumerSeq: a.consumerSeq}}
	if planted == settleFirst && unlucky() {
		return s.settle(ctx, ref, delivery) // and the node dies here
	}
	l := letter{at: ref, seq: a.streamSeq, id: a.id, payload: a.payload, failures: len(t.Charged), reason: t.Reason}
	if err := s.bury(ctx, l); err != nil {
		return err
	}
	return s.settle(ctx, ref, delivery)
}

// settle acknowledges deliveries of a consumer. It returns nil when a quorum has all
// of them on disk; to repeat it changes nothing.
func (s *session) settle(ctx context.Context, ref reading, done []receipt) error {
	stream, consumer := streamName(ref.Queue), ref.consumer()
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
			g, err := s.groupNow(ctx, ref.GroupRef)
			if err != nil {
				return err
			}
			if g.Gen > ref.gen {
				return errHandleMoved
			}
		}
		return failed
	})
}

// errHandleMoved refuses what was handed out before the group's position was moved.
var errHandleMoved = dms.Errorf(dms.HandleInvalid, "the position of the consumer group was moved since the message was handed out")

// groupNow reads the group's record, which tells a deleted group from one whose consumer
// has no leader.
func (s *session) groupNow(ctx context.Context, ref dms.GroupRef) (groupRecord, error) {
	if err := s.gone(ctx, ref.Queue); err != nil {
		return groupRecord{}, err
	}
	q, err := s.queue(ctx, ref.Queue)
	if err != nil {
		return groupRecord{}, err
	}
	r, err := s.freshRecord(ctx, q)
	if err != nil {
		return groupRecord{}, err
	}
	g := r.group(ref.Group)
	if g == nil {
		return groupRecord{}, dms.Errorf(dms.GroupNotFound, "the consumer group does not exist")
	}
	return *g, nil
}

// awaitBurial returns a channel that is closed when the dead letter is stored, on
// whichever node that happens. The caller calls the function when it waits no longer.
func (s *session) awaitBurial(at reading, seq uint64) (<-chan struct{}, func()) {
	subject, done := deadSubject(at, seq), make(chan struct{})
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
