package mapping

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"dms/mapping/dms"

	"github.com/nats-io/nats.go"
)

const (
	// longestPull is how long one pull waits at the log. Every waiting pull costs two
	// entries of the consumer's replicated log, so polls share it.
	longestPull = 30 * time.Second
	largestPull = 1000
	// linger is how long a poll that has something waits for more when the log does
	// not say that there is none, which it does not while a group has as much
	// outstanding as it may.
	linger = 5 * time.Millisecond
	// keepSpare is how long a delivery that nobody waits for any more is kept for
	// the next poll before it goes back to the queue.
	keepSpare = 200 * time.Millisecond
)

// dispatcher hands the messages of one group of a NORMAL queue to the polls that
// wait on this node. There is at most one pull on its way; what arrives is dealt out
// in the order the polls came. Without polls there is no pull, and no traffic.
type dispatcher struct {
	s      *session
	q      *queue
	ref    dms.GroupRef
	group  groupRecord
	forget func() // stops deliveries from being handed to the dispatcher

	mu      sync.Mutex
	ended   bool
	waiters []*waiter
	spare   []*arrival
	pull    *pull
	flush   *time.Timer // ends polls that have something, after linger
	giveUp  *time.Timer // returns spare deliveries, after keepSpare
	failing int         // pulls in a row that could not be placed
}

