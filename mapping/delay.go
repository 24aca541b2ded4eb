package mapping

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"dms/mapping/dms"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The log's headers for a message that is to appear later under another subject.
const (
	scheduleAt     = "Nats-Schedule"
	scheduleTarget = "Nats-Schedule-Target"
)

// headerDue is when the message becomes visible, in epoch milliseconds. The log's
// schedules have a resolution of a second.
const headerDue = "Dms-Due"

const moverBatch = 100

// scheduled is the message as it waits in the delay store. When it is due the log
// puts it under its due subject, without the id of its first publication, so that
// the id travels in a header of our own.
func scheduled(queue dms.QueueID, id dms.MessageID, target string, m dms.Message, now time.Time) *nats.Msg {
	due := now.Add(m.Delay)
	return &nats.Msg{
		Subject: delaySubject(queue, id),
		Data:    m.Payload,
		Header: nats.Header{
			jetstream.MsgIDHeader: {string(id)},
			headerID:              {string(id)},
			headerSubject:         {target},
			headerDue:             {strconv.FormatInt(due.UnixMilli(), 10)},
			scheduleAt:            {"@at " + due.UTC().Format(time.RFC3339Nano)},
			scheduleTarget:        {dueSubject(queue, id)},
		},
	}
}

// mover brings due messages into their queues. Every node with a session of the
// project moves; the log gives each due message to one of them at a time. A message
// that is moved twice is stored once, because it keeps its id.
type mover struct {
	s      *session
	store  needed
	active atomic.Bool   // messages may be waiting in the delay store
	bell   chan struct{} // rings when active becomes true
	begun  atomic.Bool

	mu    sync.Mutex
	lanes map[string][]dueMessage // by queue; a lane that is there is being followed
}

// dueMessage is a message that is due, and when it came.
type dueMessage struct {
	*nats.Msg
	came time.Time
}

func newMover(s *session) *mover {
	return &mover{s: s, store: needed{config: delayConfig}, bell: make(chan struct{}, 1), lanes: make(map[string][]dueMessage)}
}

// prepare makes the delay store and starts moving.
func (v *mover) prepare(ctx context.Context) error {
	if err := v.store.ensure(ctx, v.s); err != nil {
		return err
	}
	if v.begun.CompareAndSwap(false, true) {
		v.s.spawn(v.run)
	}
	v.active.Store(true)
	select {
	case v.bell <- struct{}{}:
	default:
	}
	return nil
}

// resume starts moving if the project has delayed messages from before.
func (v *mover) resume(ctx context.Context) error {
	info, err := v.s.streamInfo(ctx, delayStream, nil)
	if code(err) == codeNoStream {
		return nil
	}
	if err != nil || info.State.Msgs == 0 {
		return err
	}
	return v.prepare(ctx)
}

// waiting reports whether the session must stay open for delayed messages.
func (v *mover) waiting() bool { return v.active.Load() }

