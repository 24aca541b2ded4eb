package modeltest

import (
	"fmt"
	"slices"
	"time"

	"dms/mapping/dms"
)

// acknowledged takes the outcome of an acknowledgement.
func (g *refGroup) acknowledged(kind dms.Kind, items []item, from, until time.Time, n int, got dms.Code) error {
	bad, either := g.refusals(kind, items, from, until)
	switch {
	case len(bad) > 0:
		if bad[got] || either && got == dms.HandleInvalid {
			return nil
		}
		return fmt.Errorf("acknowledge: settled %d, error %q, want one of %v", n, got, bad)
	case either && got == dms.HandleInvalid:
		return nil
	case got != "":
		return fmt.Errorf("acknowledge: error %q, want none", got)
	}
	var want int
	if kind == dms.Live && g.q.Mode == dms.Normal {
		want = g.settleNormal(items)
	} else {
		l := &g.live
		if kind == dms.Dead {
			l = &g.dead
		}
		want = g.settleLine(l, items)
	}
	if n != want {
		return fmt.Errorf("acknowledge: settled %d, want %d", n, want)
	}
	return nil
}

// refusals are the errors one of which must come, and whether HandleInvalid may.
func (g *refGroup) refusals(kind dms.Kind, items []item, from, until time.Time) (bad map[dms.Code]bool, either bool) {
	bad = make(map[dms.Code]bool)
	for i, it := range items {
		d := it.d
		if d == nil {
			bad[dms.HandleInvalid] = true
			continue
		}
		if d.g != g && g.r.wrong != "takes foreign handles" {
			bad[dms.HandleOfOther] = true
		}
		if d.kind != kind {
			bad[dms.HandleOfOtherKind] = true
		}
		inLine := kind == dms.Dead || g.q.Mode == dms.FIFO
		outstanding := slices.Contains(g.live.lease, d) || slices.Contains(g.dead.lease, d)
		switch {
		case from.After(d.hi), d.failed,
			slices.ContainsFunc(items[:i], func(o item) bool { return o.d == d }),
			inLine && !d.settled && !outstanding,
			inLine && d.settled && !it.success:
			bad[dms.HandleInvalid] = true
		case !until.Before(d.lo), d.settled && !it.success:
			either = true
		}
	}
	return bad, either
}

// settleNormal applies the prefix rule: places ascend without a gap within a request.
func (g *refGroup) settleNormal(items []item) int {
	next := make(map[int]int)
	n := 0
	for ; n < len(items) && items[n].success; n++ {
		d := items[n].d
		if want, ok := next[d.batch]; ok && d.place != want && g.r.wrong != "allows gaps" {
			break
		}
		next[d.batch] = d.place + 1
		d.settled = true
		g.at(d.m).phase = settled
	}
	for i, it := range items[n:] {
		s := g.at(it.d.m)
		if g.r.wrong == "settles behind a failure" && i > 0 && it.success {
			s.phase = settled
			continue
		}
		it.d.failed = g.r.wrong != "takes used handles"
		if s.phase != leased || s.d != it.d {
			continue
		}
		s.phase = free
		if i == 0 && !it.success || i > 0 && g.r.wrong == "charges the innocent" {
			g.charge(it.d.m)
		}
	}
	return n
}

// settleLine settles from the front of the lease; anything else ends the lease.
func (g *refGroup) settleLine(l *line, items []item) int {
	for n, it := range items {
		if it.d.settled {
			continue
		}
		if it.success && (l.lease[0] == it.d || g.r.wrong == "allows gaps") {
			it.d.settled = true
			l.lease = slices.DeleteFunc(slices.Clone(l.lease), func(d *delivery) bool { return d == it.d })
			l.known = slices.DeleteFunc(l.known, func(m *refMessage) bool { return m == it.d.m })
			if it.d.kind == dms.Dead {
				g.at(it.d.m).deadDone = true
			} else {
				g.at(it.d.m).phase = settled
			}
			continue
		}
		head := l.lease[0]
		l.end(g)
		// A failure of what stands behind a message left out charges nobody.
		if head.kind == dms.Live && !it.success && it.d == head {
			g.charge(head.m)
		}
		return n
	}
	return len(items)
}
