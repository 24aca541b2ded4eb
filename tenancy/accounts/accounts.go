package accounts

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"dms/tenancy"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// Control is the account of the service itself.
const Control = tenancy.Control

// Errors of this package, wrapped in what was being done.
var (
	// ErrUnavailable: too few nodes answered. What was asked may or may not have
	// happened; it is safe to ask again.
	ErrUnavailable = errors.New("too few nodes of the cluster answered")
	// ErrRefused: a node refused what was asked, and asking again will not help.
	ErrRefused = errors.New("the cluster refused")
)

// Options are what accounts are made with.
type Options struct {
	// System is a connection to the system account. The caller closes it, after Close.
	System *nats.Conn
	// Dial connects to the cluster with the credentials in the options.
	Dial func(...nats.Option) (*nats.Conn, error)
	// Signing is a key that the cluster trusts to sign accounts.
	Signing nkeys.KeyPair
	// Master is the secret of 32 bytes from which account keys are derived.
	Master []byte
	// Nodes is the number of nodes of the cluster; a majority must answer.
	Nodes int
	// Node names this process among the cluster's clients: one word. It is part of the
	// subjects to which answers come.
	Node string
	Log  *slog.Logger // nil discards
}

// Accounts makes, deletes and opens accounts. It is safe for concurrent use.
type Accounts struct {
	opts Options
	log  *slog.Logger

	mu     sync.Mutex
	conns  map[tenancy.ProjectID]map[*nats.Conn]struct{}
	closed bool
}

// New checks the options. It does not talk to the cluster.
func New(o Options) (*Accounts, error) {
	switch {
	case o.System == nil || o.Dial == nil || o.Signing == nil:
		return nil, errors.New("accounts need a system connection, a way to connect and a signing key")
	case len(o.Master) != 32:
		return nil, fmt.Errorf("the master secret has %d bytes, want 32", len(o.Master))
	case o.Nodes < 1:
		return nil, fmt.Errorf("the number of nodes is %d, want at least 1", o.Nodes)
	case o.Node == "" || strings.ContainsAny(o.Node, " .*>\t\r\n"):
		return nil, fmt.Errorf("the node's name %q must be one word", o.Node)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Accounts{
		opts: o, log: o.Log.With(slog.String("component", "accounts")),
		conns: make(map[tenancy.ProjectID]map[*nats.Conn]struct{}),
	}, nil
}

// ID returns the name under which the cluster knows the project's account.
func (a *Accounts) ID(id tenancy.ProjectID) (string, error) {
	k, err := a.derive(id)
	if err != nil {
		return "", err
	}
	return k.public, nil
}

// Close closes all connections that Connect gave out.
func (a *Accounts) Close() {
	a.mu.Lock()
	a.closed = true
	var all []*nats.Conn
	for _, conns := range a.conns {
		for nc := range conns {
			all = append(all, nc)
		}
	}
	a.mu.Unlock()
	for _, nc := range all {
		nc.Close() // forgets itself through its callback, which takes the lock
	}
}

// answerWithin bounds one round of questions to the nodes.
const answerWithin = 4 * time.Second
