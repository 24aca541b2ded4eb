package mapping

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"dms/mapping/dms"
)

// What a reader knows of its cursor, and how it reads and writes it.

// heard takes the news of a new revision of the cursor, which may be this node's own.
func (r *reader) heard(rev uint64) {
	r.mu.Lock()
	if rev > r.rev && rev > r.heardRev {
		r.known, r.heardRev, r.heardAt = false, rev, time.Now()
	}
	r.mu.Unlock()
	r.wake()
}

// current returns the newest cursor this node has seen, asking the leader if it has
// seen none. Granting on an old one fails by compare-and-set and asks again.
func (r *reader) current(ctx context.Context) (cursor, uint64, error) {
	r.mu.Lock()
	if r.known && r.c.Lease == nil {
		defer r.mu.Unlock()
		return r.c, r.rev, nil
	}
	r.mu.Unlock()
	return r.load(ctx)
}

// load reads the cursor from its leader.
func (r *reader) load(ctx context.Context) (cursor, uint64, error) {
	value, rev, err := r.s.ctl.get(ctx, r.key)
	if err != nil {
		return cursor{}, 0, err
	}
	var c cursor
	if rev > 0 {
		if err := json.Unmarshal(value, &c); err != nil {
			return cursor{}, 0, fmt.Errorf("cursor %s: %w", r.key, err)
		}
	} else if r.kind == dms.Live {
		// A group that has never consumed begins where it was told to.
		g, err := r.s.group(ctx, r.q, r.ref.Group)
		if err != nil {
			return cursor{}, 0, err
		}
		c.Floor = max(g.Start, 1) - 1
	}
	r.saw(c, rev)
	return c, rev, nil
}

// saw remembers a cursor and when its revision was first seen. After a purge the
// revision is 0, whatever was seen before.
func (r *reader) saw(c cursor, rev uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known && rev != 0 && rev < r.rev {
		return
	}
	if rev != r.rev || r.since.IsZero() {
		r.since = time.Now()
		if rev == r.heardRev {
			r.since = r.heardAt
		}
	}
	r.known, r.c, r.rev = rev == 0 || rev >= r.heardRev, c, rev
}

// write replaces the cursor. ends is when the lease in it is over, if it has one
// that this node grants now.
func (r *reader) write(ctx context.Context, c cursor, rev uint64, ends time.Time) error {
	next, err := r.s.ctl.put(ctx, r.key, mustJSON(c), rev, 0)
	if err != nil {
		r.mu.Lock()
		r.known = false
		r.mu.Unlock()
		return err
	}
	r.saw(c, next)
	if c.Lease != nil && !ends.IsZero() {
		r.mu.Lock()
		r.mine, r.ends = c.Lease.Batch, ends
		r.mu.Unlock()
	}
	return nil
}

// update changes the cursor until it is written or f does not want to, which f is
// only believed on what the leader says.
func (r *reader) update(ctx context.Context, f func(*cursor) (change bool, err error)) (cursor, error) {
	r.mu.Lock()
	c, rev, remembered := r.c, r.rev, r.known
	r.mu.Unlock()
	asked := !remembered
	for {
		if asked {
			var err error
			if c, rev, err = r.load(ctx); err != nil {
				return cursor{}, err
			}
		}
		next := c.clone()
		change, err := f(&next)
		switch {
		case (err != nil || !change) && !asked:
			asked = true
			continue
		case err != nil || !change:
			return next, err
		}
		if err = r.write(ctx, next, rev, time.Time{}); err == nil {
			r.wake()
			return next, nil
		}
		if !errors.Is(err, errConflict) {
			return cursor{}, err
		}
		asked = true
	}
}
