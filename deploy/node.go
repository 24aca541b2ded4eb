package deploy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"dms/deploy/disk"
	"dms/deploy/engine"
	"dms/deploy/keys"
	"dms/deploy/scrub"
	"dms/facade"
	"dms/facade/console"
	"dms/facade/limit"
	"dms/mapping"
	"dms/monitor"
	"dms/monitor/history"
	"dms/monitor/watch"
	"dms/tenancy/accesskey"
	"dms/tenancy/audit/trail"
	"dms/tenancy/keystore"
	"dms/tenancy/registry"

	"github.com/nats-io/nats.go"
)

// What the API needs is what these parts offer.
var (
	_ facade.Queues     = (*mapping.Broker)(nil)
	_ facade.Groups     = (*mapping.Broker)(nil)
	_ facade.Messages   = (*mapping.Broker)(nil)
	_ facade.Tags       = (*mapping.Broker)(nil)
	_ facade.Projects   = (*registry.Registry)(nil)
	_ facade.Tenants    = (*registry.Registry)(nil)
	_ facade.Audit      = (*trail.Trail)(nil)
	_ facade.Trail      = (*trail.Trail)(nil)
	_ facade.Tokens     = (*credentials)(nil)
	_ facade.Exchange   = (*credentials)(nil)
	_ facade.Sessions   = (*credentials)(nil)
	_ facade.AccessKeys = (*keystore.Store)(nil)
	_ facade.Console    = (*console.Console)(nil)
	_ facade.Figures    = (*onlooker)(nil)
	_ facade.Signatures = (*accesskey.Verifier)(nil)
	_ facade.Alarms     = (*watch.Rules)(nil)
	_ facade.Metrics    = (*history.History)(nil)
	_ facade.Cluster    = (*peers)(nil)
	_ mapping.Tenants   = (*tenants)(nil)
)

// Node is one node: storage, API and admin listener. Make it with New or NewDev, call
// Start once, and Stop whatever Start answered.
type Node struct {
	config  Config
	log     *slog.Logger
	keys    *keys.Set
	storage storage
	disk    *disk.Watch
	since   time.Time
	system  *nats.Conn
	peers   *peers
	// suspects has word of a replica that looked damaged to a reader.
	suspects chan struct{}
	scrub    atomic.Pointer[scrub.Scrubber] // nil in dev, and until it is wired
	monitor  *monitor.Telemetry

	accessKeys []accesskey.Key
	providers  []IdentityProvider
	apiNodes   int          // nodes that answer requests for the same projects
	mounted    http.Handler // the development identity provider; nil in serve

	api, admin             net.Listener
	apiServer, adminServer *http.Server
	tls                    *listenerTLS // of the API; nil is plaintext

	handler  atomic.Pointer[http.Handler] // of the API; nil until it is wired
	draining atomic.Bool
	health   health
	clock    clock
	failed   chan error // first failure after the start
	base     context.Context
	cancel   context.CancelCauseFunc
	work     sync.WaitGroup // servers and watcher, owned by Stop

	mu      sync.Mutex // one Start or Stop at a time
	started bool
	stops   teardown
}

var (
	errStopped = errors.New("the node is being stopped")
	errStarted = errors.New("the node has been started before")
)

// variant is what differs between a node of a cluster and the cluster in one process.
type variant struct {
	apiNodes int
	storage  func(Config, *keys.Set, *slog.Logger) (storage, error)
	folder   func(context.Context) error // unlocks a folder that is locked already; nil is none
}

// New makes a node of a cluster: it takes the data folder, binds the listeners and
// starts the storage member. Addresses are true from here on; nothing is answered
// before Start. What was begun is undone when it fails.
func New(ctx context.Context, c Config, log *slog.Logger) (*Node, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	set, err := keys.Load(c.KeysFolder)
	if err != nil {
		return nil, err
	}
	accessKeys, err := readAccessKeys(c.AccessKeys)
	if err != nil {
		return nil, err
	}
	n, err := newNode(ctx, c, set, log, variant{apiNodes: replicas, storage: startMember})
	if err != nil {
		return nil, err
	}
	n.accessKeys, n.providers = accessKeys, c.IdentityProviders
	return n, nil
}

