package engine

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// What the server says, and what for.
// Source: nats-server v2.15.2, server/jetstream.go, handleOutOfSpace and shutdownJetStream;
// server/jetstream_cluster.go, monitorStream and resetClusteredState.
const (
	// switchesOff is said when the disk is full and the storage is to be shut down.
	switchesOff = "resources, will be DISABLED"
	// shutsDown is said right before that begins.
	shutsDown = "Initiating JetStream Shutdown..."
	// afterFull begins a line and mismatch ends it when a stream gets an entry after one that
	// it could not store. Next, the server deletes the log of that stream.
	afterFull = "Error applying stream entries to "
	mismatch  = ": last sequence mismatch"
)

// holdLimit bounds how long a stream is held up. The shutdown begins within three seconds.
const holdLimit = 15 * time.Second

// ending keeps the server from deleting logs while it shuts its storage down because the
// disk is full. What was confirmed last is in the logs alone then, and it does not delete
// any more once the shutdown has begun. A stream's goroutine is held in its call of the
// logger until then.
type ending struct {
	// accounts counts those whose storage is open. The shutdown takes them away one by one.
	accounts func() int

	off   atomic.Bool
	once  sync.Once
	begun chan struct{} // closed when the shutdown is said to begin
	open  int           // accounts then; read after begun
}

func newEnding(accounts func() int) *ending {
	return &ending{accounts: accounts, begun: make(chan struct{})}
}

// said hears what the server says, before the server goes on.
func (e *ending) said(text string) {
	switch {
	case strings.Contains(text, switchesOff):
		e.off.Store(true)
	case text == shutsDown:
		e.once.Do(func() {
			e.open = e.accounts()
			close(e.begun)
		})
	case e.off.Load() && strings.HasPrefix(text, afterFull) && strings.HasSuffix(text, mismatch):
		e.hold()
	}
}

// hold returns when the shutdown has begun, which shows by the first account that is gone.
func (e *ending) hold() {
	limit := time.NewTimer(holdLimit)
	defer limit.Stop()
	select {
	case <-e.begun:
	case <-limit.C:
		return
	}
	t := time.NewTicker(time.Millisecond)
	defer t.Stop()
	for e.accounts() >= max(e.open, 1) {
		select {
		case <-t.C:
		case <-limit.C:
			return
		}
	}
}
