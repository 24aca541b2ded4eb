package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"dms/mapping"
	"dms/mapping/control"
	"dms/mapping/dms"
)

const (
	givenTopic  = "given"
	givenWithin = time.Second
)

// givenQuestion asks a node which deliveries of a group came to it.
type givenQuestion struct {
	Group    dms.GroupRef
	From, To uint64
}

const frontTopic = "front"

// serveGiven answers other nodes which deliveries came to this one.
func (n *Node) serveGiven(store *control.Store, broker *mapping.Broker) error {
	stop, err := store.ServeAbout(givenTopic, n.config.Node, func(_ context.Context, about string) ([][]byte, error) {
		var q givenQuestion
		if err := json.Unmarshal([]byte(about), &q); err != nil {
			return nil, err
		}
		b, err := json.Marshal(broker.Given(q.Group, q.From, q.To))
		return [][]byte{b}, err
	}, func(err error) { n.log.Debug("this node could not tell what was delivered to it", "err", err) })
	if err != nil {
		return err
	}
	n.stops.add("deliveries", func(context.Context) error { stop(); return nil })
	return nil
}

// serveFront answers other nodes where this one's replicas begin.
func (n *Node) serveFront(store *control.Store, broker *mapping.Broker) error {
	stop, err := store.ServeAbout(frontTopic, n.config.Node, func(ctx context.Context, about string) ([][]byte, error) {
		var q dms.QueueRef
		if err := json.Unmarshal([]byte(about), &q); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, givenWithin)
		defer cancel()
		b, err := json.Marshal(broker.Front(ctx, q))
		return [][]byte{b}, err
	}, func(err error) { n.log.Debug("this node could not tell where a replica begins", "err", err) })
	if err != nil {
		return err
	}
	n.stops.add("fronts", func(context.Context) error { stop(); return nil })
	return nil
}

// fronts asks all nodes where their replicas of a queue begin.
func fronts(store *control.Store, nodes int) func(context.Context, dms.QueueRef) ([]uint64, error) {
	return func(ctx context.Context, queue dms.QueueRef) (all []uint64, err error) {
		about, err := json.Marshal(queue)
		if err != nil {
			return nil, err
		}
		answers, err := store.AskAbout(ctx, frontTopic, string(about), nodes, givenWithin)
		if err != nil {
			return nil, err
		}
		for _, a := range answers {
			for _, raw := range a.Parts {
				var first uint64
				if err := json.Unmarshal(raw, &first); err != nil {
					return nil, fmt.Errorf("answer of %s: %w", a.Node, err)
				}
				all = append(all, first)
			}
		}
		return all, nil
	}
}

// elsewhere asks all nodes which deliveries of a group came to them.
func elsewhere(store *control.Store, nodes int) func(context.Context, dms.GroupRef, uint64, uint64) ([]mapping.Run, error) {
	return func(ctx context.Context, group dms.GroupRef, from, to uint64) ([]mapping.Run, error) {
		about, err := json.Marshal(givenQuestion{group, from, to})
		if err != nil {
			return nil, err
		}
		answers, err := store.AskAbout(ctx, givenTopic, string(about), nodes, givenWithin)
		if err != nil {
			return nil, err
		}
		var all []mapping.Run
		for _, a := range answers {
			for _, raw := range a.Parts {
				var runs []mapping.Run
				if err := json.Unmarshal(raw, &runs); err != nil {
					return nil, fmt.Errorf("answer of %s: %w", a.Node, err)
				}
				all = append(all, runs...)
			}
		}
		return all, nil
	}
}
