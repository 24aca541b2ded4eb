package chaos

import (
	"context"
	"errors"
	"time"

	"dms/e2e/workload"
)

const (
	downLeast, downMost = 0, 3 * time.Second // how long a killed node stays down
	pauseMost           = 20 * time.Second
)

// startsAgain is how often a node that ended by itself is started again, as whatever runs
// services on a machine does.
const startsAgain = 5

// whole waits until all nodes serve. That a node ended by itself is a complaint.
func (f *field) whole(ctx context.Context) error {
	for again := 0; ; again++ {
		err := f.cluster.awaitReady(ctx)
		if !errors.Is(err, errEnded) || again == startsAgain {
			return err
		}
		for _, n := range f.cluster.nodes {
			if err := n.ready(ctx); errors.Is(err, errEnded) {
				f.complain("%v", err)
				if err := n.start(); err != nil {
					return err
				}
			}
		}
	}
}

func (f *field) kill(ctx context.Context, n *node) error {
	f.note("%s led %d queues", n.name, f.led(n))
	if err := n.kill(); err != nil {
		return err
	}
	f.hold(ctx, downLeast, downMost)
	return f.back(ctx, n)
}

func killLeader(ctx context.Context, f *field) error { return f.kill(ctx, f.leader()) }

func killFollower(ctx context.Context, f *field) error {
	others := f.others(f.leader())
	return f.kill(ctx, others[f.rng.IntN(len(others))])
}

func killMetaLeader(ctx context.Context, f *field) error {
	if i, ok := f.cluster.leaders.leads(metaGroup); ok {
		return f.kill(ctx, f.cluster.nodes[i])
	}
	f.note("leader not known")
	return f.kill(ctx, f.anyNode())
}

func killAll(ctx context.Context, f *field) error {
	if err := f.cluster.all((*node).kill); err != nil {
		return err
	}
	return f.backAll(ctx)
}

func (f *field) backAll(ctx context.Context) error {
	begin := time.Now()
	err := f.back(ctx, f.cluster.nodes[:]...)
	f.note("all serve %.1fs after their start", time.Since(begin).Seconds())
	return err
}

func rollingRestart(ctx context.Context, f *field) error {
	for _, n := range f.cluster.nodes {
		begin := time.Now()
		if err := n.stop(ctx); err != nil {
			f.complain("stop of %s: %.600v", n.name, err)
		}
		stopped := time.Since(begin)
		if err := f.back(ctx, n); err != nil {
			return err
		}
		f.note("%s stopped in %.1fs, served %.1fs later", n.name, stopped.Seconds(), (time.Since(begin) - stopped).Seconds())
		f.hold(ctx, time.Second, 2*time.Second)
	}
	return nil
}

// cutAll takes the power from all nodes at once.
func cutAll(ctx context.Context, f *field) error {
	if err := f.cluster.cutPower(f.cluster.nodes[:]...); err != nil {
		return err
	}
	return f.backAll(ctx)
}

func cutOne(ctx context.Context, f *field) error {
	n := f.leader()
	f.note("%s led %d queues", n.name, f.led(n))
	if err := f.cluster.cutPower(n); err != nil {
		return err
	}
	f.hold(ctx, downLeast, downMost)
	return f.back(ctx, n)
}

// cutPower ends nodes with what their disks had then, and makes the disks usable again.
// No process runs any more when the first disk stops, for a node without power answers
// nothing.
func (c *cluster) cutPower(nodes ...*node) error {
	hit := func(what func(*node) error) error {
		return c.all(func(n *node) error {
			for _, victim := range nodes {
				if victim == n {
					return what(n)
				}
			}
			return nil
		})
	}
	return errors.Join(
		hit((*node).pause),
		hit(func(n *node) error { return n.disk.cut() }),
		hit((*node).kill),
		hit(func(n *node) error { return n.disk.again() }),
	)
}

func pauseLeader(ctx context.Context, f *field) error {
	n := f.leader()
	wait := f.between(time.Second, pauseMost)
	f.note("%s led %d queues, paused %.1fs", n.name, f.led(n), wait.Seconds())
	if err := n.pause(); err != nil {
		return err
	}
	workload.Pause(ctx, wait)
	if err := n.resume(); err != nil {
		return err
	}
	return f.whole(ctx)
}
