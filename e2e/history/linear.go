package history

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

const (
	pieceSize = 256 // messages searched at once; the search grows with the square
	pieceStep = 192 // pieces overlap, so that neighbours meet in one of them
)

// Linearity is what the search for one order of all calls found.
type Linearity struct {
	Pieces     int // parts of the histories of FIFO queues and groups
	Undecided  int // pieces that the time did not suffice for
	Violations []Violation
}

// Linear looks for one order of sends, deliveries and acknowledgements in which every
// FIFO queue is a log and every group a cursor in it. A queue and group are one
// partition; it is cut into pieces, because a log restricted to some of its messages is
// a log again. The search as a whole ends after Expect.Budget.
func Linear(r *Run) Linearity {
	var pieces []piece
	for _, q := range r.queues {
		if !q.FIFO {
			continue
		}
		for _, g := range q.groups {
			l := r.newLog(g)
			for from := 0; from < len(l.order); from += pieceStep {
				to := min(from+pieceSize, len(l.order))
				if pieces = append(pieces, piece{l, from, to}); to == len(l.order) {
					break
				}
			}
		}
	}
	all := Linearity{Pieces: len(pieces)}
	deadline := time.Now().Add(r.expect.Budget)
	for i, p := range pieces {
		// One that is hard to decide must not take the time of all others.
		share := time.Until(deadline) / time.Duration(len(pieces)-i) * shares
		if share = min(share, time.Until(deadline)); share <= 0 {
			all.Undecided++
			continue
		}
		switch porcupine.CheckOperationsTimeout(logModel(), p.log.piece(p.from, p.to), share) {
		case porcupine.Unknown:
			all.Undecided++
		case porcupine.Illegal:
			all.Violations = append(all.Violations, p.log.violation(p.from, p.to))
		}
	}
	return all
}

// shares is how much of the time left one piece may take, in equal parts of it: most
// pieces need next to nothing.
const shares = 4

// piece is the messages [from, to) of a log.
type piece struct {
	log      *log
	from, to int
}

// log is the order in which a group first got its messages: in a log that is the order
// of storing, so that only times remain to be found.
type log struct {
	run   *Run
	group *groupRun
	order []int32 // messages by number, in order of first delivery
	place []int32 // by number; -1 for those left out
}

func (r *Run) newLog(g *groupRun) *log {
	l := &log{run: r, group: g, place: make([]int32, len(g.live))}
	for i, n := range g.queue.msgs {
		l.place[i] = -1
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
	for at, i := range l.order {
		l.place[i] = int32(at)
	}
	return l
}

// step is one operation on the log, places counted from the piece's first message.
type step struct {
	kind   stepKind
	places []int32
}

type stepKind uint8

const (
	appendStep stepKind = iota
	takeStep            // a batch was delivered
	settleStep
	maySettleStep // an acknowledgement without an answer, or a dead letter
)

// cursor is the state: how many messages are in the log, and how many are settled.
type cursor struct{ stored, floor int32 }

// logModel is a log with one cursor.
func logModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return cursor{} },
		Step: func(state, input, _ any) (bool, any) {
			c, s := state.(cursor), input.(step)
			switch s.kind {
			case appendStep:
				ok := s.places[0] == c.stored
				c.stored++
				return ok, c
			case takeStep:
				for i, p := range s.places {
					if p != c.floor+int32(i) || p >= c.stored {
						return false, c
					}
				}
				return true, c
			}
			for _, p := range s.places {
				switch {
				case p == c.floor:
					c.floor++
				case p > c.floor && s.kind == settleStep:
					return false, c
				}
			}
			return true, c
		},
	}
}

// piece writes the operations of the messages [from, to).
func (l *log) piece(from, to int) []porcupine.Operation {
	var ops []porcupine.Operation
	add := func(kind stepKind, start, end time.Duration, places ...int32) {
		ops = append(ops, porcupine.Operation{Call: int64(start), Return: int64(end), Input: step{kind, places}})
	}
	takes, acks := map[int32][]int32{}, map[int32][]int32{}
	for p := from; p < to; p++ {
		i := l.order[p]
		at := int32(p - from)
		m, t := &l.run.msgs[l.group.queue.msgs[i]], &l.group.live[i]
		stored := m.stored
		if m.delay > 0 {
			stored = never
		}
		add(appendStep, m.start+m.delay, stored, at)
		for _, d := range t.given {
			if !t.settledBefore(d.start) { // else K5 reports it
				takes[d.call] = append(takes[d.call], at)
			}
		}
		for _, a := range t.acks {
			switch a.effect {
			case settled:
				acks[a.call] = append(acks[a.call], at)
			case maybe:
				add(maySettleStep, a.start, never, at)
			}
		}
		if dead := l.run.deadFrom(l.group, m); dead != never {
			add(maySettleStep, dead, never, at)
		}
	}
	calls := l.run.calls
	for c, places := range takes {
		slices.SortStableFunc(places, func(a, b int32) int { // as delivered
			return cmp.Compare(l.inBatch(c, from, a), l.inBatch(c, from, b))
		})
		add(takeStep, calls[c].Start, calls[c].End, slices.Compact(places)...)
	}
	for c, places := range acks {
		slices.Sort(places)
		add(settleStep, calls[c].Start, calls[c].End, places...)
	}
	return ops
}

func (l *log) inBatch(call int32, from int, at int32) int32 {
	for _, d := range l.group.live[l.order[from+int(at)]].given {
		if d.call == call {
			return d.item
		}
	}
	return -1
}

func (l *log) violation(from, to int) Violation {
	v := l.group.violation("K7", "not linearizable")
	msg := func(p int) *message { return &l.run.msgs[l.group.queue.msgs[l.order[p]]] }
	v.Body = msg(from).body
	v.Detail = fmt.Sprintf("no order of the calls explains messages %d to %d as delivered, %v to %v",
		from, to-1, msg(from).body, msg(to-1).body)
	return l.run.with(v, l.group.live[l.order[from]].given[0].place, l.group.live[l.order[to-1]].given[0].place)
}
