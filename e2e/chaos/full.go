package chaos

import (
	"context"
	"errors"
	"time"
)

const fullLeast, fullMost = 5 * time.Second, 10 * time.Second

// full fills the disks of nodes for a while. The nodes have to come back by themselves.
func (f *field) full(ctx context.Context, greed bool, nodes ...*node) error {
	var errs []error
	for _, n := range nodes {
		errs = append(errs, n.disk.fill(greed))
	}
	f.hold(ctx, fullLeast, fullMost)
	for _, n := range nodes {
		if err := n.ready(ctx); err != nil {
			f.note("%.120v", err)
		} else {
			f.note("%s serves", n.name)
		}
	}
	for _, n := range nodes {
		errs = append(errs, n.disk.empty())
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	begin := time.Now()
	err := f.whole(ctx)
	f.note("all serve %.1fs after there was space", time.Since(begin).Seconds())
	return err
}

// fillOne leaves the node what it has kept back for that, or not even that.
func fillOne(ctx context.Context, f *field) error {
	greed := f.rng.IntN(2) == 0
	if greed {
		f.note("the reserve is taken too")
	}
	return f.full(ctx, greed, f.leader())
}

// fillAll leaves the nodes what they have kept back: without it a quorum could write
// nothing, and so settle nothing.
func fillAll(ctx context.Context, f *field) error { return f.full(ctx, false, f.cluster.nodes[:]...) }

const failLeast, failMost = 3 * time.Second, 10 * time.Second

// failDisk lets every write of a leader fail for a while. What it could not write it must
// not confirm. Its disk has lost what was not synced when it gets a new start.
func failDisk(ctx context.Context, f *field) error {
	n := f.leader()
	f.note("%s led %d queues", n.name, f.led(n))
	if err := n.disk.cut(); err != nil {
		return err
	}
	f.hold(ctx, failLeast, failMost)
	if err := n.ready(ctx); err != nil {
		f.note("then %.120v", err)
	} else {
		f.note("then it served")
	}
	if err := errors.Join(n.kill(), n.disk.again()); err != nil {
		return err
	}
	return f.back(ctx, n)
}
