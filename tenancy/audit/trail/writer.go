package trail

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"dms/tenancy"
)

// write writes what is due until the trail is closed.
func (t *Trail) write() {
	defer close(t.done)
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case <-t.base.Done():
			return
		case <-tick.C:
		}
		t.flush(t.base, false)
		t.closeIdle()
	}
}

// flush writes the counts whose time is over, or all of them, and what could not be
// written before. It returns how many records are left.
func (t *Trail) flush(ctx context.Context, all bool) int {
	for _, d := range t.tally.Take(t.o.Now(), all) {
		t.later(d.Project, &entry{record: d.Record})
	}
	t.mu.Lock()
	work := t.pending
	t.pending = make(map[tenancy.ProjectID][]*entry)
	t.mu.Unlock()

	var flushes sync.WaitGroup
	free := make(chan struct{}, maxFlushes)
	for project, entries := range work {
		free <- struct{}{}
		flushes.Go(func() { // awaited below
			defer func() { <-free }()
			t.flushProject(ctx, project, entries)
		})
	}
	flushes.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting
}

func (t *Trail) flushProject(ctx context.Context, project tenancy.ProjectID, entries []*entry) {
	ctx, cancel := context.WithTimeout(ctx, flushWithin)
	defer cancel()
	left := entries
	err := t.with(ctx, project, func(ctx context.Context, l *ledger) error {
		for len(left) > 0 {
			if err := l.append(ctx, left[0]); err != nil {
				return err
			}
			left = left[1:]
		}
		return nil
	})
	t.mu.Lock()
	t.waiting -= len(entries)
	t.mu.Unlock()
	switch {
	case err == nil:
	case errors.Is(err, tenancy.ErrNoProject): // and with it goes its trail
	default:
		t.log.LogAttrs(ctx, slog.LevelWarn, "audit records could not be written yet",
			slog.String("project", string(project)), slog.Int("records", len(left)), slog.Any("error", err))
		t.later(project, left...)
	}
}

// closeIdle closes the connections of projects that nobody uses.
func (t *Trail) closeIdle() {
	t.mu.Lock()
	var idle []*ledger
	for id, l := range t.ledgers {
		if l.users == 0 && time.Since(l.lastUse) > idleAfter {
			delete(t.ledgers, id)
			idle = append(idle, l)
		}
	}
	t.mu.Unlock()
	for _, l := range idle {
		l.close()
	}
}
