package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"dms/mapping"
	"dms/mapping/control"
	"dms/mapping/dms"
)

// What nodes ask each other to see whether the log has gone over messages.
const (
	givenTopic  = "given" // which deliveries came to a node
	frontTopic  = "front" // where its replica of a queue begins
	givenWithin = time.Second
)

// givenQuestion asks a node which deliveries of a group came to it.
type givenQuestion struct {
	Group    dms.GroupRef
	From, To uint64
}

// serveGiven answers other nodes which deliveries came to this one, and where its replicas
// begin.
func (n *Node) serveGiven(store *control.Store, broker *mapping.Broker) error {
	err := serveQuestions(n, store, givenTopic, func(_ context.Context, q givenQuestion) []mapping.Run {
		return broker.Given(q.Group, q.From, q.To)
	})
	if err != nil {
		return err
	}
	return serveQuestions(n, store, frontTopic, broker.Front)
}

// serveQuestions answers what nodes ask about a topic, each in a second, until the node stops.
func serveQuestions[Q, A any](n *Node, store *control.Store, topic string, answer func(context.Context, Q) A) error {
	stop, err := store.ServeAbout(topic, n.config.Node, func(ctx context.Context, about string) ([][]byte, error) {
		var q Q
		if err := json.Unmarshal([]byte(about), &q); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, givenWithin)
		defer cancel()
		b, err := json.Marshal(answer(ctx, q))
		return [][]byte{b}, err
	}, func(err error) { n.log.Debug("this node could not answer another one", "topic", topic, "err", err) })
	if err != nil {
		return err
	}
	n.stops.add(topic, func(context.Context) error { stop(); return nil })
	return nil
}

// askNodes asks all nodes about a topic, and returns the answers that come in time.
func askNodes[A any](ctx context.Context, store *control.Store, nodes int, topic string, question any) (all []A, err error) {
	about, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	answers, err := store.AskAbout(ctx, topic, string(about), nodes, givenWithin)
	if err != nil {
		return nil, err
	}
	for _, a := range answers {
		for _, raw := range a.Parts {
			var one A
			if err := json.Unmarshal(raw, &one); err != nil {
				return nil, fmt.Errorf("answer of %s: %w", a.Node, err)
			}
			all = append(all, one)
		}
	}
	return all, nil
}

// elsewhere asks all nodes which deliveries of a group came to them.
func elsewhere(store *control.Store, nodes int) func(context.Context, dms.GroupRef, uint64, uint64) ([]mapping.Run, error) {
	return func(ctx context.Context, group dms.GroupRef, from, to uint64) ([]mapping.Run, error) {
		all, err := askNodes[[]mapping.Run](ctx, store, nodes, givenTopic, givenQuestion{group, from, to})
		return slices.Concat(all...), err
	}
}

// fronts asks all nodes where their replicas of a queue begin.
func fronts(store *control.Store, nodes int) func(context.Context, dms.QueueRef) ([]uint64, error) {
	return func(ctx context.Context, queue dms.QueueRef) ([]uint64, error) {
		return askNodes[uint64](ctx, store, nodes, frontTopic, queue)
	}
}
