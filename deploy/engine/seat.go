package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Pauses between attempts to run a member again, and how long it must have run before
// the next failure counts as the first.
const (
	firstRestart = 500 * time.Millisecond
	lastRestart  = 10 * time.Second
	settled      = time.Minute
	// restartFree is how many bytes must be free before a member whose disk was full is
	// started again. What it wrote last must fit, and its recovery writes as well.
	restartFree = 32 << 20
	// handOver bounds how long a member may take to stop for work on its folder.
	handOver = 10 * time.Second
	// lookEvery is the pause between looks whether a member could run again.
	lookEvery = time.Second
	// mostUnreadable bounds the names of streams that wait to be looked into.
	mostUnreadable = 16
)

// Seat is one member's place in the cluster. When its member fails, the seat waits until
// the cause is gone and runs another on the same data. Connections that are made through
// the seat find whichever member sits there.
type Seat struct {
	opts Options
	log  *slog.Logger
	stop context.CancelFunc
	jobs chan job
	work sync.WaitGroup // the keeper, owned by Stop
	// unreadable has streams in which whoever sat here could not read a message.
	unreadable chan string
	failed     chan error

	mu       sync.Mutex
	member   *Member // nil while it is down
	down     error   // why it is down
	restarts int
}

// job is work on the folder of a member that does not run.
type job struct {
	f    func(store string) error
	done chan error
}

// TakeSeat runs a member as Start does, and keeps it running from then on.
func TakeSeat(o Options) (*Seat, error) {
	unreadable := make(chan string, mostUnreadable)
	o.onUnreadable = func(stream string) {
		select {
		case unreadable <- stream:
		default: // it is said again
		}
	}
	m, err := Start(o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Seat{opts: o, log: m.log, stop: cancel, jobs: make(chan job), member: m, unreadable: unreadable, failed: make(chan error, 1)}
	s.work.Go(func() { s.keep(ctx) })
	return s, nil
}

// keep waits for failures and for work on the folder, until ctx ends.
func (s *Seat) keep(ctx context.Context) {
	pause := firstRestart
	for {
		began := time.Now()
		m := s.Member()
		atOnce := false
		select {
		case <-ctx.Done():
			return
		case err := <-m.Failed():
			s.log.LogAttrs(ctx, slog.LevelError, "the member failed and is started again when it can run", slog.Any("err", err))
			s.leave(err)
			if err := m.Abort(); err != nil {
				s.giveUp(ctx, err)
				return
			}
		case j := <-s.jobs:
			s.leave(errors.New("its folder is being worked on"))
			stopping, cancel := context.WithTimeout(ctx, handOver)
			err := m.Stop(stopping)
			cancel()
			if errors.Is(err, ErrStuck) {
				j.done <- err
				s.giveUp(ctx, err)
				return
			}
			if err != nil {
				s.log.LogAttrs(ctx, slog.LevelWarn, "the member was cut short", slog.Any("err", err))
			}
			j.done <- j.f(s.opts.storeDir())
			atOnce = true
		}
		if time.Since(began) > settled || atOnce {
			pause = firstRestart
		}
		if !s.fill(ctx, &pause, atOnce) {
			return
		}
	}
}

// giveUp leaves a member alone that does not end. No other can take its place beside it, so
// the seat fails; not before a member could run there, or the next process would not start.
func (s *Seat) giveUp(ctx context.Context, why error) {
	s.leave(why)
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for s.opts.fit() != nil {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
	s.failed <- why // never blocks: one place, written once
}

// Failed yields one error, ErrStuck, when a member could run here again, but in another
// process only.
func (s *Seat) Failed() <-chan error { return s.failed }

// leave says that nobody sits here, and why.
func (s *Seat) leave(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.member, s.down = nil, why
}

// fill starts members until one runs. It reports false when ctx has ended.
func (s *Seat) fill(ctx context.Context, pause *time.Duration, atOnce bool) bool {
	for {
		if !atOnce {
			select {
			case <-ctx.Done():
				return false
			case <-time.After(*pause):
			}
			*pause = min(2**pause, lastRestart)
		}
		atOnce = false
		err := s.opts.fit()
		var m *Member
		if err == nil {
			m, err = Start(s.opts)
		}
		if err == nil && ctx.Err() != nil {
			m.Abort() //nolint:errcheck // nobody would stop it, or notice that it does not end
			return false
		}
		if err == nil {
			s.mu.Lock()
			s.member, s.down = m, nil
			s.restarts++
			s.mu.Unlock()
			s.log.LogAttrs(ctx, slog.LevelWarn, "the member runs again")
			return true
		}
		s.leave(err)
		s.log.LogAttrs(ctx, slog.LevelWarn, "the member cannot run yet", slog.Any("err", err), slog.Duration("next", *pause))
	}
}

func (o Options) storeDir() string { return filepath.Join(o.Dir, "store") }

// fit reports why a member that has run before could not run at present. A folder
// without its mark is a disk that is not mounted: a member that began anew there would
// be a copy less that nobody knows of.
func (o Options) fit() error {
	if _, err := os.Stat(filepath.Join(o.Dir, identityFile)); err != nil {
		return refuse(ErrForeignData, "the mark of the data folder cannot be read: %v", err)
	}
	free, err := freeBytes(o.Dir)
	if err != nil {
		return err
	}
	if free < restartFree {
		return refuse(ErrStorageLost, "%d MiB are free, want %d MiB to start with", free>>20, int64(restartFree)>>20)
	}
	path := filepath.Join(o.Dir, "try")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return refuse(ErrStorageLost, "the data folder takes no files: %v", err)
	}
	_, err = f.Write(make([]byte, 4096))
	if err = errors.Join(err, f.Sync(), f.Close(), os.Remove(path)); err != nil {
		return refuse(ErrStorageLost, "the data folder takes no bytes: %v", err)
	}
	return nil
}

// Name returns the name of whichever member sits here.
func (s *Seat) Name() string { return s.opts.Name }

// Member returns the member, or nil while it is down.
func (s *Seat) Member() *Member {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.member
}

// Down returns why no member runs, or nil while one does.
func (s *Seat) Down() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

// Restarts is how often a member was started again.
func (s *Seat) Restarts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.restarts
}

