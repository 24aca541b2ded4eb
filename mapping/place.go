package mapping

import (
	"context"
	"time"

	"dms/mapping/dms"
)

// placing says how far a dispatcher is with finding out where its group stands.
type placing int

const (
	unplaced placing = iota
	finding
	placed
)

// findPlace reports whether the group's place is known, and sees to it if it is not:
// without it, nobody would notice that the log goes over messages before the first one
// that comes to this node. The caller holds d.mu, and is called again once it is known.
func (d *dispatcher) findPlace() bool {
	if d.placed == unplaced {
		d.placed = finding
		d.s.spawn(d.find)
	}
	return d.placed == placed
}

// find asks how far the group's deliveries have come, to whichever nodes. While nobody
// leads the group, which is when it cannot be known, nothing can be pulled either.
func (d *dispatcher) find() {
	ctx, cancel := context.WithTimeout(d.s.base, holdFor)
	defer cancel()
	last, filtered, err := d.s.place(ctx, d.q, d.ref)
	pause := time.Duration(0)
	if has(toError(err), dms.Unavailable) {
		pause = longestStop
	}
	select {
	case <-time.After(pause):
	case <-d.s.base.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case pause > 0:
		d.placed = unplaced
	default:
		// If the group is gone, whoever pulls is told so.
		d.placed, d.last = placed, last
		if filtered {
			d.filtered.Store(true)
		}
	}
	if d.sweepNext && d.pull == nil {
		d.placeSweep(sweepDepth)
		return
	}
	d.ask()
}

// place returns the latest first delivery of a group, and whether its labels make the
// log go over messages.
func (s *session) place(ctx context.Context, q *queue, at reading) (last delivered, filtered bool, err error) {
	g, err := s.group(ctx, q, at.Group)
	if err != nil {
		return last, false, err
	}
	info, err := s.consumerInfo(ctx, at)
	if err != nil && code(err) != codeNoConsumer {
		return last, false, err
	}
	last = delivered{streamSeq: info.Delivered.Stream, consumerSeq: info.Delivered.Consumer}
	if last.consumerSeq == 0 {
		// Nothing was delivered, or the consumer is yet to be made: where it begins is on
		// record, and not what a damaged replica takes for it.
		last.streamSeq = max(g.Start, 1) - 1
	}
	return last, len(g.Labels) > 0, nil
}
