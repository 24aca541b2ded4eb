package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"dms/tenancy"
	"dms/tenancy/records"
)

const (
	// refreshEvery is about how long a node may go on with what another node has changed.
	// It costs one small question to the leader each time.
	refreshEvery = 2 * time.Second
	// how to wait for a write that is under way
	rereadEvery  = 5 * time.Millisecond
	rereadWithin = time.Second
	// limits of what may have no deadline of its own
	openWithin   = time.Minute
	admitWithin  = 15 * time.Second
	changeWithin = time.Minute
)

// ErrFull means that the disks cannot promise the project what it is to get.
var ErrFull = tenancy.ErrNoRoom

// Options are what a registry needs.
type Options struct {
	// Conn is a connection to the service's own account. The registry does not close it.
	Conn *nats.Conn
	// Provision makes the project's storage or changes it to the project's limits. It
	// may be called again for what is done already, and by several nodes at once.
	Provision func(context.Context, tenancy.Project) error
	// Remove removes the project's storage and all that is in it. It may be called again.
	Remove func(context.Context, tenancy.ProjectID) error
	// Defaults are the limits of projects that are made by Admit.
	Defaults tenancy.Limits
	// AutoProvision makes projects at their first use. Without it they must be Put.
	AutoProvision bool
	// TotalBytes is what the footprints of all projects may add up to.
	TotalBytes int64
	Log        *slog.Logger // nil discards
}

// Registry is the list of projects. It is safe for concurrent use. Close it.
type Registry struct {
	opts   Options
	log    *slog.Logger
	bucket *records.Bucket
	stop   context.CancelFunc
	done   chan struct{} // closed when the refreshing goroutine has ended
	locks  locks

	// scanning serialises scan; it is taken before mu.
	scanning sync.Mutex
	next     uint64 // first sequence not yet scanned; guarded by scanning

	mu     sync.RWMutex
	mirror map[tenancy.ProjectID]entry
}

// Open reads the list of projects, and makes an empty one if there is none. It tries
// until ctx ends, a minute at most.
func Open(ctx context.Context, o Options) (*Registry, error) {
	switch {
	case o.Conn == nil || o.Provision == nil || o.Remove == nil:
		return nil, errors.New("registry needs a connection and functions to provision and remove")
	case o.TotalBytes <= 0:
		return nil, fmt.Errorf("registry: total of bytes is %d, want more than 0", o.TotalBytes)
	}
	if err := o.Defaults.Validate(); err != nil {
		return nil, fmt.Errorf("registry: defaults: %w", err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	b, err := records.Open(ctx, o.Conn, bucket())
	if err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	life, stop := context.WithCancel(context.Background())
	r := &Registry{
		opts: o, log: o.Log.With("component", "registry"), bucket: b, stop: stop,
		done: make(chan struct{}), next: 1, mirror: make(map[tenancy.ProjectID]entry),
	}
	if err := r.scan(ctx); err != nil {
		stop()
		return nil, fmt.Errorf("open registry: %w", err)
	}
	// Owned by the registry: Close ends it and waits for it.
	go r.refresh(life)
	return r, nil
}

// Close ends what the registry does in the background and waits for it.
func (r *Registry) Close() {
	r.stop()
	<-r.done
}

// Admit returns the project of a caller whose credentials name it. A known project
// costs no I/O. An unknown one is looked up, and made if the registry may; otherwise the
// error wraps tenancy.ErrNoProject. Errors that wrap tenancy.ErrUnavailable pass.
func (r *Registry) Admit(ctx context.Context, id tenancy.ProjectID, name string) (tenancy.Project, error) {
	if e, _ := r.get(id); e.usable() {
		return e.project(id), nil
	}
	if _, err := tenancy.ParseProjectID(string(id)); err != nil {
		return tenancy.Project{}, fmt.Errorf("admit project: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, admitWithin)
	defer cancel()
	p, err := r.admit(ctx, id, name)
	if err != nil {
		return tenancy.Project{}, fmt.Errorf("admit project %s: %w", id, explain(err))
	}
	return p, nil
}

func (r *Registry) admit(ctx context.Context, id tenancy.ProjectID, name string) (tenancy.Project, error) {
	unlock, err := r.locks.lock(ctx, id)
	if err != nil {
		return tenancy.Project{}, err
	}
	defer unlock()
	e, err := r.read(ctx, id)
	if err != nil {
		return tenancy.Project{}, err
	}
	for e.rec == nil && r.opts.AutoProvision {
		old := e.revision
		e, err = r.write(ctx, id, old, record{
			Name: name, Limits: limits(r.opts.Defaults), Created: time.Now().UTC().Truncate(time.Second),
		})
		if errors.Is(err, records.ErrConflict) { // another node was first
			e, err = r.reread(ctx, id, old)
		}
		if err != nil {
			return tenancy.Project{}, err
		}
	}
	if e.rec == nil || e.rec.Deleting {
		return tenancy.Project{}, tenancy.ErrNoProject
	}
	if !e.usable() {
		if e, err = r.settle(ctx, id, e); err != nil {
			return tenancy.Project{}, err
		}
	}
	return e.project(id), nil
}

// Project returns a project that is in use, as this node knows it, without I/O. The
// error is tenancy.ErrNoProject.
func (r *Registry) Project(id tenancy.ProjectID) (tenancy.Project, error) {
	e, _ := r.get(id)
	if !e.usable() {
		return tenancy.Project{}, fmt.Errorf("project %s: %w", id, tenancy.ErrNoProject)
	}
	return e.project(id), nil
}

// All returns the projects that are in use, as this node knows them, by id.
func (r *Registry) All() []tenancy.Project {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make([]tenancy.Project, 0, len(r.mirror))
	for id, e := range r.mirror {
		if e.usable() {
			all = append(all, e.project(id))
		}
	}
	slices.SortFunc(all, func(a, b tenancy.Project) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Known returns the projects of which there is any record, as this node knows them: also
// those that are being made or deleted, which may have storage.
func (r *Registry) Known() []tenancy.Project {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var all []tenancy.Project
	for id, e := range r.mirror {
		switch {
		case e.usable():
			all = append(all, e.project(id))
		case e.rec != nil:
			all = append(all, e.wanted(id))
		}
	}
	return all
}

// explain marks what may pass: everything but what is known to be an answer.
func explain(err error) error {
	if errors.Is(err, tenancy.ErrNoProject) || errors.Is(err, ErrFull) || errors.Is(err, tenancy.ErrExists) || errors.Is(err, tenancy.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", tenancy.ErrUnavailable, err)
}
