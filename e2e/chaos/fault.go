package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"dms/e2e/workload"
)

// fault is one way to break things, named as in the fault plan of the design.
type fault struct {
	name  string
	title string
	cuts  int // nodes that lose their power
	// weight is how often it comes in a deck; 0 is once.
	weight int
	// damages tells that a replica's files are changed behind the node's back.
	damages bool
	acks    bool // messages can be consumed and acknowledged meanwhile
	strike  func(context.Context, *field) error
}

// faults lists all of them.
func faults() []fault {
	return []fault{
		{name: "N01", title: "kill -9 of a follower", strike: killFollower},
		{name: "N02", title: "kill -9 of a queue's leader", weight: 6, strike: killLeader},
		{name: "N03", title: "kill -9 of the cluster's leader", strike: killMetaLeader},
		{name: "N04", title: "kill -9 of all nodes", strike: killAll},
		{name: "N05", title: "rolling restart", weight: 2, strike: rollingRestart},
		{name: "N06", title: "power cut of all nodes", weight: 4, cuts: size, strike: cutAll},
		{name: "N07", title: "power cut of one node", cuts: 1, strike: cutOne},
		{name: "N10", title: "pause of a queue's leader", strike: pauseLeader},
		{name: "N11", title: "partition", strike: partition},
		{name: "N12", title: "a node that hears and is not heard", strike: muteNode},
		{name: "N13", title: "clients cut off from one node", strike: cutClients},
		{name: "N15", title: "disk full on one node", acks: true, strike: fillOne},
		{name: "N15-all", title: "disk full on all nodes", acks: true, strike: fillAll},
		{name: "N16", title: "bit flip in a block of one replica", weight: 3, damages: true, strike: flipBit},
		{name: "N17", title: "truncation of a file of one replica", weight: 2, damages: true, strike: truncate},
		{name: "N18", title: "an old copy of a node's disk comes back", damages: true, strike: stale},
		{name: "N19", title: "a node's disk is lost", damages: true, strike: lose},
		{name: "N20", title: "every write of a node fails", strike: failDisk},
		{name: "N22", title: "a node's clock is wrong", strike: skewClock},
		{name: "N25", title: "crash in the middle of a send", weight: 2, strike: crashAt(sendPoints)},
		{name: "N26", title: "crash in the middle of consuming", weight: 2, strike: crashAt(consumePoints)},
		{name: "N27", title: "clients that break off in a request", strike: breakOff},
		{name: "N32", title: "a node of another name takes a lost one's place", damages: true, strike: replaceMember},
		{name: "N34", title: "queues made and deleted under one name", strike: storm},
		{name: "5x", title: "five times the load of the peak", strike: overload},
	}
}

// named finds faults by their names.
func named(names ...string) ([]fault, error) {
	var found []fault
	for _, name := range names {
		n := len(found)
		for _, f := range faults() {
			if f.name == name {
				found = append(found, f)
			}
		}
		if len(found) == n {
			return nil, fmt.Errorf("no fault is named %q", name)
		}
	}
	return found, nil
}

// field is what a fault strikes.
type field struct {
	cluster *cluster
	world   *workload.World
	rng     *rand.Rand // of the round, so that its seed repeats the choices
	// victim is the only node whose files are ever damaged: two damaged replicas are more
	// than three copies can bear.
	victim  *node
	damaged map[string]bool // streams of the victim

	seen       []string // of the fault that strikes
	complaints []string // what a correct service would not have done
}

// note keeps what was seen.
func (f *field) note(format string, args ...any) {
	f.seen = append(f.seen, fmt.Sprintf(format, args...))
}

func (f *field) complain(format string, args ...any) {
	f.complaints = append(f.complaints, fmt.Sprintf(format, args...))
}

// between is a random time in a range.
func (f *field) between(least, most time.Duration) time.Duration {
	return least + time.Duration(f.rng.Int64N(int64(most-least)+1))
}

// hold lets the broken state last.
func (f *field) hold(ctx context.Context, least, most time.Duration) {
	workload.Pause(ctx, f.between(least, most))
}

func (f *field) anyNode() *node { return f.cluster.nodes[f.rng.IntN(size)] }

// others are the nodes beside one.
func (f *field) others(not *node) []*node {
	var all []*node
	for _, n := range f.cluster.nodes {
		if n != not {
			all = append(all, n)
		}
	}
	return all
}

// leader picks a queue and returns the node that leads it; one at random when no log
// says who that is.
func (f *field) leader() *node {
	queues := f.world.Queues()
	q := queues[f.rng.IntN(len(queues))]
	i, ok := f.cluster.leaders.leads(stream(q))
	if !ok {
		f.note("leader not known")
		return f.anyNode()
	}
	return f.cluster.nodes[i]
}

// led is how many queues a node leads.
func (f *field) led(n *node) (count int) {
	for _, q := range f.world.Queues() {
		if i, ok := f.cluster.leaders.leads(stream(q)); ok && i == n.index {
			count++
		}
	}
	return count
}

// back starts nodes that are down and waits until all serve.
func (f *field) back(ctx context.Context, nodes ...*node) error {
	for _, n := range nodes {
		if err := n.start(); err != nil {
			return err
		}
	}
	return f.whole(ctx)
}
