package deploy

import (
	"context"
	"errors"
	"slices"

	"dms/mapping"
	"dms/mapping/control"
	"dms/mapping/dms"
)

// What nodes ask each other to see whether the log has gone over messages.
const (
	givenTopic = "given" // which deliveries came to a node
	frontTopic = "front" // where its replica of a queue begins
)

// givenQuestion asks a node which deliveries of a group came to it.
type givenQuestion struct {
	Group    dms.GroupRef
	From, To uint64
}

// serveGiven answers other nodes which deliveries came to this one, and where its replicas
// begin.
func (n *Node) serveGiven(store *control.Store, broker *mapping.Broker) error {
	err := serveQuestions(n, store, givenTopic, func(_ context.Context, q givenQuestion) ([]mapping.Run, error) {
		return broker.Given(q.Group, q.From, q.To), nil
	})
	if err != nil {
		return err
	}
	return serveQuestions(n, store, frontTopic, n.front)
}

// front is where this node's replica of a queue begins; 0 when it has no messages. The
// member itself is asked: a read may be answered by any replica, also the damaged one.
func (n *Node) front(_ context.Context, queue dms.QueueRef) (first uint64, err error) {
	found := false
	for _, m := range n.storage.Members() {
		all, err := m.Replicas()
		if err != nil {
			return 0, err
		}
		for _, r := range all {
			if r.Name != string(queue.Project) || r.Stream != mapping.LogName(queue.Queue) {
				continue
			}
			found = true
			if r.Messages > 0 && (first == 0 || r.First < first) {
				first = r.First
			}
		}
	}
	if !found {
		return 0, errNoReplica
	}
	return first, nil
}

var errNoReplica = errors.New("this node has no replica of the queue")

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
