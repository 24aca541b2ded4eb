package deploytest

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"dms/deploy"
	"dms/deploy/engine"

	"github.com/nats-io/nats-server/v2/server"
)

// Crash ends the node i at once: it hands nothing over, finishes no request and cuts
// every connection. What it had on disk stays, and Restart takes it up.
func (c *Cluster) Crash(t testing.TB, i int) {
	t.Helper()
	n := c.Node(t, i)
	for _, m := range n.Members() {
		m.Abort()
	}
	// Without any time the stop cuts short whatever it would wait for, which is an
	// error by design.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = n.Stop(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[i] = nil
}

// RestartAll runs all nodes again, none of which runs, since one alone is not ready.
func (c *Cluster) RestartAll(t testing.TB) {
	t.Helper()
	if len(c.Running()) > 0 {
		t.Fatal("a node runs")
	}
	if err := c.startAll(t); err != nil {
		t.Fatal(err)
	}
}

// Config is what the node i was started with last.
func (c *Cluster) Config(i int) deploy.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.configs[i]
}

// Lose removes all that the node i, which is stopped, has on its disk.
func (c *Cluster) Lose(t testing.TB, i int) {
	t.Helper()
	c.mu.Lock()
	running := c.nodes[i] != nil
	c.mu.Unlock()
	if running {
		t.Fatalf("node %d runs", i)
	}
	if err := os.RemoveAll(c.DataFolder(i)); err != nil {
		t.Fatal(err)
	}
}

// Replace puts a node of another name, with an empty disk, in the place of the node i,
// which is stopped. Restart starts it. The others learn of it when it comes.
func (c *Cluster) Replace(t testing.TB, i int, name string) {
	t.Helper()
	addresses, err := freeAddresses(1)
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nodes[i] != nil {
		t.Fatalf("node %d runs", i)
	}
	o := &c.configs[i]
	o.Node, o.DataFolder = name, filepath.Join(c.dir, name)
	o.Cluster.Listen = addresses[0]
	o.Cluster.Peers = slices.Clone(o.Cluster.Peers)
	o.Cluster.Peers[i] = deploy.Peer{Name: name, Address: addresses[0]}
}

// Running returns the storage members of the nodes that run. Unlike the other methods
// it may be called while a node is stopped or started.
func (c *Cluster) Running() []*engine.Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*engine.Member
	for _, n := range c.nodes {
		if n != nil {
			out = append(out, n.Members()...)
		}
	}
	return out
}

// Lead is a stream that a member leads, or a consumer of a stream.
type Lead struct {
	Member                    *engine.Member
	Account, Stream, Consumer string // Consumer is empty when the stream is meant
}

// StepDown makes the member give up the lead.
func (l Lead) StepDown() error {
	if l.Consumer != "" {
		return l.Member.StepDownConsumer(l.Account, l.Stream, l.Consumer)
	}
	return l.Member.StepDown(l.Account, l.Stream)
}

// Leads returns all streams and consumers of all accounts that the running members
// lead at the moment. Members that are just starting or stopping are left out.
func (c *Cluster) Leads() []Lead {
	var out []Lead
	for _, m := range c.Running() {
		info, err := m.Jsz(&server.JSzOptions{Accounts: true, Streams: true, Consumer: true})
		if err != nil {
			continue
		}
		for _, a := range info.AccountDetails {
			for _, s := range a.Streams {
				if m.LeadsStream(a.Id, s.Name) {
					out = append(out, Lead{Member: m, Account: a.Id, Stream: s.Name})
				}
				for _, o := range s.Consumer {
					if m.LeadsConsumer(a.Id, s.Name, o.Name) {
						out = append(out, Lead{Member: m, Account: a.Id, Stream: s.Name, Consumer: o.Name})
					}
				}
			}
		}
	}
	return out
}
