package history

import (
	"cmp"
	"fmt"
	"slices"
)

// Linearity is what the search for one order of all calls found.
type Linearity struct {
	Logs       int // a FIFO queue and a group each
	Undecided  int // logs with too many calls at once for the search
	Violations []Violation
}

// Linear looks for one order of sends, deliveries and acknowledgements in which every
// FIFO queue is a log and every group a cursor in it. A queue and group are one search.
func Linear(r *Run) Linearity {
	var all Linearity
	for _, q := range r.queues {
		if !q.FIFO {
			continue
		}
		for _, g := range q.groups {
			l := r.newLog(g)
			if len(l.order) == 0 {
				continue
			}
			all.Logs++
			switch found, at := l.tale().decide(); found {
			case undecided:
				all.Undecided++
			case unplaced:
				all.Violations = append(all.Violations, l.misplaced(at))
			case unordered:
				all.Violations = append(all.Violations, l.violation(at))
			}
		}
	}
	return all
}

// log is the order in which a group first got its messages: in a log that is the order
// of storing, so that only times remain to be found.
type log struct {
	run   *Run
	group *groupRun
	order []int32 // messages by number, in order of first delivery
	steps []step  // in order of their starts
}

func (r *Run) newLog(g *groupRun) *log {
	l := &log{run: r, group: g}
	for i, n := range g.queue.msgs {
		m := &r.msgs[n]
		// Left out: what may stand in the log twice, and what K2 reports.
		if len(g.live[i].given) > 0 && m.copies == 1 && g.live[i].given[0].end >= m.start {
			l.order = append(l.order, int32(i))
		}
	}
	slices.SortFunc(l.order, func(a, b int32) int {
		x, y := g.live[a].given[0], g.live[b].given[0]
		return cmp.Or(cmp.Compare(x.end, y.end), cmp.Compare(x.call, y.call), cmp.Compare(x.item, y.item))
	})
	return l
}

// tale writes the log's history for the search.
func (l *log) tale() *tale {
	s := &tale{}
	takes, acks := map[int32][]int32{}, map[int32][]int32{}
	for at, i := range l.order {
		p := int32(at)
		m, t := &l.run.msgs[l.group.queue.msgs[i]], &l.group.live[i]
		e := entry{from: m.start + m.delay, to: m.stored, free: l.run.deadFrom(l.group, m)}
		if m.delay > 0 {
			e.to = never
		}
		for _, d := range t.given {
			if !t.settledBefore(d.start) { // else K5 reports it
				takes[d.call] = append(takes[d.call], p)
			}
		}
		for _, a := range t.acks {
			switch a.effect {
			case settled:
				acks[a.call] = append(acks[a.call], p)
			case maybe:
				e.free = min(e.free, a.start)
			}
		}
		s.entries = append(s.entries, e)
	}
	calls := l.run.calls
	for c, places := range takes {
		slices.SortStableFunc(places, func(a, b int32) int { // as delivered
			return cmp.Compare(l.inBatch(c, a), l.inBatch(c, b))
		})
		s.steps = append(s.steps, step{call: c, from: calls[c].Start, to: calls[c].End, takes: true, places: slices.Compact(places)})
	}
	for c, places := range acks {
		slices.Sort(places)
		s.steps = append(s.steps, step{call: c, from: calls[c].Start, to: calls[c].End, places: places})
	}
	slices.SortFunc(s.steps, func(a, b step) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.call, b.call)) })
	l.steps = s.steps
	return s
}

func (l *log) inBatch(call, p int32) int32 {
	for _, d := range l.group.live[l.order[p]].given {
		if d.call == call {
			return d.item
		}
	}
	return -1
}

func (l *log) msg(p int32) *message { return &l.run.msgs[l.group.queue.msgs[l.order[p]]] }

// violation is that of a step which no order explains.
func (l *log) violation(at int) Violation {
	s := l.steps[at]
	first, last := s.places[0], s.places[len(s.places)-1]
	did := "acknowledgement"
	if s.takes {
		did = "delivery"
	}
	v := l.group.violation("K7", "not linearizable")
	v.Body = l.msg(first).body
	v.Detail = fmt.Sprintf("no order of the calls explains the %s of messages %d to %d of the log, %v to %v",
		did, first, last, l.msg(first).body, l.msg(last).body)
	return l.run.with(v, l.group.live[l.order[first]].given[0].place, place{call: s.call})
}

// misplaced is the violation of a message that was stored before one that came first.
func (l *log) misplaced(at int) Violation {
	m := l.msg(int32(at))
	v := l.group.violation("K7", "not linearizable")
	v.Detail = fmt.Sprintf("it was stored before a message that was delivered earlier had been sent (place %d of the log)", at)
	return l.run.with(l.run.about(v, m), l.group.live[l.order[at]].given[0].place)
}
