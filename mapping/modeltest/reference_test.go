package modeltest

import (
	"fmt"
	"slices"
	"time"

	"dms/mapping/dms"
)

// The reference says what the service may answer. It keeps no clock: every call is
// told when it began and ended, and what hangs on a deadline in between may go either
// way; the reference then follows what was observed.

// wrong names one deliberate mistake of the reference; "" is none.
type wrong string

type reference struct {
	wrong  wrong
	queues []*refQueue
	ids    map[dms.MessageID]bool
	batch  int
}

type refQueue struct {
	dms.Queue
	messages []*refMessage // in the order they were sent
	groups   []*refGroup
	keys     map[string][]*refMessage
}

type refMessage struct {
	body        string
	labels      []string
	delay       time.Duration
	id          dms.MessageID
	place       int       // in the order of sends
	from, until time.Time // it became visible between these
}

type refGroup struct {
	dms.Group
	q      *refQueue
	r      *reference
	used   bool
	served bool // a consume call of it was answered
	labels []string
	match  dms.Match
	states map[*refMessage]*refState
	live   line          // of a FIFO queue
	dead   line          // of any queue
	deaths []*refMessage // in the order they died, as far as that is known
	order  []*refMessage // of first deliveries
}

type phase int

const (
	free phase = iota
	leased
	settled
	dead
)

// refState is one message in one group. Its failures are known exactly unless a
// member went down.
type refState struct {
	phase      phase
	d          *delivery // the latest
	fmin, fmax int
	deadDone   bool // its dead letter is settled
}

// line is a store that is read in strict order, one batch at a time.
type line struct {
	known []*refMessage // delivered before and not settled, in order
	lease []*delivery   // outstanding
}

// delivery is one handle. Its time ends between lo and hi.
type delivery struct {
	handle          dms.Handle
	g               *refGroup
	kind            dms.Kind
	batch, place    int
	m               *refMessage
	lo, hi          time.Time
	settled, failed bool
	node            int  // that handed it out
	lost            bool // its node died before its time, so that it may be charged to nobody
}

// item is one entry of an acknowledgement; a forged handle has no delivery.
type item struct {
	d       *delivery
	handle  dms.Handle
	success bool
}

func (g *refGroup) at(m *refMessage) *refState {
	s, ok := g.states[m]
	if !ok {
		s = &refState{}
		g.states[m] = s
	}
	return s
}

func (g *refGroup) limit() int {
	n := g.q.MaxConsumeCount
	switch {
	case n == 0:
		return 0
	case g.r.wrong == "dies late":
		return n + 1
	case g.r.wrong == "dies early":
		return max(n-1, 1)
	}
	return n
}

// dies reports whether the failures make a dead letter.
func (g *refGroup) dies(failures int) bool { return g.limit() > 0 && failures >= g.limit() }

func (g *refGroup) wants(m *refMessage) bool {
	if len(g.labels) == 0 || g.r.wrong == "ignores labels" {
		return true
	}
	n := 0
	for _, l := range g.labels {
		if slices.Contains(m.labels, l) {
			n++
		}
	}
	return n == len(g.labels) || g.match == dms.AnyLabel && n > 0
}

// meant are the messages of the queue that the group gets.
func (g *refGroup) meant() (ms []*refMessage) {
	for _, m := range g.q.messages {
		if g.wants(m) {
			ms = append(ms, m)
		}
	}
	return ms
}

// sent takes the outcome of a send that was accepted.
func (q *refQueue) sent(r *reference, key string, ms []*refMessage, ids []dms.MessageID, from, until time.Time) error {
	if len(ids) != len(ms) {
		return fmt.Errorf("send: %d results for %d messages", len(ids), len(ms))
	}
	known := q.keys[key]
	for i, m := range ms {
		if key != "" && i < len(known) && r.wrong != "forgets keys" {
			if known[i].id != ids[i] {
				return fmt.Errorf("send: message %d repeated under its key got another id", i)
			}
			continue
		}
		if r.ids[ids[i]] {
			return fmt.Errorf("send: id of message %d was given before", i)
		}
		r.ids[ids[i]] = true
		m.id, m.from, m.until = ids[i], from.Add(m.delay), until.Add(m.delay)
		if m.delay > 0 {
			m.until = m.until.Add(dueWithin)
		}
		known = append(known, m)
		if r.wrong == "loses a message" && i == len(ms)-1 {
			continue
		}
		m.place = len(q.messages)
		q.messages = append(q.messages, m)
	}
	if key != "" {
		q.keys[key] = known
	}
	return nil
}

// lock takes the labels of the first consume. It reports whether a consume with them
// is refused.
func (g *refGroup) lock(labels []string, match dms.Match) (refused bool) {
	if !g.used {
		g.used, g.labels, g.match = true, labels, match
		return false
	}
	return !slices.Equal(g.labels, labels) || len(labels) > 1 && g.match != match
}

