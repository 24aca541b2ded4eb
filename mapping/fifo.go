package mapping

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"dms/mapping/dms"
)

const (
	// leaseGrace is how much longer a lease is held than its handles are good for.
	leaseGrace = time.Second
	// recheck is how often a waiting poll asks the leader although nothing woke it,
	// in case a wake-up was lost.
	recheck = 5 * time.Second
)

type readerKey struct {
	ref  dms.GroupRef
	kind dms.Kind
}

// reader reads one group's messages in strict order, through its cursor: a FIFO
// queue, or the dead letters of any group. Polls on this node take turns; between
// nodes the cursor's compare-and-set decides.
type reader struct {
	s    *session
	q    *queue
	ref  dms.GroupRef
	kind dms.Kind
	key  string // of the cursor

	turn chan struct{} // holds one token, taken by the poll that looks
	bell chan struct{} // rings when something may have changed

	mu    sync.Mutex
	known bool // c and rev are the newest this node has seen
	c     cursor
	rev   uint64
	// since is when this node first saw the revision, on its own clock. A lease of
	// another node has ended when the same revision has stood for its ack_wait:
	// clocks of two nodes are never compared.
	since time.Time
	// heardRev and heardAt are the newest revision this node was told of.
	heardRev uint64
	heardAt  time.Time
	quiet    time.Time // until then there is nothing in the lane, unless something wakes it
	ends     time.Time // of a lease this node granted in this run
	mine     string    // the batch of that lease
}

func (s *session) reader(q *queue, ref dms.GroupRef, kind dms.Kind) *reader {
	key := readerKey{ref: ref, kind: kind}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.readers[key]
	if !ok {
		r = &reader{
			s: s, q: q, ref: ref, kind: kind,
			key:  cursorKey(ref, kind),
			turn: make(chan struct{}, 1),
			bell: make(chan struct{}, 1),
		}
		r.turn <- struct{}{}
		s.readers[key] = r
	}
	return r
}

// wakeReaders rings for the readers of a queue, or of one of its groups.
func (s *session) wakeReaders(queue, group string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, r := range s.readers {
		if queueKey(key.ref.Queue) == queue && (group == "" || groupKey(key.ref.Group) == group) {
			r.wake()
		}
	}
}

func (r *reader) wake() {
	if r.kind == dms.Again {
		r.mu.Lock()
		r.quiet = time.Time{}
		r.mu.Unlock()
	}
	select {
	case r.bell <- struct{}{}:
	default: // it rings already
	}
}

// receive grants a lease on the next messages, waiting for a live lease to end and
// for messages to come.
func (r *reader) receive(ctx context.Context, req dms.Receive) (dms.Batch, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(r.s.base, func() { cancel(errStopping) })()
	waited, stop := context.WithTimeoutCause(ctx, req.Wait, errNothing)
	defer stop()
	select {
	case <-r.turn:
	case <-req.Until:
		return dms.Batch{}, nil
	case <-waited.Done():
		return dms.Batch{}, quiet(waited)
	}
	defer func() { r.turn <- struct{}{} }()
	for {
		batch, next, err := r.tryBoth(ctx, req)
		if err != nil {
			return dms.Batch{}, toError(err)
		}
		if len(batch.Deliveries) > 0 {
			if ctx.Err() != nil { // the caller left while we wrote
				batch.Return()
				return dms.Batch{}, quiet(ctx)
			}
			return batch, nil
		}
		timer := time.NewTimer(next)
		select {
		case <-r.bell:
		case <-timer.C:
		case <-req.Until:
			timer.Stop()
			return dms.Batch{}, nil
		case <-waited.Done():
			timer.Stop()
			return dms.Batch{}, quiet(waited)
		}
		timer.Stop()
	}
}

