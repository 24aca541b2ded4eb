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
		Subject: delaySubject(queue, id, due),
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
	lanes map[string][]*dueMessage // by queue; a lane that is there is being followed
}

func newMover(s *session) *mover {
	return &mover{s: s, store: needed{config: delayConfig}, bell: make(chan struct{}, 1), lanes: make(map[string][]*dueMessage)}
}

// prepare makes the delay store and starts moving.
func (v *mover) prepare(ctx context.Context) error {
	if err := v.store.ensure(ctx, v.s); err != nil {
		return err
	}
	if v.begun.CompareAndSwap(false, true) {
		v.s.spawn(v.run)
		v.s.spawn((&overdue{v: v}).run)
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
