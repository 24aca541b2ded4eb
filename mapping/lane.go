package mapping

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"dms/mapping/dms"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// dueMessage is a message on its way from the delay store into its queue.
type dueMessage struct {
	*nats.Msg
	came  time.Time
	due   time.Time
	queue dms.QueueID
	seq   uint64 // in the delay store, of one that is overdue
	moved bool   // it is stored, or its queue is gone
	err   error  // final
}

func newDueMessage(m *nats.Msg) (*dueMessage, error) {
	at, err := strconv.ParseInt(m.Header.Get(headerDue), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("delayed message: due time: %w", err)
	}
	queue, ok := queueOfSubject(m.Header.Get(headerSubject))
	if !ok {
		return nil, fmt.Errorf("delayed message for the unknown subject %s", m.Header.Get(headerSubject))
	}
	return &dueMessage{Msg: m, came: time.Now(), due: time.UnixMilli(at), queue: queue}, nil
}

// inQueue is the message as the queue stores it.
func (d *dueMessage) inQueue() *nats.Msg {
	m := &nats.Msg{
		Subject: d.Header.Get(headerSubject),
		Data:    d.Data,
		Header:  nats.Header{jetstream.MsgIDHeader: {d.Header.Get(headerID)}},
	}
	if trace := traceOf(d.Header); trace != "" {
		m.Header[headerTrace] = []string{trace}
	}
	return m
}

// enter puts a due message into the lane of its queue. Lanes keep the order in which
// messages became due, and do not wait for each other: a queue whose leader is away
// holds up nobody else's messages. The log bounds how many wait.
func (v *mover) enter(m *nats.Msg) {
	d, err := newDueMessage(m)
	if err != nil {
		v.handBack(m)
		v.complain(err)
		return
	}
	lane := string(d.queue)
	v.mu.Lock()
	defer v.mu.Unlock()
	waiting, runs := v.lanes[lane]
	v.lanes[lane] = append(waiting, d)
	if !runs {
		v.s.spawn(func() { v.follow(lane) })
	}
}

// follow moves what is in a lane until it is empty.
func (v *mover) follow(lane string) {
	ctx := v.s.base
	for {
		batch := v.next(lane)
		if batch == nil {
			return
		}
		if err := v.move(ctx, batch); err != nil {
			for _, d := range batch {
				if !d.moved {
					v.handBack(d.Msg)
				}
			}
			if ctx.Err() == nil {
				v.complain(err)
			}
		}
	}
}

// next takes from the front of a lane what is due when its first is. It returns nil when
// the lane is empty, and the lane is gone.
func (v *mover) next(lane string) []*dueMessage {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	for {
		waiting := v.lanes[lane]
		if len(waiting) == 0 {
			delete(v.lanes, lane)
			return nil
		}
		first := waiting[0]
		if now.Sub(first.came) > moverAckWait*3/4 {
			v.lanes[lane] = waiting[1:]
			continue // it is about to come again, perhaps to a mover with less to do
		}
		n := 1
		for n < len(waiting) && n < moverBatch && !waiting[n].due.After(later(first.due, now)) {
			n++
		}
		v.lanes[lane] = waiting[n:]
		return waiting[:n:n]
	}
}

// handBack offers what could not be moved to the other movers at once.
func (v *mover) handBack(all ...*nats.Msg) {
	for _, m := range all {
		if m.Reply != "" {
			_ = v.s.conn.Publish(m.Reply, []byte("-NAK"))
		}
	}
}

func (v *mover) complain(err error) {
	v.s.log.LogAttrs(v.s.base, slog.LevelWarn, "cannot move a delayed message; it is tried again", slog.Any("err", err))
}

// move stores due messages of one queue, and then acknowledges them.
func (v *mover) move(ctx context.Context, batch []*dueMessage) error {
	select {
	case <-time.After(time.Until(batch[0].due)):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	refused := v.deliver(ctx, batch)
	// An answer that is lost with its leader must not hold up the lane. What is not
	// acknowledged in the end comes again and is known by its id.
	unsettled := hold(ctx, func(ctx context.Context) error { return v.settle(ctx, batch) })
	return errors.Join(refused, unsettled)
}

// deliver stores the messages, for as long as it takes, unless their queue is gone.
func (v *mover) deliver(ctx context.Context, batch []*dueMessage) error {
	for pause := firstPause; ; pause = min(2*pause, longestStop) {
		err := v.attempt(ctx, batch)
		if errors.Is(err, nats.ErrNoResponders) && v.orphan(ctx, batch[0]) {
			for _, d := range batch {
				d.moved = true
			}
			return nil
		}
		if err == nil || !transient(err) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// attempt publishes what is not stored yet before it waits for the first answer. It
// returns an error that may pass while there is one, and otherwise one that will not.
func (v *mover) attempt(ctx context.Context, batch []*dueMessage) error {
	ctx, cancel := context.WithTimeout(ctx, attemptFor)
	defer cancel()
	calls := make([]*call, len(batch))
	var passing, final error
	for i, d := range batch {
		if d.moved || d.err != nil {
			continue
		}
		var err error
		if calls[i], err = v.s.calls.start(d.inQueue()); err != nil {
			passing = err
		}
	}
	for i, c := range calls {
		if c == nil {
			continue
		}
		answer, err := c.wait(ctx)
		if err == nil {
			err = reply(answer, nil)
		}
		switch {
		case err == nil:
			batch[i].moved = true
		case transient(err):
			passing = err
		default:
			batch[i].err = err
		}
	}
	for _, d := range batch {
		final = errors.Join(final, d.err)
	}
	if passing != nil {
		return passing
	}
	return final
}

// settle acknowledges what has been moved and waits until that is on record.
func (v *mover) settle(ctx context.Context, batch []*dueMessage) error {
	var acks []*nats.Msg
	for _, d := range batch {
		if d.moved {
			acks = append(acks, &nats.Msg{Subject: d.Reply})
		}
	}
	var failed error
	v.s.calls.askAll(ctx, acks, func(_ int, _ *nats.Msg, err error) { failed = cmp.Or(err, failed) })
	return failed
}
