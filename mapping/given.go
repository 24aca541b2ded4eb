package mapping

import (
	"context"
	"sync"
	"time"

	"dms/mapping/dms"
)

// Run is a row of deliveries of one group that came to one node.
type Run struct {
	// Consumer is the number of the first among all deliveries of the group.
	Consumer uint64 `json:"c"`
	// Stream is the place of its message in the queue, if all are first deliveries; 0 if
	// all are repeated ones.
	Stream uint64 `json:"s,omitempty"`
	Count  uint64 `json:"n"`
}

// mostRuns bounds what is remembered of one group. A row is as long as the batches of one
// node are not mixed with those of others.
const mostRuns = 1024

// given remembers the latest deliveries of a group that came to this node.
type given struct {
	mu   sync.Mutex
	runs []Run
}

// note adds a delivery.
func (g *given) note(at delivered) {
	next := Run{Consumer: at.consumerSeq, Count: 1}
	if at.deliveries == 1 {
		next.Stream = at.streamSeq
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.runs); n > 0 {
		last := &g.runs[n-1]
		follows := last.Consumer+last.Count == next.Consumer
		if follows && (last.Stream == 0 && next.Stream == 0 || last.Stream != 0 && last.Stream+last.Count == next.Stream) {
			last.Count++
			return
		}
	}
	if len(g.runs) == mostRuns {
		g.runs = append(g.runs[:0], g.runs[mostRuns/2:]...)
	}
	g.runs = append(g.runs, next)
}

// startOver forgets all: the log counts the deliveries anew.
func (g *given) startOver() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.runs = nil
}

// between returns what came of the deliveries from one number to another.
func (g *given) between(from, to uint64) []Run {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []Run
	for _, r := range g.runs {
		first, last := max(r.Consumer, from), min(r.Consumer+r.Count-1, to)
		if first > last {
			continue
		}
		part := Run{Consumer: first, Count: last - first + 1}
		if r.Stream != 0 {
			part.Stream = r.Stream + first - r.Consumer
		}
		out = append(out, part)
	}
	return out
}

// Given returns which deliveries of a group, by their numbers among all of them, came to
// this node. It knows the latest ones only, and none from before its start.
func (b *Broker) Given(group dms.GroupRef, from, to uint64) []Run {
	b.mu.Lock()
	s := b.sessions[group.Project]
	b.mu.Unlock()
	if s == nil {
		return nil
	}
	s.mu.Lock()
	d := s.dispatchers[group]
	s.mu.Unlock()
	if d == nil {
		return nil
	}
	return d.given.between(from, to)
}

const (
	// givenPatience is how long it is awaited that other nodes notice what is on its way
	// to them, and givenPause how long between two questions.
	givenPatience = 2 * time.Second
	givenPause    = 100 * time.Millisecond
)

// over returns the rows of messages in a gap that the log went over, leaving out those
// that it delivered to any node. Deliveries that no node remembers, because it has been
// started since, may have been of any of them; sure is then false.
func (d *dispatcher) over(ctx context.Context, g gap) (all [][2]uint64, sure bool) {
	ctx, cancel := context.WithTimeout(ctx, givenPatience)
	defer cancel()
	for {
		runs := d.given.between(g.after+1, g.before-1)
		if g.before-g.after > 1 && d.s.b.elsewhere != nil {
			// Who does not answer has nothing to say; it is asked again.
			more, err := d.s.b.elsewhere(ctx, d.ref.GroupRef, g.after+1, g.before-1)
			if err == nil {
				runs = append(runs, more...)
			}
		}
		all, sure = g.without(runs)
		if sure {
			return all, true
		}
		select {
		case <-ctx.Done():
			return all, false
		case <-time.After(givenPause):
		}
	}
}

// gap is what lies between two first deliveries that came to this node one after the
// other: messages from, to, and deliveries after, before, both excluded.
type gap struct{ from, to, after, before uint64 }

// explained reports whether there were at least as many deliveries in between as messages.
func (g gap) explained() bool {
	return g.from > g.to || g.to-g.from < g.before-g.after-1
}

// without leaves out messages that were delivered. It also reports whether all deliveries
// in between are known.
func (g gap) without(runs []Run) (over [][2]uint64, sure bool) {
	known := make(map[uint64]bool)
	there := make(map[uint64]bool)
	for _, r := range runs {
		for i := range r.Count {
			known[r.Consumer+i] = true
			if r.Stream != 0 {
				there[r.Stream+i] = true
			}
		}
	}
	sure = true
	for n := g.after + 1; n < g.before; n++ {
		sure = sure && known[n]
	}
	var missing []uint64
	for seq := g.from; seq <= g.to; seq++ {
		if !there[seq] {
			missing = append(missing, seq)
		}
	}
	return rows(missing), sure
}
