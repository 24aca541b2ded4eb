package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	startLimit = 2 * time.Minute // recovery of a large store comes before the listeners
	pollEvery  = 10 * time.Millisecond
	// shutLimit is how long a server may take to end once nobody waits for leads any more. Its
	// storage takes seconds; what takes longer waits for itself.
	shutLimit = 30 * time.Second
)

// Member is one running member of the cluster.
type Member struct {
	opts    Options
	log     *slog.Logger
	server  *server.Server
	had     map[string]bool // accounts, by public key, that were there at the start
	failed  chan error
	stop    context.CancelFunc
	watcher sync.WaitGroup // owned by Stop and Abort
	waited  atomic.Int64   // when a replica last waited in vain for a leader, nanoseconds of Unix time

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
	storeKey, err := o.claim()
	if err != nil {
		return nil, err
	}
	budget, err := o.budget()
	if err != nil {
		return nil, err
	}
	if err := probePort(o.RouteAddr); err != nil {
		return nil, err
	}
	if err := o.dropDamaged(o.Log); err != nil {
		return nil, err
	}
	if o.Prepare != nil {
		if err := o.Prepare(o.storeDir()); err != nil {
			return nil, err
		}
	}
	resolver, had, err := openResolver(o, budget)
	if err != nil {
		return nil, err
	}
	so, err := o.serverOptions(budget, resolver, storeKey)
	if err != nil {
		resolver.Close()
		return nil, err
	}
	m := &Member{
		opts: o, had: had, failed: make(chan error, 1),
		log: o.Log.With(slog.String("component", "engine"), slog.String("member", o.Name)),
	}
	if err := m.run(so); err != nil {
		resolver.Close()
		return nil, err
	}
	return m, nil
}

// claim makes the data folder this member's, and returns the key for it.
func (o Options) claim() (storeKey string, err error) {
	all, err := o.Keys.Store()
	if err != nil {
		return "", err
	}
	want := identity{Cluster: o.Keys.ClusterID().String(), Name: o.Name, Encrypted: o.Encrypted}
	if o.Encrypted {
		want.Key = all[0].ID
	}
	have, err := want.claim(o.Dir)
	if err != nil {
		return "", err
	}
	return have.storeKey(o.Dir, all)
}

// probePort asks early, for the server itself says so only after it has begun.
func probePort(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return refuse(ErrPortTaken, "%v", err)
	}
	return l.Close()
}

// run starts the server with the options, verifies what came of them, and begins to
// watch it. It leaves nothing running when it fails.
func (m *Member) run(so *server.Options) error {
	s, err := server.NewServer(so)
	if err != nil {
		return fmt.Errorf("make embedded server: %w", err)
	}
	m.server = s
	said := bridge{
		log: m.log, fatal: m.fail, stall: func() { m.waited.Store(time.Now().UnixNano()) }, unreadable: m.opts.onUnreadable,
		ending: newEnding(s.JetStreamNumAccounts),
	}
	s.SetLoggerV2(said, m.log.Enabled(context.Background(), slog.LevelDebug), false, false)
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

// Stop hands leadership to the other members, closes connections and waits until
// nothing of the member runs. When the context ends first, the rest is cut short and
// the context's error returned. Stopping a stopped member does nothing. ErrStuck is as in Abort.
func (m *Member) Stop(ctx context.Context) error {
	if !m.end() {
		return m.shut(nil)
	}
	// What cannot be handed over in time is so by the server's own way.
	if err := m.HandOver(ctx); err != nil {
		m.log.LogAttrs(ctx, slog.LevelInfo, "not all was handed over", slog.Any("err", err))
	}
	done := make(chan struct{})
	go func() { // ends with the server; awaited by shut
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
	return errors.Join(err, m.shut(done))
}

// Abort stops without handing over leadership, and waits. ErrStuck says that the server does
// not end: its listeners and files stay open until the process does, which has to.
func (m *Member) Abort() error {
	m.end()
	return m.shut(nil)
}

// shut ends the server and waits for that and for what else is ending it, if anything is.
func (m *Member) shut(also <-chan struct{}) error {
	done := make(chan struct{})
	go func() { // ends with the server, or with the process
		defer close(done)
		if m.opts.onShut != nil {
			m.opts.onShut()
		}
		m.server.Shutdown()
		m.server.WaitForShutdown()
		if also != nil {
			<-also
		}
	}()
	limit := time.NewTimer(cmp.Or(m.opts.shutWithin, shutLimit))
	defer limit.Stop()
	select {
	case <-done:
		return nil
	case <-limit.C:
		err := refuse(ErrStuck, "member %s", m.opts.Name)
		m.log.LogAttrs(context.Background(), slog.LevelError, "the member does not end", slog.Any("err", err))
		return err
	}
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
