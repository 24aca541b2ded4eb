package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Subjects of questions to all nodes and of their answers, which nothing stores.
const (
	askSubject    = "node.ask."
	answerSubject = "node.answer."
)

// encode marshals what cannot fail to be.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte("{}")
	}
	return b
}

// Answer is what one node said.
type Answer struct {
	Node  string   `json:"node"`
	Parts [][]byte `json:"-"`
}

// piece is one message of an answer: large ones come in several.
type piece struct {
	ID    string `json:"id"`
	Node  string `json:"node"`
	Total int    `json:"total"`
	Data  []byte `json:"data"`
}

// Serve answers questions about a topic until stop is called, which waits for an answer
// under way. f returns the parts of the node's answer, each at most 512 KiB; it is called
// for one question at a time.
func (s *Store) Serve(topic, node string, f func(context.Context) ([][]byte, error), failed func(error)) (stop func(), err error) {
	return s.ServeAbout(topic, node, func(ctx context.Context, _ string) ([][]byte, error) { return f(ctx) }, failed)
}

// ServeAbout is Serve for questions about something.
func (s *Store) ServeAbout(topic, node string, f func(ctx context.Context, about string) ([][]byte, error), failed func(error)) (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	type question struct{ id, about string }
	questions := make(chan question, 8)
	sub, err := s.conn.Subscribe(askSubject+topic, func(m *nats.Msg) {
		id, about, _ := strings.Cut(string(m.Data), "\n")
		select {
		case questions <- question{id, about}:
		default: // too many at once; whoever asks goes on without this node
		}
	})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("serve %s: %w", topic, err)
	}
	var work sync.WaitGroup
	work.Go(func() { // ends through stop
		for {
			select {
			case <-ctx.Done():
				return
			case q := <-questions:
				parts, err := f(ctx, q.about)
				if err != nil {
					failed(err)
					continue
				}
				for _, p := range parts {
					if err := s.conn.Publish(answerSubject+topic, encode(piece{q.id, node, len(parts), p})); err != nil {
						failed(err)
					}
				}
			}
		}
	})
	return func() {
		cancel()
		_ = sub.Unsubscribe() // it fails only when the connection is closed
		work.Wait()
	}, nil
}

// Ask asks all nodes and returns the whole answers of those that gave one, as soon as
// there are as many as nodes, or after the time, whichever is first.
func (s *Store) Ask(ctx context.Context, topic string, nodes int, within time.Duration) ([]Answer, error) {
	return s.AskAbout(ctx, topic, "", nodes, within)
}

// AskAbout is Ask with what the question is about, which has one line.
func (s *Store) AskAbout(ctx context.Context, topic, about string, nodes int, within time.Duration) ([]Answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, within, errEnough)
	defer cancel()
	sub, err := s.conn.SubscribeSync(answerSubject + topic)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", topic, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	id := nats.NewInbox()
	// The question must not overtake the subscription on its way to the other nodes.
	if err := s.conn.FlushWithContext(ctx); err != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("ask %s: %w", topic, err)
	}
	question := id
	if about != "" { // nodes of an earlier version know no more than the id
		question += "\n" + about
	}
	if err := s.conn.Publish(askSubject+topic, []byte(question)); err != nil {
		return nil, fmt.Errorf("ask %s: %w", topic, err)
	}
	heard := make(map[string]*Answer)
	var whole []Answer
	for len(whole) < nodes {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			if errors.Is(context.Cause(ctx), errEnough) {
				return whole, nil
			}
			return nil, fmt.Errorf("ask %s: %w", topic, err)
		}
		var p piece
		if json.Unmarshal(m.Data, &p) != nil || p.ID != id {
			continue
		}
		a := heard[p.Node]
		if a == nil {
			a = &Answer{Node: p.Node}
			heard[p.Node] = a
		}
		if a.Parts = append(a.Parts, p.Data); len(a.Parts) == p.Total {
			whole = append(whole, *a)
		}
	}
	return whole, nil
}

var errEnough = errors.New("what has come is enough")