// tryBoth is try, but looks into the group's lane first. While a batch of the one is
// outstanding nothing of the other is handed out, so that a FIFO group has one batch at a
// time.
func (r *reader) tryBoth(ctx context.Context, req dms.Receive) (dms.Batch, time.Duration, error) {
	if r.kind != dms.Live {
		return r.try(ctx, req)
	}
	g, err := r.s.group(ctx, r.q, r.ref.Group)
	if err != nil {
		return dms.Batch{}, 0, err
	}
	if !g.Again {
		return r.try(ctx, req)
	}
	c, _, err := r.current(ctx)
	if err != nil {
		return dms.Batch{}, 0, err
	}
	if c.Lease != nil && r.leaseLeft(c) > 0 {
		return r.try(ctx, req)
	}
	batch, next, leased, err := r.s.reader(r.q, r.ref, dms.Again).offer(ctx, req)
	if err != nil || len(batch.Deliveries) > 0 || leased {
		return batch, next, err
	}
	batch, later, err := r.try(ctx, req)
	return batch, min(next, later), err
}

// stream is the store that is read.
func (r *reader) stream() string {
	switch r.kind {
	case dms.Dead, dms.Again:
		return deadStream
	}
	return streamName(r.ref.Queue)
}

var errNothing = errors.New("nothing came in time")

// quiet turns the end of a wait into its outcome: nothing, when the time is over or
// the node stops, and an error when the caller has gone.
func quiet(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, errNothing) || errors.Is(cause, errStopping) {
		return nil
	}
	return dms.Wrap(dms.Unavailable, cause)
}

// try grants a lease if it can. If not, it says after which time to look again.
func (r *reader) try(ctx context.Context, req dms.Receive) (dms.Batch, time.Duration, error) {
	for {
		c, rev, err := r.current(ctx)
		if err != nil {
			return dms.Batch{}, 0, err
		}
		if rev == 0 {
			// No cursor: a new group, or one that has been deleted on another node.
			if _, err := r.s.groupNow(ctx, r.ref); err != nil {
				return dms.Batch{}, 0, err
			}
		}
		if c.Lease != nil {
			if left := r.leaseLeft(c); left > 0 && (planted != leaseOverlap || !unlucky()) {
				return dms.Batch{}, min(left, recheck), nil
			}
			if err := r.expire(ctx, c, rev); err != nil {
				return dms.Batch{}, 0, err
			}
			continue
		}
		if buried, err := r.buryHead(ctx, c, rev); buried || err != nil {
			if err != nil {
				return dms.Batch{}, 0, err
			}
			continue
		}
		found, err := r.read(ctx, c, req.Max)
		if err != nil {
			return dms.Batch{}, 0, err
		}
		if len(found) == 0 {
			return dms.Batch{}, recheck, nil
		}
		batch, err := r.grant(ctx, c, rev, found, req)
		if errors.Is(err, errConflict) {
			continue // somebody else was faster
		}
		return batch, 0, err
	}
}

// grant writes the lease and makes the handles. Their time runs from before the
// write, so that it is over before the lease is.
func (r *reader) grant(ctx context.Context, c cursor, rev uint64, found []found, req dms.Receive) (dms.Batch, error) {
	start, ackWait := time.Now(), req.AckWait
	rc := receipt{ref: r.ref, kind: r.kind, batch: randomBatch(), size: byte(len(found)), node: r.s.b.node, deadline: start.Add(ackWait)}
	l := lease{Batch: rc.batchKey(), Node: r.s.b.nodeKey(), AckWait: ackWait, Seqs: make([]uint64, len(found))}
	for i, f := range found {
		l.Seqs[i] = f.seq
	}
	c = c.clone()
	c.grant(l, start)
	if err := r.write(ctx, c, rev, start.Add(ackWait+leaseGrace)); err != nil {
		if !errors.Is(err, errConflict) {
			// It may have been written all the same, and no one has the handles.
			r.s.spawn(func() { r.giveBack(l.Batch) })
		}
		return dms.Batch{}, err
	}
	batch := dms.Batch{
		Deliveries: make([]dms.Delivery, len(found)),
		Return:     func() { r.s.spawn(func() { r.giveBack(l.Batch) }) },
	}
	for i, f := range found {
		rc.place, rc.seq = byte(i), f.seq
		rc.deliveries = 1
		if i == 0 {
			rc.deliveries = uint32(c.Failures + 1)
		}
		batch.Deliveries[i] = dms.Delivery{Payload: f.payload, Handle: r.s.b.sealer.seal(rc), Trace: f.trace()}
		if req.Meta {
			batch.Deliveries[i].Meta = r.metaOf(c, f, int(rc.deliveries), start)
		}
	}
	if r.limited() && c.Failures+1 >= r.q.MaxConsume() {
		end := start.Add(ackWait + 2*leaseGrace)
		r.s.sweepAt(r.q, r.ref, end, end)
	}
	return batch, nil
}

