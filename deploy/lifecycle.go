package deploy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"dms/deploy/engine"
	"dms/facade"
)

// Start serves the admin listener, waits until the cluster has a quorum, wires the API
// and serves it. It returns when requests are answered, or with the context's error
// when that ends first. Until then the API answers 503.
func (n *Node) Start(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.started {
		return errStarted
	}
	n.started = true
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(n.base, func() { cancel(errStopped) })()

	n.work.Go(func() { n.serve("admin listener", n.adminServer, n.admin) })
	n.work.Go(func() { n.serve("api listener", n.apiServer, n.api) })
	if n.tls != nil {
		n.work.Go(func() { n.tls.follow(n.base) })
	}
	n.log.Info("waiting for the cluster", "api", n.URL(), "admin", n.AdminURL())
	if err := n.storage.Joined(ctx); err != nil {
		return fmt.Errorf("wait for the cluster: %w", err)
	}
	n.work.Go(n.watch)
	api, err := n.wire(ctx)
	if err != nil {
		return err
	}
	n.stops.add("api", func(ctx context.Context) error { return n.drain(ctx, api) })
	handler := n.route(n.monitor.Trace(api.Handler()))
	n.handler.Store(&handler)
	n.log.Info("ready", "api", n.URL(), "admin", n.AdminURL())
	return nil
}

// watch passes on the failure of storage that does not recover, and follows whether the
// node can serve. It ends with the node.
func (n *Node) watch() {
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	for {
		n.health.look(n.storage.Serving(), time.Now())
		select {
		case err := <-n.storage.Failed():
			n.fail(fmt.Errorf("storage: %w", err))
			return
		case <-tick.C:
		case <-n.base.Done():
			return
		}
	}
}

func (n *Node) serve(name string, s *http.Server, l net.Listener) {
	var err error
	if s.TLSConfig != nil {
		err = s.ServeTLS(l, "", "")
	} else {
		err = s.Serve(l)
	}
	if !errors.Is(err, http.ErrServerClosed) && n.base.Err() == nil {
		n.fail(fmt.Errorf("%s: %w", name, err))
	}
}

// fail keeps the first failure.
func (n *Node) fail(err error) {
	n.draining.Store(true)
	select {
	case n.failed <- err:
	default:
		n.log.Error("the node failed again", "err", err)
	}
}

// drain stops taking work: load balancers see it first, long polls end, and what has
// begun is finished within three fifths of the time that is left.
func (n *Node) drain(ctx context.Context, api *facade.API) error {
	n.draining.Store(true)
	api.Drain()
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)*3/5)
		defer cancel()
	}
	if err := n.apiServer.Shutdown(ctx); err != nil {
		return fmt.Errorf("requests were cut off: %w", err)
	}
	return nil
}

// Stop ends the node: it drains the API, closes every connection and hands the lead of
// streams to the other members. Steps that the context cuts short are named in the
// error. It may be called before Start, during Start, and again.
func (n *Node) Stop(ctx context.Context) error {
	n.draining.Store(true)
	n.cancel(errStopped)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.started = true
	err := n.stops.run(ctx)
	n.work.Wait()
	return err
}

// Run starts the node, calls ready when it serves, and stops it when the context ends
// or the node fails, which is then the error.
func (n *Node) Run(ctx context.Context, ready func() error) error {
	err := n.Start(ctx)
	switch {
	case err == nil:
		if err = ready(); err == nil {
			err = n.wait(ctx)
		}
	case ctx.Err() != nil:
		err = nil // asked to stop while starting
	}
	if err != nil {
		n.log.Error("the node failed and stops", "err", err)
	} else {
		n.log.Info("stopping as asked")
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.config.Stop.Limit)
	defer cancel()
	return errors.Join(err, n.Stop(stopping))
}

func (n *Node) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-n.failed:
		return err
	}
}

// ErrStuck is the error of a node whose storage did not end, as the engine's does when it waits
// for itself. Another process can take the node's place at once.
var ErrStuck = engine.ErrStuck

// Run makes a node of a cluster and runs it until the context ends or the node fails.
func Run(ctx context.Context, c Config, log *slog.Logger) error {
	n, err := New(ctx, c, log)
	if err != nil {
		return err
	}
	return n.Run(ctx, func() error { return nil })
}
