package disk

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const mib = 1 << 20

// fake is a disk whose free space the test decides.
type fake struct{ total, free atomic.Int64 }

func (f *fake) look() (Space, error) { return Space{Total: f.total.Load(), Free: f.free.Load()}, nil }

func open(t *testing.T, f *fake, o Options) *Watch {
	t.Helper()
	o.Dir, o.Look, o.Every = t.TempDir(), f.look, time.Hour // the test looks itself
	w, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func TestADiskIsFullBelowWhatIsKeptFreeAndHasRoomSomewhatAbove(t *testing.T) {
	f := &fake{}
	f.total.Store(1000 * mib)
	f.free.Store(500 * mib)
	w := open(t, f, Options{KeepFree: 80 * mib, Reserve: -1})
	for _, step := range []struct {
		free int64
		full bool
	}{{500, false}, {80, false}, {79, true}, {0, true}, {80, true}, {99, true}, {100, false}, {81, false}, {79, true}} {
		f.free.Store(step.free * mib)
		w.look()
		err := w.Full()
		if (err != nil) != step.full || err != nil && !errors.Is(err, ErrFull) {
			t.Errorf("with %d MiB free: %v, want full %v", step.free, err, step.full)
		}
	}
}

func TestTheReserveIsGivenUpBeforeTheDiskRefusesAndTakenAgain(t *testing.T) {
	f := &fake{}
	f.total.Store(1000 * mib)
	f.free.Store(500 * mib)
	w := open(t, f, Options{KeepFree: 80 * mib, Reserve: 8 * mib})
	there := func() bool {
		info, err := os.Stat(filepath.Join(w.o.Dir, reserveFile))
		if err != nil {
			return false
		}
		if info.Size() != 8*mib {
			t.Errorf("the reserve has %d bytes", info.Size())
		}
		return true
	}
	for _, step := range []struct {
		free int64
		want bool
	}{{500, true}, {79, true}, {20, true}, {19, false}, {50, false}, {107, false}, {108, true}, {0, false}} {
		f.free.Store(step.free * mib)
		w.look()
		if got := there(); got != step.want {
			t.Errorf("with %d MiB free the reserve is there: %v, want %v", step.free, got, step.want)
		}
		if got := w.State().Reserve > 0; got != step.want {
			t.Errorf("with %d MiB free the reserve is said to be there: %v, want %v", step.free, got, step.want)
		}
	}
}

func TestWhatTheReserveGaveIsNoRoom(t *testing.T) {
	f := &fake{}
	f.total.Store(1000 * mib)
	f.free.Store(150 * mib)
	w := open(t, f, Options{KeepFree: 80 * mib, Reserve: 200 * mib})
	for _, step := range []struct {
		free int64
		full bool
	}{
		{79, true}, {100, false}, // it never had the reserve
		{500, false}, {10, true}, {210, true}, {299, true}, {300, false}, {100, false},
	} {
		f.free.Store(step.free * mib)
		w.look()
		if got := w.State(); got.Full != step.full {
			t.Errorf("with %d MiB free it is full: %v, want %v, %+v", step.free, got.Full, step.full, got)
		}
	}
}

func TestTheReserveOfAnEarlierRunIsKnown(t *testing.T) {
	f := &fake{}
	f.total.Store(1000 * mib)
	f.free.Store(500 * mib)
	o := Options{Dir: t.TempDir(), KeepFree: 80 * mib, Reserve: 8 * mib, Look: f.look, Every: time.Hour}
	for range 2 {
		w, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.State().Reserve; got != 8*mib {
			t.Errorf("the reserve holds %d bytes", got)
		}
		w.Close()
		f.free.Store(50 * mib)
	}
}

func TestWhatIsKeptFreeFollowsTheSizeOfTheDisk(t *testing.T) {
	for _, c := range []struct{ total, kept int64 }{
		{100 * mib, 20 * mib}, {400 * mib, 64 * mib}, {1000 * mib, 1000 * mib / 100 * 8}, {1 << 40, 4 << 30},
	} {
		f := &fake{}
		f.total.Store(c.total)
		f.free.Store(c.total)
		if got := open(t, f, Options{Reserve: -1}).State().KeepFree; got != c.kept {
			t.Errorf("of %d MiB %d are kept free, want %d", c.total/mib, got, c.kept)
		}
	}
}

func TestADiskIsWatchedWithoutBeingAsked(t *testing.T) {
	f := &fake{}
	f.total.Store(1000 * mib)
	f.free.Store(500 * mib)
	w, err := Open(Options{Dir: t.TempDir(), KeepFree: 80 * mib, Reserve: -1, Look: f.look, Every: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	f.free.Store(0)
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for w.Full() == nil {
		select {
		case <-deadline.C:
			t.Fatalf("the disk is full and nobody has noticed: %+v", w.State())
		case <-tick.C:
		}
	}
}

// A disk that refuses a write is broken until it takes one; a full one is not.
func TestADiskThatTakesNoWritesIsBroken(t *testing.T) {
	var now atomic.Pointer[error]
	set := func(err error) { now.Store(&err) }
	set(nil)
	f := &fake{}
	f.total.Store(1000 * mib)
	f.free.Store(500 * mib)
	w := open(t, f, Options{KeepFree: 80 * mib, Reserve: -1, TryEvery: time.Millisecond, Try: func() error { return *now.Load() }})
	for _, step := range []struct {
		err    error
		broken bool
	}{{syscall.EIO, true}, {nil, false}, {syscall.EROFS, true}, {syscall.ENOSPC, false}} {
		set(step.err)
		for end := time.Now().Add(time.Minute); ; {
			err := w.Broken()
			if (err != nil) == step.broken && (err == nil || errors.Is(err, ErrBroken) && errors.Is(err, step.err)) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("when a write gives %v the disk is %v", step.err, err)
			}
			runtime.Gosched()
		}
	}
}

func TestATrialWritesToTheFolder(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		if err := tryWrite(dir); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, trialFile)); err != nil || info.Size() != trialBytes {
		t.Errorf("the trial left %v, %v", info, err)
	}
	if err := tryWrite(filepath.Join(dir, "absent")); err == nil {
		t.Error("a folder that is not there takes writes")
	}
}
