package registry

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"dms/tenancy"
)

func (r *Registry) get(id tenancy.ProjectID) (entry, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	e, ok := r.mirror[id]
	return e, ok
}

// note puts what was read or written into the mirror, unless something newer is there.
func (r *Registry) note(id tenancy.ProjectID, e entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.revision >= r.mirror[id].revision {
		r.mirror[id] = e
	}
}

// reread reads a record after a conflict with the revision that was to be changed. The
// write that was in the way may be agreed on but not applied yet, so that the leader
// still answers with the old revision: going on from that would conflict again.
func (r *Registry) reread(ctx context.Context, id tenancy.ProjectID, old uint64) (entry, error) {
	tick := time.NewTicker(rereadEvery)
	defer tick.Stop()
	end := time.Now().Add(rereadWithin)
	for {
		e, err := r.read(ctx, id)
		// At the end, the write in the way was lost with its leader.
		if err != nil || e.revision != old || time.Now().After(end) {
			return e, err
		}
		select {
		case <-ctx.Done():
			return entry{}, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// scan reads all changes since the last scan. When it returns, the mirror holds every
// record that was in the bucket when it was called.
func (r *Registry) scan(ctx context.Context) error {
	r.scanning.Lock()
	defer r.scanning.Unlock()
	for {
		i, ok, err := r.bucket.Next(ctx, r.next)
		if err != nil || !ok {
			return err
		}
		e, err := entryOf(i)
		if err != nil {
			return fmt.Errorf("project %s: %w", i.Key, err)
		}
		r.note(tenancy.ProjectID(i.Key), e)
		r.next = e.revision + 1
	}
}

// refresh scans until ctx ends.
func (r *Registry) refresh(ctx context.Context) {
	defer close(r.done)
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		once, cancel := context.WithTimeout(ctx, refreshEvery)
		err := r.scan(once)
		cancel()
		// Said once, not at every tick of an outage.
		if err != nil && ctx.Err() == nil && !failing {
			r.log.LogAttrs(ctx, slog.LevelWarn, "list of projects could not be refreshed", slog.Any("error", err))
		}
		failing = err != nil
	}
}

// used is what all projects may hold together.
func (r *Registry) used() int64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var sum int64
	for _, e := range r.mirror {
		sum += e.footprint()
	}
	return sum
}