// delivered takes the outcome of a consume call.
func (g *refGroup) delivered(req dms.Receive, got []dms.Delivery, bodies []string, from, until time.Time) ([]*delivery, error) {
	if len(got) > req.Max {
		return nil, fmt.Errorf("consume: %d messages, at most %d were asked for", len(got), req.Max)
	}
	if len(got) == 0 {
		return nil, nil
	}
	g.r.batch++
	ds := make([]*delivery, len(got))
	for i, one := range got {
		ds[i] = &delivery{
			handle: one.Handle, g: g, kind: req.Kind, batch: g.r.batch, place: i,
			lo: from.Add(req.AckWait - spareTime), hi: until.Add(req.AckWait),
		}
		for _, m := range g.q.messages {
			if m.body == bodies[i] {
				ds[i].m = m
			}
		}
		if ds[i].m == nil {
			return nil, fmt.Errorf("consume: %q is no message of the queue", bodies[i])
		}
	}
	for _, d := range ds {
		if slices.ContainsFunc(ds, func(o *delivery) bool { return o != d && o.m == d.m }) {
			return nil, fmt.Errorf("consume: %s twice in one batch", d.m.body)
		}
		if !g.wants(d.m) {
			return nil, fmt.Errorf("consume: %s has not the group's labels", d.m.body)
		}
	}
	switch {
	case req.Kind == dms.Dead:
		return ds, g.dead.deliver(g, ds, until, g.freshDead)
	case g.q.Mode == dms.FIFO:
		return ds, g.live.deliver(g, ds, until, g.freshLive)
	}
	for _, d := range ds {
		if err := g.take(d, until); err != nil {
			return nil, err
		}
	}
	return ds, nil
}

// take is a delivery of a NORMAL queue, or the first one of a FIFO queue.
func (g *refGroup) take(d *delivery, now time.Time) error {
	s := g.at(d.m)
	switch s.phase {
	case settled:
		return fmt.Errorf("consume: %s was settled", d.m.body)
	case dead:
		return fmt.Errorf("consume: %s is a dead letter", d.m.body)
	case leased:
		if now.Before(s.d.lo) || g.r.wrong == "leases for ever" {
			return fmt.Errorf("consume: %s is handed out already", d.m.body)
		}
		s.fmax++
		if !s.d.lost {
			s.fmin++
		}
	}
	if now.Before(d.m.from) {
		return fmt.Errorf("consume: %s comes before its delay has passed", d.m.body)
	}
	if g.dies(s.fmin) {
		return fmt.Errorf("consume: %s has failed %d times and should be dead", d.m.body, s.fmin)
	}
	if g.limit() > 0 {
		s.fmax = min(s.fmax, g.limit()-1)
	}
	s.phase, s.d = leased, d
	return nil
}

// deliver grants a lease on the next messages of the line; those not known yet are
// judged by fresh.
func (l *line) deliver(g *refGroup, ds []*delivery, now time.Time, fresh func(*delivery, time.Time) error) error {
	if len(l.lease) > 0 {
		if now.Before(l.lease[0].lo) || g.r.wrong == "leases for ever" {
			return fmt.Errorf("consume: a batch while another is outstanding")
		}
		l.expire(g)
	}
	for i, d := range ds {
		if i < len(l.known) {
			if l.known[i] != d.m {
				return fmt.Errorf("consume: %s at place %d, it is the turn of %s", d.m.body, i, l.known[i].body)
			}
		} else {
			if err := fresh(d, now); err != nil {
				return err
			}
			l.known = append(l.known, d.m)
		}
		if d.kind == dms.Live {
			s := g.at(d.m)
			s.phase, s.d = leased, d
		}
	}
	l.lease = ds
	return nil
}

// expire ends the lease as a timeout does.
func (l *line) expire(g *refGroup) {
	head := l.lease[0]
	l.end(g)
	if head.kind == dms.Live {
		g.charge(head.m)
	}
}

// end gives back what is outstanding and makes its handles worthless.
func (l *line) end(g *refGroup) {
	for _, d := range l.lease {
		d.failed = g.r.wrong != "takes used handles"
		if d.kind == dms.Live {
			g.at(d.m).phase = free
		}
	}
	l.lease = nil
}

// charge counts a failure of a message that went back to the group.
func (g *refGroup) charge(m *refMessage) {
	s := g.at(m)
	s.fmin, s.fmax = s.fmin+1, s.fmax+1
	if g.dies(s.fmin) {
		g.die(m)
	}
}

func (g *refGroup) die(m *refMessage) {
	g.at(m).phase = dead
	g.deaths = append(g.deaths, m)
	g.live.known = slices.DeleteFunc(g.live.known, func(o *refMessage) bool { return o == m })
}

// freshLive judges the first delivery of a message of a FIFO queue.
func (g *refGroup) freshLive(d *delivery, now time.Time) error {
	for _, o := range g.meant() {
		if o == d.m || g.at(o).phase != free || slices.Contains(g.live.known, o) {
			continue
		}
		first := o.place < d.m.place
		if g.r.wrong == "turns the order" {
			first = !first
		}
		if o.until.Before(d.m.from) || first && o.delay == 0 && d.m.delay == 0 {
			return fmt.Errorf("consume: %s comes before %s", d.m.body, o.body)
		}
	}
	g.order = append(g.order, d.m)
	return g.take(d, now)
}

// freshDead judges the first delivery of a dead letter. It may be the first news of
// the death.
func (g *refGroup) freshDead(d *delivery, now time.Time) error {
	s := g.at(d.m)
	if s.phase == leased && !now.Before(s.d.lo) && g.dies(s.fmax+1) {
		if g.q.Mode == dms.FIFO {
			if g.live.lease[0].m != d.m {
				return fmt.Errorf("dead letters: %s died behind another message", d.m.body)
			}
			g.live.expire(g)
		} else {
			g.die(d.m)
		}
	}
	if s.phase == free && g.dies(s.fmax) {
		g.die(d.m)
	}
	if s.phase != dead || s.deadDone {
		return fmt.Errorf("dead letters: %s is none (failed %d times)", d.m.body, s.fmin)
	}
	if g.q.Mode == dms.FIFO {
		for _, o := range g.deaths[:slices.Index(g.deaths, d.m)] {
			if !g.at(o).deadDone && !slices.Contains(g.dead.known, o) {
				return fmt.Errorf("dead letters: %s comes before %s", d.m.body, o.body)
			}
		}
	}
	return nil
}
