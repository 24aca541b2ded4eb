package mapping

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"dms/mapping/dms"

	"github.com/nats-io/nats.go"
)

type pull struct {
	until  time.Time
	left   int // deliveries still to come
	sweep  int // how far it looks for what has timed out for the last time; 0: not a sweep
	forget func()
	expiry *time.Timer // if the log says nothing at all
	over   chan struct{}
}

// ask places a pull when polls wait and none is on its way. The caller holds d.mu.
func (d *dispatcher) ask() {
	if d.pull != nil || d.ended || len(d.waiters) == 0 || d.s.base.Err() != nil {
		return
	}
	now := time.Now()
	p := &pull{over: make(chan struct{})}
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
	if !d.findPlace() {
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
		Subject: pullPrefix + streamName(d.ref.Queue) + "." + d.ref.consumer(),
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
	status, description := m.Header.Get(statusHeader), m.Header.Get("Description")
	switch {
	case status == "" || status == "100": // a heartbeat
	case description == "Batch Completed" || description == "Message Size Exceeds MaxBytes":
		// These overtake the deliveries, which wait until a quorum knows of them.
		if unused, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages")); err == nil {
			d.came(p, unused, 0)
			return
		}
		fallthrough
	default:
		d.pullEnded(p, pullStatus(status, description))
	}
}

// came counts down what is still to come of the pull, whose last delivery ends it.
func (d *dispatcher) came(p *pull, n int, deliveries uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p == nil || p != d.pull {
		return
	}
	if p.left -= n; p.left > 0 {
		return
	}
	d.drop(p)
	if p.sweep > 1 && deliveries > 1 && d.pull == nil {
		d.placeSweep(p.sweep - 1)
	}
	d.finishServed()
}

// drop forgets the pull. The caller holds d.mu.
func (d *dispatcher) drop(p *pull) {
	p.forget()
	close(p.over)
	if p.expiry != nil {
		p.expiry.Stop()
	}
	if d.pull == p {
		d.pull = nil
	}
	if p.sweep > 0 && len(d.waiters) == 0 {
		d.returnSpare() // nobody asked for it
	}
	if d.sweepNext && d.pull == nil {
		d.placeSweep(sweepDepth)
	}
}

// shortPull is how long a pull may still last that a stopping session waits for.
const shortPull = 500 * time.Millisecond

// awaitPull waits for the end of a pull that ends shortly, or for the context's. What a
// pull brings after it was given up waits until the log offers it again. The session is
// stopping, so that no pull follows.
func (d *dispatcher) awaitPull(ctx context.Context) {
	d.mu.Lock()
	p := d.pull
	d.mu.Unlock()
	if p == nil || time.Until(p.until) > shortPull {
		return
	}
	select {
	case <-p.over:
	case <-ctx.Done():
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
		d.s.dropGroup(d.ref.GroupRef)
		return dms.Errorf(dms.GroupNotFound, "the consumer group does not exist")
	}
	if g.Gen > d.ref.gen {
		d.s.dispatcher(d.q, reading{d.ref.GroupRef, g.Gen}) // this one ends
		return nil
	}
	return toError(d.s.consumer(ctx, d.ref, *g))
}
