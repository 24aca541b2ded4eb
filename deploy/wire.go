package deploy

import (
	"context"
	"errors"
	"fmt"

	"dms/facade"
	"dms/mapping"
	"dms/tenancy"
	"dms/tenancy/accesskey"
	"dms/tenancy/accounts"
	"dms/tenancy/registry"

	"github.com/nats-io/nats.go"
)

// tenants is where the broker learns of projects.
type tenants struct {
	accounts *accounts.Accounts
	registry *registry.Registry
}

// Connect implements mapping.Tenants.
func (t *tenants) Connect(ctx context.Context, id tenancy.ProjectID) (*nats.Conn, error) {
	return t.accounts.Connect(ctx, id)
}

// Project implements mapping.Tenants.
func (t *tenants) Project(_ context.Context, id tenancy.ProjectID) (tenancy.Project, error) {
	return t.registry.Project(id)
}

// wire makes everything above storage, from the inside out, and registers how each
// part is stopped. The cluster must be ready.
func (n *Node) wire(ctx context.Context) (*facade.API, error) {
	projects, err := n.openTenants(ctx)
	if err != nil {
		return nil, err
	}
	broker, err := n.newBroker(projects)
	if err != nil {
		return nil, err
	}
	n.stops.add("broker", broker.Close)
	creds, err := newCredentials(n.keys, n.providers, n.log)
	if err != nil {
		return nil, err
	}
	n.stops.add("identity providers", func(context.Context) error { creds.providers.Close(); return nil })
	signatures, err := accesskey.New(n.accessKeys, nil)
	if err != nil {
		return nil, fmt.Errorf("access keys: %w", err)
	}
	requests, err := n.monitor.Requests()
	if err != nil {
		return nil, err
	}
	return facade.New(facade.Options{
		Queues: broker, Groups: broker, Messages: broker, Tags: broker, Workbench: broker,
		Projects: projects.registry, Tokens: creds, Exchange: creds, Signatures: signatures,
		Observe: observe(requests, n.tls != nil),
		Log:     n.log,
	})
}

// openTenants opens the accounts and the register of projects.
func (n *Node) openTenants(ctx context.Context) (*tenants, error) {
	system, err := n.storage.SystemConn()
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	n.stops.add("system connection", closeConn(system))
	acc, err := accounts.New(accounts.Options{
		System: system, Dial: n.storage.Conn, Signing: n.keys.OperatorSigning(), Master: n.keys.Master(),
		Nodes: replicas, Node: n.config.Node, Log: n.log,
	})
	if err != nil {
		return nil, err
	}
	n.stops.add("accounts", func(context.Context) error { acc.Close(); return nil })
	total, err := n.storage.MaxStore()
	if err != nil {
		return nil, err
	}
	if err := acc.Provision(ctx, tenancy.Project{ID: accounts.Control, Limits: controlLimits()}); err != nil {
		return nil, err
	}
	control, err := acc.Connect(ctx, accounts.Control)
	if err != nil {
		return nil, err
	}
	n.stops.add("control connection", closeConn(control))
	limits := n.projectLimits(total)
	reg, err := registry.Open(ctx, registry.Options{
		Conn: control, Provision: acc.Provision, Remove: acc.Delete,
		Defaults: limits, AutoProvision: n.config.Tenants.AutoProvision,
		TotalBytes: total, Log: n.log,
	})
	if err != nil {
		return nil, err
	}
	n.stops.add("registry", func(context.Context) error { reg.Close(); return nil })
	// What was left half-way may take long, and nobody waits for it.
	n.work.Go(func() {
		if err := reg.Resume(n.base); err != nil && n.base.Err() == nil {
			n.log.Warn("projects are left half-way until the next start", "err", err)
		}
	})
	return &tenants{acc, reg}, n.admitConfigured(ctx, reg, limits)
}

// admitConfigured makes the projects of the access keys, which exist because the
// operator wrote them down. Limits that were changed since are kept.
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
	return nil
}

func (n *Node) newBroker(projects *tenants) (*mapping.Broker, error) {
	sealing, err := n.keys.Sealing("handle")
	if err != nil {
		return nil, err
	}
	handles := make([]mapping.SealingKey, len(sealing))
	for i, k := range sealing {
		handles[i] = mapping.SealingKey(k)
	}
	return mapping.New(mapping.Options{Tenants: projects, SealingKeys: handles, Nodes: n.apiNodes, Log: n.log})
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

// controlLimits are the limits of the service's own account.
func controlLimits() tenancy.Limits {
	return tenancy.Limits{Queues: 16, GroupsPerQueue: 1, StoredBytes: 64 << 20}
}

func closeConn(c *nats.Conn) func(context.Context) error {
	return func(context.Context) error {
		c.Close()
		return nil
	}
}
