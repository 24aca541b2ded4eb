package mapping

import (
	"context"
	"sync"
	"sync/atomic"

	"dms/mapping/dms"
)

// queue is what a session remembers of a queue. The record may change, and is read again
// when it is told to have changed or something that should be in it is not.
type queue struct {
	dms.Queue // as it was made, without counters
	labels    labelSets
	most      atomic.Int64 // failures that make a dead letter; 0: there are none

	mu     sync.Mutex
	record *record // nil: not known
	// version counts the changes heard of, so that a record read before a change is
	// not remembered after it.
	version uint64
}

// queue returns what is remembered of the queue, or reads it. QueueNotFound is only
// answered when the log has just said so.
func (s *session) queue(ctx context.Context, id dms.QueueID) (*queue, error) {
	s.mu.Lock()
	q, ok := s.queues[id]
	s.mu.Unlock()
	if ok {
		return q, nil
	}
	found, _, err := s.readQueue(ctx, dms.QueueRef{Project: s.project, Queue: id})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if q, ok := s.queues[id]; ok {
		return q, nil
	}
	q = &queue{Queue: found}
	q.most.Store(int64(found.MaxConsumeCount))
	s.queues[id] = q
	return q, nil
}

// MaxConsume is how often a group may fail a message before it becomes a dead letter, as
// far as this node has heard; 0 means that the queue has no dead letters.
func (q *queue) MaxConsume() int { return int(q.most.Load()) }

// DeadLetters reports whether messages are given up.
func (q *queue) DeadLetters() bool { return q.MaxConsume() > 0 }

// learn takes up what the record says of the queue's attributes.
func (q *queue) learn(r *record) {
	now := q.Queue
	r.Attributes.apply(&now)
	q.most.Store(int64(now.MaxConsumeCount))
}

// forget makes the next look at the queue's record read it again.
func (s *session) forget(id dms.QueueID) {
	s.mu.Lock()
	q := s.queues[id]
	s.mu.Unlock()
	if q != nil {
		q.forget()
	}
}

func (q *queue) forget() {
	q.mu.Lock()
	q.record, q.version = nil, q.version+1
	q.mu.Unlock()
}

// drop forgets the queue altogether: it has been deleted.
func (s *session) drop(id dms.QueueID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.queues, id)
	for ref, d := range s.dispatchers {
		if ref.Queue == id {
			delete(s.dispatchers, ref)
			d.end(true)
		}
	}
	for key, r := range s.readers {
		if key.ref.Queue == id {
			delete(s.readers, key)
			r.wake()
		}
	}
}

// gone is called when the log no longer serves the queue. It tells a queue that was
// deleted, perhaps on another node, from one whose leader is away.
func (s *session) gone(ctx context.Context, id dms.QueueID) error {
	_, err := s.streamInfo(ctx, streamName(id), nil)
	if code(err) == codeNoStream {
		s.drop(id)
	}
	return toError(err)
}

// freshRecord reads the record from its leader.
func (s *session) freshRecord(ctx context.Context, q *queue) (*record, error) {
	q.mu.Lock()
	version := q.version
	q.mu.Unlock()
	r, _, err := s.ctl.record(ctx, q.Ref.Queue)
	if err != nil {
		return nil, toError(err)
	}
	q.mu.Lock()
	if q.version == version {
		q.record = r
		q.learn(r)
	}
	q.mu.Unlock()
	return r, nil
}

// group returns the group's record. What is remembered is believed when it has the
// group, and asked again when it has not.
func (s *session) group(ctx context.Context, q *queue, id dms.GroupID) (groupRecord, error) {
	q.mu.Lock()
	r := q.record
	q.mu.Unlock()
	if r != nil {
		if g := r.group(id); g != nil {
			return *g, nil
		}
	}
	r, err := s.freshRecord(ctx, q)
	if err != nil {
		return groupRecord{}, err
	}
	if g := r.group(id); g != nil {
		return *g, nil
	}
	// The record goes with its queue, so it is asked which of the two is missing.
	if err := s.gone(ctx, q.Ref.Queue); err != nil {
		return groupRecord{}, err
	}
	return groupRecord{}, dms.Errorf(dms.GroupNotFound, "the consumer group does not exist")
}
