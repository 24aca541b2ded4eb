package deploy

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"dms/mapping/control"
	"dms/monitor"
)

const (
	probeEvery  = 10 * time.Second
	probeWithin = 10 * time.Second
	probeFile   = "probe"
)

// prober asks the disk and the cluster for something small now and then, and measures
// how long they take.
type prober struct {
	path     string // of the file that is synced
	key      string // of the record that is committed
	store    *control.Store
	probes   *monitor.Probes
	log      *slog.Logger
	revision uint64
}

// startProbes probes until the node stops.
func (n *Node) startProbes(store *control.Store) error {
	probes, err := n.monitor.Probes()
	if err != nil {
		return err
	}
	p := &prober{
		path: filepath.Join(n.config.DataFolder, probeFile), key: "probe." + n.config.Node,
		store: store, probes: probes, log: n.log,
	}
	ctx, stop := context.WithCancel(n.base)
	done := make(chan struct{})
	go func() { // ends with ctx, and is waited for
		defer close(done)
		p.run(ctx)
	}()
	n.stops.add("probes", func(context.Context) error { stop(); <-done; return nil })
	return nil
}

func (p *prober) run(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	failing := false
	for {
		err := p.once(ctx)
		// Said once, not at every tick of an outage.
		if err != nil && ctx.Err() == nil && !failing {
			p.log.LogAttrs(ctx, slog.LevelWarn, "the storage could not be probed", slog.Any("err", err))
		}
		failing = err != nil
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *prober) once(ctx context.Context) error {
	start := time.Now()
	err := p.sync()
	if err == nil {
		p.probes.Synced(ctx, time.Since(start))
	}
	within, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	start = time.Now()
	failed := p.commit(within)
	if failed == nil {
		p.probes.Committed(ctx, time.Since(start))
	}
	return errors.Join(err, failed)
}

// sync writes one block and syncs it.
func (p *prober) sync() (err error) {
	f, err := os.OpenFile(p.path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.WriteAt([]byte(time.Now().UTC().Format(time.RFC3339Nano)), 0); err != nil {
		return err
	}
	return f.Sync()
}

// commit replaces the node's record. An earlier run of the node may have left one.
func (p *prober) commit(ctx context.Context) error {
	revision, err := p.store.Put(ctx, p.key, []byte(time.Now().UTC().Format(time.RFC3339Nano)), p.revision)
	if errors.Is(err, control.ErrConflict) {
		there, err := p.store.Get(ctx, p.key)
		p.revision = there.Revision
		return err // measured the next time
	}
	if err == nil {
		p.revision = revision
	}
	return err
}