// arrival is one delivery of the log.
type arrival struct {
	delivered
	payload []byte
	base    time.Time // from when on the handle's time runs
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

type pull struct {
	started time.Time
	until   time.Time
	left    int  // deliveries still to come
	sweep   bool // only looks for what has timed out for the last time
	forget  func()
	expiry  *time.Timer // if the log says nothing at all
}

func (s *session) dispatcher(q *queue, ref dms.GroupRef, g groupRecord) *dispatcher {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.dispatchers[ref]
	if !ok {
		d = &dispatcher{s: s, q: q, ref: ref, group: g}
		d.forget = s.pulls.deliveries(streamName(ref.Queue), consumerName(ref.Group), d.delivered)
		s.dispatchers[ref] = d
	}
	return d
}

// receive waits for messages until the wait is over or the caller is gone. A caller
// that is gone gets nothing, and what was meant for it goes to the next one.
func (d *dispatcher) receive(ctx context.Context, most int, wait time.Duration) ([]*arrival, error) {
	w := &waiter{want: most, room: dms.MaxMessageSize, until: time.Now().Add(wait), done: make(chan struct{})}
	d.mu.Lock()
	if d.ended {
		d.mu.Unlock()
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
		return w.got, w.err
	case <-timer.C:
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
	return w.got, w.err
}

// deal gives spare deliveries to polls, in the order both came. The caller holds d.mu.
func (d *dispatcher) deal() {
	for len(d.spare) > 0 && len(d.waiters) > 0 {
		w, a := d.waiters[0], d.spare[0]
		if len(w.got) > 0 && len(a.payload) > w.room {
			d.finish(w)
			continue
		}
		d.spare = d.spare[1:]
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
		d.later(&d.flush, linger, d.finishServed)
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
	back := d.spare
	d.spare = nil
	d.s.spawn(func() { d.s.giveBack(d.q, d.ref, back) })
}

// ask places a pull when polls wait and none is on its way. The caller holds d.mu.
func (d *dispatcher) ask() {
	if d.pull != nil || d.ended || len(d.waiters) == 0 || d.s.base.Err() != nil {
		return
	}
	now := time.Now()
	p := &pull{started: now}
	polls := 0
	for _, w := range d.waiters {
		if len(w.got) > 0 {
			continue
		}
		polls++
		p.left += w.want
		if w.until.After(p.until) {
			p.until = w.until
		}
	}
	expires := min(p.until.Sub(now), longestPull)
	if polls == 0 || expires < time.Millisecond {
		return
	}
	p.left = min(p.left, largestPull)
	d.place(p, pullRequest(p.left, polls, expires))
	p.expiry = time.AfterFunc(expires+time.Second, func() { d.pullEnded(p, nil) })
}

// pullRequest asks for what is there, or for the first message to come.
func pullRequest(batch, polls int, expires time.Duration) []byte {
	b := make([]byte, 0, 96)
	b = append(b, `{"batch":`...)
	b = strconv.AppendInt(b, int64(batch), 10)
	b = append(b, `,"max_bytes":`...)
	b = strconv.AppendInt(b, int64(polls)*(maxStored+4096), 10)
	b = append(b, `,"no_wait":true,"expires":`...)
	b = strconv.AppendInt(b, expires.Nanoseconds(), 10)
	return append(b, '}')
}

// place sends the pull. The caller holds d.mu.
func (d *dispatcher) place(p *pull, request []byte) {
	var inbox string
	inbox, p.forget = d.s.pulls.expect(func(m *nats.Msg) { d.status(p, m) })
	d.pull = p
	err := d.s.conn.PublishMsg(&nats.Msg{
		Subject: pullPrefix + streamName(d.ref.Queue) + "." + consumerName(d.ref.Group),
		Reply:   inbox,
		Data:    request,
	})
	if err != nil {
		d.s.spawn(func() { d.pullEnded(p, err) })
	}
}

// status takes what the log says of the pull itself. It runs on the connection's
// reader, as delivered does.
func (d *dispatcher) status(p *pull, m *nats.Msg) {
	if status := m.Header.Get(statusHeader); status != "" && status != "100" { // 100 is a heartbeat
		d.pullEnded(p, pullStatus(status, m.Header.Get("Description")))
	}
}

// delivered takes one delivery, of the present pull or of one that was given up.
func (d *dispatcher) delivered(m *nats.Msg) {
	at, ok := parseDelivered(m.Reply)
	if !ok {
		return
	}
	a := &arrival{delivered: at, payload: m.Data, base: time.Now()}
	if d.mayBeDead(at) {
		// Reading how many failures count takes a round trip, which may not be made
		// on the connection's reader.
		d.s.spawn(func() { d.judge(a) })
	} else {
		d.take(a)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.pull; p != nil {
		if p.left--; p.left <= 0 {
			d.drop(p)
			d.finishServed()
		}
	}
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

// drop forgets the pull. The caller holds d.mu.
func (d *dispatcher) drop(p *pull) {
	p.forget()
	if p.expiry != nil {
		p.expiry.Stop()
	}
	if d.pull == p {
		d.pull = nil
	}
	if p.sweep && len(d.waiters) == 0 {
		d.returnSpare() // nobody asked for it
	}
}

var (
	errPullOver     = errors.New("the pull is over")
	errPullRefused  = errors.New("the log refused the pull")
	errConsumerGone = errors.New("the consumer is gone")
)

// pullStatus says what a status means: nothing (the pull is over), that the consumer
// may not exist, or that it is to be tried again in a moment.
func pullStatus(status, description string) error {
	switch {
	case status == "404" || status == "408":
		return errPullOver
	case status == "503" || description == "Consumer Deleted":
		return errConsumerGone
	}
	return errPullRefused
}

// pullEnded forgets the pull, ends the polls it has served, and asks again for the
// others. When the consumer may not exist the record decides.
func (d *dispatcher) pullEnded(p *pull, why error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pull != p {
		return
	}
	d.drop(p)
	if why == nil || errors.Is(why, errPullOver) {
		d.failing = 0
		d.finishServed()
		return
	}
	d.failing++
	pause := min(firstPause<<min(d.failing, 5), longestStop)
	d.s.spawn(func() { d.recover(why, pause) })
}

// recover asks again after a pause, making the consumer if it is missing.
func (d *dispatcher) recover(why error, pause time.Duration) {
	ctx, cancel := context.WithTimeout(d.s.base, holdFor)
	defer cancel()
	var err error
	if !errors.Is(why, errPullRefused) {
		err = d.prepare(ctx)
	}
	select {
	case <-time.After(pause):
	case <-d.s.base.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if own, ok := errors.AsType[*dms.Error](err); ok && own.Code != dms.Unavailable {
		for _, w := range slices.Clone(d.waiters) {
			w.err = err
			d.finish(w)
		}
		return
	}
	if err != nil {
		d.s.log.LogAttrs(ctx, slog.LevelWarn, "cannot read a group", slog.String("group", string(d.ref.Group)), slog.Any("err", err))
	}
	d.finishServed()
}

// prepare makes the consumer if the group still exists.
func (d *dispatcher) prepare(ctx context.Context) error {
	if err := d.s.gone(ctx, d.ref.Queue); err != nil {
		return err
	}
	r, err := d.s.freshRecord(ctx, d.q)
	if err != nil {
		return err
	}
	g := r.group(d.ref.Group)
	if g == nil {
		d.s.dropGroup(d.ref)
		return dms.Errorf(dms.GroupNotFound, "the consumer group does not exist")
	}
	return toError(d.s.consumer(ctx, d.ref, *g))
}

// end finishes all polls and returns what is left: the group is deleted or the node
// stops. A poll that comes later is told so.
func (d *dispatcher) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
	d.forget()
	for _, w := range slices.Clone(d.waiters) {
		d.finish(w)
	}
	d.returnSpare()
	if d.pull != nil {
		d.drop(d.pull)
	}
}

func (d *dispatcher) goneError(ctx context.Context) error {
	if err := d.s.gone(ctx, d.ref.Queue); err != nil {
		return err
	}
	return dms.Errorf(dms.GroupNotFound, "the consumer group does not exist")
}
