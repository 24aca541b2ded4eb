package mapping

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"dms/mapping/dms"
	"dms/tenancy"

	"github.com/nats-io/nats.go/jetstream"
)

// CreateQueue makes the queue's stream. When it returns, every node can use it.
func (b *Broker) CreateQueue(ctx context.Context, project tenancy.ProjectID, q dms.NewQueue) (dms.Queue, error) {
	if err := q.Validate(); err != nil {
		return dms.Queue{}, err
	}
	s, release, err := b.session(ctx, project)
	if err != nil {
		return dms.Queue{}, err
	}
	defer release()
	limits, err := b.tenants.Project(ctx, project)
	if err != nil {
		return dms.Queue{}, toError(err)
	}
	existing, err := s.free(ctx, q.Name)
	if err != nil {
		return dms.Queue{}, err
	}
	if existing >= limits.Limits.Queues {
		return dms.Queue{}, dms.Errorf(dms.QuotaExceeded, "the project may have at most %d queues", limits.Limits.Queues)
	}
	// The id and the creation time are chosen once: a repeated request makes the same
	// stream, and only a stream of the same name but another id is in the way.
	ref := dms.QueueRef{Project: project, Queue: dms.NewQueueID()}
	created := time.Now().Truncate(time.Millisecond)
	config := queueStream(ref.Queue, q, created)
	for end := time.Now().Add(nameSettles); ; {
		err := hold(ctx, func(ctx context.Context) error {
			_, err := s.js.CreateStream(ctx, config)
			return err
		})
		switch {
		case err == nil:
			s.awaitNews(ctx, config.Name, nameSubject(q.Name), true)
			return dms.Queue{NewQueue: q, Ref: ref, Created: created, Retention: dms.Retention}, nil
		case code(err) != codeSubjectsOverlap:
			return dms.Queue{}, toError(fmt.Errorf("create queue %s: %w", ref.Queue, err))
		case time.Now().After(end):
			return dms.Queue{}, nameTaken(q.Name)
		}
		// The name is in use, and if no stream has it, one that has is being made or
		// deleted at this moment. Which of the two is known shortly.
		if _, err := s.free(ctx, q.Name); err != nil {
			return dms.Queue{}, err
		}
		select {
		case <-time.After(firstPause):
		case <-ctx.Done():
			return dms.Queue{}, toError(context.Cause(ctx))
		}
	}
}

// nameSettles is how long a queue that is being made or deleted may take to show.
const nameSettles = 2 * time.Second

// awaitNews waits until the cluster's leader has heard that a stream was made, or
// deleted. The stream's own members answer first, and until the leader has heard it
// tells everybody that a new stream is not there, or that a deleted one has its name.
func (s *session) awaitNews(ctx context.Context, stream, subject string, exists bool) {
	ctx, cancel := context.WithTimeout(ctx, newsWithin)
	defer cancel()
	for {
		names, err := s.streamNames(ctx, subject)
		if err != nil || slices.Contains(names, stream) == exists {
			return // what cannot be asked is for the next request to meet
		}
		select {
		case <-time.After(firstPause):
		case <-ctx.Done():
			return
		}
	}
}

// newsWithin is how long the cluster's leader may be behind its own decisions. It carries
// out those of all projects one after the other.
const newsWithin = 10 * time.Second

// free returns the number of queues unless one has the name. One that is just being
// made counts.
func (s *session) free(ctx context.Context, name string) (int, error) {
	for end := time.Now().Add(newsWithin); ; {
		taken, err := s.streamNames(ctx, nameSubject(name))
		if err != nil {
			return 0, toError(err)
		}
		if len(taken) == 0 {
			break
		}
		// A project that was deleted and made again may be one whose leader is behind, and
		// that lists a queue nobody has.
		asked, cancel := context.WithTimeout(ctx, attemptFor)
		_, err = s.streamInfo(asked, taken[0], nil)
		cancel()
		if err == nil || time.Now().After(end) {
			return 0, nameTaken(name)
		}
		select {
		case <-time.After(firstPause):
		case <-ctx.Done():
			return 0, toError(context.Cause(ctx))
		}
	}
	queues, err := s.streamNames(ctx, queuePrefixSubject)
	return len(queues), toError(err)
}

func nameTaken(name string) error {
	return dms.Errorf(dms.QueueExists, "a queue with the name %s exists already", name)
}

// Queues lists all queues of the project, newest first.
func (b *Broker) Queues(ctx context.Context, project tenancy.ProjectID) ([]dms.Queue, error) {
	s, release, err := b.session(ctx, project)
	if err != nil {
		return nil, err
	}
	defer release()
	queues, err := s.listQueues(ctx)
	if err != nil {
		return nil, err
	}
	for i := range queues {
		q, err := s.queue(ctx, queues[i].Ref.Queue)
		if has(err, dms.QueueNotFound) {
			continue // deleted since it was listed; it stands as it was
		}
		if err != nil {
			return nil, err
		}
		r, err := s.freshRecord(ctx, q)
		if err != nil {
			return nil, err
		}
		queues[i].Groups = len(r.Groups)
		r.Attributes.apply(&queues[i])
	}
	return queues, nil
}

// Queue returns one queue with its present counters.
func (b *Broker) Queue(ctx context.Context, ref dms.QueueRef) (dms.Queue, error) {
	s, release, err := b.session(ctx, ref.Project)
	if err != nil {
		return dms.Queue{}, err
	}
	defer release()
	found, state, err := s.readQueue(ctx, ref)
	if err != nil {
		return dms.Queue{}, err
	}
	q, err := s.queue(ctx, ref.Queue)
	if err != nil {
		return dms.Queue{}, err
	}
	r, err := s.freshRecord(ctx, q)
	if err != nil {
		return dms.Queue{}, err
	}
	found.Messages, found.Groups = int64(state.Msgs), len(r.Groups)
	r.Attributes.apply(&found)
	return found, nil
}

// DeleteQueue removes the queue with its messages, groups and dead letters.
func (b *Broker) DeleteQueue(ctx context.Context, ref dms.QueueRef) error {
	s, release, err := b.session(ctx, ref.Project)
	if err != nil {
		return err
	}
	defer release()
	found, _, err := s.readQueue(ctx, ref)
	if err != nil {
		return err
	}
	err = hold(ctx, func(ctx context.Context) error { return s.js.DeleteStream(ctx, streamName(ref.Queue)) })
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return toError(fmt.Errorf("delete queue %s: %w", ref.Queue, err))
	}
	s.drop(ref.Queue)
	s.awaitNews(ctx, streamName(ref.Queue), nameSubject(found.Name), false)
	// The queue is gone; what is left of it cannot be reached by anyone, since ids
	// are never used again. Failing to remove it costs space, not correctness.
	err = errors.Join(
		s.ctl.purge(ctx, queueCtlKeys(ref.Queue)...),
		s.purge(ctx, deadStream, deadQueueFilter(ref.Queue), againQueueFilter(ref.Queue)),
		s.purge(ctx, delayStream, delayFilter(ref.Queue), dueFilter(ref.Queue)),
	)
	if err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "remains of a deleted queue stay behind", slog.String("queue", string(ref.Queue)), slog.Any("err", err))
	}
	return nil
}
