package deploy

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"dms/deploy/engine"
	"dms/deploy/keys"
	"dms/deploy/scrub"

	"github.com/nats-io/nats.go"
)

// storage is the embedded part of the cluster: one member in serve, three in dev.
type storage interface {
	// Joined waits until the members take part in the cluster, and Ready until they also
	// have all that they should store.
	Joined(context.Context) error
	Ready(context.Context) error
	// Restore gives the members accounts (tokens by public key) that they have lost.
	Restore(ctx context.Context, tokens map[string]string) error
	Conn(...nats.Option) (*nats.Conn, error)
	SystemConn(...nats.Option) (*nats.Conn, error)
	// MaxStore is how many bytes one member stores at most.
	MaxStore() (int64, error)
	Stop(context.Context) error
	// Members returns those that run.
	Members() []*engine.Member
	// Places are the members that belong to this process, running or not.
	Places() []place
	// Serving returns why nothing can be stored at present, or nil. It is cheap.
	Serving() error
	// Failed yields an error when a member has failed for good.
	Failed() <-chan error
}

// place is where a member runs or should.
type place struct {
	name     string
	member   *engine.Member // nil while it is down
	down     error          // why
	restarts int
}

// defuseLimit bounds how long the files that were written last are looked through before a
// start.
const defuseLimit = 2 * time.Second

// oneMember is the storage of a node in a cluster of three.
type oneMember struct{ *engine.Seat }

func startMember(c Config, set *keys.Set, log *slog.Logger) (storage, error) {
	var routes []string
	advertise := ""
	for _, p := range c.Cluster.Peers {
		routes = append(routes, p.Address)
		if p.Name == c.Node {
			advertise = p.Address
		}
	}
	var prepare func(string) error
	if !c.Disk.Encrypted {
		prepare = func(store string) error { return scrub.Defuse(store, defuseLimit, log) }
	}
	m, err := engine.TakeSeat(engine.Options{
		Name: c.Node, Dir: filepath.Join(c.DataFolder, "member"), Keys: set,
		RouteAddr: c.Cluster.Listen, Advertise: advertise, Routes: routes,
		MaxStore: int64(c.Disk.Limit), Encrypted: c.Disk.Encrypted, Accounts: ownAccounts(c, set), Prepare: prepare, Log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	return oneMember{m}, nil
}

func (s oneMember) Members() []*engine.Member {
	if m := s.Member(); m != nil {
		return []*engine.Member{m}
	}
	return nil
}

func (s oneMember) Places() []place {
	return []place{{name: s.Name(), member: s.Member(), down: s.Down(), restarts: s.Restarts()}}
}

func (s oneMember) MaxStore() (int64, error) { return maxStore(s.Member()) }

func maxStore(m *engine.Member) (int64, error) {
	if m == nil {
		return 0, fmt.Errorf("storage: %w", engine.ErrStopped)
	}
	info, err := m.Jsz(nil)
	if err != nil {
		return 0, fmt.Errorf("storage: %w", err)
	}
	return info.Config.MaxStore, nil
}

// maxStore waits for a member that can say it.
func (n *Node) maxStore(ctx context.Context) (int64, error) {
	return hold(ctx, n.log, "ask how much is stored at most", func(context.Context) (int64, error) { return n.storage.MaxStore() })
}

// threeMembers is a whole cluster in this process. Connections go through the first member.
type threeMembers struct{ *engine.Trio }

func startThree(c Config, set *keys.Set, log *slog.Logger) (storage, error) {
	// Three members that start together complain of each other until all listen. That
	// one of them fails is told by Failed, not by the log.
	if !log.Enabled(context.Background(), slog.LevelInfo) {
		log = nil
	}
	t, err := engine.StartThree(engine.TrioOptions{Dir: c.DataFolder, Keys: set, MaxStore: int64(c.Disk.Limit), Accounts: ownAccounts(c, set), Log: log})
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	return threeMembers{t}, nil
}

func (s threeMembers) Conn(o ...nats.Option) (*nats.Conn, error) { return s.Trio.Conn(0, o...) }

func (s threeMembers) SystemConn(o ...nats.Option) (*nats.Conn, error) {
	return s.Trio.SystemConn(0, o...)
}

func (s threeMembers) Places() []place {
	all := make([]place, s.Size())
	for i := range all {
		all[i] = place{name: engine.TrioName(i), member: s.Member(i), down: engine.ErrStopped}
	}
	return all
}

func (s threeMembers) MaxStore() (int64, error) { return maxStore(s.Member(0)) }

// Serving returns what is wrong with the first member, through which this process stores.
func (s threeMembers) Serving() error {
	if m := s.Member(0); m != nil {
		return m.Serving()
	}
	return engine.ErrStopped
}

// Stop hands nothing over, for there is nobody outside of this process to take it.
func (s threeMembers) Stop(ctx context.Context) error {
	done := make(chan struct{})
	go func() { // ends with the members, whose end has limits of its own
		defer close(done)
		s.Abort()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop storage: %w", ctx.Err())
	}
}

// memberStop bounds how long storage may take to hand over and to close: 4 s for the first,
// and the engine waits for 10 s itself for what decides in the cluster to end.
const memberStop = 20 * time.Second
