package engine

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// handOverWithin bounds how long a member that stops waits for others to lead. The
	// server itself waits a second, whether they do or not; who has no leader then has to
	// elect one, which takes 4 to 9 s.
	handOverWithin = 4 * time.Second
	handOverEvery  = 50 * time.Millisecond

	// Streams and consumers are handed over some at a time: who waits for one of them
	// waits while all that are under way vote and write. Many go in so many turns at most.
	fewAtOnce = 4
	mostTurns = 20
)

// HandOver gives up the lead of all streams and consumers and waits until other members
// have it, some seconds at most. The member may lead again later.
func (m *Member) HandOver(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, handOverWithin)
	defer cancel()
	t := time.NewTicker(handOverEvery)
	defer t.Stop()
	given := make(map[string]bool)
	for {
		left, err := m.handOver(given)
		if err != nil || left == 0 || m.server.NumRoutes() == 0 { // nobody is there to take it
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("hand over: %w: of %d streams and consumers nobody else has the lead yet", context.Cause(ctx), left)
		case <-t.C:
		}
	}
}

// led is a stream or consumer, and who leads it by what this member knows.
type led struct {
	name, leader string
	stepDown     func() error
}

// handOver gives up some of what the member leads, and counts what it leads still or gave
// up and nobody leads.
func (m *Member) handOver(given map[string]bool) (left int, err error) {
	all, err := m.replicated()
	if err != nil {
		return 0, err
	}
	var own []led
	for _, l := range all {
		switch {
		case l.leader == m.opts.Name:
			own = append(own, l)
		case l.leader == "" && given[l.name]:
			left++
		}
	}
	turn := max(fewAtOnce, (len(own)+len(given))/mostTurns) - left
	left += len(own)
	for _, l := range own[:min(max(turn, 0), len(own))] {
		given[l.name] = true
		if err := l.stepDown(); err != nil { // it has just lost the lead, or is being deleted
			m.log.LogAttrs(context.Background(), slog.LevelDebug, "could not step down", slog.String("from", l.name), slog.Any("err", err))
		}
	}
	return left, nil
}

// replicated lists all streams and consumers that others could lead.
func (m *Member) replicated() ([]led, error) {
	info, err := m.Jsz(&server.JSzOptions{Accounts: true, Streams: true, Consumer: true, Limit: 1 << 20})
	if err != nil {
		return nil, err
	}
	var all []led
	one := func(name string, in *server.ClusterInfo, stepDown func() error) {
		if in != nil && len(in.Replicas) > 0 {
			all = append(all, led{name, in.Leader, stepDown})
		}
	}
	for _, a := range info.AccountDetails {
		for _, s := range a.Streams {
			one(a.Id+" "+s.Name, s.Cluster, func() error { return m.StepDown(a.Id, s.Name) })
			for _, c := range s.Consumer {
				one(a.Id+" "+s.Name+" "+c.Name, c.Cluster, func() error { return m.StepDownConsumer(a.Id, s.Name, c.Name) })
			}
		}
	}
	return all, nil
}
