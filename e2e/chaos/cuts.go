package chaos

import (
	"context"
	"time"
)

const cutLeast, cutMost = 8 * time.Second, 25 * time.Second

// apart cuts ways for a while.
func (f *field) apart(ctx context.Context, ways ...way) error {
	if err := f.cluster.net.cut(ways...); err != nil {
		return err
	}
	f.hold(ctx, cutLeast, cutMost)
	if err := f.cluster.net.heal(); err != nil {
		return err
	}
	return f.whole(ctx)
}

// partition parts the nodes in one of three ways. Clients reach all of them.
func partition(ctx context.Context, f *field) error {
	n := f.leader()
	o := f.others(n)
	a, b, c := n.index, o[0].index, o[1].index
	switch f.rng.IntN(3) {
	case 0:
		f.note("%s alone, it led %d queues", n.name, f.led(n))
		return f.apart(ctx, append(both(a, b), both(a, c)...)...)
	case 1:
		f.note("each alone")
		return f.apart(ctx, append(append(both(a, b), both(a, c)...), both(b, c)...)...)
	}
	f.note("a chain: %s and %s do not see each other", n.name, o[0].name)
	return f.apart(ctx, both(a, b)...)
}

func muteNode(ctx context.Context, f *field) error {
	n := f.leader()
	f.note("%s, it led %d queues", n.name, f.led(n))
	o := f.others(n)
	return f.apart(ctx, way{n.index, o[0].index}, way{n.index, o[1].index})
}

func cutClients(ctx context.Context, f *field) error {
	n := f.anyNode()
	f.note("%s", n.name)
	return f.apart(ctx, both(clients, n.index)...)
}
