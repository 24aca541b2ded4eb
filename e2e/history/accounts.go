package history

import "fmt"

// span is a count that the history bounds but does not decide.
type span struct{ lo, hi int64 }

// Accounts is K11: counters read at rest are not those that the history gives. Calls of
// unknown outcome widen what is allowed; without them every count is exact.
func Accounts(r *Run) []Violation {
	var out []Violation
	for _, c := range r.expect.Counters {
		g := r.find(c)
		if g == nil {
			out = append(out, Violation{Check: "K11", Rule: "counters of an unexpected group",
				Tenant: c.Tenant, Queue: c.Queue, Group: c.Group})
			continue
		}
		add := func(name string, got int64, want span) {
			if got >= want.lo && got <= want.hi {
				return
			}
			v := g.violation("K11", name)
			v.Detail = fmt.Sprintf("got %d, want %d", got, want.lo)
			if want.lo != want.hi {
				v.Detail = fmt.Sprintf("got %d, want %d to %d", got, want.lo, want.hi)
			}
			out = append(out, v)
		}
		want := r.model(g)
		add("produced", c.Produced, want.produced)
		add("consumed", c.Consumed, want.consumed)
		add("available", c.Available, want.available)
		add("in flight", c.InFlight, span{})
		add("dead letters produced", c.DeadProduced, want.dead)
		add("dead letters available", c.DeadAvailable, want.deadLeft)
		if want.produced.lo != want.produced.hi || want.consumed.lo != want.consumed.hi {
			sum := c.Consumed + c.Available
			add("produced is not consumed and available", c.Produced, span{sum, sum})
		}
	}
	return out
}

func (r *Run) find(c Counters) *groupRun {
	for _, q := range r.queues {
		if q.Tenant == c.Tenant && q.ID == c.Queue {
			return q.group(c.Group)
		}
	}
	return nil
}

// account is what a group's counters must show at rest.
type account struct{ produced, consumed, available, dead, deadLeft span }

func (r *Run) model(g *groupRun) account {
	var a account
	for i, n := range g.queue.msgs {
		m := &r.msgs[n]
		live, dead := &g.live[i], &g.dead[i]
		stored := r.storedCopies(m)
		buried := span{}
		if len(dead.given) > 0 {
			buried = span{1, 1}
		} else if g.DeadOpen && r.deadFrom(g, m) != never {
			buried = span{0, 1}
		}
		done := buried
		if live.settlement() != nil {
			done = span{1, 1}
		} else if live.maySettle() != never {
			done.hi = 1
		}
		left := span{stored.lo - done.hi, stored.hi - done.lo}
		if stored.hi > 1 { // each copy is settled for itself
			done.hi = max(done.hi, stored.hi*min(done.hi, 1))
			left.lo = max(0, stored.lo-done.hi)
		}
		if r.mayExpire(m) {
			stored.lo, done.lo, left.lo = 0, 0, 0
		}
		a.produced.add(stored)
		a.consumed.add(done)
		a.available.add(span{max(left.lo, 0), max(left.hi, 0)})
		a.dead.add(buried)
		kept := buried
		if dead.settlement() != nil {
			kept = span{}
		} else if dead.maySettle() != never {
			kept.lo = 0
		}
		a.deadLeft.add(kept)
	}
	return a
}

func (s *span) add(t span) { s.lo, s.hi = s.lo+t.lo, s.hi+t.hi }

// storedCopies bounds how often a message is in its queue. Whatever was delivered to
// any group was stored.
func (r *Run) storedCopies(m *message) span {
	seen := false
	for _, g := range m.queue.groups {
		seen = seen || g.got(m.number)
	}
	var sure int64
	if m.copies > 1 {
		for _, s := range m.sends {
			if r.calls[s.call].Items[s.item].Result == OK {
				sure++
			}
		}
	} else if m.result == OK {
		sure = 1
	}
	if seen {
		sure = max(sure, 1)
	}
	return span{sure, max(sure, int64(m.copies))}
}
