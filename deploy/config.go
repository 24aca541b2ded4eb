package deploy

import (
	"net/netip"
	"time"

	"dms/tenancy"
	"dms/tenancy/audit/trail"
)

// Config is one node's configuration as dms.yaml holds it. A field that the file
// leaves out keeps its value of Default. Secrets are never in the file itself: fields
// that end in _file name a file that holds one. Relative paths are relative to the
// folder of the configuration file. Environment variables configure nothing.
type Config struct {
	Node       string `yaml:"node"`        // this node's name; never change it once the node has data
	DataFolder string `yaml:"data_folder"` // messages and cluster state
	KeysFolder string `yaml:"keys_folder"` // made by "dms keys init", the same on all nodes

	API     APIListener     `yaml:"api"`
	Admin   AdminListener   `yaml:"admin"`
	Cluster ClusterOptions  `yaml:"cluster"`
	Disk    DiskOptions     `yaml:"disk"`
	Scrub   ScrubOptions    `yaml:"scrub"`
	Tenants TenantOptions   `yaml:"tenants"`
	Limits  RequestLimits   `yaml:"limits"`
	Audit   AuditOptions    `yaml:"audit"`
	Stop    ShutdownOptions `yaml:"stop"`
	Log     LogOptions      `yaml:"log"`
	Console ConsoleOptions  `yaml:"console"`

	Monitoring MonitoringOptions `yaml:"monitoring"`

	IdentityProviders []IdentityProvider `yaml:"identity_providers"`
	AccessKeys        []AccessKey        `yaml:"access_keys"`
}

// APIListener is where clients connect. Without a certificate it must be a loopback
// address, unless InsecurePlaintext says that something else protects the traffic. The
// files are read again when they change.
type APIListener struct {
	Listen      string `yaml:"listen"` // host:port; port 0 lets the system choose
	TLSCertFile string `yaml:"tls_cert_file"`
	TLSKeyFile  string `yaml:"tls_key_file"`
	// ClientCAFile holds the authorities, in PEM, that client certificates may be from.
	// Clients are asked for one then, and need none, unless their token is bound to it.
	ClientCAFile      string `yaml:"client_ca_file"`
	InsecurePlaintext bool   `yaml:"insecure_plaintext"`
	// TrustedProxies are the networks of proxies whose X-Forwarded-For tells where a
	// request comes from. Without them that is where the connection comes from.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`
	// PublicURL is where clients find the API, for the catalog that they ask for it:
	// scheme and host. Empty means the host that each request was sent to.
	PublicURL string `yaml:"public_url"`
	Region    string `yaml:"region"` // the one region, as catalogs name it
	Domain    string `yaml:"domain"` // the one domain, as clients may check its name
}

// AdminListener serves /metrics, /livez and /readyz and nothing else. It asks for no
// credentials, so it belongs on an address that only operators reach.
type AdminListener struct {
	Listen string `yaml:"listen"`
}

// ClusterOptions name the three members. All nodes carry the same list of peers.
type ClusterOptions struct {
	Listen string `yaml:"listen"` // host:port for the other members; the traffic is mutual TLS
	Peers  []Peer `yaml:"peers"`  // exactly three, this node included
}

// Peer is a member and where the others reach it.
type Peer struct {
	Name    string `yaml:"name"`
	Address string `yaml:"address"` // host:port
}

// DiskOptions bound what the node stores.
type DiskOptions struct {
	Limit Bytes `yaml:"limit"` // of messages; 0 means 65 % of the disk that holds the data folder
	// KeepFree is how much of the disk stays free: with less, sends are refused with 503 and
	// everything else goes on. 0 means 8 % of the disk, 64 MiB to 4 GiB.
	KeepFree Bytes `yaml:"keep_free"`
	// Encrypted stores messages and everything else under a key of the keys folder: the
	// newest when the data folder is new. Both are for the life of the data folder.
	Encrypted bool `yaml:"encrypted"`
	// Reserve is a file that is given up when other programs take what was kept free. 0
	// means 5 % of the disk, at most 1 GiB.
	Reserve Bytes `yaml:"reserve"`
}

// ScrubOptions say how often a node compares its replicas with those of the others.
type ScrubOptions struct {
	AtStart        time.Duration `yaml:"at_start"`         // of reading messages fast after a start, 0s to 10m
	Every          time.Duration `yaml:"every"`            // counts and sequences, 1s to 1h
	ReadEvery      time.Duration `yaml:"read_every"`       // all messages, 1s to 720h
	BytesPerSecond Bytes         `yaml:"bytes_per_second"` // of reading, at least 64 KiB
}

// TenantOptions say which projects exist and what they may use.
type TenantOptions struct {
	// AutoProvision admits a project when a caller with a valid credential for it
	// first calls. Otherwise only the projects of the access keys exist.
	AutoProvision bool         `yaml:"auto_provision"`
	Limits        TenantLimits `yaml:"limits"`
	// BoundOnly sets, at each start, the switch of the projects that it names: whether
	// they admit only tokens that are bound to a client certificate, and so no access
	// keys. A project that it names is made if it is not there.
	BoundOnly map[tenancy.ProjectID]bool `yaml:"bound_only"`
	// AccessKeyLife is the longest life of an access key that is made over the API; 0
	// means that such keys need not end.
	AccessKeyLife time.Duration `yaml:"access_key_life"`
}

