package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const watchEvery = time.Second

// Ready waits until the member knows the cluster's leader and its own replicas are up
// to date. It walks everything the member stores: ask at start, not per request.
func (m *Member) Ready(ctx context.Context) error { return m.await(ctx, m.healthy) }

// Joined waits until the member takes part in the cluster, whatever the state of what it
// stores.
func (m *Member) Joined(ctx context.Context) error { return m.await(ctx, m.joined) }

func (m *Member) await(ctx context.Context, condition func() error) error {
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for {
		last := condition()
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

func (m *Member) joined() error {
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
	return nil
}

func (m *Member) healthy() error {
	if err := m.joined(); err != nil {
		return err
	}
	if h := m.server.Healthz(nil); h.Status != "ok" {
		return fmt.Errorf("replicas: %s", h.Error)
	}
	return nil
}

// Serving returns why nothing can be stored through the member at present, or nil. It is
// cheap. While a leader of the cluster is elected there is none, for 4 to 9 s.
func (m *Member) Serving() error {
	if err := m.failure(); err != nil {
		return err
	}
	if err := m.storage(); err != nil {
		return err
	}
	if h := m.server.Healthz(&server.HealthzOptions{JSMetaOnly: true}); h.Status != "ok" {
		return fmt.Errorf("cluster: %s", h.Error)
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
