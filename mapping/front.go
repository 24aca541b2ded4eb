package mapping

import (
	"context"
	"time"

	"dms/mapping/dms"
)

const (
	// frontWithin bounds how long replicas are asked where they begin, and frontPause is
	// the time between two looks: what expires or is purged does so everywhere by then.
	frontWithin = 3 * time.Second
	frontPause  = time.Second
)

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
		least := s.least(ctx, queue, first)
		if least >= first {
			return first, nil
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(frontPause):
		}
	}
	s.b.damaged()
	return s.least(ctx, queue, first), nil
}

// least is the least of a sequence and those where replicas begin. Who does not answer has
// nothing to say.
func (s *session) least(ctx context.Context, queue dms.QueueRef, first uint64) uint64 {
	ctx, cancel := context.WithTimeout(ctx, frontWithin)
	defer cancel()
	fronts := []uint64{s.nearFront(ctx, queue)}
	if s.b.fronts != nil {
		if more, err := s.b.fronts(ctx, queue); err == nil {
			fronts = append(fronts, more...)
		}
	}
	for _, f := range fronts {
		if f > 0 {
			first = min(first, f)
		}
	}
	return first
}

// nearFront is where the replica of this node begins; 0 when it has nothing, or does not
// answer.
func (s *session) nearFront(ctx context.Context, queue dms.QueueRef) uint64 {
	found, err := s.scan(ctx, streamName(queue.Queue), ">", 1, 1)
	if err != nil || len(found) == 0 {
		return 0
	}
	return found[0].seq
}

// Front is where this node's replica of a queue begins; 0 when it has nothing, or cannot
// be asked.
func (b *Broker) Front(ctx context.Context, queue dms.QueueRef) uint64 {
	s, release, err := b.session(ctx, queue.Project)
	if err != nil {
		return 0
	}
	defer release()
	return s.nearFront(ctx, queue)
}
