package accounts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"dms/tenancy"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

const (
	connectWithin = 5 * time.Second
	reconnectWait = 50 * time.Millisecond
)

// Connect opens a connection into the project's account, which the caller closes. The
// connection is made again whenever it breaks, until it is closed or its account is
// deleted, through whatever node. An absent account is tenancy.ErrNoProject.
func (a *Accounts) Connect(ctx context.Context, id tenancy.ProjectID) (*nats.Conn, error) {
	k, err := a.derive(id)
	if err != nil {
		return nil, fmt.Errorf("connect to account: %w", err)
	}
	options, err := a.userOptions(id, k)
	if err != nil {
		return nil, fmt.Errorf("connect to account of project %s: %w", id, err)
	}
	within := connectWithin
	if end, ok := ctx.Deadline(); ok {
		within = min(within, time.Until(end))
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("connect to account of project %s: %w", id, context.Cause(ctx))
	}
	nc, err := a.dial(ctx, id, options, time.Now().Add(within))
	if err != nil {
		return nil, fmt.Errorf("connect to account of project %s: %w", id, err)
	}
	if !a.keep(id, nc) {
		nc.Close()
		return nil, fmt.Errorf("connect to account of project %s: %w", id, nats.ErrConnectionClosed)
	}
	awaitStorage(ctx, nc)
	return nc, nil
}

// errNotYet: the account exists, but the node that was asked refuses its users.
var errNotYet = errors.New("the node does not know the account yet")

// renewAfter is how long a node may take to hear of an account. Then it is told anew.
const renewAfter = 500 * time.Millisecond

// dial tries until the end while the account exists and the node refuses its users: it
// has not heard of the account yet, or takes it for expired (see DESIGN.md).
func (a *Accounts) dial(ctx context.Context, id tenancy.ProjectID, options []nats.Option, end time.Time) (*nats.Conn, error) {
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	renew := time.Now().Add(renewAfter)
	for {
		timeout := nats.Timeout(max(time.Until(end), pollEvery))
		nc, err := a.opts.Dial(append(slices.Clone(options), timeout)...)
		if err == nil {
			return nc, nil
		}
		err = a.explain(ctx, id, err)
		if !errors.Is(err, errNotYet) || time.Now().After(end) {
			return nil, err
		}
		if now := time.Now(); now.After(renew) {
			renew = now.Add(2 * renewAfter) // a token is new when its second is
			if err := a.renew(ctx, id); err != nil {
				return nil, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-t.C:
		}
	}
}

// renew gives all nodes the account as it is under a new token, so that they take it up
// as changed.
func (a *Accounts) renew(ctx context.Context, id tenancy.ProjectID) error {
	k, err := a.derive(id)
	if err != nil {
		return err
	}
	have, err := a.lookup(ctx, k.public)
	if err != nil {
		return err
	}
	var newest *jwt.AccountClaims
	for _, h := range have {
		if h != nil && (newest == nil || h.IssuedAt > newest.IssuedAt) {
			newest = h
		}
	}
	if newest == nil {
		return tenancy.ErrNoProject
	}
	a.log.LogAttrs(ctx, slog.LevelInfo, "a node refuses an account that exists; telling it anew", slog.String("project", string(id)))
	return a.push(ctx, newest)
}

const (
	subjectInfo   = "$JS.API.INFO"
	codeNoStorage = 10039
	storageWithin = 2 * time.Second
	infoWithin    = 500 * time.Millisecond
)

// awaitStorage waits while the cluster's leader is still loading the account: it hears
// of the connection and of the account's storage one after the other, and refuses all
// requests in between. Any other answer, or none, is for the connection's owner to meet.
func awaitStorage(ctx context.Context, nc *nats.Conn) {
	ctx, cancel := context.WithTimeout(ctx, storageWithin)
	defer cancel()
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for {
		ask, stop := context.WithTimeout(ctx, infoWithin)
		m, err := nc.RequestWithContext(ask, subjectInfo, nil)
		stop()
		if err != nil {
			return
		}
		var r struct {
			Error *struct {
				Code int `json:"err_code"`
			} `json:"error"`
		}
		if json.Unmarshal(m.Data, &r) != nil || r.Error == nil || r.Error.Code != codeNoStorage {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (a *Accounts) userOptions(id tenancy.ProjectID, k accountKeys) ([]nats.Option, error) {
	user, err := nkeys.CreateUser()
	if err != nil {
		return nil, fmt.Errorf("make user: %w", err)
	}
	pub, err := user.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("make user: %w", err)
	}
	mint := func() (string, error) {
		c := jwt.NewUserClaims(pub)
		c.Name, c.IssuerAccount = a.opts.Node, k.public
		// Everything comes from the scope in the account. The token does not end: it is
		// of no use without the key above, which never leaves this connection.
		c.UserPermissionLimits = jwt.UserPermissionLimits{}
		return c.Encode(k.signing)
	}
	return []nats.Option{
		nats.Name(a.opts.Node), nats.UserJWT(mint, user.Sign),
		nats.CustomInboxPrefix("_INBOX." + a.opts.Node),
		nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait),
		nats.ClosedHandler(func(nc *nats.Conn) { a.forget(id, nc) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			var subject string
			if sub != nil {
				subject = sub.Subject
			}
			a.log.LogAttrs(context.Background(), slog.LevelWarn, "connection reported an error",
				slog.String("project", string(id)), slog.String("subject", subject), slog.Any("error", err))
		}),
	}, nil
}

// explain finds out what a failed connect means. On an in-process connection a refused
// credential can also show itself as a closed pipe, like a node that is stopping.
func (a *Accounts) explain(ctx context.Context, id tenancy.ProjectID, err error) error {
	if !errors.Is(err, nats.ErrAuthorization) && !errors.Is(err, io.ErrClosedPipe) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	exists, lookErr := a.Exists(ctx, id)
	if lookErr != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, errors.Join(err, lookErr))
	}
	if !exists {
		return tenancy.ErrNoProject
	}
	return fmt.Errorf("%w: %w: %w", ErrUnavailable, errNotYet, err)
}

// keep remembers the connection; it reports false when all are being closed.
func (a *Accounts) keep(id tenancy.ProjectID, nc *nats.Conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	if nc.IsClosed() { // before there was anything to forget
		return true
	}
	if a.conns[id] == nil {
		a.conns[id] = make(map[*nats.Conn]struct{})
	}
	a.conns[id][nc] = struct{}{}
	return true
}

func (a *Accounts) forget(id tenancy.ProjectID, nc *nats.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.conns[id], nc)
	if len(a.conns[id]) == 0 {
		delete(a.conns, id)
	}
}
