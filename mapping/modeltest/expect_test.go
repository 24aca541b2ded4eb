package modeltest

import (
	"time"

	"dms/mapping/dms"
)

const (
	// spareTime is by how much a handle's time may begin before the consume call: a
	// delivery that just missed a poll waits this long for the next.
	spareTime = 500 * time.Millisecond
	// dueWithin is how late a delayed message may become visible.
	dueWithin = 8 * time.Second
	// soon is how far ahead the world looks when it decides to wait for a message.
	soon = 5 * time.Second
)

// onePoll is the wait of one poll of a patient consumer.
const onePoll = 5 * time.Second

// ready are the bodies of what the group can get at once.
func (g *refGroup) ready(kind dms.Kind, now time.Time) map[string]bool {
	bodies := make(map[string]bool)
	for _, m := range g.meant() {
		if s := g.at(m); kind == dms.Live && s.phase == free && !now.Before(m.until) && len(g.live.lease) == 0 {
			bodies[m.body] = true
		}
	}
	return bodies
}

// pending reports whether a message of the group, or a dead letter, must come before
// long. It never says so of what a member that went down may have made uncertain.
func (g *refGroup) pending(kind dms.Kind, now time.Time) bool {
	if kind == dms.Dead {
		return g.deadPending(now)
	}
	by := now.Add(soon)
	if g.q.Mode == dms.FIFO && len(g.live.lease) > 0 {
		head := g.live.lease[0]
		if head.hi.After(by) {
			return false
		}
		if len(g.live.lease) > 1 || !g.dies(g.at(head.m).fmax+1) {
			return true
		}
	}
	for _, m := range g.meant() {
		s := g.at(m)
		switch {
		case s.phase == free && !m.until.After(by) && !g.dies(s.fmax):
			return true
		case s.phase == leased && g.q.Mode == dms.Normal && !s.d.hi.After(by) && !g.dies(s.fmax+1):
			return true
		}
	}
	return false
}

func (g *refGroup) deadPending(now time.Time) bool {
	by := now.Add(soon)
	if len(g.dead.lease) > 0 && g.dead.lease[0].hi.After(by) {
		return false
	}
	for m, s := range g.states {
		if s.phase == dead && !s.deadDone || g.dying(m, by) {
			return true
		}
	}
	return false
}

// dying reports whether the message dies by itself when its present delivery ends.
func (g *refGroup) dying(m *refMessage, by time.Time) bool {
	s := g.at(m)
	if s.phase != leased || !g.dies(s.fmin+1) || s.d.hi.After(by) {
		return false
	}
	return g.q.Mode == dms.Normal || g.live.lease[0].m == m
}

// bounds are the least and the largest that the counters may be.
func (g *refGroup) bounds(now time.Time) (least, most dms.Counters) {
	for _, m := range g.q.messages {
		if !now.Before(m.until) {
			least.Produced++
		}
		if !now.Before(m.from) {
			most.Produced++
		}
		if !g.wants(m) {
			continue
		}
		s := g.at(m)
		if s.phase == settled || s.phase == dead {
			least.Consumed, most.Consumed = least.Consumed+1, most.Consumed+1
		}
		if s.phase == dead {
			least.DeadProduced, most.DeadProduced = least.DeadProduced+1, most.DeadProduced+1
			if !s.deadDone {
				least.DeadAvailable, most.DeadAvailable = least.DeadAvailable+1, most.DeadAvailable+1
			}
		}
		if (s.phase == leased && !now.Before(s.d.lo) || s.phase == free) && g.dies(s.fmax+1) {
			most.Consumed, most.DeadProduced, most.DeadAvailable = most.Consumed+1, most.DeadProduced+1, most.DeadAvailable+1
		}
		if s.phase == leased && now.Before(s.d.lo) {
			least.OutstandingNow++
		}
		if s.phase != settled && s.phase != dead {
			most.OutstandingNow++
		}
		if s.phase != settled && s.phase != dead && !now.Before(m.from) {
			most.Available++
			if !now.Before(m.until) && !(s.phase == leased && !now.Before(s.d.lo) && g.dies(s.fmax+1)) && !(s.phase == free && g.dies(s.fmax)) {
				least.Available++
			}
		}
	}
	if g.r.wrong == "takes settled for waiting" {
		least.Available, most.Available = least.Available+most.Consumed, most.Available+most.Consumed
	}
	if g.r.wrong == "forgets dead letters" {
		least.DeadProduced, most.DeadProduced = least.DeadAvailable, most.DeadAvailable
	}
	return least, most
}

func within(c, least, most dms.Counters) bool {
	in := func(n, low, high int64) bool { return low <= n && n <= high }
	return in(c.Produced, least.Produced, most.Produced) &&
		in(c.Consumed, least.Consumed, most.Consumed) &&
		in(c.Available, least.Available, most.Available) &&
		in(c.DeadProduced, least.DeadProduced, most.DeadProduced) &&
		in(c.DeadAvailable, least.DeadAvailable, most.DeadAvailable) &&
		in(c.OutstandingNow, least.OutstandingNow, most.OutstandingNow)
}

// shaken loosens what is known when a member goes down: a delivery on its way may be
// lost and count as a failure, and the log may offer what is handed out again.
func (r *reference) shaken(now time.Time) {
	for _, q := range r.queues {
		for _, m := range q.messages {
			m.until = m.until.Add(lostFor)
		}
		for _, g := range q.groups {
			if q.Mode == dms.FIFO {
				continue
			}
			for _, m := range g.meant() {
				switch s := g.at(m); s.phase {
				case leased:
					s.fmax++
					s.d.lo = earlier(s.d.lo, now)
					s.d.hi = later(s.d.hi, now.Add(lostFor))
				case free:
					s.fmax++
				}
			}
		}
	}
}

// lostFor is after which time the log offers a delivery again that was lost.
const lostFor = 32 * time.Second

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
