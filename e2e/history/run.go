package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// never is later than anything.
const never = time.Duration(math.MaxInt64)

// Run is a history made ready to judge: messages with their sends, and for each group
// what it was given and how it acknowledged that. Checkers only read it.
type Run struct {
	calls  []Call
	cut    bool
	end    time.Duration
	expect Expect

	msgs    []message
	byNonce map[string]int32
	queues  []*queueRun
	strays  []stray // delivered, but not sent or not readable
	handles map[string]handleOf
}

// queueRun is one queue. Its messages are numbered in the order of their first send.
type queueRun struct {
	Queue
	msgs   []int32
	groups []*groupRun
}

// groupRun is one group. The tracks are indexed by the number of the message in its queue.
type groupRun struct {
	Group
	queue    *queueRun
	live     []track
	dead     []track
	receives []int32         // calls that delivered messages, by end
	lost     []Window        // receives that may have delivered unseen
	batches  map[int32]batch // what acknowledgements did to a delivered batch
}

// message is one message that somebody tried to send.
type message struct {
	body   Body
	digest string
	queue  *queueRun
	number int32 // in its queue
	sends  []place
	result Result
	start  time.Duration // of the first send that may have stored it
	stored time.Duration // end of the first send that surely stored it, or never
	delay  time.Duration
	copies int // how often a correct service may have stored it
	keyed  bool
}

// place is an item of a call.
type place struct{ call, item int32 }

// track is what a group was given of one message.
type track struct {
	given []delivery // by end
	acks  []acked    // by start
}

type delivery struct {
	place
	start, end time.Duration
	until      time.Duration // until then the lease surely lasts
}

type acked struct {
	place
	of         place // the delivery whose handle was used
	start, end time.Duration
	effect     effect
}

// effect is what an acknowledgement did to the delivery.
type effect uint8

const (
	settled effect = iota + 1 // surely a success
	maybe                     // asked for success, outcome unknown
	failed                    // surely a failure, its own or that of one before it
	unsure                    // asked for failure, outcome unknown
)

// batch tells when a delivered batch was, and when it may have been, failed in part. If
// it came from a cursor, as on FIFO queues and among dead letters, all of it went back.
type batch struct {
	failed, unsure time.Duration
	cursor         bool
}

type stray struct {
	place
	group *groupRun
	why   string
}

// NewRun prepares a history. It refuses one that does not fit the expectations, such
// as messages stored in a queue that Expect does not name.
func NewRun(h *History, x Expect) (*Run, error) {
	x.defaults()
	r := &Run{calls: h.Calls, cut: h.Cut, expect: x, byNonce: make(map[string]int32)}
	at := make(map[[2]string]*queueRun)
	for _, q := range x.Queues {
		if q.Retention == 0 {
			q.Retention = 72 * time.Hour
		}
		run := &queueRun{Queue: q}
		for _, g := range q.Groups {
			run.groups = append(run.groups, &groupRun{Group: g, queue: run, batches: make(map[int32]batch)})
		}
		if at[[2]string{q.Tenant, q.ID}] != nil {
			return nil, fmt.Errorf("queue %s of tenant %s is expected twice", q.ID, q.Tenant)
		}
		at[[2]string{q.Tenant, q.ID}] = run
		r.queues = append(r.queues, run)
	}
	find := func(c *Call) *queueRun { return at[[2]string{c.Tenant, c.Queue}] }
	if err := r.readSends(find); err != nil {
		return nil, err
	}
	for _, q := range r.queues {
		for _, g := range q.groups {
			g.live, g.dead = make([]track, len(q.msgs)), make([]track, len(q.msgs))
		}
	}
	if err := r.readReceives(find); err != nil {
		return nil, err
	}
	r.readAcks()
	r.sort()
	return r, nil
}

func (r *Run) readSends(find func(*Call) *queueRun) error {
	var order []int32
	for i := range r.calls {
		r.end = max(r.end, r.calls[i].End)
		if r.calls[i].Op == Send {
			order = append(order, int32(i))
		}
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(r.calls[a].Start, r.calls[b].Start) })
	for _, i := range order {
		c := &r.calls[i]
		q := find(c)
		if q == nil {
			if c.Result != Fail && !r.foreign(c) {
				return fmt.Errorf("call %v went to a queue that is not expected: %s", c, c.Queue)
			}
			continue
		}
		for j := range c.Items {
			if err := r.addSend(q, c, place{i, int32(j)}); err != nil {
				return err
			}
		}
	}
	for i := range r.msgs {
		r.countCopies(&r.msgs[i])
	}
	return nil
}

