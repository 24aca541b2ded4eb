package mapping

import (
	"context"
	"time"

	"dms/mapping/dms"
)

// sweepEvery is how often a group is looked at again while deliveries of it that may
// be the last are outstanding.
const sweepEvery = 5 * time.Second

// sweepPlan is when a group is to be looked at: from the first of the times asked
// for, now and then, to the last.
type sweepPlan struct {
	next, until time.Time     // guarded by session.mu
	bell        chan struct{} // rings when next has been pulled forward
}

// sweepAt looks for dead letters of the group at the given time and from then on now
// and then until the other, in case nobody consumes. A poll finds them too, and a
// restarted node looks at all groups.
func (s *session) sweepAt(q *queue, ref dms.GroupRef, first, last time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if plan, ok := s.sweeps[ref]; ok {
		plan.until = later(plan.until, last)
		if first.Before(plan.next) {
			plan.next = first
			select {
			case plan.bell <- struct{}{}:
			default: // it rings already
			}
		}
		return
	}
	plan := &sweepPlan{next: first, until: last, bell: make(chan struct{}, 1)}
	s.sweeps[ref] = plan
	s.spawn(func() { s.follow(q, ref, plan) })
}

// follow sweeps the group as planned.
func (s *session) follow(q *queue, ref dms.GroupRef, plan *sweepPlan) {
	for {
		s.mu.Lock()
		wait := time.Until(plan.next)
		s.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-plan.bell:
			timer.Stop()
			continue
		case <-s.base.Done():
			timer.Stop()
			return
		}
		s.sweep(q, ref)
		s.mu.Lock()
		now := time.Now()
		if !now.Before(plan.until) {
			delete(s.sweeps, ref)
			s.mu.Unlock()
			return
		}
		plan.next = earlier(plan.until, now.Add(sweepEvery))
		s.mu.Unlock()
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// sweep lets the log deliver what has timed out for the last time, and buries it.
// Redeliveries come first, so a delivery that is not one ends the sweep.
func (s *session) sweep(q *queue, ref dms.GroupRef) {
	ctx, cancel := context.WithTimeout(s.base, engineAckWait)
	defer cancel()
	g, err := s.group(ctx, q, ref.Group)
	if err != nil {
		return
	}
	if g.Again {
		s.reader(q, ref, dms.Again).sweep(ctx)
	}
	if q.Mode == dms.FIFO {
		s.reader(q, ref, dms.Live).sweep(ctx)
		return
	}
	if !g.Used {
		return
	}
	s.dispatcher(q, reading{ref, g.Gen}).sweep()
}

// sweepDepth is how far a sweep looks. What has failed for good may stand behind
// others that wait to be delivered again.
const sweepDepth = 10

// sweepRequest asks for one message; what was just returned may take a moment.
var sweepRequest = []byte(`{"batch":1,"no_wait":true,"expires":50000000}`)

// sweep places a pull that does not wait. If a pull is on its way, which may have its
// messages already, the sweep follows it.
func (d *dispatcher) sweep() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pull != nil {
		d.sweepNext = true
		return
	}
	d.placeSweep(sweepDepth)
}

// placeSweep looks for one message, and if that has been delivered before for the
// next. It asks for one at a time because what is not dead must be returned. The caller
// holds d.mu, and no pull is on its way.
func (d *dispatcher) placeSweep(depth int) {
	d.sweepNext = false
	if d.ended || d.s.base.Err() != nil {
		return
	}
	if d.ask(); d.pull != nil {
		return // polls wait, and what they pull begins with the same messages
	}
	if !d.findPlace() {
		d.sweepNext = true
		return
	}
	p := &pull{left: 1, sweep: depth, over: make(chan struct{})}
	d.place(p, sweepRequest)
	p.expiry = time.AfterFunc(attemptFor, func() { d.pullEnded(p, nil) })
}

// sweepAll looks at every group once, for what an earlier run may have left.
func (s *session) sweepAll(ctx context.Context) error {
	queues, err := s.listQueues(ctx)
	if err != nil {
		return err
	}
	for _, found := range queues {
		q, err := s.queue(ctx, found.Ref.Queue)
		if err != nil {
			continue // deleted meanwhile
		}
		r, err := s.freshRecord(ctx, q)
		if err != nil {
			return err
		}
		if !q.DeadLetters() {
			continue
		}
		for _, g := range r.Groups {
			ref := dms.GroupRef{QueueRef: found.Ref, Group: g.ID}
			if g.Used && s.outstanding(ctx, q, reading{ref, g.Gen}) {
				s.sweepUntilSettled(q, reading{ref, g.Gen})
			}
		}
	}
	return nil
}

// outstanding reports whether deliveries of the group await acknowledgement.
func (s *session) outstanding(ctx context.Context, q *queue, at reading) bool {
	if g, err := s.group(ctx, q, at.Group); err == nil && g.Again {
		if c, _, err := s.reader(q, at.GroupRef, dms.Again).load(ctx); err == nil && c.Lease != nil {
			return true
		}
	}
	if q.Mode == dms.FIFO {
		c, _, err := s.reader(q, at.GroupRef, dms.Live).load(ctx)
		return err == nil && c.Lease != nil
	}
	info, err := s.consumerInfo(ctx, at)
	return err == nil && info.NumAckPending > 0
}

// sweepUntilSettled sweeps a group again and again until nothing that an earlier run
// handed out is outstanding, at most for as long as an ack_wait can be.
func (s *session) sweepUntilSettled(q *queue, at reading) {
	s.spawn(func() {
		tick := time.NewTicker(sweepEvery)
		defer tick.Stop()
		for range longestAckWait/sweepEvery + 2 {
			select {
			case <-tick.C:
			case <-s.base.Done():
				return
			}
			s.sweep(q, at.GroupRef)
			if !s.outstanding(s.base, q, at) {
				return
			}
		}
	})
}

const longestAckWait = 300 * time.Second
