package mapping

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"dms/mapping/dms"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// longestPull is how long one pull waits at the log. Every waiting pull costs two
	// entries of the consumer's replicated log, so polls share it.
	longestPull = 30 * time.Second
	largestPull = 1000
	// linger is how long a poll that has something waits for more when the log does
	// not say that there is none, which it does not while a group has as much
	// outstanding as it may.
	linger = 100 * time.Millisecond
	// keepSpare is how long a delivery that nobody waits for any more is kept for
	// the next poll before it goes back to the queue. It is short because after a
	// change of leader the log may deliver it again, through another node.
	keepSpare = 10 * time.Millisecond
)

// dispatcher hands the messages of one group of a NORMAL queue to the polls that
// wait on this node. There is at most one pull on its way; what arrives is dealt out
// in the order the polls came. Without polls there is no pull, and no traffic.
type dispatcher struct {
	s      *session
	q      *queue
	ref    reading
	handed handed
	forget func() // stops deliveries from being handed to the dispatcher

	mu      sync.Mutex
	ended   bool
	moved   bool // it ended because the group's position was moved
	waiters []*waiter
	spare   []*arrival
	hand    map[uint64]*inHand // by sequence: what is being judged or is spare
	pull    *pull
	flush   *time.Timer // ends polls that have something, after linger
	giveUp  *time.Timer // returns spare deliveries, after keepSpare
	failing int         // pulls in a row that could not be placed

	placed   placing     // whether it is known where the group stood before
	last     delivered   // the latest first delivery, to whichever node before that is known
	given    given       // the latest deliveries that came here
	filtered atomic.Bool // by labels, so that the log goes over messages
	behind   []*behind   // what came after gaps that are being filled, in order
	passing  bool        // some of it is being handed on

	sweepNext bool // a sweep follows the pull that is on its way
}

// arrival is one delivery of the log.
type arrival struct {
	delivered
	payload []byte
	trace   string
	id      dms.MessageID
	base    time.Time // from when on the handle's time runs
}

// inHand counts the arrivals of one message that are neither handed out nor given up,
// and knows its newest delivery. When the log delivers a message again meanwhile, an
// older arrival must not be handed out after the newer one.
type inHand struct {
	arrivals int
	newest   uint64
}

// waiter is one poll.
type waiter struct {
	want  int
	room  int // payload bytes it may still take
	until time.Time
	got   []*arrival
	done  chan struct{} // closed when got is final
	err   error
}

// dispatcher returns that of the group's reading, or of a later one that this node has
// heard of meanwhile. One of an earlier reading ends.
func (s *session) dispatcher(q *queue, at reading) *dispatcher {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.dispatchers[at.GroupRef]
	if ok && d.ref.gen < at.gen {
		d.endMoved()
		ok = false
	}
	if !ok {
		d = &dispatcher{s: s, q: q, ref: at}
		d.forget = s.pulls.deliveries(streamName(at.Queue), at.consumer(), d.delivered)
		s.dispatchers[at.GroupRef] = d
	}
	return d
}

// errMoved says that the group's position was moved while a poll waited.
var errMoved = errors.New("the position of the group was moved")

// receive waits for messages until the wait is over or the caller is gone. A caller
// that is gone gets nothing, and what was meant for it goes to the next one.
func (d *dispatcher) receive(ctx context.Context, req dms.Receive, wait time.Duration) ([]*arrival, error) {
	w := &waiter{want: req.Max, room: dms.MaxMessageSize, until: time.Now().Add(wait), done: make(chan struct{})}
	d.mu.Lock()
	if d.ended {
		moved := d.moved
		d.mu.Unlock()
		if moved {
			return nil, errMoved
		}
		return nil, d.goneError(ctx)
	}
	d.waiters = append(d.waiters, w)
	d.deal()
	d.ask()
	d.mu.Unlock()

	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-w.done:
		return w.outcome(d)
	case <-timer.C:
	case <-req.Until:
	case <-ctx.Done():
	case <-d.s.base.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-w.done: // decided while we came here
	default:
		d.waiters = slices.DeleteFunc(d.waiters, func(o *waiter) bool { return o == w })
		close(w.done)
	}
	if ctx.Err() != nil {
		d.spare = append(d.spare, w.got...)
		d.deal()
		d.returnSpare()
		return nil, dms.Wrap(dms.Unavailable, context.Cause(ctx))
	}
	if d.moved {
		return nil, errMoved // what was got belongs to the reading that has ended
	}
	return w.got, w.err
}

// outcome is what a poll that is done has got.
func (w *waiter) outcome(d *dispatcher) ([]*arrival, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.moved {
		return nil, errMoved
	}
	return w.got, w.err
}

