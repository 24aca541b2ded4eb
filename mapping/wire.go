package mapping

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// wire sends requests on one connection and hands the replies to whoever waits. All
// replies come through one subscription, so a request costs no subscribing, and many
// requests can be on their way before the first reply is awaited.
type wire struct {
	conn   *nats.Conn
	prefix string
	sub    *nats.Subscription
	next   atomic.Uint64

	mu        sync.Mutex
	waiting   map[string]func(*nats.Msg) // by token, until forgotten
	consumers map[string]func(*nats.Msg) // by "stream.consumer", until forgotten
}

var errClosed = errors.New("the connection is closed")

func newWire(conn *nats.Conn) (*wire, error) { return wireAt(conn, conn.NewInbox()+".") }

// wireAt has the replies come to subjects with a prefix.
func wireAt(conn *nats.Conn, prefix string) (*wire, error) {
	w := &wire{conn: conn, prefix: prefix, waiting: make(map[string]func(*nats.Msg)), consumers: make(map[string]func(*nats.Msg))}
	sub, err := conn.Subscribe(w.prefix+"*", w.arrived)
	if err != nil {
		return nil, err
	}
	// Replies wait in memory for the one reader; what can be outstanding is bounded
	// by the callers, so the subscription itself need not drop anything.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, errors.Join(err, sub.Unsubscribe())
	}
	w.sub = sub
	return w, nil
}

// arrived hands on a message. A delivery bears the subject it was stored under and
// names its consumer in the subject to acknowledge it on; everything else bears the
// reply subject it was sent to.
func (w *wire) arrived(m *nats.Msg) {
	var f func(*nats.Msg)
	if consumer, ok := consumerOf(m.Reply); ok {
		w.mu.Lock()
		f = w.consumers[consumer]
		w.mu.Unlock()
		if f == nil {
			// Nobody here wants it any more, so it goes to somebody else at once. If
			// even that fails it goes when its time is over.
			_ = w.conn.Publish(m.Reply, []byte("-NAK"))
		}
	} else {
		token := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
		w.mu.Lock()
		f = w.waiting[token]
		w.mu.Unlock()
	}
	if f != nil {
		f(m)
	}
}

// deliveries registers f for what a consumer delivers until forget is called. f runs
// on the connection's reader and must not block.
func (w *wire) deliveries(stream, consumer string, f func(*nats.Msg)) (forget func()) {
	key := stream + "." + consumer
	w.mu.Lock()
	defer w.mu.Unlock()
	w.consumers[key] = f
	return func() {
		w.mu.Lock()
		delete(w.consumers, key)
		w.mu.Unlock()
	}
}

// drain ends the wire's interest in replies and waits until those that are on their way
// have been handed on, or the time is over.
func (w *wire) drain(within time.Duration) {
	closed := make(chan struct{})
	w.sub.SetClosedHandler(func(string) { close(closed) })
	if err := w.sub.Drain(); err != nil {
		return // the connection is gone, and nothing is on its way any more
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
	}
}

// expect registers f for the replies to the returned subject until forget is called.
// f runs on the connection's reader and must not block.
func (w *wire) expect(f func(*nats.Msg)) (reply string, forget func()) {
	token := strconv.FormatUint(w.next.Add(1), 36)
	w.mu.Lock()
	w.waiting[token] = f
	w.mu.Unlock()
	return w.prefix + token, func() {
		w.mu.Lock()
		delete(w.waiting, token)
		w.mu.Unlock()
	}
}

// call is a request on its way.
type call struct {
	reply  chan *nats.Msg
	forget func()
}

// start publishes a request and returns without waiting. The caller must wait.
func (w *wire) start(m *nats.Msg) (*call, error) {
	c := &call{reply: make(chan *nats.Msg, 1)}
	m.Reply, c.forget = w.expect(func(m *nats.Msg) {
		select {
		case c.reply <- m:
		default: // only the first reply counts
		}
	})
	if err := w.conn.PublishMsg(m); err != nil {
		c.forget()
		return nil, err
	}
	return c, nil
}

// wait returns the reply, or the context's cause. A reply that says that no one
// serves the subject is nats.ErrNoResponders.
func (c *call) wait(ctx context.Context) (*nats.Msg, error) {
	defer c.forget()
	select {
	case m := <-c.reply:
		return served(m)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// served tells a reply from word that no one serves the subject.
func served(m *nats.Msg) (*nats.Msg, error) {
	if len(m.Data) == 0 && m.Header.Get(statusHeader) == "503" {
		return nil, nats.ErrNoResponders
	}
	return m, nil
}

// ask is start and wait.
func (w *wire) ask(ctx context.Context, subject string, data []byte) (*nats.Msg, error) {
	c, err := w.start(&nats.Msg{Subject: subject, Data: data})
	if err != nil {
		return nil, err
	}
	return c.wait(ctx)
}

// repeatEvery is how long look waits before it asks again.
const repeatEvery = 500 * time.Millisecond

// look is ask for what changes nothing and is answered by whoever leads. Whoever does not,
// or not yet, drops the question without a word, so that it is put again and again. What
// is answered late is heard all the same.
func (w *wire) look(ctx context.Context, subject string, data []byte) (*nats.Msg, error) {
	question := &nats.Msg{Subject: subject, Data: data}
	c, err := w.start(question)
	if err != nil {
		return nil, err
	}
	defer c.forget()
	again := time.NewTicker(repeatEvery)
	defer again.Stop()
	for {
		select {
		case m := <-c.reply:
			return served(m)
		case <-again.C:
			if err := w.conn.PublishMsg(question); err != nil {
				return nil, err
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// askAll sends all requests before it waits for the first reply, and passes every outcome
// to f in their order.
func (w *wire) askAll(ctx context.Context, requests []*nats.Msg, f func(i int, reply *nats.Msg, err error)) {
	calls := make([]*call, len(requests))
	failed := make([]error, len(requests))
	for i, m := range requests {
		calls[i], failed[i] = w.start(m)
	}
	for i, c := range calls {
		var m *nats.Msg
		if failed[i] == nil {
			m, failed[i] = c.wait(ctx)
		}
		f(i, m, failed[i])
	}
}

const statusHeader = "Status"
