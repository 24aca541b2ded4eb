package mapping

import (
	"context"
	"errors"
	"time"

	"dms/mapping/dms"
)

const (
	// frontWithin bounds how long replicas are asked where they begin, and frontPause is
	// the time between two looks: what expires or is purged does so everywhere by then.
	frontWithin = 3 * time.Second
	frontPause  = time.Second
	// frontsLeast is how many replicas must have told where they begin, of as many nodes:
	// one alone may be the damaged one.
	frontsLeast = 2
)

var errUnsure = dms.Wrap(dms.Unavailable, errors.New("too few replicas tell where the queue begins"))

// front is where the messages of a queue begin. A leader that is damaged at its front would
// say that they have expired, so that each replica that can be asked is, and the one that
// goes back furthest counts, unless it comes to the same a moment later.
func (s *session) front(ctx context.Context, queue dms.QueueRef) (uint64, error) {
	info, err := s.streamInfo(ctx, streamName(queue.Queue), nil)
	if err != nil {
		return 0, err
	}
	first := info.State.FirstSeq
	for range 2 {
		least, err := s.least(ctx, queue, first)
		if err != nil || least >= first {
			return first, err
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(frontPause):
		}
	}
	s.b.damaged()
	return s.least(ctx, queue, first)
}

// least is the least of a sequence and those where replicas begin, which enough of them
// must tell. Who has nothing has nothing to say.
func (s *session) least(ctx context.Context, queue dms.QueueRef, first uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, frontWithin)
	defer cancel()
	if s.b.fronts == nil { // there is no other node
		f, err := s.nearFront(ctx, queue)
		if err != nil || f == 0 {
			return first, err
		}
		return min(first, f), nil
	}
	fronts, err := s.b.fronts(ctx, queue)
	if err != nil {
		return 0, err
	}
	if len(fronts) < min(frontsLeast, s.b.nodes) {
		return 0, errUnsure
	}
	for _, f := range fronts {
		if f > 0 {
			first = min(first, f)
		}
	}
	return first, nil
}

// nearFront is where the replica that answers begins, this node's if it can; 0 when it has
// nothing.
func (s *session) nearFront(ctx context.Context, queue dms.QueueRef) (uint64, error) {
	found, err := s.scan(ctx, streamName(queue.Queue), ">", 1, 1)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	return found[0].seq, nil
}
