package deploy

import (
	"context"
	"errors"
	"fmt"

	"dms/facade"
	"dms/mapping"
	"dms/mapping/control"
	"dms/monitor/sample"
	"dms/monitor/watch"
	"dms/tenancy"
	"dms/tenancy/accounts"
	"dms/tenancy/audit/trail"
	"dms/tenancy/keystore"
	"dms/tenancy/registry"
	"dms/tenancy/session"

	"github.com/nats-io/nats.go"
)

// tenants is where the broker learns of projects.
type tenants struct {
	accounts *accounts.Accounts
	registry *registry.Registry
	keys     *keystore.Store
	defaults tenancy.Limits
	control  *control.Store // what the service itself must remember
	sessions *session.Store // who has signed in to the console
}

// Connect implements mapping.Tenants.
func (t *tenants) Connect(ctx context.Context, id tenancy.ProjectID) (*nats.Conn, error) {
	return t.accounts.Connect(ctx, id)
}

// Project implements mapping.Tenants.
func (t *tenants) Project(_ context.Context, id tenancy.ProjectID) (tenancy.Project, error) {
	return t.registry.Project(id)
}

// name is what a project in use is called here.
func (t *tenants) name(id tenancy.ProjectID) string {
	p, err := t.registry.Project(id)
	if err != nil {
		return ""
	}
	return p.Name
}

// wire makes everything above storage, from the inside out, and registers how each
// part is stopped. The node must have joined the cluster.
func (n *Node) wire(ctx context.Context) (*facade.API, error) {
	projects, err := n.openTenants(ctx)
	if err != nil {
		return nil, err
	}
	audited, err := n.openTrail(projects)
	if err != nil {
		return nil, err
	}
	n.stops.add("audit trail", func(ctx context.Context) error { audited.Close(ctx); return nil })
	broker, err := n.newBroker(projects)
	if err != nil {
		return nil, err
	}
	n.stops.add("broker", broker.Close)
	creds, err := newCredentials(n.keys, n.providers, projects.keys, n.log)
	if err != nil {
		return nil, err
	}
	n.stops.add("identity providers", func(context.Context) error { creds.providers.Close(); return nil })
	requests, err := n.monitor.Requests()
	if err != nil {
		return nil, err
	}
	traffic := &sample.Traffic{}
	messages, err := n.monitor.Measure(broker, traffic)
	if err != nil {
		return nil, err
	}
	watching, err := n.startWatch(ctx, projects, broker, traffic)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(n.startClock(projects.control), n.startPeers(projects.control), n.startScrub(projects.control)); err != nil {
		return nil, err
	}
	pages, err := n.newConsole(projects, creds, audited)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(n.serveLive(projects.control), n.serveGiven(projects.control, broker)); err != nil {
		return nil, err
	}
	api, err := facade.New(facade.Options{
		Queues: broker, Groups: broker, Messages: messages, Tags: broker, Workbench: broker,
		Alarms: watching.Rules(), Metrics: watching.history, Console: pages,
		Figures:  &onlooker{store: projects.control, broker: broker, nodes: n.apiNodes},
		Projects: projects.registry, Tokens: creds, Exchange: creds, Signatures: creds.keys,
		Sessions: creds, AccessKeys: projects.keys, ProjectName: projects.name,
		Audit: audited, Trail: audited, Tenants: projects.registry, ProjectLimits: projects.defaults,
		Cluster: n.peers, Room: n.peers.room,
		Limits: n.requestLimits(), Proxies: n.config.API.TrustedProxies,
		PublicURL: n.config.API.PublicURL, Region: n.config.API.Region, Domain: n.config.API.Domain,
		Observe: observe(requests, n.tls != nil),
		Log:     n.log,
	})
	if err != nil {
		return nil, err
	}
	n.stops.add("events", func(context.Context) error { api.Close(); return nil })
	return api, n.exportNode(api, creds.providers.Verified)
}

