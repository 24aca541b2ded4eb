package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	startLimit = 2 * time.Minute // recovery of a large store comes before the listeners
	pollEvery  = 10 * time.Millisecond
	watchEvery = time.Second
)

// Member is one running member of the cluster.
type Member struct {
	opts    Options
	log     *slog.Logger
	server  *server.Server
	failed  chan error
	stop    context.CancelFunc
	watcher sync.WaitGroup // owned by Stop and Abort

	mu    sync.Mutex
	cause error // first failure
	ended bool
}

// Start runs a member and returns when it listens. Its peers may still be missing: use
// Ready to wait for them. A refusal wraps one of the Err variables of this package.
func Start(o Options) (*Member, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := (identity{Cluster: o.Keys.ClusterID().String(), Name: o.Name}).claim(o.Dir); err != nil {
		return nil, err
	}
	budget, err := o.budget()
	if err != nil {
		return nil, err
	}
	if err := probePort(o.RouteAddr); err != nil {
		return nil, err
	}
	resolver, err := openResolver(o)
	if err != nil {
		return nil, err
	}
	so, err := o.serverOptions(budget, resolver)
	if err != nil {
		resolver.Close()
		return nil, err
	}
	m := &Member{
		opts: o, failed: make(chan error, 1),
		log: o.Log.With(slog.String("component", "engine"), slog.String("member", o.Name)),
	}
	if err := m.run(so); err != nil {
		resolver.Close()
		return nil, err
	}
	return m, nil
}

// probePort asks early, for the server itself says so only after it has begun.
func probePort(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return refuse(ErrPortTaken, "%v", err)
	}
	return l.Close()
}

// openResolver opens the member's copy of the accounts, with the system account in it.
func openResolver(o Options) (*server.DirAccResolver, error) {
	r, err := server.NewDirAccResolver(filepath.Join(o.Dir, "accounts"), 0, syncAccounts, server.RenameDeleted)
	if err != nil {
		return nil, fmt.Errorf("open accounts: %w", err)
	}
	pub, err := o.Keys.System().PublicKey()
	if err != nil {
		return nil, fmt.Errorf("read system account key: %w", err)
	}
	if _, err := r.LoadAcc(pub); err == nil {
		return r, nil
	}
	claims := jwt.NewAccountClaims(pub)
	claims.Name = "SYS"
	token, err := claims.Encode(o.Keys.OperatorSigning())
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("sign system account: %w", err)
	}
	if err := r.Store(pub, token); err != nil {
		r.Close()
		return nil, fmt.Errorf("store system account: %w", err)
	}
	return r, nil
}

// run starts the server with the options, verifies what came of them, and begins to
// watch it. It leaves nothing running when it fails.
func (m *Member) run(so *server.Options) error {
	s, err := server.NewServer(so)
	if err != nil {
		return fmt.Errorf("make embedded server: %w", err)
	}
	m.server = s
	s.SetLoggerV2(bridge{log: m.log, fatal: m.fail}, m.log.Enabled(context.Background(), slog.LevelDebug), false, false)
	started := make(chan struct{})
	go func() { // ends when the server has started or failed; awaited below
		defer close(started)
		s.Start()
	}()
	err = m.awaitListeners()
	if err == nil {
		err = m.verify()
	}
	if err != nil {
		s.Shutdown()
		<-started
		s.Shutdown() // again, for Start may have passed the first one
		s.WaitForShutdown()
		return err
	}
	<-started
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	m.watcher.Go(func() { m.watch(ctx) })
	return nil
}

func (m *Member) awaitListeners() error {
	for end := time.Now().Add(startLimit); ; {
		if m.server.ReadyForConnections(pollEvery) {
			return m.failure()
		}
		if err := m.failure(); err != nil {
			return err
		}
		if time.Now().After(end) {
			return refuse(ErrFailed, "it does not listen after %v", startLimit)
		}
	}
}

// verify refuses a server that would confirm writes before they are on disk, whatever
// the options said.
func (m *Member) verify() error {
	info, err := m.server.Jsz(nil)
	if err != nil {
		return fmt.Errorf("read storage state: %w", err)
	}
	if info.Disabled {
		return refuse(ErrStorageLost, "storage is off right after the start")
	}
	if !info.Config.SyncAlways {
		return refuse(ErrNotSynced, "the server reports that syncing is off")
	}
	return nil
}

// watch notices that the server has lost its storage, which it does without a word to
// its caller when the disk is full.
func (m *Member) watch(ctx context.Context) {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if err := m.storage(); err != nil {
			m.fail(err)
			return
		}
	}
}