// TenantLimits are the limits of a new project; see tenancy.Limits for their ranges.
type TenantLimits struct {
	Queues         int   `yaml:"queues"`
	GroupsPerQueue int   `yaml:"groups_per_queue"`
	Stored         Bytes `yaml:"stored"` // 0 means a tenth of the disk limit, at most 10 GiB
}

// RequestLimits keep callers from taking more than their share of a node. 0 means no
// limit.
type RequestLimits struct {
	RequestsPerSecond    int   `yaml:"requests_per_second"`    // of one project
	BytesPerSecond       Bytes `yaml:"bytes_per_second"`       // of one project, both ways
	FailuresPerSecond    int   `yaml:"failures_per_second"`    // refused credentials from one address
	ConnectionsPerSource int   `yaml:"connections_per_source"` // from one address that is no trusted proxy
	PollsPerSource       int   `yaml:"polls_per_source"`       // requests from one address that wait for messages
	PollsPerProject      int   `yaml:"polls_per_project"`      // 0 means three quarters of what the node takes
	StreamsPerSource     int   `yaml:"streams_per_source"`     // streams of events to one address
	StreamsPerProject    int   `yaml:"streams_per_project"`    // 0 means three quarters of what the node takes
}

// AuditOptions say how long it is known who did what.
type AuditOptions struct {
	Keep time.Duration `yaml:"keep"` // 64 MiB of a project are kept at most
}

// IdentityProvider is an OpenID Connect issuer whose tokens are accepted.
type IdentityProvider struct {
	ID       string   `yaml:"id"` // as clients name it in X-Idp-Id
	Issuer   string   `yaml:"issuer"`
	Audience []string `yaml:"audience"` // a token must be for one of these
	// CAFile holds the authorities, in PEM, that the issuer's certificate may be from; the
	// system's if empty.
	CAFile string `yaml:"ca_file"`
	// RequireAccessType refuses bearer tokens without the type at+jwt. Set it for every
	// issuer that writes the type.
	RequireAccessType bool             `yaml:"require_access_type"`
	ClockSkew         time.Duration    `yaml:"clock_skew"`   // 1s to 5m; 0 means 1m
	MaxLifetime       time.Duration    `yaml:"max_lifetime"` // of a token, 1m to 720h; 0 means 24h
	StaleKeys         time.Duration    `yaml:"stale_keys"`   // keys are used this long while the issuer is away, 24h to 720h; 0 means 24h
	Claims            ClaimExpressions `yaml:"claims"`
	// Console lets people sign in to the console with it; nobody can if it is left out.
	Console *ConsoleClient `yaml:"console"`
}

// ClaimExpressions say in CEL what the claims of a token mean. What is left out keeps the
// default of claims.Default.
type ClaimExpressions struct {
	Subject  string      `yaml:"subject"`
	Name     string      `yaml:"name"`
	Projects string      `yaml:"projects"`
	Roles    string      `yaml:"roles"`
	Rules    []ClaimRule `yaml:"rules"`
}

// ClaimRule refuses tokens for whose claims the expression is not true.
type ClaimRule struct {
	Expression string `yaml:"expression"`
	Message    string `yaml:"message"` // for the log
}

// AccessKey signs requests for one project.
type AccessKey struct {
	ID          string            `yaml:"id"`
	SecretFile  string            `yaml:"secret_file"`
	Project     tenancy.ProjectID `yaml:"project"`
	ProjectName string            `yaml:"project_name"`
	Roles       []tenancy.Role    `yaml:"roles"`
}

// ShutdownOptions bound an orderly stop.
type ShutdownOptions struct {
	Limit time.Duration `yaml:"limit"` // how long the whole stop may take
}

// LogOptions say what is logged to standard error.
type LogOptions struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // text or json
}

// Default returns a configuration that lacks only what no default can know: the
// node's name, the peers, and who may call.
func Default() Config {
	limits := tenancy.DefaultLimits()
	return Config{
		DataFolder: "data",
		KeysFolder: "keys",
		API:        APIListener{Listen: "127.0.0.1:8080", Region: "local-1", Domain: "Default"},
		Admin:      AdminListener{Listen: "127.0.0.1:9090"},
		Cluster:    ClusterOptions{Listen: "127.0.0.1:6222"},
		Scrub:      ScrubOptions{AtStart: 10 * time.Second, Every: time.Minute, ReadEvery: 24 * time.Hour, BytesPerSecond: 5 << 20},
		Tenants: TenantOptions{Limits: TenantLimits{
			Queues:         limits.Queues,
			GroupsPerQueue: limits.GroupsPerQueue,
		}},
		Limits: RequestLimits{
			RequestsPerSecond: 20_000, BytesPerSecond: 512 << 20, FailuresPerSecond: 10,
			ConnectionsPerSource: 10_000, PollsPerSource: 4096, StreamsPerSource: 64,
		},
		Audit: AuditOptions{Keep: trail.DefaultKeep},
		Stop:  ShutdownOptions{Limit: 45 * time.Second},
		Log:   LogOptions{Level: "info", Format: "json"},

		Console:    defaultConsole(),
		Monitoring: defaultMonitoring(),
	}
}
