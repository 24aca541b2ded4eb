package watch

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

const leaseKey = "lease"

// A lease is renewed every so often. Who cannot renew it gives it up after fenceAfter
// such times, and others take it when it has not changed for takeAfter of them, each on
// its own clock: no clocks are compared.
const (
	fenceAfter = 3
	takeAfter  = 5
)

// lease decides which node watches.
type lease struct {
	records Records
	me      string
	every   time.Duration
	log     *slog.Logger

	held    bool
	rev     uint64
	renewed time.Time // when the latest successful renewal began
	seen    uint64    // revision of somebody else's lease, and since when it has stood
	since   time.Time
}

// step renews the lease, or tries to take it. It reports whether this node has it.
func (l *lease) step(ctx context.Context) bool {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, l.every)
	defer cancel()
	if l.held {
		rev, err := l.put(ctx, l.rev)
		switch {
		case err == nil:
			l.rev, l.renewed = rev, begin
		case errors.Is(err, ErrConflict):
			// It may be a write of this node whose answer was lost.
			r, err := l.records.Get(ctx, leaseKey)
			if l.held = err == nil && string(r.Value) == l.me; l.held {
				l.rev, l.renewed = r.Revision, begin
			}
		case time.Since(l.renewed) > fenceAfter*l.every:
			l.held = false
		}
		if !l.held {
			l.seen, l.since = 0, time.Now()
			l.log.LogAttrs(ctx, slog.LevelWarn, "another node watches from now on", slog.Any("err", err))
		}
		return l.held
	}
	r, err := l.records.Get(ctx, leaseKey)
	if err != nil {
		return false
	}
	if r.Revision != l.seen || l.since.IsZero() {
		l.seen, l.since = r.Revision, time.Now()
	}
	if len(r.Value) > 0 && time.Since(l.since) < takeAfter*l.every {
		return false
	}
	rev, err := l.put(ctx, r.Revision)
	if err != nil {
		return false
	}
	l.held, l.rev, l.renewed = true, rev, begin
	l.log.LogAttrs(ctx, slog.LevelInfo, "this node watches from now on")
	return true
}

func (l *lease) put(ctx context.Context, at uint64) (uint64, error) {
	return l.records.Put(ctx, leaseKey, []byte(l.me), at)
}

// release lets another node take over at once.
func (l *lease) release(ctx context.Context) {
	if !l.held {
		return
	}
	l.held = false
	// If it fails, the others wait until the lease has run out.
	_, _ = l.records.Put(ctx, leaseKey, nil, l.rev)
}