// storage returns why the member cannot use its storage, or nil.
func (m *Member) storage() error {
	switch {
	case !m.server.Running():
		return refuse(ErrStopped, "the embedded server is not running")
	case !m.server.JetStreamEnabled():
		return refuse(ErrStorageLost, "storage was switched off, as happens when the disk is full or fails")
	}
	return nil
}

// fail keeps the first failure and tells whoever listens.
func (m *Member) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cause != nil || m.ended {
		return
	}
	m.cause = err
	m.failed <- err // never blocks: one place, written once
	if m.opts.onFail != nil {
		m.opts.onFail(err)
	}
}

func (m *Member) failure() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cause
}

// Failed yields one error when the member fails by itself. A failed member does not
// recover: stop it and start another.
func (m *Member) Failed() <-chan error { return m.failed }

// Name returns the member's name.
func (m *Member) Name() string { return m.opts.Name }

// Conn returns a connection inside the process. Options must carry the credentials.
func (m *Member) Conn(opts ...nats.Option) (*nats.Conn, error) {
	return dial(provider{m}, opts)
}

// provider connects to one member for as long as it runs.
type provider struct{ member *Member }

func (p provider) InProcessConn() (net.Conn, error) { return openPipe(p.member.server) }

// dial connects through the provider for as long as the connection is not closed.
func dial(p nats.InProcessConnProvider, opts []nats.Option) (*nats.Conn, error) {
	return nats.Connect("", append([]nats.Option{
		nats.InProcessServer(p), nats.IgnoreDiscoveredServers(), nats.MaxReconnects(-1),
		nats.ReconnectWait(50 * time.Millisecond), nats.ReconnectJitter(20*time.Millisecond, 20*time.Millisecond),
	}, opts...)...)
}

// Stop hands leadership to the other members, closes connections and waits until
// nothing of the member runs. When the context ends first, the rest is cut short and
// the context's error returned. Stopping a stopped member does nothing.
func (m *Member) Stop(ctx context.Context) error {
	if !m.end() {
		m.server.WaitForShutdown()
		return nil
	}
	done := make(chan struct{})
	go func() { // ends with the server; awaited below
		defer close(done)
		m.server.LameDuckShutdown()
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("stop member %s: %w", m.opts.Name, ctx.Err())
	}
	// Also after a lame duck: it leaves a server alone that never listened.
	m.server.Shutdown()
	m.server.WaitForShutdown()
	<-done
	return err
}

// Abort stops without handing over leadership, and waits.
func (m *Member) Abort() {
	if m.end() {
		m.server.Shutdown()
	}
	m.server.WaitForShutdown()
}

// end marks the member as stopped on purpose and stops watching it. It reports whether
// this call did so.
func (m *Member) end() bool {
	m.mu.Lock()
	first := !m.ended
	m.ended = true
	m.mu.Unlock()
	m.stop()
	m.watcher.Wait()
	return first
}

// Ready waits until the member knows the cluster's leader and its own replicas are up
// to date. It walks everything the member stores: ask at start, not per request.
func (m *Member) Ready(ctx context.Context) error {
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for {
		last := m.healthy()
		if last == nil {
			return nil
		}
		if err := m.failure(); err != nil {
			return err
		}
		if errors.Is(last, ErrStopped) {
			return last
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("member %s is not ready: %w: %w", m.opts.Name, context.Cause(ctx), last)
		case <-t.C:
		}
	}
}

func (m *Member) healthy() error {
	// Getters of a server without storage panic, so this comes first.
	if err := m.storage(); err != nil {
		return err
	}
	if h := m.server.Healthz(&server.HealthzOptions{JSMetaOnly: true}); h.Status != "ok" {
		return fmt.Errorf("cluster: %s", h.Error)
	}
	if !m.server.JetStreamIsCurrent() {
		return errors.New("cluster: the member is behind its peers")
	}
	// Two members of a new cluster can elect a leader before the third has joined, and
	// then nothing can be stored in three replicas. Members that are down still count.
	info, err := m.server.Jsz(nil)
	if err != nil {
		return fmt.Errorf("read storage state: %w", err)
	}
	if info.Meta == nil || info.Meta.Size < len(m.opts.Routes) {
		return errors.New("cluster: not all members have joined")
	}
	if h := m.server.Healthz(nil); h.Status != "ok" {
		return fmt.Errorf("replicas: %s", h.Error)
	}
	return nil
}
