package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"dms/deploy/engine"

	"github.com/nats-io/nats.go"
)

const (
	stallsSubject = "dms.stalled"
	stallsEvery   = 5 * time.Second
	// stalledLooks is in how many looks in a row a replica must be stalled: an election
	// after a start takes 9 s.
	stalledLooks  = 4
	stallsAnswers = 2 * time.Second
	// forwardedFor is how long a node tells others where a replica stood that goes on.
	forwardedFor = 10 * time.Minute
)

// stalls lets streams go on whose replicas are all stalled, which a power cut of all
// nodes can leave behind. The nodes ask each other in the system account: what the service
// stores for itself may be stalled too.
type stalls struct {
	seat *engine.Seat
	conn *nats.Conn
	node string
	log  *slog.Logger
	// Of the goroutine that looks, which also answers: one connection's messages come
	// through one channel.
	seen map[stall]looks
}

// stall names a stalled stream.
type stall struct{ account, stream string }

// looks is what is known of a stall.
type looks struct {
	engine.Stalled
	times int
	// forwarded is when the replica was let go on; the others may look a little later.
	forwarded time.Time
}

// stallsWords is what a node says.
type stallsWords struct {
	Node    string           `json:"node"`
	Stalled []engine.Stalled `json:"stalled"`
}

// startStalls watches the member of a node that stores by one member.
func (n *Node) startStalls() error {
	one, ok := n.storage.(oneMember)
	if !ok {
		return nil
	}
	conn, err := one.SystemConn()
	if err != nil {
		return fmt.Errorf("watch for stalled streams: %w", err)
	}
	asked := make(chan *nats.Msg, 64) // while the member is stopped to be forwarded, questions wait
	if _, err := conn.ChanSubscribe(stallsSubject, asked); err != nil {
		conn.Close()
		return fmt.Errorf("watch for stalled streams: %w", err)
	}
	s := &stalls{seat: one.Seat, conn: conn, node: n.config.Node, log: n.log, seen: make(map[stall]looks)}
	ctx, cancel := context.WithCancel(n.base)
	done := make(chan struct{})
	go func() { // ends with ctx, and is waited for
		defer close(done)
		s.run(ctx, asked)
	}()
	n.stops.add("stalled streams", func(context.Context) error {
		cancel()
		<-done
		conn.Close()
		return nil
	})
	return nil
}

func (s *stalls) run(ctx context.Context, asked <-chan *nats.Msg) {
	t := time.NewTicker(stallsEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-asked:
			s.answer(m)
		case <-t.C:
			if s.look() {
				s.compare(ctx, asked)
			}
		}
	}
}

// look counts what is stalled, and reports whether something is for long.
func (s *stalls) look() (long bool) {
	m := s.seat.Member()
	if m == nil {
		return false
	}
	all, err := m.Stalled()
	if err != nil {
		s.log.Debug("cannot look for stalled streams", "err", err)
		return false
	}
	now := make(map[stall]looks)
	for _, one := range all {
		k := stall{one.Account, one.Stream}
		l := looks{Stalled: one, times: 1}
		if before, ok := s.seen[k]; ok && before.Stalled == one {
			l.times = before.times + 1
		}
		now[k] = l
		long = long || l.times >= stalledLooks
	}
	for k, before := range s.seen {
		if !before.forwarded.IsZero() && time.Since(before.forwarded) < forwardedFor {
			now[k] = before
		}
	}
	s.seen = now
	return long
}

// words are the stalls of this node that have lasted.
func (s *stalls) words() stallsWords {
	w := stallsWords{Node: s.node}
	for _, l := range s.seen {
		if l.times >= stalledLooks {
			w.Stalled = append(w.Stalled, l.Stalled)
		}
	}
	return w
}

func (s *stalls) answer(m *nats.Msg) {
	text, err := json.Marshal(s.words())
	if err == nil {
		err = m.Respond(text)
	}
	if err != nil {
		s.log.Debug("cannot say what is stalled", "err", err)
	}
}

// compare asks all nodes, and forwards what is stalled everywhere and nowhere further
// than here.
func (s *stalls) compare(ctx context.Context, asked <-chan *nats.Msg) {
	all, err := s.ask(ctx, asked)
	if err != nil {
		s.log.Warn("the nodes cannot be asked what is stalled", "err", err)
		return
	}
	var onward []engine.Stalled
	for k, own := range s.seen {
		if own.times < stalledLooks || !own.forwarded.IsZero() {
			continue
		}
		if furthest(all, k, own.Last) {
			onward = append(onward, own.Stalled)
			own.forwarded = time.Now()
			s.seen[k] = own
		}
	}
	if len(onward) == 0 {
		return
	}
	if err := s.seat.Forward(ctx, onward); err != nil && ctx.Err() == nil {
		s.log.Error("stalled streams cannot go on", "err", err)
	}
}

// furthest reports whether a stream is stalled on all nodes, on none of them further
// than up to a sequence.
func furthest(all map[string]stallsWords, k stall, last uint64) bool {
	stalled := 0
	for _, w := range all {
		for _, one := range w.Stalled {
			if one.Account == k.account && one.Stream == k.stream {
				if one.Last > last {
					return false
				}
				stalled++
			}
		}
	}
	return stalled == replicas
}

// ask collects the words of all nodes, by name, or of those that answer in time. It
// answers others meanwhile, which may ask at the same moment.
func (s *stalls) ask(ctx context.Context, asked <-chan *nats.Msg) (map[string]stallsWords, error) {
	answers := make(chan *nats.Msg, 2*replicas)
	inbox := s.conn.NewInbox()
	sub, err := s.conn.ChanSubscribe(inbox, answers)
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe() //nolint:errcheck // it ends with the connection at the latest
	if err := s.conn.PublishRequest(stallsSubject, inbox, nil); err != nil {
		return nil, err
	}
	timer := time.NewTimer(stallsAnswers)
	defer timer.Stop()
	all := make(map[string]stallsWords)
	for len(all) < replicas {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-timer.C:
			return all, nil
		case m := <-asked:
			s.answer(m)
		case m := <-answers:
			var w stallsWords
			if err := json.Unmarshal(m.Data, &w); err != nil {
				return nil, fmt.Errorf("what a node says of stalled streams: %w", err)
			}
			all[w.Node] = w
		}
	}
	return all, nil
}
