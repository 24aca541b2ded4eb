package deploy

import (
	"context"
	"fmt"

	"dms/deploy/keys"
	"dms/tenancy"
	"dms/tenancy/accounts"
	"dms/tenancy/registry"
)

// accountOptions are what tokens of accounts are made with.
func accountOptions(set *keys.Set) accounts.Options {
	return accounts.Options{Signing: set.OperatorSigning(), Master: set.Master(), Nodes: replicas}
}

// ownAccounts makes the account in which the service remembers all others, for a member
// that has lost it.
func ownAccounts(c Config, set *keys.Set) func(bytes int64) (map[string]string, error) {
	return func(bytes int64) (map[string]string, error) {
		public, token, err := accounts.Token(accountOptions(set), controlProject(c, bytes))
		if err != nil {
			return nil, fmt.Errorf("make the service's own account: %w", err)
		}
		return map[string]string{public: token}, nil
	}
}

// controlProject is the service's own account where one member stores total bytes, of
// which the samples of queues may take a part.
func controlProject(c Config, total int64) tenancy.Project {
	return tenancy.Project{ID: accounts.Control, Limits: tenancy.Limits{
		Queues: 16, GroupsPerQueue: 1, StoredBytes: 64<<20 + c.Monitoring.historyBytes(total),
	}}
}

// restoreAccounts gives the members of this process the accounts of projects that they
// have lost, which the storage does not write through everywhere, and waits until all is
// there that they should store. Until then a member that has streams of a lost account
// would never be ready.
func (n *Node) restoreAccounts(ctx context.Context, reg *registry.Registry) error {
	tokens := make(map[string]string)
	for _, p := range reg.Known() {
		public, token, err := accounts.Token(accountOptions(n.keys), p)
		if err != nil {
			return fmt.Errorf("restore account of project %s: %w", p.ID, err)
		}
		tokens[public] = token
	}
	_, err := hold(ctx, n.log, "restore accounts", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, n.storage.Restore(ctx, tokens)
	})
	if err != nil {
		return fmt.Errorf("restore accounts: %w", err)
	}
	if err := n.storage.Ready(ctx); err != nil {
		return fmt.Errorf("wait for the cluster: %w", err)
	}
	return nil
}
