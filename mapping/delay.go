package mapping

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
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
}

func newMover(s *session) *mover {
	return &mover{s: s, store: needed{config: delayConfig}, bell: make(chan struct{}, 1)}
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
	moved, err := v.pull(ctx)
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
	if moved > 0 {
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

// pull waits for due messages and moves them in the order they became due.
func (v *mover) pull(ctx context.Context) (moved int, err error) {
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
					return moved, err
				}
				return moved, nil
			}
			if err := v.move(ctx, m); err != nil {
				v.handBack(m, arrivals)
				return moved, err
			}
			moved++
		case <-over.C:
			return moved, nil
		case <-ctx.Done():
			v.handBack(nil, arrivals)
			return moved, context.Cause(ctx)
		}
	}
	return moved, nil
}

// handBack offers what could not be moved to the other movers at once.
func (v *mover) handBack(one *nats.Msg, rest <-chan *nats.Msg) {
	for m := one; ; {
		if m != nil && m.Reply != "" {
			_ = v.s.conn.Publish(m.Reply, []byte("-NAK"))
		}
		select {
		case m = <-rest:
		default:
			return
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
	if err := v.deliver(ctx, m, id); err != nil {
		return err
	}
	_, err = v.s.calls.ask(ctx, due.Reply, nil)
	return err
}

// deliver stores the message, for as long as it takes, unless its queue is gone.
func (v *mover) deliver(ctx context.Context, m *nats.Msg, id string) error {
	for {
		_, err := v.s.publish(ctx, m, id)
		if !has(toError(err), dms.Unavailable) {
			return err
		}
		queue, ok := queueOfSubject(m.Subject)
		if !ok {
			return fmt.Errorf("delayed message for the unknown subject %s", m.Subject)
		}
		if err := v.s.gone(ctx, queue); has(err, dms.QueueNotFound) {
			return nil
		}
		if ctx.Err() != nil {
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