func newNode(ctx context.Context, c Config, set *keys.Set, log *slog.Logger, v variant) (n *Node, err error) {
	n = &Node{
		config: c, since: time.Now(), keys: set, apiNodes: v.apiNodes,
		log:    log.With("component", "deploy", "node", c.Node),
		failed: make(chan error, 1), suspects: make(chan struct{}, 1),
	}
	n.stops.log = n.log
	// The node's own lifetime is ended by Stop, not by whoever called New.
	n.base, n.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Stop(context.WithoutCancel(ctx)))
		}
	}()
	if v.folder != nil {
		n.stops.add("folder", v.folder)
	}
	unlock, err := lockFolder(c.DataFolder)
	if err != nil {
		return n, err
	}
	n.stops.add("data folder", unlock)
	if err := n.listen(ctx); err != nil {
		return n, err
	}
	n.monitor, err = monitor.Start(monitor.Options{Node: c.Node, Version: Build().Version, Series: c.Monitoring.SeriesLimit, Log: log})
	if err != nil {
		return n, err
	}
	n.stops.add("monitor", n.monitor.Stop)
	// The reserve is taken before anything is stored.
	n.disk, err = disk.Open(disk.Options{
		Dir: c.DataFolder, KeepFree: int64(c.Disk.KeepFree), Reserve: int64(c.Disk.Reserve), Log: n.log,
	})
	if err != nil {
		return n, err
	}
	n.stops.add("disk", func(context.Context) error { n.disk.Close(); return nil })
	n.storage, err = v.storage(c, set, log)
	if err != nil {
		return n, err
	}
	n.stops.add("storage", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, memberStop)
		defer cancel()
		return n.storage.Stop(ctx)
	})
	return n, n.startStalls()
}

// listen binds both listeners and makes their servers.
func (n *Node) listen(ctx context.Context) (err error) {
	if n.config.API.TLSCertFile != "" {
		if n.tls, err = newListenerTLS(n.config.API, n.log); err != nil {
			return err
		}
	}
	var lc net.ListenConfig
	if n.admin, err = lc.Listen(ctx, "tcp", n.config.Admin.Listen); err != nil {
		return fmt.Errorf("admin.listen: %w", err)
	}
	n.adminServer = facade.NewServer(n.adminHandler(), n.log)
	n.stops.add("admin listener", closeServer(n.adminServer, n.admin))
	if n.api, err = lc.Listen(ctx, "tcp", n.config.API.Listen); err != nil {
		return fmt.Errorf("api.listen: %w", err)
	}
	n.api = limit.Listen(n.api, n.config.Limits.ConnectionsPerSource, n.config.API.TrustedProxies)
	n.apiServer = facade.NewServer(http.HandlerFunc(n.serveAPI), n.log)
	if n.tls != nil {
		n.apiServer.TLSConfig = n.tls.config()
	}
	n.stops.add("api listener", closeServer(n.apiServer, n.api))
	return nil
}

// closeServer ends a server, whether it has begun to serve or not.
func closeServer(s *http.Server, l net.Listener) func(context.Context) error {
	return func(context.Context) error {
		err := s.Close()
		if closing := l.Close(); closing != nil && !errors.Is(closing, net.ErrClosed) {
			err = errors.Join(err, closing)
		}
		return err
	}
}

// Addr returns host:port of the API listener.
func (n *Node) Addr() string { return n.api.Addr().String() }

// AdminAddr returns host:port of the admin listener.
func (n *Node) AdminAddr() string { return n.admin.Addr().String() }

// URL returns the base URL of the API.
func (n *Node) URL() string {
	if n.tls != nil {
		return "https://" + n.Addr()
	}
	return "http://" + n.Addr()
}

// AdminURL returns the base URL of the admin listener.
func (n *Node) AdminURL() string { return "http://" + n.AdminAddr() }

// Members returns the storage members in this process, for operators and tests.
func (n *Node) Members() []*engine.Member { return n.storage.Members() }

// Failed yields one error when the node fails by itself. It does not recover: stop it.
func (n *Node) Failed() <-chan error { return n.failed }