// openTenants opens the accounts and the register of projects.
func (n *Node) openTenants(ctx context.Context) (*tenants, error) {
	system, err := n.storage.SystemConn()
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	n.stops.add("system connection", closeConn(system))
	n.system = system
	acc, err := accounts.New(accounts.Options{
		System: system, Dial: n.storage.Conn, Signing: n.keys.OperatorSigning(), Master: n.keys.Master(),
		Nodes: replicas, Node: n.config.Node, Log: n.log,
	})
	if err != nil {
		return nil, err
	}
	n.stops.add("accounts", func(context.Context) error { acc.Close(); return nil })
	total, err := n.maxStore(ctx)
	if err != nil {
		return nil, err
	}
	history := n.config.Monitoring.historyBytes(total)
	_, err = hold(ctx, n.log, "provision the service's own account", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, acc.Provision(ctx, controlProject(n.config, total))
	})
	if err != nil {
		return nil, err
	}
	conn, err := hold(ctx, n.log, "connect to the service's own account", func(ctx context.Context) (*nats.Conn, error) {
		return acc.Connect(ctx, accounts.Control)
	})
	if err != nil {
		return nil, err
	}
	n.stops.add("control connection", closeConn(conn))
	store, err := hold(ctx, n.log, "open access keys", func(ctx context.Context) (*keystore.Store, error) {
		return n.openKeystore(ctx, conn)
	})
	if err != nil {
		return nil, err
	}
	memory, err := hold(ctx, n.log, "open control records", func(ctx context.Context) (*control.Store, error) {
		return control.Open(ctx, conn)
	})
	if err != nil {
		return nil, err
	}
	sessions, err := hold(ctx, n.log, "open sessions", func(ctx context.Context) (*session.Store, error) {
		return n.openSessions(ctx, conn)
	})
	if err != nil {
		return nil, err
	}
	// A project that is made again under the same id must not find old keys that open it,
	// nor alarms that tell others of it.
	remove := func(ctx context.Context, id tenancy.ProjectID) error {
		if err := store.DeleteAll(ctx, id); err != nil {
			return err
		}
		if err := watch.DeleteAlarms(ctx, records{memory}, id); err != nil {
			return err
		}
		return acc.Delete(ctx, id)
	}
	limits := n.projectLimits(total)
	reg, err := hold(ctx, n.log, "open the list of projects", func(ctx context.Context) (*registry.Registry, error) {
		return registry.Open(ctx, registry.Options{
			Conn: conn, Provision: acc.Provision, Remove: remove,
			Defaults: limits, AutoProvision: n.config.Tenants.AutoProvision,
			TotalBytes: total - history, Log: n.log,
		})
	})
	if err != nil {
		return nil, err
	}
	n.stops.add("registry", func(context.Context) error { reg.Close(); return nil })
	if err := n.restoreAccounts(ctx, reg); err != nil {
		return nil, err
	}
	// What was left half-way may take long, and nobody waits for it.
	n.work.Go(func() {
		if err := reg.Resume(n.base); err != nil && n.base.Err() == nil {
			n.log.Warn("projects are left half-way until the next start", "err", err)
		}
	})
	_, err = hold(ctx, n.log, "make the projects of the configuration", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, n.admitConfigured(ctx, reg, limits)
	})
	return &tenants{accounts: acc, registry: reg, keys: store, defaults: limits, control: memory, sessions: sessions}, err
}

// openKeystore opens the access keys that are made over the API.
func (n *Node) openKeystore(ctx context.Context, conn *nats.Conn) (*keystore.Store, error) {
	sealing, err := n.keys.Sealing("access key")
	if err != nil {
		return nil, err
	}
	store, err := keystore.Open(ctx, keystore.Options{
		Conn: conn, Sealing: sealing, Configured: n.accessKeys, MaxLife: n.config.Tenants.AccessKeyLife, Log: n.log,
	})
	if err != nil {
		return nil, err
	}
	n.stops.add("keystore", func(context.Context) error { store.Close(); return nil })
	return store, nil
}

// admitConfigured makes the projects of the access keys, and of tenants.bound_only, which
// exist because the operator wrote them down. Limits that were changed since are kept.
func (n *Node) admitConfigured(ctx context.Context, reg *registry.Registry, limits tenancy.Limits) error {
	for _, k := range n.accessKeys {
		_, err := reg.Project(k.Project)
		if errors.Is(err, tenancy.ErrNoProject) {
			err = reg.Put(ctx, tenancy.Project{ID: k.Project, Name: k.ProjectName, Limits: limits})
		}
		if err != nil {
			return fmt.Errorf("project of access key %s: %w", k.ID, err)
		}
	}
	for id, only := range n.config.Tenants.BoundOnly {
		_, err := reg.Project(id)
		if errors.Is(err, tenancy.ErrNoProject) {
			err = reg.Put(ctx, tenancy.Project{ID: id, Limits: limits})
		}
		if err == nil {
			err = reg.SetBoundOnly(ctx, id, only)
		}
		if err != nil {
			return fmt.Errorf("tenants.bound_only: %w", err)
		}
	}
	return nil
}

// openTrail opens the record of who did what.
func (n *Node) openTrail(projects *tenants) (*trail.Trail, error) {
	return trail.New(trail.Options{
		Connect: projects.accounts.Connect, Secret: n.keys.Master(),
		Node: n.config.Node, Keep: n.config.Audit.Keep, Log: n.log,
	})
}

func (n *Node) requestLimits() facade.Limits {
	l := n.config.Limits
	return facade.Limits{
		RequestsPerSecond: l.RequestsPerSecond, BytesPerSecond: int(l.BytesPerSecond), FailuresPerSecond: l.FailuresPerSecond,
		PollsPerSource: l.PollsPerSource, PollsPerProject: l.PollsPerProject,
		StreamsPerSource: l.StreamsPerSource, StreamsPerProject: l.StreamsPerProject,
	}
}

func (n *Node) newBroker(projects *tenants) (*mapping.Broker, error) {
	sealing, err := n.keys.Sealing("handle")
	if err != nil {
		return nil, err
	}
	return mapping.New(mapping.Options{
		Tenants: projects, SealingKeys: sealing, Nodes: n.apiNodes, Damaged: n.suspect,
		Elsewhere: elsewhere(projects.control, n.apiNodes), Fronts: fronts(projects.control, n.apiNodes), Log: n.log,
	})
}

// projectLimits are the limits of a new project, where one member stores total bytes.
func (n *Node) projectLimits(total int64) tenancy.Limits {
	stored := int64(n.config.Tenants.Limits.Stored)
	if stored == 0 {
		stored = min(tenancy.DefaultLimits().StoredBytes, total/10)
	}
	return tenancy.Limits{
		Queues:         n.config.Tenants.Limits.Queues,
		GroupsPerQueue: n.config.Tenants.Limits.GroupsPerQueue,
		StoredBytes:    stored,
	}
}

func closeConn(c *nats.Conn) func(context.Context) error {
	return func(context.Context) error {
		c.Close()
		return nil
	}
}
