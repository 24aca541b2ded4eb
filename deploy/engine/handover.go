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

// handOver gives up what the member leads, and counts what it gave up that nobody leads.
func (m *Member) handOver(given map[string]bool) (left int, err error) {
	info, err := m.Jsz(&server.JSzOptions{Accounts: true, Streams: true, Consumer: true, Limit: 1 << 20})
	if err != nil {
		return 0, err
	}
	// one looks at what has one leader, and gives it up.
	one := func(name string, in *server.ClusterInfo, stepDown func() error) {
		if in == nil || len(in.Replicas) == 0 || in.Leader != m.opts.Name && !given[name] {
			return
		}
		given[name] = true
		switch in.Leader {
		case m.opts.Name:
			left++
			if err := stepDown(); err != nil { // it has just lost the lead, or is being deleted
				m.log.LogAttrs(context.Background(), slog.LevelDebug, "could not step down", slog.String("from", name), slog.Any("err", err))
			}
		case "":
			left++
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
	return left, nil
}
