package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Space is what a disk has, in bytes.
type Space struct {
	Total int64 // of the file system
	Used  int64
	Free  int64 // that may still be written
}

// Look reads the space of the disk that holds a folder.
func Look(dir string) (Space, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return Space{}, fmt.Errorf("look at the disk of %s: %w", dir, err)
	}
	return Space{Total: int64(s.Blocks) * s.Bsize, Used: int64(s.Blocks-s.Bfree) * s.Bsize, Free: int64(s.Bavail) * s.Bsize}, nil
}

// Defaults of Options.
const (
	defaultEvery = 200 * time.Millisecond
	mostKept     = 4 << 30
	leastKept    = 64 << 20
	mostReserved = 1 << 30
	reserveFile  = "reserve"
)

// Options say what to watch.
type Options struct {
	Dir      string // folder on the disk; the reserve is a file in it
	KeepFree int64  // bytes below which the disk is full; 0 is 8 % of it, 64 MiB to 4 GiB
	Reserve  int64  // bytes in the reserve; 0 is 5 % of the disk, at most 1 GiB; negative is none
	// Look reads the space; nil means that of the folder's disk.
	Look func() (Space, error)
	// Every is the time between two looks; 0 means 200 ms.
	Every time.Duration
	// Try writes to the disk; nil means a block in a file of the folder.
	Try func() error
	// TryEvery is the time between two such writes; 0 means 2 s.
	TryEvery time.Duration
	Log      *slog.Logger
}

// State is what is known of the disk.
type State struct {
	Space
	KeepFree int64 // with less than this free the disk is full
	Reserve  int64 // bytes that the reserve holds at present
	Full     bool  // nothing more should be stored
}

// Watch watches one disk. A disk that is full has room again only when somewhat more is
// free, so that it does not change its mind with every write.
//
// When other programs take what was kept free, the reserve is given up: what must be
// written to settle, to delete and to elect has room before the disk refuses a write.
// It is taken again when there is room.
type Watch struct {
	o    Options
	stop context.CancelFunc
	work sync.WaitGroup
	// given is what was given up of the reserve: it is no room, for it is taken again. Of
	// the goroutine that looks.
	given int64

	mu     sync.Mutex
	state  State
	broken error     // of the last trial
	tried  time.Time // begin of the trial under way; zero is none
}

// ErrFull says that nothing more should be stored.
var ErrFull = errors.New("the disk is nearly full")

// Open looks at the disk, takes the reserve and watches until Close.
func Open(o Options) (*Watch, error) {
	if o.Look == nil {
		o.Look = func() (Space, error) { return Look(o.Dir) }
	}
	if o.Try == nil {
		o.Try = func() error { return tryWrite(o.Dir) }
	}
	if o.TryEvery == 0 {
		o.TryEvery = defaultTryEvery
	}
	if o.Every == 0 {
		o.Every = defaultEvery
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	now, err := o.Look()
	if err != nil {
		return nil, err
	}
	if o.KeepFree == 0 {
		o.KeepFree = max(min(now.Total/100*8, mostKept), min(leastKept, now.Total/5))
	}
	if o.Reserve == 0 {
		o.Reserve = min(now.Total/20, mostReserved)
	}
	w := &Watch{o: o, state: State{KeepFree: o.KeepFree}}
	if info, err := os.Stat(w.path()); err == nil {
		w.state.Reserve = info.Size() // of an earlier run
	}
	w.look()
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	w.work.Go(func() { w.run(ctx) })
	w.work.Go(func() { w.tryAgainAndAgain(ctx) })
	return w, nil
}

// Close ends the watching. The reserve stays.
func (w *Watch) Close() {
	w.stop()
	w.work.Wait()
}

func (w *Watch) run(ctx context.Context) {
	t := time.NewTicker(w.o.Every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			w.look()
		}
	}
}

// State returns what was seen last.
func (w *Watch) State() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// Full returns an error that wraps ErrFull while nothing more should be stored.
func (w *Watch) Full() error {
	s := w.State()
	if !s.Full {
		return nil
	}
	return fmt.Errorf("%w: %d MiB of %d MiB are free, and %d MiB are kept free", ErrFull, s.Free>>20, s.Total>>20, s.KeepFree>>20)
}

// margin is how much more than KeepFree must be free before a full disk has room again.
func (w *Watch) margin() int64 { return w.o.KeepFree / 4 }

func (w *Watch) set(s State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state = s
}

// look sees what changed, and gives up or takes the reserve. It is called by one
// goroutine at a time.
func (w *Watch) look() {
	now, err := w.o.Look()
	if err != nil {
		w.o.Log.Error("the disk cannot be looked at", "err", err)
		return
	}
	before := w.State()
	after := before
	after.Space = now
	switch {
	case now.Free < w.o.KeepFree:
		after.Full = true
	case now.Free >= w.o.KeepFree+w.margin()+w.given:
		after.Full = false
	}
	// Whoever asks is told at once: what follows may take a disk that is full a while.
	w.set(after)
	after.Reserve = w.reserve(before.Reserve, now)
	w.set(after)
	if after.Full != before.Full {
		if after.Full {
			w.o.Log.Error("the disk is nearly full: nothing is stored until there is room", "free", now.Free, "total", now.Total, "keep_free", w.o.KeepFree)
		} else {
			w.o.Log.Warn("the disk has room again", "free", now.Free, "total", now.Total)
		}
	}
	switch {
	case after.Reserve < before.Reserve:
		w.o.Log.Warn("the reserve of the disk was given up", "free", now.Free)
	case after.Reserve > before.Reserve:
		w.o.Log.Info("the reserve of the disk was taken", "reserve", after.Reserve, "free", now.Free)
	}
}

func (w *Watch) path() string { return filepath.Join(w.o.Dir, reserveFile) }

// reserve gives the reserve up or takes it, and returns how much it then holds. What is
// freed by giving it up does not make a full disk one with room.
func (w *Watch) reserve(held int64, now Space) int64 {
	switch {
	case held > 0 && (now.Free < w.o.KeepFree/4 || w.o.Reserve < 0):
		if err := os.Remove(w.path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			w.o.Log.Error("the reserve of the disk cannot be given up", "err", err)
			return held
		}
		w.given = max(w.o.Reserve, 0)
		return 0
	case held == 0 && w.o.Reserve > 0 && now.Free >= w.o.KeepFree+w.margin()+w.o.Reserve:
		if err := w.take(); err != nil {
			w.o.Log.Warn("the reserve of the disk cannot be taken", "err", err)
			w.o.Reserve = -1 // a file system without it; the rest works
			_ = os.Remove(w.path())
			w.given = 0
			return 0
		}
		w.given = 0
		return w.o.Reserve
	}
	return held
}

// take makes the file of the reserve, with blocks of its own.
func (w *Watch) take() (err error) {
	f, err := os.OpenFile(w.path(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return syscall.Fallocate(int(f.Fd()), 0, 0, w.o.Reserve)
}
