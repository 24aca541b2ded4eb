package engine

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"dms/deploy/keys"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
)

const (
	replicas        = 3
	defaultMinStore = 256 << 20
	defaultAssets   = 2000
	// maxPayload is a body of 1 MiB and the largest header block the server takes.
	maxPayload = 1<<20 + 64<<10
	// consumersPerStream covers the largest number of groups of a queue with room.
	consumersPerStream = 320
	maxAckPending      = 20_000
	syncAccounts       = 10 * time.Second
)

// Options say which member of which cluster to run. There is deliberately no option
// that turns off syncing to disk or lowers the number of replicas.
type Options struct {
	Name string // of the member, forever: a renamed member is a new one to its peers
	Dir  string // data folder, made when absent
	Keys *keys.Set

	RouteAddr string   // host:port where the other members reach this one
	Advertise string   // host:port the others are told instead of RouteAddr; empty is RouteAddr
	Routes    []string // host:port of all members, this one included

	MaxStore  int64 // bytes for streams on this member; 0 is 65 % of the disk, divided by SharedBy
	SharedBy  int   // members that keep their data on this disk; 0 is 1
	MinStore  int64 // least bytes to start with; 0 is 256 MiB
	MaxAssets int   // replicated streams and consumers on a member; 0 is 2000

	// Accounts makes tokens of accounts, by public key, that are put where the member has
	// lost them, knowing how many bytes the member stores at most; nil is none.
	Accounts func(bytes int64) (map[string]string, error)
	// Prepare, if set, is called with the folder of the store before each start.
	Prepare func(store string) error
	// Encrypted stores everything under a key of Keys. It is for the life of the data folder:
	// a member with the other setting refuses to start on it.
	Encrypted bool

	Log *slog.Logger // nil discards

	onFail       func(error)         // besides Failed; must not block
	onUnreadable func(stream string) // as bridge's; must not block
	onShut       func()              // before the server is ended
	shutWithin   time.Duration       // 0 is shutLimit
}

func (o Options) check() error {
	switch {
	case o.Name == "" || strings.ContainsAny(o.Name, " .*>/\\\t\r\n"):
		return refuse(ErrOptions, "the member's name %q must be one word", o.Name)
	case o.Dir == "":
		return refuse(ErrOptions, "the data folder is not set")
	case o.Keys == nil:
		return refuse(ErrOptions, "the key material is not set")
	}
	if len(o.Routes) < replicas {
		return refuse(ErrTooFewReplicas, "%d members are listed, want at least %d", len(o.Routes), replicas)
	}
	seen := make(map[string]bool)
	for _, r := range append([]string{o.RouteAddr}, o.Routes...) {
		if _, port, err := net.SplitHostPort(r); err != nil || port == "0" || port == "" {
			return refuse(ErrOptions, "the route %q is not host:port with a fixed port", r)
		}
	}
	for _, r := range o.Routes {
		if seen[r] {
			return refuse(ErrTooFewReplicas, "the route %s is listed twice", r)
		}
		seen[r] = true
	}
	return nil
}

// serverOptions translates the options; budget is the number of bytes for streams, and
// without a key they are stored as they are.
func (o Options) serverOptions(budget int64, resolver server.AccountResolver, storeKey string) (*server.Options, error) {
	operator, err := o.Keys.Operator()
	if err != nil {
		return nil, err
	}
	host, service, err := net.SplitHostPort(o.RouteAddr)
	if err != nil {
		return nil, fmt.Errorf("route address: %w", err)
	}
	port, err := net.LookupPort("tcp", service)
	if err != nil {
		return nil, fmt.Errorf("route address: %w", err)
	}
	routes := make([]*url.URL, 0, len(o.Routes))
	for _, r := range o.Routes {
		routes = append(routes, &url.URL{Scheme: "nats-route", Host: r})
	}
	tlsConfig, pin := o.Keys.RouteTLS()
	assets := o.MaxAssets
	if assets == 0 {
		assets = defaultAssets
	}
	return &server.Options{
		ServerName: o.Name,
		// The client listener must exist, or routes never start; nobody is told its port.
		Host: "127.0.0.1", Port: server.RANDOM_PORT,
		NoSigs: true, NoLog: true, DisableJetStreamBanner: true, MaxClosedClients: 100,
		MaxPayload: maxPayload, MaxPending: 256 << 20, WriteDeadline: 10 * time.Second, MaxConn: 20_000,
		JetStream: true, StoreDir: o.storeDir(),
		JetStreamMaxMemory: 64 << 20, // explicit, for 0 means three quarters of the machine
		JetStreamMaxStore:  budget,
		SyncAlways:         true, SyncInterval: 10 * time.Second,
		JetStreamKey: storeKey, JetStreamCipher: server.AES, // no key, no encryption
		JetStreamLimits: server.JSLimitOpts{
			MaxHAAssets: assets, MaxAckPending: maxAckPending, MaxRequestBatch: 1000, Duplicates: 10 * time.Minute,
			DefaultMaxConsumers: consumersPerStream, MaxBatchInflightPerStream: 500, MaxBatchInflightTotal: 5000,
			MaxBatchTimeout: 5 * time.Second,
		},
		JetStreamMaxCatchup: 64 << 20, JetStreamRequestQueueLimit: 10_000, JetStreamInfoQueueLimit: 2_000,
		Cluster: server.ClusterOpts{
			Name: "dms-" + o.Keys.ClusterID().String(), Host: host, Port: port, Advertise: o.Advertise,
			PoolSize: 3, Compression: server.CompressionOpts{Mode: server.CompressionOff},
			// The addresses of client listeners are nobody's business.
			NoAdvertise: true,
			TLSConfig:   tlsConfig, TLSTimeout: 5, TLSPinnedCerts: server.PinnedCertSet{pin: {}},
		},
		Routes:              routes,
		LameDuckGracePeriod: 300 * time.Millisecond, LameDuckDuration: 2 * time.Second,
		TrustedOperators: []*jwt.OperatorClaims{operator},
		SystemAccount:    operator.SystemAccount,
		AccountResolver:  resolver,
	}, nil
}
