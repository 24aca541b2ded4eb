package mapping

import (
	"context"
	"strconv"
	"time"

	"dms/mapping/dms"
)

// The lane of a group holds dead letters that were given back to this group alone. Every
// group reads the queue's stream, so they cannot go there; they stay where dead letters are
// and are consumed like messages, ahead of the queue's. The lane has a cursor, as dead
// letters have, so that one batch of it is outstanding at a time.

// headerSource is the place that a message of a lane had in its queue.
const headerSource = "Dms-Source"

// againPrefix begins the subjects of lanes, in the store of dead letters, which keeps them
// for as long. They are nobody's dead letters.
const againPrefix = "dead.again."

func againFilterPrefix(ref dms.GroupRef) string {
	return againPrefix + queueKey(ref.Queue) + "." + groupKey(ref.Group) + "."
}

func againFilter(ref dms.GroupRef) string { return againFilterPrefix(ref) + "*" }

func againSubject(ref dms.GroupRef, place uint64) string {
	return againFilterPrefix(ref) + strconv.FormatUint(place, 10)
}

func againQueueFilter(id dms.QueueID) string { return againPrefix + queueKey(id) + ".>" }

// openAgain makes the group look into its lane from now on, before the first message
// is put there.
func (s *session) openAgain(ctx context.Context, q *queue, ref dms.GroupRef) error {
	if err := s.deadStore.ensure(ctx, s); err != nil {
		return err
	}
	g, err := s.group(ctx, q, ref.Group)
	if err != nil || g.Again {
		return err
	}
	_, err = s.change(ctx, q, func(r *record) error {
		g := r.group(ref.Group)
		if g == nil {
			return dms.Errorf(dms.GroupNotFound, "the consumer group does not exist")
		}
		g.Again = true
		return nil
	})
	return err
}

// wakeLane hears that something was put into the lane of a group.
func (s *session) wakeLane(queue, group string) {
	if len(queue) != 32 || len(group) != 32 {
		return
	}
	id := dms.QueueID(hyphenate(queue))
	s.forget(id) // the record says that there is a lane, which this node may not know yet
	s.wakeReaders(queue, group)
	ref := dms.GroupRef{QueueRef: dms.QueueRef{Project: s.project, Queue: id}, Group: dms.GroupID("g-" + hyphenate(group))}
	s.mu.Lock()
	d := s.dispatchers[ref]
	s.mu.Unlock()
	if d != nil {
		d.nudge()
	}
}

// nudge ends the polls that wait on this node, so that they look elsewhere.
func (d *dispatcher) nudge() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.waiters) > 0 {
		d.finish(d.waiters[0])
	}
}

// offer hands out what is in the lane, without waiting. If there is nothing to hand out
// it says after which time to look again, unless something wakes the caller, and whether
// a batch of the lane is outstanding.
func (r *reader) offer(ctx context.Context, req dms.Receive) (batch dms.Batch, next time.Duration, leased bool, err error) {
	r.mu.Lock()
	quiet := time.Until(r.quiet)
	r.mu.Unlock()
	if quiet > 0 {
		return dms.Batch{}, quiet, false, nil
	}
	select {
	case <-r.turn:
		defer func() { r.turn <- struct{}{} }()
	default:
		return dms.Batch{}, firstPause, false, nil // another poll is looking
	}
	r.mu.Lock()
	r.quiet = time.Now().Add(recheck) // what comes from here on wakes it
	r.mu.Unlock()
	batch, next, err = r.try(ctx, req)
	r.mu.Lock()
	defer r.mu.Unlock()
	leased = err == nil && len(batch.Deliveries) == 0 && r.c.Lease != nil
	if err != nil || leased || len(batch.Deliveries) > 0 {
		r.quiet = time.Time{}
	}
	return batch, next, leased, err
}
