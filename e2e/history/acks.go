package history

import (
	"cmp"
	"slices"
	"time"
)

// readAcks ties acknowledgements to deliveries by their handles. Handles that were
// misused on purpose have no effect on a correct service and are left to their checker.
func (r *Run) readAcks() {
	for i := range r.calls {
		c := &r.calls[i]
		if c.Op != Ack && c.Op != DeadAck || c.Result == Fail {
			continue // a refused request changes nothing
		}
		for j := range c.Items {
			it := &c.Items[j]
			of, known := r.handles[it.Handle]
			if !known || it.Misuse != "" {
				continue
			}
			a := acked{place: place{int32(i), int32(j)}, of: of.at, start: c.Start, end: c.End, effect: effectOf(c, it)}
			of.group.ack(of, r.msgs[of.msg].number, a)
		}
	}
}

func effectOf(c *Call, it *Item) effect {
	switch {
	case c.Result == Unknown && it.Negative:
		return unsure
	case c.Result == Unknown:
		return maybe
	case it.Result == OK:
		return settled
	}
	// Counted as failed: asked for, or because it stood behind a failure.
	return failed
}

func (g *groupRun) ack(of handleOf, number int32, a acked) {
	tracks := g.live
	if of.dead {
		tracks = g.dead
	}
	tracks[number].acks = append(tracks[number].acks, a)
	b, ok := g.batches[of.at.call]
	if !ok {
		b = batch{failed: never, unsure: never, cursor: of.dead || g.queue.FIFO}
	}
	switch a.effect {
	case failed:
		b.failed = min(b.failed, a.start)
	case maybe, unsure:
		b.unsure = min(b.unsure, a.start)
	}
	g.batches[of.at.call] = b
}

func (r *Run) sort() {
	for _, q := range r.queues {
		for _, g := range q.groups {
			for i := range g.live {
				g.live[i].sort()
				g.dead[i].sort()
			}
			slices.SortFunc(g.receives, func(a, b int32) int {
				return cmp.Or(cmp.Compare(r.calls[a].End, r.calls[b].End), cmp.Compare(a, b))
			})
		}
	}
}

func (t *track) sort() {
	slices.SortStableFunc(t.given, func(a, b delivery) int {
		return cmp.Or(cmp.Compare(a.end, b.end), cmp.Compare(a.start, b.start))
	})
	slices.SortFunc(t.acks, func(a, b acked) int { return cmp.Compare(a.start, b.start) })
}

// settlement returns the acknowledgement that first surely settled the message, or nil.
func (t *track) settlement() *acked {
	var first *acked
	for i := range t.acks {
		if a := &t.acks[i]; a.effect == settled && (first == nil || a.end < first.end) {
			first = a
		}
	}
	return first
}

// settledBefore reports whether the message was surely settled before a time.
func (t *track) settledBefore(at time.Duration) bool {
	a := t.settlement()
	return a != nil && a.end < at
}

// maySettle returns from when on a success may have settled the message, or never.
func (t *track) maySettle() time.Duration {
	for i := range t.acks { // sorted by start
		if a := &t.acks[i]; a.effect == settled || a.effect == maybe {
			return a.start
		}
	}
	return never
}

// released returns from when on a failure may have given delivery d back before its
// lease ended, and whether it surely did so at some time.
func (g *groupRun) released(t *track, d *delivery) (from time.Duration, surely bool) {
	from = never
	for i := range t.acks {
		if a := &t.acks[i]; a.of == d.place && (a.effect == failed || a.effect == unsure) {
			from = min(from, a.start)
			surely = surely || a.effect == failed
		}
	}
	if b := g.batches[d.call]; b.cursor && b.failed != never { // a failure ends the lease of the whole batch
		return min(from, b.failed), true
	}
	return from, surely
}