func (r *Run) addSend(q *queueRun, c *Call, at place) error {
	it := &c.Items[at.item]
	n, known := r.byNonce[it.Body.Nonce]
	if !known {
		n = int32(len(r.msgs))
		r.byNonce[it.Body.Nonce] = n
		r.msgs = append(r.msgs, message{body: it.Body, digest: it.Digest, queue: q,
			number: int32(len(q.msgs)), result: Fail, start: never, stored: never, delay: it.Delay})
		q.msgs = append(q.msgs, n)
	}
	m := &r.msgs[n]
	if m.body != it.Body || m.digest != it.Digest || m.queue != q {
		return fmt.Errorf("call %v sends another message under the nonce of %v", c, m.body)
	}
	m.sends = append(m.sends, at)
	if it.Result == Fail {
		return nil
	}
	m.start = min(m.start, c.Start)
	if it.Result == OK {
		m.result = OK
		m.stored = min(m.stored, c.End)
	} else if m.result == Fail {
		m.result = Unknown
	}
	return nil
}

// countCopies: without a key every attempt may store a copy; with one, all attempts
// within the deduplication window store one.
func (r *Run) countCopies(m *message) {
	var first, last time.Duration
	key, same, attempts := "", true, 0
	for _, s := range m.sends {
		c := &r.calls[s.call]
		if c.Items[s.item].Result == Fail {
			continue
		}
		if attempts == 0 {
			key, first = c.Key, c.Start
		}
		same = same && c.Key != "" && c.Key == key
		last = c.End // an attempt may store as late as its end
		attempts++
	}
	m.copies = attempts
	if attempts > 1 && same && last-first < r.expect.Dedup {
		m.copies, m.keyed = 1, true
	}
}

// handleOf says where a handle was given out.
type handleOf struct {
	group *groupRun
	dead  bool
	msg   int32
	at    place
}

func (r *Run) readReceives(find func(*Call) *queueRun) error {
	r.handles = make(map[string]handleOf)
	for i := range r.calls {
		c := &r.calls[i]
		if c.Op != Receive && c.Op != DeadReceive || c.Result == Fail {
			continue
		}
		q := find(c)
		var g *groupRun
		if q != nil {
			g = q.group(c.Group)
		}
		if g == nil {
			if len(c.Items) > 0 && !r.foreign(c) {
				return fmt.Errorf("call %v received from a group that is not expected: %s of %s", c, c.Group, c.Queue)
			}
			continue
		}
		if c.Result == Unknown {
			if c.Op == Receive {
				g.lost = append(g.lost, Window{Start: c.Start, End: c.End})
			}
			continue
		}
		for j := range c.Items {
			r.addDelivery(g, c, place{int32(i), int32(j)})
		}
		if len(c.Items) > 0 && c.Op == Receive {
			g.receives = append(g.receives, int32(i))
		}
	}
	return nil
}

func (r *Run) addDelivery(g *groupRun, c *Call, at place) {
	it := &c.Items[at.item]
	n, why := r.identify(g, it)
	if why != "" {
		r.strays = append(r.strays, stray{at, g, why})
		return
	}
	wait := c.AckWait
	if wait == 0 {
		wait = 30 * time.Second
	}
	tracks := g.live
	if c.Op == DeadReceive {
		tracks = g.dead
	}
	t := &tracks[r.msgs[n].number]
	t.given = append(t.given, delivery{place: at, start: c.Start, end: c.End, until: c.Start + wait})
	if it.Handle != "" {
		r.handles[it.Handle] = handleOf{g, c.Op == DeadReceive, n, at}
	}
}

// identify finds the sent message of a delivery. A body of another tenant is told
// elsewhere, so it gets the reason "" and no message here.
func (r *Run) identify(g *groupRun, it *Item) (int32, string) {
	if it.Corrupt != "" {
		return 0, "corrupt: " + it.Corrupt
	}
	if it.Body.Tenant != g.queue.Tenant {
		return 0, foreignBody
	}
	n, ok := r.byNonce[it.Body.Nonce]
	switch {
	case !ok:
		return 0, neverSent
	case r.msgs[n].queue != g.queue:
		return 0, "sent to another queue"
	case r.msgs[n].body != it.Body:
		return 0, "altered: its fields are not those that were sent"
	}
	return n, ""
}

const (
	neverSent   = "never sent"
	foreignBody = "of another tenant"
)

func (q *queueRun) group(id string) *groupRun {
	for _, g := range q.groups {
		if g.ID == id {
			return g
		}
	}
	return nil
}

// foreign reports whether a call names a queue of another tenant.
func (r *Run) foreign(c *Call) bool {
	for _, q := range r.queues {
		if q.ID == c.Queue && q.Tenant != c.Tenant {
			return true
		}
	}
	return false
}
