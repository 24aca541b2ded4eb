package mapping

import (
	"context"
	"fmt"
	"time"

	"dms/mapping/dms"

	"github.com/nats-io/nats.go/jetstream"
)

// UpdateQueue changes what may be changed of a queue. The record says what holds; the
// retention of the stream follows it, and is set right by whoever changes it next if this
// node dies in between.
func (b *Broker) UpdateQueue(ctx context.Context, ref dms.QueueRef, c dms.QueueChange) (dms.Queue, error) {
	if err := c.Validate(); err != nil {
		return dms.Queue{}, err
	}
	s, release, err := b.session(ctx, ref.Project)
	if err != nil {
		return dms.Queue{}, err
	}
	defer release()
	q, err := s.present(ctx, ref)
	if err != nil {
		return dms.Queue{}, err
	}
	r, err := s.change(ctx, q, func(r *record) error {
		r.Attributes.change(c)
		return nil
	})
	if err != nil {
		return dms.Queue{}, err
	}
	q.learn(r)
	if err := s.keepFor(ctx, q); err != nil {
		return dms.Queue{}, toError(err)
	}
	return b.Queue(ctx, ref)
}

func (a *attributes) change(c dms.QueueChange) {
	if c.Description != nil {
		a.Description = c.Description
	}
	if c.MaxConsumeCount != nil {
		a.MaxConsume = c.MaxConsumeCount
	}
	if c.Retention != nil {
		hours := int(*c.Retention / time.Hour)
		a.Retention = &hours
	}
}

// keepFor gives the queue's stream the retention that the record says. Of two nodes that
// do so at the same moment the later one may write what the earlier one read, so that the
// record is read again afterwards.
func (s *session) keepFor(ctx context.Context, q *queue) error {
	for range keepTries {
		r, err := s.freshRecord(ctx, q)
		if err != nil {
			return err
		}
		if r.Attributes.Retention == nil {
			return nil // as it was made
		}
		want := time.Duration(*r.Attributes.Retention) * time.Hour
		info, err := s.streamInfo(ctx, streamName(q.Ref.Queue), nil)
		if err != nil {
			return err
		}
		if info.Config.MaxAge == want {
			return nil
		}
		config := info.Config
		config.MaxAge = want
		if err := s.updateStream(ctx, config); err != nil {
			return fmt.Errorf("retention of queue %s: %w", q.Ref.Queue, err)
		}
	}
	return dms.Errorf(dms.Unavailable, "the queue is being changed through another node as well: repeat the request")
}

const keepTries = 5

func (s *session) updateStream(ctx context.Context, c jetstream.StreamConfig) error {
	return hold(ctx, func(ctx context.Context) error {
		_, err := s.js.UpdateStream(ctx, c)
		return err
	})
}
