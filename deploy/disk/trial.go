package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	defaultTryEvery = 2 * time.Second
	// stuckAfter is how long a write may take before the disk counts as broken. Storage
	// waits as long for its own.
	stuckAfter = 15 * time.Second
	trialFile  = "trial"
	trialBytes = 4096
)

// ErrBroken says that the disk takes no writes.
var ErrBroken = errors.New("the disk fails")

// Broken returns an error that wraps ErrBroken while the disk takes no writes. A disk
// that is full is not broken.
func (w *Watch) Broken() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.broken != nil:
		return fmt.Errorf("%w: %w", ErrBroken, w.broken)
	case !w.tried.IsZero() && time.Since(w.tried) > stuckAfter:
		return fmt.Errorf("%w: a write has taken %v", ErrBroken, time.Since(w.tried).Truncate(time.Second))
	}
	return nil
}

// tryAgainAndAgain writes to the disk until ctx ends. A write may take as long as it
// pleases: looking at the space goes on beside it.
func (w *Watch) tryAgainAndAgain(ctx context.Context) {
	t := time.NewTicker(w.o.TryEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		w.mu.Lock()
		w.tried = time.Now()
		w.mu.Unlock()
		err := w.o.Try()
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			err = nil
		}
		w.mu.Lock()
		before := w.broken
		w.broken, w.tried = err, time.Time{}
		w.mu.Unlock()
		switch {
		case before == nil && err != nil:
			w.o.Log.Error("the disk fails: the node gets no requests until it takes writes again", "err", err)
		case before != nil && err == nil:
			w.o.Log.Warn("the disk takes writes again")
		}
	}
}

// tryWrite writes a block to a file in the folder, to the disk itself.
func tryWrite(dir string) (err error) {
	f, err := os.OpenFile(filepath.Join(dir, trialFile), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.WriteAt(make([]byte, trialBytes), 0); err != nil {
		return err
	}
	return f.Sync()
}
