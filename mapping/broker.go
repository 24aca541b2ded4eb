package mapping

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"
	"time"

	"dms/mapping/dms"
	"dms/tenancy"
	"dms/tenancy/seal"

	"github.com/nats-io/nats.go"
)

// Tenants opens a project's own account. It is the only way to a project's data.
type Tenants interface {
	// Connect returns a new connection in the project's account.
	Connect(context.Context, tenancy.ProjectID) (*nats.Conn, error)
	// Project returns the project's present limits.
	Project(context.Context, tenancy.ProjectID) (tenancy.Project, error)
}

// Options configure a Broker. Tenants, SealingKeys and Log are required.
type Options struct {
	Tenants     Tenants
	SealingKeys []seal.Key // newest first, the same on all nodes
	// Nodes is how many brokers serve the same projects. With one, what happened to
	// a handle is known from memory; with more, the replicated record is asked.
	Nodes int
	Log   *slog.Logger
	// MaxSessions bounds the projects connected at one time; 0 means 2,000.
	MaxSessions int
	// IdleClose is after which time without use a project's connection is closed;
	// 0 means 10 minutes.
	IdleClose time.Duration
	// Damaged, if set, is told when a reader has come across what looks like a damaged
	// replica. It must not block.
	Damaged func()
	// Elsewhere, if set, asks the other nodes which deliveries of a group came to them, as
	// Broker.Given answers. A node that does not answer is left out.
	Elsewhere func(ctx context.Context, group dms.GroupRef, from, to uint64) ([]Run, error)
	// Fronts, if set, asks all nodes where their own replicas of a queue begin; 0 is one that
	// has no messages. A node that does not answer is left out.
	Fronts func(ctx context.Context, queue dms.QueueRef) ([]uint64, error)
}

// Broker carries out the operations of all projects on one node.
type Broker struct {
	tenants     Tenants
	sealer      sealer
	nodes       int
	log         *slog.Logger
	node        [8]byte // this run of this node
	maxSessions int
	idleClose   time.Duration
	damaged     func()
	elsewhere   func(context.Context, dms.GroupRef, uint64, uint64) ([]Run, error)
	fronts      func(context.Context, dms.QueueRef) ([]uint64, error)

	stop    context.CancelCauseFunc // ends everything sessions do by themselves
	base    context.Context
	reaping sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	sessions map[tenancy.ProjectID]*session
}

// New returns a Broker that is ready to serve. It must be closed.
func New(o Options) (*Broker, error) {
	switch {
	case o.Tenants == nil:
		return nil, errors.New("mapping: Tenants is required")
	case o.Log == nil:
		return nil, errors.New("mapping: Log is required")
	}
	boxes, err := seal.New(o.SealingKeys)
	if err != nil {
		return nil, err
	}
	b := &Broker{
		tenants:     o.Tenants,
		sealer:      sealer{boxes},
		nodes:       max(o.Nodes, 1),
		log:         o.Log.With("component", "mapping"),
		maxSessions: o.MaxSessions,
		idleClose:   o.IdleClose,
		damaged:     o.Damaged,
		elsewhere:   o.Elsewhere,
		fronts:      o.Fronts,
		sessions:    make(map[tenancy.ProjectID]*session),
	}
	if b.damaged == nil {
		b.damaged = func() {}
	}
	if b.maxSessions <= 0 {
		b.maxSessions = 2000
	}
	if b.idleClose <= 0 {
		b.idleClose = 10 * time.Minute
	}
	rand.Read(b.node[:])
	b.base, b.stop = context.WithCancelCause(context.Background())
	b.reaping.Go(b.reap)
	return b, nil
}

var errStopping = dms.Errorf(dms.Unavailable, "the node is stopping; try again")

// Close ends all waiting polls, returns what was not handed out, and closes every
// connection. Calls made afterwards answer Unavailable.
func (b *Broker) Close(ctx context.Context) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	sessions := make([]*session, 0, len(b.sessions))
	for _, s := range b.sessions {
		sessions = append(sessions, s)
	}
	b.mu.Unlock()
	b.stop(errStopping)
	done := make(chan struct{})
	go func() { // owned by this call, ends with the sessions' own goroutines
		defer close(done)
		b.reaping.Wait()
		for _, s := range sessions {
			s.close()
		}
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// session returns the project's session, opening it at first use. The caller calls
// the returned function when it is done.
func (b *Broker) session(ctx context.Context, id tenancy.ProjectID) (*session, func(), error) {
	b.mu.Lock()
	if planted == tenantShared {
		for shared := range b.sessions {
			id = shared
		}
	}
	if b.closed {
		b.mu.Unlock()
		return nil, nil, errStopping
	}
	s, ok := b.sessions[id]
	if ok && s.broken() {
		// The account was deleted and perhaps made again: nothing remembered holds.
		delete(b.sessions, id)
		b.reaping.Go(s.close)
		ok = false
	}
	if !ok {
		if len(b.sessions) >= b.maxSessions && !b.evictOne() {
			b.mu.Unlock()
			return nil, nil, dms.Errorf(dms.Unavailable, "the node serves too many projects at this moment; try again")
		}
		s = newSession(b, id)
		b.sessions[id] = s
	}
	s.users++
	b.mu.Unlock()
	release := func() {
		b.mu.Lock()
		s.users--
		s.lastUse = time.Now()
		b.mu.Unlock()
	}
	if err := s.open(ctx); err != nil {
		release()
		b.discard(s)
		return nil, nil, err
	}
	return s, release, nil
}

// discard forgets a session that could not be opened, so that the next call tries
// again with a new one.
func (b *Broker) discard(s *session) {
	b.mu.Lock()
	drop := s.users == 0 && b.sessions[s.project] == s && !s.opened()
	if drop {
		delete(b.sessions, s.project)
	}
	b.mu.Unlock()
}

// evictOne makes room by dropping the session that has been idle longest. The
// caller holds b.mu.
func (b *Broker) evictOne() bool {
	var oldest *session
	for _, s := range b.sessions {
		if s.users == 0 && !s.busy() && (oldest == nil || s.lastUse.Before(oldest.lastUse)) {
			oldest = s
		}
	}
	if oldest == nil {
		return false
	}
	delete(b.sessions, oldest.project)
	b.reaping.Go(oldest.close)
	return true
}

// reap closes sessions that nobody has used for a while.
func (b *Broker) reap() {
	tick := time.NewTicker(min(b.idleClose/2, 30*time.Second))
	defer tick.Stop()
	for {
		select {
		case <-b.base.Done():
			return
		case <-tick.C:
		}
		b.mu.Lock()
		var idle []*session
		for id, s := range b.sessions {
			if s.users == 0 && time.Since(s.lastUse) > b.idleClose && !s.busy() {
				idle = append(idle, s)
				delete(b.sessions, id)
			}
		}
		b.mu.Unlock()
		for _, s := range idle {
			s.close()
		}
	}
}

func (b *Broker) nodeKey() string { return hex.EncodeToString(b.node[:]) }

func randomBatch() (id [16]byte) {
	rand.Read(id[:])
	return id
}
