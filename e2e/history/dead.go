package history

import (
	"fmt"
	"slices"
	"time"
)

// DeadLetters is K9: a message that failed as often as its queue allows is a dead letter
// of that group exactly once, unchanged, not earlier, and from then on nothing else.
func DeadLetters(r *Run) []Violation {
	out := r.unexplained("K9", "dead letter twice", func(d *duplicate) bool {
		return d.dead && d.how != raced && !d.msg.keyed
	})
	for _, q := range r.queues {
		for _, g := range q.groups {
			for i, n := range q.msgs {
				out = append(out, r.deadLetter(g, &r.msgs[n], &g.live[i], &g.dead[i])...)
			}
		}
	}
	return out
}

func (r *Run) deadLetter(g *groupRun, m *message, live, dead *track) []Violation {
	if m.copies > 1 {
		return nil // which copy failed cannot be told
	}
	var out []Violation
	add := func(rule, detail string, places ...place) {
		v := r.with(r.about(g.violation("K9", rule), m), places...)
		v.Detail = detail
		out = append(out, v)
	}
	n := limit(g)
	if len(dead.given) == 0 {
		if r.failures(g, m, r.end).sure >= n && live.maySettle() == never && !g.Open && !g.DeadOpen && !r.mayExpire(m) {
			add("dead letter missing", fmt.Sprintf("it failed %d times and was not acknowledged", n), places(live)...)
		} else if d := r.overLimit(g, m, live); d != nil {
			add("delivered after its last failure", fmt.Sprintf("the limit is %d", n), places(live)...)
		}
		return out
	}
	first := &dead.given[0]
	if known := r.failures(g, m, first.end).possible; known < n || g.queue.MaxConsume == 0 {
		add("dead letter too early", fmt.Sprintf("at most %d failures before it, the limit is %d", known, g.queue.MaxConsume),
			append(places(live), first.place)...)
	}
	for _, d := range dead.given {
		if r.altered(m, d) {
			add("dead letter altered", "body or attributes are not those that were sent", d.place)
		}
	}
	for _, d := range live.given {
		if d.start > first.end {
			add("delivered after its dead letter", "", first.place, d.place)
		}
	}
	if a := live.settlement(); a != nil {
		add("acknowledged and dead letter", "", a.place, first.place)
	}
	return out
}

func places(t *track) []place {
	out := make([]place, 0, len(t.given)+len(t.acks))
	for _, d := range t.given {
		out = append(out, d.place)
	}
	for _, a := range t.acks {
		out = append(out, a.place)
	}
	return out
}

// limit is the number of failures that makes a dead letter; without dead letters it is
// more than any message can have.
func limit(g *groupRun) int {
	if g.queue.MaxConsume == 0 {
		return int(^uint(0) >> 1)
	}
	return g.queue.MaxConsume
}

// failures bounds how often a group failed a message before a time: possible counts
// everything that may have been a failure, sure only what must have been charged.
type failures struct{ possible, sure int }

func (r *Run) failures(g *groupRun, m *message, at time.Duration) failures {
	t := &g.live[m.number]
	var f failures
	if len(t.given) == 0 && len(g.lost) == 0 {
		return f
	}
	for _, from := range r.mayFail(g, m, t) {
		if from <= at {
			f.possible++
		}
	}
	for i := range t.given {
		if r.charged(g, t, i, at) {
			f.sure++
		}
	}
	return f
}

// mayFail returns the earliest time of each possible failure, sorted. A receive without
// an answer may have handed out any message of its time.
func (r *Run) mayFail(g *groupRun, m *message, t *track) []time.Duration {
	times := make([]time.Duration, 0, len(t.given))
	for i := range t.given {
		d := &t.given[i]
		from, _ := g.released(t, d)
		from = min(from, d.until)
		if b, ok := g.batches[d.call]; ok {
			from = min(from, b.unsure)
		}
		if i+1 < len(t.given) {
			from = min(from, max(d.start, t.given[i+1].start))
		}
		times = append(times, from)
	}
	for _, w := range g.lost {
		if w.End >= m.start+m.delay {
			times = append(times, max(w.Start, m.start))
		}
	}
	slices.Sort(times)
	return times
}

// charged reports whether delivery i must have counted as a failure by a time. It is
// cautious: what stood behind another failure of its batch is not charged, and what an
// unanswered acknowledgement or a fault may have changed is not known.
func (r *Run) charged(g *groupRun, t *track, i int, at time.Duration) bool {
	d := &t.given[i]
	b, any := g.batches[d.call]
	var own *acked
	for j := range t.acks {
		if a := &t.acks[j]; a.of == d.place {
			if a.effect != failed || own != nil {
				return false
			}
			own = a
		}
	}
	if own != nil {
		return own.end <= at && b.failed == own.start && b.unsure == never && r.firstFailure(own.place)
	}
	if any && (b.failed != never || b.unsure != never) {
		return false
	}
	if g.queue.FIFO && !r.head(g, d) {
		return false
	}
	if i+1 < len(t.given) {
		next := &t.given[i+1]
		return next.end <= at && next.end >= d.until && !r.expect.broken(d.start, next.end)
	}
	return d.end+(d.until-d.start)+r.expect.Lag <= at
}

// firstFailure reports whether an entry was asked to fail and is the first of its
// request that did.
func (r *Run) firstFailure(p place) bool {
	items := r.calls[p.call].Items
	for _, it := range items[:p.item] {
		if it.Result != OK {
			return false
		}
	}
	return items[p.item].Negative
}

// head reports whether everything before a delivery in its batch was settled.
func (r *Run) head(g *groupRun, d *delivery) bool {
	for _, it := range r.calls[d.call].Items[:d.item] {
		n, ok := r.byNonce[it.Body.Nonce]
		if !ok || r.msgs[n].queue != g.queue || !g.live[r.msgs[n].number].settledBefore(d.until) {
			return false
		}
	}
	return true
}

// overLimit returns a delivery that came although all allowed failures lay before it.
func (r *Run) overLimit(g *groupRun, m *message, t *track) *delivery {
	if len(t.given) <= limit(g) {
		return nil
	}
	sure := 0
	for i := range t.given {
		if sure >= limit(g) {
			return &t.given[i]
		}
		if r.charged(g, t, i, r.end) {
			sure++
		}
	}
	return nil
}

// deadFrom returns from when on a message may have been a dead letter, or never.
func (r *Run) deadFrom(g *groupRun, m *message) time.Duration {
	if g.queue.MaxConsume == 0 || len(g.dead[m.number].given) == 0 && !g.DeadOpen {
		return never
	}
	times := r.mayFail(g, m, &g.live[m.number])
	if len(times) < limit(g) {
		if len(g.dead[m.number].given) == 0 {
			return never
		}
		return 0 // too early, which is told elsewhere
	}
	return times[limit(g)-1]
}
