package deploy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dms/deploy/engine"
	"dms/deploy/scrub"
	"dms/mapping/control"
)

const (
	// repairKey is the record that a node holds while it rebuilds a replica: there is one
	// for all nodes, so that never two replicas of a stream are rebuilt at once.
	repairKey = "scrub.repair"
	// repairStale is after which time without change the record counts as left behind. It
	// is longer than anybody holds it.
	repairStale = 15 * time.Minute
	repairLook  = time.Second
	// unlockLimit bounds giving the record up, also while the node stops.
	unlockLimit = 10 * time.Second
)

// rebuild moves the files of a stream out of the store while the member does not run. It
// catches up from the leader when it runs again. What was moved is removed when the
// replica is whole again, so that even a damaged copy is never thrown away for nothing.
func (b *scrubbing) rebuild(ctx context.Context, k scrub.Key, ready, done func(context.Context) error) (err error) {
	release, err := b.lock(ctx)
	if err != nil {
		return fmt.Errorf("wait for other repairs: %w", err)
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := b.room(k); err != nil {
		return err
	}
	if err := ready(ctx); err != nil {
		return err
	}
	m := b.seat.Member()
	if m == nil {
		return engine.ErrStopped
	}
	log, err := m.LogOf(k.Account, k.Stream)
	if err != nil {
		return err
	}
	moved := false
	err = b.seat.Work(ctx, func(store string) error {
		if ctx.Err() != nil {
			return context.Cause(ctx) // others may repair by now
		}
		if err := moveAside(scrub.StreamFolder(store, k), b.aside()); err != nil {
			return fmt.Errorf("move the replica aside: %w", err)
		}
		moved = true
		// Or each further start would remove from the new replica what the old one lacked.
		return engine.DropSnapshots(store, log)
	})
	if !moved {
		return err
	}
	ran := b.seat.Ready(ctx)
	if err := done(ctx); err != nil {
		return errors.Join(err, ran)
	}
	if err := os.RemoveAll(b.aside()); err != nil {
		return fmt.Errorf("remove the damaged replica: %w", err)
	}
	return nil
}

// aside is where a replica is that is being rebuilt.
func (b *scrubbing) aside() string { return filepath.Join(filepath.Dir(b.seat.Store()), "aside") }

// moveAside takes the place of what was moved before. Nothing to move is as good as moved.
func moveAside(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

var errNoRoom = errors.New("the disk has no room for the replica a second time")

// room reports whether the replica fits on the disk beside what is moved aside.
func (b *scrubbing) room(k scrub.Key) error {
	all, err := b.replicas()
	if err != nil {
		return err
	}
	var size int64
	for _, r := range all {
		if r.Key == k {
			size = int64(r.Bytes)
		}
	}
	if d := b.disk.State(); d.Free < size+d.KeepFree {
		return fmt.Errorf("%w: it has %d MiB, and %d MiB are free", errNoRoom, size>>20, d.Free>>20)
	}
	return nil
}

// lock waits until this node may repair. Nobody's clock is compared with another's: the
// record of a node that died is taken when it has not changed for long. A record without
// a value is of nobody.
func (b *scrubbing) lock(ctx context.Context) (release func() error, err error) {
	value := []byte(b.node + "." + b.run)
	var last uint64
	var since time.Time
	for {
		there, err := b.store.Get(ctx, repairKey)
		if err != nil {
			return nil, err
		}
		if there.Revision != last || last == 0 {
			last, since = there.Revision, time.Now()
		}
		own := strings.HasPrefix(string(there.Value), b.node+".") // of an earlier run
		if len(there.Value) == 0 || own || time.Since(since) > repairStale {
			held, err := b.store.Put(ctx, repairKey, value, there.Revision)
			if err == nil {
				return func() error { return b.unlock(held) }, nil
			}
			if !errors.Is(err, control.ErrConflict) {
				return nil, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(repairLook):
		}
	}
}

// unlock gives up the record unless it is somebody else's by now.
func (b *scrubbing) unlock(held uint64) error {
	ctx, cancel := context.WithTimeout(context.Background(), unlockLimit)
	defer cancel()
	_, err := b.store.Put(ctx, repairKey, nil, held)
	return err
}