// limited reports whether messages read here become dead letters.
func (r *reader) limited() bool { return r.kind != dms.Dead && r.q.DeadLetters() }

// leaseLeft is how long the lease is still to be respected.
func (r *reader) leaseLeft(c cursor) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.Lease.Batch == r.mine && c.Lease.Node == r.s.b.nodeKey() {
		return time.Until(r.ends)
	}
	return time.Until(r.since.Add(c.Lease.AckWait + leaseGrace))
}

// expire ends a lease whose time is over and charges its first message.
func (r *reader) expire(ctx context.Context, c cursor, rev uint64) error {
	c = c.clone()
	if c.Lease.Pause {
		c.release()
	} else {
		c.fail(reasonExpired)
	}
	err := r.write(ctx, c, rev, time.Time{})
	if errors.Is(err, errConflict) {
		return nil
	}
	return err
}

// giveBack ends a lease whose deliveries did not reach the caller; nobody is charged.
func (r *reader) giveBack(batch string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.s.base), attemptFor)
	defer cancel()
	_, err := r.update(ctx, func(c *cursor) (bool, error) {
		if c.Lease == nil || c.Lease.Batch != batch {
			return false, nil
		}
		c.release()
		return true, nil
	})
	if err != nil {
		r.s.log.LogAttrs(ctx, slog.LevelWarn, "a returned batch waits for its time", slog.Any("err", err))
	}
}

// buryHead makes a dead letter of the first message when its failures are used up.
func (r *reader) buryHead(ctx context.Context, c cursor, rev uint64) (bool, error) {
	if !r.limited() || c.Head == 0 || c.Failures < r.q.MaxConsume() {
		return false, nil
	}
	m, err := r.s.stored(ctx, r.stream(), c.Head)
	if err != nil && !absent(err) {
		return false, err
	}
	if err == nil { // otherwise it has expired, and nothing is left to bury
		f, err := m.found()
		if err != nil {
			return false, err
		}
		l := letter{at: reading{r.ref, c.Gen}, seq: c.Head, id: f.id(), payload: f.payload, failures: c.Failures, reason: c.Reason}
		if r.kind == dms.Again {
			l.again = c.Head
			l.seq, _ = strconv.ParseUint(f.header.Get(headerSource), 10, 64) // 0 when it is not known
		}
		if err := r.s.bury(ctx, l); err != nil {
			return false, err
		}
	}
	c = c.clone()
	c.bury()
	err = r.write(ctx, c, rev, time.Time{})
	if errors.Is(err, errConflict) {
		err = nil
	}
	return true, err
}

// sweep ends a lease that has timed out and buries what has failed for good, in case
// nobody consumes.
func (r *reader) sweep(ctx context.Context) {
	select {
	case <-r.turn:
	default:
		return // a poll is looking already
	}
	defer func() { r.turn <- struct{}{} }()
	for {
		c, rev, err := r.load(ctx)
		if err != nil {
			return
		}
		if c.Lease != nil {
			if r.leaseLeft(c) > 0 {
				return
			}
			if r.expire(ctx, c, rev) != nil {
				return
			}
			continue
		}
		if buried, err := r.buryHead(ctx, c, rev); !buried || err != nil {
			return
		}
	}
}
