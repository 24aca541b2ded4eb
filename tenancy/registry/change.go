package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dms/tenancy"
	"dms/tenancy/records"
)

// Put makes a project or changes its name and limits, and returns when they hold. The
// switch BoundOnly is left as it is; see SetBoundOnly. If it
// fails half-way, Put or Resume go on from there; a project that was in use stays so,
// with its old limits. ErrFull, wrapped, means that nothing was changed.
func (r *Registry) Put(ctx context.Context, p tenancy.Project) error {
	if _, err := tenancy.ParseProjectID(string(p.ID)); err != nil {
		return fmt.Errorf("put project: %w", err)
	}
	if err := p.Limits.Validate(); err != nil {
		return fmt.Errorf("put project %s: %w", p.ID, err)
	}
	_, err := r.change(ctx, p.ID, func(entry) (tenancy.Project, error) { return p, nil })
	if err != nil {
		return fmt.Errorf("put project %s: %w", p.ID, explain(err))
	}
	return nil
}

// Create is Put for a project that must not be there, not even half made. If it is, the
// error wraps tenancy.ErrExists.
func (r *Registry) Create(ctx context.Context, p tenancy.Project) error {
	if _, err := tenancy.ParseProjectID(string(p.ID)); err != nil {
		return fmt.Errorf("create project: %w", err)
	}
	_, err := r.change(ctx, p.ID, func(e entry) (tenancy.Project, error) {
		if e.rec != nil {
			return p, tenancy.ErrExists
		}
		return p, p.Limits.Validate()
	})
	if err != nil {
		return fmt.Errorf("create project %s: %w", p.ID, explain(err))
	}
	return nil
}

// Change is Put for a project that must be there: f gets it as it is to become by now,
// and may be called again if somebody else changes it meanwhile. What f refuses comes
// back as it is. A project that is not there is tenancy.ErrNoProject.
func (r *Registry) Change(ctx context.Context, id tenancy.ProjectID, f func(tenancy.Project) (tenancy.Project, error)) (tenancy.Project, error) {
	var refused error
	p, err := r.change(ctx, id, func(e entry) (tenancy.Project, error) {
		if e.rec == nil || e.rec.Deleting {
			return tenancy.Project{}, tenancy.ErrNoProject
		}
		p, err := f(e.wanted(id))
		if err == nil {
			err = p.Limits.Validate()
		}
		p.ID, refused = id, err
		return p, err
	})
	switch {
	case refused != nil:
		return tenancy.Project{}, refused
	case err != nil:
		return tenancy.Project{}, fmt.Errorf("change project %s: %w", id, explain(err))
	}
	return p, nil
}

// change makes of a project what f makes of its record, as often as it takes.
func (r *Registry) change(ctx context.Context, id tenancy.ProjectID, f func(entry) (tenancy.Project, error)) (tenancy.Project, error) {
	ctx, cancel := context.WithTimeout(ctx, changeWithin)
	defer cancel()
	unlock, err := r.locks.lock(ctx, id)
	if err != nil {
		return tenancy.Project{}, err
	}
	defer unlock()
	e, err := r.read(ctx, id)
	for err == nil {
		var p tenancy.Project
		if p, err = f(e); err != nil {
			break
		}
		if err = r.put(ctx, p, e); !errors.Is(err, records.ErrConflict) {
			return p, err
		}
		e, err = r.reread(ctx, id, e.revision)
	}
	return tenancy.Project{}, err
}

// put changes the record from what it was at the entry. The error is records.ErrConflict if it
// is something else by now.
func (r *Registry) put(ctx context.Context, p tenancy.Project, e entry) error {
	rec := record{Created: time.Now().UTC().Truncate(time.Second)}
	if e.rec != nil {
		if e.rec.Deleting {
			return fmt.Errorf("%w: it is being deleted", tenancy.ErrNoProject)
		}
		rec = *e.rec
	}
	rec.Name, rec.Limits = p.Name, limits(p.Limits)
	written, err := r.write(ctx, p.ID, e.revision, rec)
	if err != nil {
		return err
	}
	_, err = r.settle(ctx, p.ID, written)
	if errors.Is(err, ErrFull) && e.rec != nil {
		// Back to what it was. If somebody has changed it since, it is theirs to settle.
		if _, undo := r.write(ctx, p.ID, written.revision, *e.rec); undo != nil && !errors.Is(undo, records.ErrConflict) {
			return fmt.Errorf("%w; and the record could not be restored: %w", err, undo)
		}
	}
	return err
}

