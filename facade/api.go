package facade

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"dms/facade/limit"
	"dms/facade/live"
	"dms/tenancy"
)

// Options are the parts of the service that the API speaks for.
type Options struct {
	Queues   Queues
	Groups   Groups
	Messages Messages
	Tags     Tags
	// Workbench serves the additions to the published operations.
	Workbench Workbench
	Projects  Projects
	Tokens    Tokens
	Audit     Audit
	Trail     Trail

	// Tenants serves operators; nil means that there are no routes for them.
	Tenants Tenants
	// Cluster tells operators of the storage; nil means that there is no such route.
	Cluster Cluster
	// ProjectLimits are those of a project that an operator makes without saying.
	ProjectLimits tenancy.Limits

	// Metrics and Alarms are what monitoring offers; nil means that there is none.
	Metrics Metrics
	Alarms  Alarms
	// Figures feeds the stream of events; nil means that there is none.
	Figures Figures
	// Heartbeat is how often a quiet stream is given a sign of life, and its caller is
	// looked at again; 0 means 15 s.
	Heartbeat time.Duration

	// Console is served below /console/, and its sessions are accepted; nil means that
	// there is none.
	Console Console

	// Signatures verifies signed requests; nil refuses them all.
	Signatures Signatures
	// Exchange serves the ID token exchange; nil means that there is none.
	Exchange Exchange
	// Sessions serves, with Exchange, the token operations of /v3; nil means that there
	// are none.
	Sessions Sessions
	// AccessKeys serves access keys; nil means that there are no such operations.
	AccessKeys AccessKeys

	// ProjectName, if set, is what a project in use is called here, or "". It does no I/O.
	ProjectName func(tenancy.ProjectID) string

	// PublicURL is where clients find the API, scheme and host; empty means the host that
	// a request was sent to. Region and Domain are the names of the one region and the one
	// domain; empty means local-1 and Default.
	PublicURL, Region, Domain string

	// Room, if set, tells why nothing more may be stored at the moment, or nil. It is asked
	// by operations that store; what consumes, settles and deletes goes on. It must not block.
	Room func() error

	Capacity Capacity
	Limits   Limits
	// Proxies are the networks whose word is taken for whom they speak for.
	Proxies limit.Proxies

	// Observe, if set, is told of every request when it has been answered. It is
	// called from the request's goroutine and must not block.
	Observe func(context.Context, Observation)

	Log *slog.Logger
	Now func() time.Time // nil means time.Now
}

// Observation is one answered request, for metrics.
type Observation struct {
	Method   string
	Route    string // pattern of the route, "" when the URL is unknown
	Status   int
	Code     string // published error code, "" for a success
	Project  tenancy.ProjectID
	Duration time.Duration
	Received int64 // bytes of the request body that were read
	Sent     int64 // bytes of the response body
}

// API answers the REST interface.
type API struct {
	o       Options
	errors  errorTable
	pools   pools
	gates   gates
	handler http.Handler
	live    *live.Hub
	foreign *http.CrossOriginProtection // of requests that a cookie vouches for

	drained context.Context // cancelled when long polls shall end
	drain   context.CancelCauseFunc
}

var errDraining = errors.New("the node is shutting down")

// New checks the options and builds the API. It starts nothing.
func New(o Options) (*API, error) {
	for _, need := range []struct {
		name string
		part any
	}{
		{"Queues", o.Queues}, {"Groups", o.Groups}, {"Messages", o.Messages}, {"Tags", o.Tags}, {"Workbench", o.Workbench},
		{"Projects", o.Projects}, {"Tokens", o.Tokens}, {"Audit", o.Audit}, {"Trail", o.Trail},
	} {
		if need.part == nil {
			return nil, fmt.Errorf("facade: option %s is missing", need.name)
		}
	}
	if o.Log == nil {
		return nil, errors.New("facade: option Log is missing")
	}
	if err := o.Capacity.validate(); err != nil {
		return nil, fmt.Errorf("facade: %w", err)
	}
	if err := o.Limits.validate(); err != nil {
		return nil, fmt.Errorf("facade: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Room == nil {
		o.Room = func() error { return nil }
	}
	if o.Heartbeat <= 0 {
		o.Heartbeat = heartbeatEvery
	}
	if o.ProjectName == nil {
		o.ProjectName = func(tenancy.ProjectID) string { return "" }
	}
	if o.Region == "" {
		o.Region = "local-1"
	}
	if o.Domain == "" {
		o.Domain = "Default"
	}
	o.Log = o.Log.With(slog.String("component", "facade"))
	a := &API{o: o, errors: newErrorTable(), pools: newPools(o.Capacity, o.Limits), gates: newGates(o.Limits)}
	// Draining outlives every request, so its context has no parent; Drain ends it.
	a.drained, a.drain = context.WithCancelCause(context.Background())
	mux, err := a.mux()
	if err != nil {
		return nil, fmt.Errorf("facade: %w", err)
	}
	a.foreign = http.NewCrossOriginProtection()
	if a.live, err = live.NewHub(live.Options{Look: a.look, Every: lookEvery, Linger: lookLinger}); err != nil {
		return nil, fmt.Errorf("facade: %w", err)
	}
	a.handler = a.wrap(mux)
	return a, nil
}

// Handler returns the handler of the whole API.
func (a *API) Handler() http.Handler { return a.handler }

// Drain ends all long polls at once, each with what it has got, and makes later ones
// answer without waiting. Streams of events end, too. Other requests are served as before.
// It is called before the server is shut down and may be called twice.
func (a *API) Drain() { a.drain(errDraining) }

// Close ends what the API does in the background and waits for it. It is called when no
// request is served any more.
func (a *API) Close() {
	a.Drain()
	a.live.Close()
}