// Unreadable yields streams in which a consumer that is led here has come to a message that
// is damaged, each again and again while that lasts.
func (s *Seat) Unreadable() <-chan string { return s.unreadable }

// Serving returns why nothing can be stored through this seat, or nil.
func (s *Seat) Serving() error {
	m := s.Member()
	if m == nil {
		return refuse(ErrStopped, "member %s is down: %v", s.opts.Name, s.Down())
	}
	return m.Serving()
}

// Ready waits until the member that sits here is ready, whichever it is then.
func (s *Seat) Ready(ctx context.Context) error { return s.await(ctx, (*Member).Ready) }

// Joined is Ready for Member.Joined.
func (s *Seat) Joined(ctx context.Context) error { return s.await(ctx, (*Member).Joined) }

func (s *Seat) await(ctx context.Context, condition func(*Member, context.Context) error) error {
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for {
		m := s.Member()
		var err error
		if m != nil {
			if err = condition(m, ctx); err == nil {
				return nil
			}
		} else {
			err = s.Down()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("seat %s: %w: %w", s.opts.Name, context.Cause(ctx), err)
		case <-t.C:
		}
	}
}

// Work stops the member in order, calls f with the folder of its store, and has a member
// run again, whatever f returned; Ready waits for that. It returns f's error. When ctx
// ends before the work has begun, f is not called any more; when it ends later, Work
// waits for f all the same, so that whoever holds a lock for f holds it long enough.
func (s *Seat) Work(ctx context.Context, f func(store string) error) error {
	j := job{f: f, done: make(chan error, 1)}
	select {
	case s.jobs <- j:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return <-j.done // the keeper bounds the stopping, and f bounds itself
}

// Conn returns a connection inside the process. It is made again by itself after the
// member was.
func (s *Seat) Conn(opts ...nats.Option) (*nats.Conn, error) { return dial(s, opts) }

// SystemConn is Conn with the credentials of the system account.
func (s *Seat) SystemConn(opts ...nats.Option) (*nats.Conn, error) {
	return dialSystem(s, s.opts.Keys, opts)
}

// InProcessConn implements nats.InProcessConnProvider.
func (s *Seat) InProcessConn() (net.Conn, error) {
	m := s.Member()
	if m == nil {
		return nil, refuse(ErrStopped, "member %s is down", s.opts.Name)
	}
	return openPipe(m.server)
}

// Stop ends the keeping and stops the member in order, as Member.Stop does.
//
// A member that is being started at the time is awaited, for at most the two minutes that
// its recovery may take, unless ctx ends: then it is stopped as soon as it runs.
func (s *Seat) Stop(ctx context.Context) error {
	s.stop()
	kept := make(chan struct{})
	go func() { // ends with the keeper
		defer close(kept)
		s.work.Wait()
	}()
	select {
	case <-kept:
	case <-ctx.Done():
		return fmt.Errorf("stop seat %s: %w", s.opts.Name, ctx.Err())
	}
	if m := s.Member(); m != nil {
		return m.Stop(ctx)
	}
	return nil
}
