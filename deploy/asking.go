package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"dms/mapping/control"
)

// askWithin bounds how long nodes take to answer each other.
const askWithin = time.Second

// serveQuestions answers what nodes ask about a topic, each in a second, until the node stops.
func serveQuestions[Q, A any](n *Node, store *control.Store, topic string, answer func(context.Context, Q) (A, error)) error {
	stop, err := store.ServeAbout(topic, n.config.Node, func(ctx context.Context, about string) ([][]byte, error) {
		var q Q
		if err := json.Unmarshal([]byte(about), &q); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, askWithin)
		defer cancel()
		a, err := answer(ctx, q)
		if err != nil {
			return nil, err
		}
		b, err := json.Marshal(a)
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
	answers, err := store.AskAbout(ctx, topic, string(about), nodes, askWithin)
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