// run moves until the session ends. Without delayed messages it sleeps.
func (v *mover) run() {
	ctx := v.s.base
	for ctx.Err() == nil {
		if !v.active.Load() {
			select {
			case <-v.bell:
			case <-ctx.Done():
			}
			continue
		}
		if err := v.round(ctx); err != nil && ctx.Err() == nil {
			v.s.log.LogAttrs(ctx, slog.LevelWarn, "cannot move delayed messages; trying again", slog.Any("err", err))
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}
}

// round pulls once, moves what came, and clears what has been moved.
func (v *mover) round(ctx context.Context) error {
	came, err := v.pull(ctx)
	if errors.Is(err, errConsumerGone) {
		return hold(ctx, func(ctx context.Context) error {
			_, err := v.s.js.CreateConsumer(ctx, delayStream, moverConsumer())
			if errors.Is(err, jetstream.ErrConsumerExists) {
				return nil
			}
			return err
		})
	}
	if err != nil {
		return err
	}
	if came > 0 {
		return v.clear(ctx)
	}
	info, err := v.s.streamInfo(ctx, delayStream, nil)
	if err != nil {
		return err
	}
	if info.State.Msgs == 0 {
		v.active.Store(false)
	}
	return nil
}

// pull waits for due messages and puts each into the lane of its queue.
func (v *mover) pull(ctx context.Context) (came int, err error) {
	arrivals := make(chan *nats.Msg, moverBatch+1)
	arrived := func(m *nats.Msg) {
		select {
		case arrivals <- m:
		default: // more than was asked for; the log offers it again
		}
	}
	inbox, forget := v.s.pulls.expect(arrived)
	defer forget()
	defer v.s.pulls.deliveries(delayStream, moverName, arrived)()
	err = v.s.conn.PublishMsg(&nats.Msg{
		Subject: pullPrefix + delayStream + "." + moverName,
		Reply:   inbox,
		Data:    fmt.Appendf(nil, `{"batch":%d,"no_wait":true,"expires":%d}`, moverBatch, longestPull.Nanoseconds()),
	})
	if err != nil {
		return 0, err
	}
	over := time.NewTimer(longestPull + time.Second)
	defer over.Stop()
	for range moverBatch {
		select {
		case m := <-arrivals:
			if status := m.Header.Get(statusHeader); status != "" {
				if err := pullStatus(status, m.Header.Get("Description")); !errors.Is(err, errPullOver) {
					return came, err
				}
				return came, nil
			}
			v.enter(m)
			came++
		case <-over.C:
			return came, nil
		case <-ctx.Done():
			v.handBack(drained(arrivals)...)
			return came, context.Cause(ctx)
		}
	}
	return came, nil
}

func drained(arrivals <-chan *nats.Msg) (all []*nats.Msg) {
	for {
		select {
		case m := <-arrivals:
			all = append(all, m)
		default:
			return all
		}
	}
}

// enter puts a due message into the lane of its queue. Lanes keep the order in which
// messages became due, and do not wait for each other: a queue whose leader is away
// holds up nobody else's messages. The log bounds how many wait.
func (v *mover) enter(m *nats.Msg) {
	lane := m.Header.Get(headerSubject)
	if queue, ok := queueOfSubject(lane); ok {
		lane = string(queue)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	waiting, runs := v.lanes[lane]
	v.lanes[lane] = append(waiting, dueMessage{m, time.Now()})
	if !runs {
		v.s.spawn(func() { v.follow(lane) })
	}
}

// follow moves what is in a lane until it is empty.
func (v *mover) follow(lane string) {
	for {
		v.mu.Lock()
		if len(v.lanes[lane]) == 0 {
			delete(v.lanes, lane)
			v.mu.Unlock()
			return
		}
		m := v.lanes[lane][0]
		v.lanes[lane] = v.lanes[lane][1:]
		v.mu.Unlock()
		if time.Since(m.came) > moverAckWait*3/4 {
			continue // it is about to come again, perhaps to a mover with less to do
		}
		if err := v.move(v.s.base, m.Msg); err != nil {
			v.handBack(m.Msg)
			if v.s.base.Err() == nil {
				v.s.log.LogAttrs(v.s.base, slog.LevelWarn, "cannot move a delayed message; it is tried again", slog.Any("err", err))
			}
		}
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

// move stores one due message in its queue and then acknowledges it. A queue that
// has been deleted takes its delayed messages with it.
func (v *mover) move(ctx context.Context, due *nats.Msg) error {
	at, err := strconv.ParseInt(due.Header.Get(headerDue), 10, 64)
	if err != nil {
		return fmt.Errorf("delayed message: due time: %w", err)
	}
	select {
	case <-time.After(time.Until(time.UnixMilli(at))):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	id := due.Header.Get(headerID)
	target := due.Header.Get(headerSubject)
	m := &nats.Msg{Subject: target, Data: due.Data, Header: nats.Header{}}
	if trace := traceOf(due); trace != "" {
		m.Header[headerTrace] = []string{trace}
	}
	if err := v.deliver(ctx, m, id); err != nil {
		return err
	}
	// An answer that is lost with its leader must not hold up the lane. What is not
	// acknowledged in the end comes again and is known by its id.
	return hold(ctx, func(ctx context.Context) error {
		_, err := v.s.calls.ask(ctx, due.Reply, nil)
		return err
	})
}

// deliver stores the message, for as long as it takes, unless its queue is gone.
func (v *mover) deliver(ctx context.Context, m *nats.Msg, id string) error {
	queue, ok := queueOfSubject(m.Subject)
	if !ok {
		return fmt.Errorf("delayed message for the unknown subject %s", m.Subject)
	}
	m.Header.Set(jetstream.MsgIDHeader, id)
	for pause := firstPause; ; pause = min(2*pause, longestStop) {
		attempt, done := context.WithTimeout(ctx, attemptFor)
		c, err := v.s.calls.start(m)
		if err == nil {
			var answer *nats.Msg
			if answer, err = c.wait(attempt); err == nil {
				err = reply(answer, nil)
			}
		}
		done()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, nats.ErrNoResponders):
			if has(v.s.gone(ctx, queue), dms.QueueNotFound) {
				return nil
			}
		case !transient(err):
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// clear removes what all movers have acknowledged from the delay store.
func (v *mover) clear(ctx context.Context) error {
	var info jetstream.ConsumerInfo
	err := hold(ctx, func(ctx context.Context) error {
		m, err := v.s.calls.ask(ctx, "$JS.API.CONSUMER.INFO."+delayStream+"."+moverName, nil)
		if err != nil {
			return err
		}
		info = jetstream.ConsumerInfo{}
		return reply(m, &info)
	})
	if err != nil {
		return err
	}
	request := mustJSON(map[string]any{"filter": "due.>", "seq": info.AckFloor.Stream + 1})
	return hold(ctx, func(ctx context.Context) error {
		m, err := v.s.calls.ask(ctx, purgePrefix+delayStream, request)
		if err != nil {
			return err
		}
		return reply(m, nil)
	})
}
