package deploy

import (
	"errors"
	"sync"
	"time"

	"dms/deploy/engine"
)

const (
	healthEvery = 500 * time.Millisecond
	// leaderless is how long the cluster may be without a leader before a node is not
	// ready. An election takes 4 to 9 s, for which requests are held; load balancers that
	// were told of it would have no node to send them to.
	leaderless = 12 * time.Second
)

// health follows whether a node can store, so that it tells the truth about a cause that
// lasts and nothing about an election. The zero value is well.
type health struct {
	mu    sync.Mutex
	since time.Time // when it began to be wrong; zero while it is well
	why   error
}

// look notes what is wrong at a moment, or nil.
func (h *health) look(why error, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.why = why
	switch {
	case why == nil:
		h.since = time.Time{}
	case h.since.IsZero():
		h.since = now
	}
}

// trouble returns what keeps the node from storing, or nil. Storage that is lost is told
// at once, for it does not come back by waiting.
func (h *health) trouble(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.why == nil {
		return nil
	}
	for _, lost := range []error{engine.ErrStopped, engine.ErrStorageLost, engine.ErrFailed} {
		if errors.Is(h.why, lost) {
			return h.why
		}
	}
	if now.Sub(h.since) < leaderless {
		return nil
	}
	return h.why
}

// notReady says why the node should get no requests, or "".
func (n *Node) notReady() string {
	switch {
	case n.draining.Load():
		return "draining"
	case n.handler.Load() == nil:
		return "starting"
	}
	if wrong := n.clock.wrong(); wrong != "" {
		return wrong
	}
	// Storage of its own accord tells of a broken disk only when it writes there what the
	// cluster decides.
	if err := n.disk.Broken(); err != nil {
		return "cannot store: " + err.Error()
	}
	if err := n.health.trouble(time.Now()); err != nil {
		return "cannot store: " + err.Error()
	}
	return ""
}