// settle brings the project's storage to the limits that its record wants, and says so
// in the record. The record may change meanwhile: then storage is brought to what it
// says last. A new project for which there is no room is taken out again.
func (r *Registry) settle(ctx context.Context, id tenancy.ProjectID, e entry) (entry, error) {
	for {
		if e.rec == nil || e.rec.Deleting {
			return entry{}, tenancy.ErrNoProject
		}
		// Of two projects for which there is not room together, the one whose record was
		// written later sees both here, whichever node makes them.
		if err := r.scan(ctx); err != nil {
			return entry{}, err
		}
		if used := r.used(); used > r.opts.TotalBytes && !e.fits() {
			if e.rec.Applied == nil {
				if err := r.forget(ctx, id, e.revision); err != nil && !errors.Is(err, records.ErrConflict) {
					return entry{}, fmt.Errorf("%w; and the record could not be removed: %w", ErrFull, err)
				}
			}
			return entry{}, fmt.Errorf("%w: projects would hold %d of %d bytes", ErrFull, used, r.opts.TotalBytes)
		}
		if err := r.opts.Provision(ctx, e.wanted(id)); err != nil {
			return entry{}, err
		}
		rec := *e.rec
		applied := rec.Limits
		rec.Applied, rec.Layout = &applied, tenancy.Layout
		done, err := r.write(ctx, id, e.revision, rec)
		if err == nil {
			return done, nil
		}
		if !errors.Is(err, records.ErrConflict) {
			return entry{}, err
		}
		was := e.rec.Limits
		if e, err = r.reread(ctx, id, e.revision); err != nil {
			return entry{}, err
		}
		if e.usable() && e.settled() && e.rec.Limits == was {
			return e, nil // another node did the same
		}
	}
}

// SetBoundOnly says whether the project admits only callers whose credential is bound to
// a certificate. When it returns, it holds on this node, and on the others two seconds
// later. The error is tenancy.ErrNoProject for a project that is not there, and
// tenancy.ErrUnavailable for what may pass, both wrapped.
func (r *Registry) SetBoundOnly(ctx context.Context, id tenancy.ProjectID, only bool) error {
	if err := r.setBoundOnly(ctx, id, only); err != nil {
		return fmt.Errorf("set bound_only of project %s: %w", id, explain(err))
	}
	return nil
}

func (r *Registry) setBoundOnly(ctx context.Context, id tenancy.ProjectID, only bool) error {
	if _, err := tenancy.ParseProjectID(string(id)); err != nil {
		return tenancy.ErrNoProject
	}
	ctx, cancel := context.WithTimeout(ctx, changeWithin)
	defer cancel()
	unlock, err := r.locks.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	e, err := r.read(ctx, id)
	for err == nil {
		if e.rec == nil || e.rec.Deleting {
			return tenancy.ErrNoProject
		}
		if e.rec.BoundOnly == only {
			return nil
		}
		rec := *e.rec
		rec.BoundOnly = only
		if _, err = r.write(ctx, id, e.revision, rec); !errors.Is(err, records.ErrConflict) {
			break
		}
		e, err = r.reread(ctx, id, e.revision)
	}
	return err
}

// Delete removes a project with all that it holds. From the start of it nobody is
// admitted. If it fails half-way, Delete or Resume go on from there. Deleting what is
// not there succeeds.
func (r *Registry) Delete(ctx context.Context, id tenancy.ProjectID) error {
	if err := r.delete(ctx, id); err != nil {
		return fmt.Errorf("delete project %s: %w", id, explain(err))
	}
	return nil
}

func (r *Registry) delete(ctx context.Context, id tenancy.ProjectID) error {
	ctx, cancel := context.WithTimeout(ctx, changeWithin)
	defer cancel()
	unlock, err := r.locks.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	e, err := r.read(ctx, id)
	for err == nil && e.rec != nil && !e.rec.Deleting {
		rec := *e.rec
		rec.Deleting = true
		var marked entry
		if marked, err = r.write(ctx, id, e.revision, rec); err == nil {
			e = marked
		} else if errors.Is(err, records.ErrConflict) {
			e, err = r.reread(ctx, id, e.revision)
		}
	}
	if err != nil || e.rec == nil {
		return err
	}
	if err := r.opts.Remove(ctx, id); err != nil {
		return err
	}
	// A conflict means that another node has finished the same deletion.
	if err := r.forget(ctx, id, e.revision); err != nil && !errors.Is(err, records.ErrConflict) {
		return err
	}
	return nil
}

// Resume finishes what was left half-way, by this node or another: projects that were
// being made, changed or deleted. It goes on past failures and returns them joined.
func (r *Registry) Resume(ctx context.Context) error {
	if err := r.scan(ctx); err != nil {
		return fmt.Errorf("resume: %w", explain(err))
	}
	r.mu.RLock()
	var due []tenancy.ProjectID
	for id, e := range r.mirror {
		if !e.settled() {
			due = append(due, id)
		}
	}
	r.mu.RUnlock()
	var errs []error
	for _, id := range due {
		if err := r.resume(ctx, id); err != nil {
			errs = append(errs, fmt.Errorf("resume project %s: %w", id, explain(err)))
		}
	}
	return errors.Join(errs...)
}

func (r *Registry) resume(ctx context.Context, id tenancy.ProjectID) error {
	ctx, cancel := context.WithTimeout(ctx, changeWithin)
	defer cancel()
	e, err := r.read(ctx, id)
	if err != nil || e.settled() {
		return err
	}
	if e.rec.Deleting {
		return r.delete(ctx, id)
	}
	unlock, err := r.locks.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	if e, err = r.read(ctx, id); err != nil || e.settled() || e.rec.Deleting {
		return err
	}
	_, err = r.settle(ctx, id, e)
	return err
}
