package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"dms/deploy/disk"
	"dms/mapping/control"
	"dms/monitor"
	"dms/monitor/cluster"

	"github.com/nats-io/nats.go"
)

const (
	clusterTopic = "cluster"
	// clusterEvery is how often nodes hear each other, and clusterWithin how long one waits
	// for the others.
	clusterEvery  = 5 * time.Second
	clusterWithin = 2 * time.Second
	// recently is for how long what a node said of its disk is believed.
	recently = time.Minute
)

// peers hears what the nodes say of themselves.
type peers struct {
	store  *control.Store
	system *nats.Conn // to the account in which members are administered
	names  []string   // of the members there should be
	nodes  int        // that answer for them
	own    func(about string) cluster.Node
	disk   *disk.Watch
	quorum int
	log    *slog.Logger

	mu    sync.Mutex
	heard map[string]heard // by node
}

// heard is the last word of a node.
type heard struct {
	at   time.Time
	full bool
}

// startPeers lets this node answer for itself, and hear the others until it stops.
func (n *Node) startPeers(store *control.Store) error {
	p := &peers{
		store: store, system: n.system, nodes: n.apiNodes, own: n.describe, disk: n.disk, quorum: replicas/2 + 1, log: n.log,
		names: n.memberNames(), heard: make(map[string]heard),
	}
	n.peers = p
	stop, err := store.ServeAbout(clusterTopic, n.config.Node, func(_ context.Context, about string) ([][]byte, error) {
		b, err := json.Marshal(n.describe(about))
		return [][]byte{b}, err
	}, func(err error) { n.log.Warn("this node could not tell how it is", "err", err) })
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(n.base)
	done := make(chan struct{})
	go func() { // ends with ctx, and is waited for
		defer close(done)
		p.run(ctx)
	}()
	n.stops.add("peers", func(context.Context) error { cancel(); <-done; stop(); return nil })
	return nil
}

// memberNames are the members there should be.
func (n *Node) memberNames() []string {
	var names []string
	for _, p := range n.config.Cluster.Peers {
		names = append(names, p.Name)
	}
	if len(names) == 0 { // all in this process
		for _, p := range n.storage.Places() {
			names = append(names, p.name)
		}
	}
	return names
}

// aboutDisk asks for the disks only, which costs nothing; what members store is counted.
const aboutDisk = "disk"

// describe is what this node says of itself.
func (n *Node) describe(about string) cluster.Node {
	d := n.disk.State()
	out := cluster.Node{
		Name: n.config.Node, Version: Build().Version, Why: n.notReady(),
		Uptime: int64(time.Since(n.since) / time.Second), Scrub: n.scrubState(),
		Disk: cluster.Disk{Total: d.Total, Used: d.Used, Free: d.Free, KeepFree: d.KeepFree, Reserve: d.Reserve, Full: d.Full},
	}
	out.Ready = out.Why == ""
	if about == aboutDisk {
		return out
	}
	out.Findings = n.findings()
	for _, p := range n.storage.Places() {
		m := cluster.Member{Name: p.name, Restarts: p.restarts}
		if err := p.describe(&m); err != nil {
			m.Why = err.Error()
		}
		m.Up = m.Why == ""
		out.Members = append(out.Members, m)
	}
	return out
}

func (p place) describe(to *cluster.Member) error {
	if p.member == nil {
		return fmt.Errorf("down: %w", p.down)
	}
	if err := p.member.Serving(); err != nil {
		return err
	}
	var s monitor.Node
	if _, err := readMember(p.member, &s); err != nil {
		return err
	}
	to.Sees, to.Groups, to.Streams, to.Consumers = s.MetaSees, s.RaftGroups, s.LedStreams, s.LedConsumers
	to.Current, to.Behind, to.Offline, to.Used, to.Limit = s.Current, s.Behind, s.Offline, s.StoreUsed, s.StoreLimit
	return nil
}

func (p *peers) run(ctx context.Context) {
	tick := time.NewTicker(clusterEvery)
	defer tick.Stop()
	for {
		if _, err := p.hear(ctx, aboutDisk); err != nil && ctx.Err() == nil {
			p.log.LogAttrs(ctx, slog.LevelDebug, "the nodes cannot be heard", slog.Any("err", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// hear asks all nodes. This one is heard also when nothing can be asked.
func (p *peers) hear(ctx context.Context, about string) ([]cluster.Node, error) {
	answers, err := p.store.AskAbout(ctx, clusterTopic, about, p.nodes, clusterWithin)
	own := p.own(about)
	all := []cluster.Node{own}
	for _, a := range answers {
		var n cluster.Node
		if len(a.Parts) != 1 || json.Unmarshal(a.Parts[0], &n) != nil || n.Name == own.Name {
			continue
		}
		all = append(all, n)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, n := range all {
		p.heard[n.Name] = heard{at: now, full: n.Disk.Full}
	}
	return all, err
}

// Cluster implements facade.Cluster.
func (p *peers) Cluster(ctx context.Context) (cluster.State, error) {
	nodes, err := p.hear(ctx, "")
	if err != nil && ctx.Err() != nil {
		return cluster.State{}, err
	}
	return cluster.Sum(p.names, nodes, p.others(time.Now()) != nil), nil
}

// RemoveMember implements facade.Cluster. To remove a member twice says that it is not
// there, which then is no news.
func (p *peers) RemoveMember(ctx context.Context, name string) error {
	s, err := p.Cluster(ctx)
	if err != nil {
		return err
	}
	if err := s.MayRemove(name); err != nil {
		return err
	}
	b, err := json.Marshal(map[string]string{"peer": name})
	if err != nil {
		return err
	}
	m, err := p.system.RequestWithContext(ctx, removeSubject, b)
	if err != nil {
		return fmt.Errorf("remove member %s: %w", name, err)
	}
	var answer struct {
		Error *struct {
			Code        int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return fmt.Errorf("remove member %s: %w", name, err)
	}
	switch {
	case answer.Error == nil:
		p.log.Warn("a member was removed", "member", name)
		return nil
	case answer.Error.Code == codeNotMember:
		return cluster.ErrNoMember
	}
	return fmt.Errorf("remove member %s: %s", name, answer.Error.Description)
}

// Of the engine's administration of members.
const (
	removeSubject = "$JS.API.SERVER.REMOVE"
	codeNotMember = 10044
)

var errOthersFull = errors.New("the disks of other nodes are nearly full")

// room returns why nothing more may be stored through this node, or nil.
func (p *peers) room() error {
	if err := p.disk.Full(); err != nil {
		return err
	}
	return p.others(time.Now())
}

// others returns an error when what is stored would fill the disks of so many members
// that the rest is no quorum. One full disk alone does not: its member falls behind, or
// fails and comes back, and the others store. A node that has not been heard of lately
// counts as one that could not take part, if the disk of another is full.
func (p *peers) others(now time.Time) error {
	if p.nodes == 1 {
		return p.disk.Full()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	full, roomy := 0, 0
	for _, h := range p.heard {
		switch {
		case now.Sub(h.at) > recently:
		case h.full:
			full++
		default:
			roomy++
		}
	}
	if full > 0 && roomy < p.quorum {
		return fmt.Errorf("%w: %d of %d have room", errOthersFull, roomy, p.nodes)
	}
	return nil
}
