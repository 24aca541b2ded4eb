package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"dms/deploy/engine"
	"dms/mapping"
	"dms/mapping/control"
	"dms/mapping/dms"
	"dms/tenancy"
)

const (
	liveTopic = "live"
	// liveWithin is how long somebody who looks on waits for the nodes. It is what each
	// look takes while a node is down, and shorter than the pace of looking.
	liveWithin = 700 * time.Millisecond
)

// onlooker answers what a project's queues are like now, for those who look on.
type onlooker struct {
	store  *control.Store
	broker *mapping.Broker
	nodes  int
}

// Figures implements facade.Figures. It asks all nodes, as the node that watches does, but
// for one project, and leaves the counts of traffic alone, which are for that node.
func (o *onlooker) Figures(ctx context.Context, project tenancy.ProjectID) ([]dms.QueueFigures, error) {
	found, err := o.store.AskAbout(ctx, liveTopic, string(project), o.nodes, liveWithin)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errors.New("no node answers")
	}
	var logs []mapping.LogFigures
	for _, a := range found {
		for _, raw := range a.Parts {
			var p part
			if err := json.Unmarshal(raw, &p); err != nil {
				return nil, fmt.Errorf("answer of %s: %w", a.Node, err)
			}
			logs = append(logs, p.Logs...)
		}
	}
	if len(logs) == 0 {
		return nil, nil // nothing is stored, and there is nothing to connect to for it
	}
	return o.broker.Figures(ctx, project, logs)
}

// serveLive answers other nodes, and this one, what its members store of a project.
func (n *Node) serveLive(store *control.Store) error {
	stop, err := store.ServeAbout(liveTopic, n.config.Node, func(_ context.Context, project string) ([][]byte, error) {
		return liveParts(n.storage.Members(), tenancy.ProjectID(project))
	}, func(err error) {
		n.log.Debug("this node could not tell what it stores", "err", err)
	})
	if err != nil {
		return err
	}
	n.stops.add("live figures", func(context.Context) error { stop(); return nil })
	return nil
}

func liveParts(members []*engine.Member, project tenancy.ProjectID) ([][]byte, error) {
	var own []mapping.LogFigures
	for _, m := range members {
		found, err := readMember(m, nil)
		if err != nil {
			return nil, err
		}
		for _, l := range found {
			if l.Project == project {
				own = append(own, l)
			}
		}
	}
	return encodeParts("", own, nil)
}
