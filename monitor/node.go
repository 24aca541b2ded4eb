package monitor

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Node is the state of a node at one moment.
type Node struct {
	Ready        bool
	RaftGroups   int // replicated logs this node takes part in
	LedStreams   int
	LedConsumers int
	// Replicas are those, on other nodes, of what this node leads.
	Current, Behind, Offline int
	MetaLeader               bool   // decides where streams are placed
	MetaQuorum               bool   // that decision can be made
	MetaSees                 string // who decides, as this node sees it
	StoreUsed, StoreLimit    int64
	DiskFree                 int64 // bytes under the data folder; negative is not known
	Load                     []Load
	// Scrubbed are the totals of looking for damaged replicas.
	Scrubbed Scrubbed
	// TokensRecalled are the tokens of identity providers that were known from before,
	// TokensVerified those whose signature and claims were gone through.
	TokensRecalled, TokensVerified int64
}

// Scrubbed are totals since the start of the node.
type Scrubbed struct {
	Passes, Readings, Bytes int64
	Found, Repaired         int64 // replicas of this node that were damaged
}

// Load is the requests of one kind at a node.
type Load struct {
	Class    string
	Running  int
	Capacity int
	// Refused are those that were refused since the start because the node, or the
	// project's part of it, was full.
	RefusedNode, RefusedProject int64
}

// Node exports the state of this node. read is called at every collection and must not
// block.
func (t *Telemetry) Node(read func() Node) error {
	i := &instruments{meter: t.provider.Meter("dms/monitor")}
	ready := i.gauge("dms.node.ready", "", "1 while the node answers requests.")
	groups := i.gauge("dms.node.raft.groups", "", "Replicated logs the node takes part in.")
	led := i.gauge("dms.node.raft.leaders", "", "Replicated logs the node leads, by kind.")
	replicas := i.gauge("dms.node.replicas", "", "Replicas on other nodes of what this node leads, by state.")
	metaLeader := i.gauge("dms.node.meta.leader", "", "1 on the node that decides where queues are placed.")
	metaQuorum := i.gauge("dms.node.meta.quorum", "", "1 while the node sees a leader of the cluster.")
	used := i.gauge("dms.node.store.used", "By", "Bytes the node stores.")
	limit := i.gauge("dms.node.store.limit", "By", "Bytes the node may store.")
	free := i.gauge("dms.node.disk.free", "By", "Bytes that are free on the disk of the data folder.")
	running := i.gauge("dms.node.requests.running", "", "Requests the node works on; those of class polls are consumers that wait.")
	capacity := i.gauge("dms.node.requests.capacity", "", "Requests the node works on at most.")
	refused := i.total("dms.node.requests.shed", "", "Requests refused because the node, or the project's share of it, was full.")
	tokens := i.total("dms.node.tokens", "", "Tokens of identity providers, by whether they were known from before or verified.")
	findings := i.total("dms.node.scrub.findings", "", "Replicas of the node that were not what the others are, by what became of them.")
	passes := i.total("dms.node.scrub.passes", "", "Comparisons of the node's replicas with those of the others, by kind.")
	scrubbed := i.total("dms.node.scrub.bytes", "By", "Bytes of messages whose files the node has read to compare them.")
	flag := func(b bool) int64 {
		if b {
			return 1
		}
		return 0
	}
	with := func(pairs ...string) metric.MeasurementOption {
		var attrs []attribute.KeyValue
		for p := 0; p < len(pairs); p += 2 {
			attrs = append(attrs, attribute.String(pairs[p], pairs[p+1]))
		}
		return metric.WithAttributes(attrs...)
	}
	return i.register(func(_ context.Context, o metric.Observer) error {
		n := read()
		o.ObserveInt64(ready, flag(n.Ready))
		o.ObserveInt64(groups, int64(n.RaftGroups))
		o.ObserveInt64(led, int64(n.LedStreams), with("kind", "queue"))
		o.ObserveInt64(led, int64(n.LedConsumers), with("kind", "group"))
		o.ObserveInt64(replicas, int64(n.Current), with("state", "current"))
		o.ObserveInt64(replicas, int64(n.Behind), with("state", "behind"))
		o.ObserveInt64(replicas, int64(n.Offline), with("state", "offline"))
		o.ObserveInt64(metaLeader, flag(n.MetaLeader))
		o.ObserveInt64(metaQuorum, flag(n.MetaQuorum))
		o.ObserveInt64(used, n.StoreUsed)
		o.ObserveInt64(limit, n.StoreLimit)
		if n.DiskFree >= 0 {
			o.ObserveInt64(free, n.DiskFree)
		}
		o.ObserveInt64(findings, n.Scrubbed.Found, with("state", "found"))
		o.ObserveInt64(findings, n.Scrubbed.Repaired, with("state", "repaired"))
		o.ObserveInt64(passes, n.Scrubbed.Passes, with("kind", "state"))
		o.ObserveInt64(passes, n.Scrubbed.Readings, with("kind", "content"))
		o.ObserveInt64(scrubbed, n.Scrubbed.Bytes)
		o.ObserveInt64(tokens, n.TokensRecalled, with("from", "memory"))
		o.ObserveInt64(tokens, n.TokensVerified, with("from", "signature"))
		for _, l := range n.Load {
			o.ObserveInt64(running, int64(l.Running), with("class", l.Class))
			o.ObserveInt64(capacity, int64(l.Capacity), with("class", l.Class))
			o.ObserveInt64(refused, l.RefusedNode, with("class", l.Class, "reason", "node_full"))
			o.ObserveInt64(refused, l.RefusedProject, with("class", l.Class, "reason", "project_share"))
		}
		return nil
	})
}
