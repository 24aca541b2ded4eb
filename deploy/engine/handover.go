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
	all, err := m.replicated()
	if err != nil {
		return err
	}
	t := time.NewTicker(handOverEvery)
	defer t.Stop()
	given := make(map[string]bool)
	for {
		left, err := m.handOver(all, given)
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

// shared is a stream or consumer that others could lead, with its log.
type shared struct {
	log      string
	stepDown func() error
}

// handOver gives up some of what the member leads, and counts what it leads still or gave
// up and nobody leads.
func (m *Member) handOver(all map[string][]shared, given map[string]bool) (left int, err error) {
	var own []shared
	for account, of := range all {
		groups, err := m.Raftz(account)
		if err != nil {
			return 0, err
		}
		for _, s := range of {
			switch state, known := groups[account][s.log]; {
			case !known: // deleted meanwhile
			case state.State == server.Leader.String():
				own = append(own, s)
			case state.Leader == "" && given[s.log]:
				left++
			}
		}
	}
	turn := max(fewAtOnce, (len(own)+len(given))/mostTurns) - left
	left += len(own)
	for _, s := range own[:min(max(turn, 0), len(own))] {
		given[s.log] = true
		if err := s.stepDown(); err != nil { // it has just lost the lead, or is being deleted
			m.log.LogAttrs(context.Background(), slog.LevelDebug, "could not step down", slog.String("log", s.log), slog.Any("err", err))
		}
	}
	return left, nil
}

// replicated lists by account what others could lead.
func (m *Member) replicated() (map[string][]shared, error) {
	info, err := m.Jsz(&server.JSzOptions{Accounts: true, Streams: true, Consumer: true, RaftGroups: true, Limit: 1 << 20})
	if err != nil {
		return nil, err
	}
	all := make(map[string][]shared)
	for _, a := range info.AccountDetails {
		for _, s := range a.Streams {
			if s.Cluster == nil || len(s.Cluster.Replicas) == 0 {
				continue
			}
			all[a.Id] = append(all[a.Id], shared{s.RaftGroup, func() error { return m.StepDown(a.Id, s.Name) }})
			for _, c := range s.ConsumerRaftGroups {
				all[a.Id] = append(all[a.Id], shared{c.RaftGroup, func() error { return m.StepDownConsumer(a.Id, s.Name, c.Name) }})
			}
		}
	}
	return all, nil
}