// deal gives spare deliveries to polls, in the order both came. The caller holds d.mu.
func (d *dispatcher) deal() {
	for len(d.spare) > 0 && len(d.waiters) > 0 {
		w, a := d.waiters[0], d.spare[0]
		if h := d.hand[a.streamSeq]; h != nil && a.deliveries < h.newest {
			d.spare = d.spare[1:]
			d.letLocked(a)
			continue // the log has delivered it again
		}
		if len(w.got) > 0 && len(a.payload) > w.room {
			d.finish(w)
			continue
		}
		d.spare = d.spare[1:]
		d.letLocked(a)
		w.got = append(w.got, a)
		w.room -= len(a.payload)
		if len(w.got) == w.want {
			d.finish(w)
		}
	}
	if len(d.spare) > 0 {
		d.later(&d.giveUp, keepSpare, d.returnSpare)
	}
	if len(d.waiters) > 0 && len(d.waiters[0].got) > 0 {
		if d.pull == nil {
			d.finish(d.waiters[0]) // nothing more is on its way
		} else {
			d.later(&d.flush, linger, d.finishServed)
		}
	}
}

// finish ends a poll with what it has. The caller holds d.mu.
func (d *dispatcher) finish(w *waiter) {
	d.waiters = slices.DeleteFunc(d.waiters, func(o *waiter) bool { return o == w })
	close(w.done)
}

// later arms the timer for f, which runs with d.mu held unless the group has ended.
func (d *dispatcher) later(t **time.Timer, after time.Duration, f func()) {
	if *t != nil {
		(*t).Reset(after)
		return
	}
	*t = time.AfterFunc(after, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		f()
	})
}

// finishServed ends all polls that have something. The caller holds d.mu.
func (d *dispatcher) finishServed() {
	for _, w := range slices.Clone(d.waiters) {
		if len(w.got) > 0 {
			d.finish(w)
		}
	}
	d.ask()
}

// returnSpare gives back to the queue what nobody waits for. The caller holds d.mu.
func (d *dispatcher) returnSpare() {
	if len(d.spare) == 0 {
		return
	}
	var back []*arrival
	for _, a := range d.spare {
		if d.letLocked(a) {
			back = append(back, a)
		}
	}
	d.spare = nil
	d.s.spawn(func() { d.s.giveBack(d.q, d.ref, back) })
}

// delivered takes one delivery, of the present pull or of one that was given up.
func (d *dispatcher) delivered(m *nats.Msg) {
	at, ok := parseDelivered(m.Reply)
	if !ok {
		return
	}
	a := &arrival{delivered: at, payload: m.Data, trace: traceOf(m.Header), id: dms.MessageID(m.Header.Get(jetstream.MsgIDHeader)), base: time.Now()}
	d.hold(a)
	g, jumped := d.jump(at)
	switch h := d.keepBehind(a, jumped); {
	case h == nil:
		d.pass(a)
	case jumped:
		d.s.spawn(func() { d.bridge(h, g) })
	}
	d.mu.Lock()
	p := d.pull
	d.mu.Unlock()
	d.came(p, 1, at.deliveries)
}

// pass judges an arrival if that is needed, and deals it out.
func (d *dispatcher) pass(a *arrival) {
	if d.mayBeDead(a.delivered) {
		// Reading how many failures count takes a round trip, which may not be made
		// on the connection's reader.
		d.s.spawn(func() { d.judge(a) })
		return
	}
	d.take(a)
}

// hold counts an arrival as in hand.
func (d *dispatcher) hold(a *arrival) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hand == nil {
		d.hand = make(map[uint64]*inHand)
	}
	h := d.hand[a.streamSeq]
	if h == nil {
		h = &inHand{}
		d.hand[a.streamSeq] = h
	}
	h.arrivals++
	h.newest = max(h.newest, a.deliveries)
}

// let is the end of hold.
func (d *dispatcher) let(a *arrival) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.letLocked(a)
}

// letLocked reports whether the arrival was the newest. The caller holds d.mu.
func (d *dispatcher) letLocked(a *arrival) (newest bool) {
	h := d.hand[a.streamSeq]
	if h == nil {
		return true
	}
	if h.arrivals--; h.arrivals == 0 {
		delete(d.hand, a.streamSeq)
	}
	return a.deliveries >= h.newest
}

// take deals one delivery out.
func (d *dispatcher) take(a *arrival) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failing = 0
	d.spare = append(d.spare, a)
	if d.ended {
		d.returnSpare()
		return
	}
	d.deal()
}

// end finishes all polls and returns what is left: the group is deleted or the node
// stops. A poll that comes later is told so.
func (d *dispatcher) end(deleted bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
	if deleted {
		d.forget()
	}
	for _, w := range slices.Clone(d.waiters) {
		d.finish(w)
	}
	d.returnSpare()
	if d.pull != nil {
		d.drop(d.pull)
	}
	over := d.handed.all()
	if !deleted {
		// Whoever serves the group next must know what reached a client.
		d.s.spawn(func() { d.s.charge(d.q, d.ref, over) })
	}
}

// endMoved ends all polls because the group reads from elsewhere now. What this reading
// has handed out is nobody's any more. The caller may hold session.mu.
func (d *dispatcher) endMoved() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended, d.moved = true, true
	d.forget()
	for _, w := range slices.Clone(d.waiters) {
		d.finish(w)
	}
	d.spare = nil
	if d.pull != nil {
		d.drop(d.pull)
	}
	d.handed.all()
}

func (d *dispatcher) goneError(ctx context.Context) error {
	if err := d.s.gone(ctx, d.ref.Queue); err != nil {
		return err
	}
	return dms.Errorf(dms.GroupNotFound, "the consumer group does not exist")
}
