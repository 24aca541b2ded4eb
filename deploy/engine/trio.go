package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"dms/deploy/keys"

	"github.com/nats-io/nats.go"
)

// TrioOptions describe three members in one process.
type TrioOptions struct {
	Dir      string // each member keeps its data in a folder below
	Keys     *keys.Set
	MaxStore int64                                        // bytes per member; 0 is a third of 65 % of the disk
	MinStore int64                                        // as in Options
	Accounts func(bytes int64) (map[string]string, error) // as in Options

	Encrypted bool // as in Options
	Log       *slog.Logger
}

// Trio is a whole cluster in one process. Its members talk over loopback ports that are
// chosen anew at each start; the data knows members by name.
type Trio struct {
	opts   TrioOptions
	failed chan error

	mu      sync.Mutex
	addrs   [replicas]string
	members [replicas]*Member // nil while one is down
}

// portAttempts bounds how often a start is repeated because a port was taken meanwhile.
const portAttempts = 8

// StartThree runs three members and returns when all listen.
func StartThree(o TrioOptions) (*Trio, error) {
	for attempt := 1; ; attempt++ {
		// Anew each time, so that failures of an earlier attempt are not reported.
		t := &Trio{opts: o, failed: make(chan error, replicas)}
		err := t.start()
		if err == nil {
			return t, nil
		}
		if !errors.Is(err, ErrPortTaken) || attempt == portAttempts {
			return nil, err
		}
	}
}

func (t *Trio) start() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.addrs {
		addr, err := freeAddr(t.addrs[:i])
		if err != nil {
			return err
		}
		t.addrs[i] = addr
	}
	var wg sync.WaitGroup
	errs := make([]error, replicas)
	for i := range replicas {
		options := t.options(i)
		wg.Go(func() { t.members[i], errs[i] = Start(options) })
	}
	wg.Wait()
	err := errors.Join(errs...)
	if err != nil {
		t.abortLocked()
	}
	return err
}

func (t *Trio) options(i int) Options {
	name := TrioName(i)
	return Options{
		Name: name, Dir: filepath.Join(t.opts.Dir, name), Keys: t.opts.Keys,
		RouteAddr: t.addrs[i], Routes: append([]string(nil), t.addrs[:]...),
		MaxStore: t.opts.MaxStore, MinStore: t.opts.MinStore, SharedBy: replicas, Accounts: t.opts.Accounts, Encrypted: t.opts.Encrypted, Log: t.opts.Log,
		onFail: t.fail,
	}
}

// TrioName is the name of the member i, from 0, of every Trio.
func TrioName(i int) string { return "dms-" + strconv.Itoa(i+1) }

func (t *Trio) fail(err error) {
	select {
	case t.failed <- err:
	default: // nobody listens, and what there is suffices
	}
}

// Failed yields an error for each member that fails by itself.
func (t *Trio) Failed() <-chan error { return t.failed }

// freeAddr picks a loopback port below the range from which the system takes ports for
// outgoing connections, so that a member that restarts finds its port free.
func freeAddr(taken []string) (string, error) {
	var last error
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(12_000+rand.IntN(20_000)))
		if slices.Contains(taken, addr) {
			continue
		}
		if last = probePort(addr); last == nil {
			return addr, nil
		}
	}
	return "", fmt.Errorf("find a free port: %w", last)
}

// Size returns the number of members, running or not.
func (t *Trio) Size() int { return replicas }

// Member returns the member i, from 0, or nil while it is down.
func (t *Trio) Member(i int) *Member {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.members[i]
}

// Members returns the members that run.
func (t *Trio) Members() []*Member {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []*Member
	for _, m := range t.members {
		if m != nil {
			out = append(out, m)
		}
	}
	return out
}

// Ready waits until all running members are ready.
func (t *Trio) Ready(ctx context.Context) error { return t.await(ctx, (*Member).Ready) }

// Joined is Ready for Member.Joined.
func (t *Trio) Joined(ctx context.Context) error { return t.await(ctx, (*Member).Joined) }

func (t *Trio) await(ctx context.Context, condition func(*Member, context.Context) error) error {
	for _, m := range t.Members() {
		if err := condition(m, ctx); err != nil {
			return err
		}
	}
	return nil
}

// Kill stops the member i without handing over its work.
func (t *Trio) Kill(i int) {
	if m := t.take(i); m != nil {
		m.Abort() //nolint:errcheck // it is logged, and the ports stay taken
	}
}

// StopMember stops the member i in order.
func (t *Trio) StopMember(ctx context.Context, i int) error {
	if m := t.take(i); m != nil {
		return m.Stop(ctx)
	}
	return nil
}

func (t *Trio) take(i int) *Member {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.members[i]
	t.members[i] = nil
	return m
}

// Restart runs the member i again on its data.
func (t *Trio) Restart(i int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.members[i] != nil {
		return fmt.Errorf("restart member %d: it runs", i)
	}
	for attempt := 1; ; attempt++ {
		m, err := Start(t.options(i))
		if err == nil {
			t.members[i] = m
			return nil
		}
		if !errors.Is(err, ErrPortTaken) || attempt == portAttempts {
			return err
		}
		// Another port will do: this member dials its peers, which then know it.
		if t.addrs[i], err = freeAddr(t.addrs[:]); err != nil {
			return err
		}
	}
}

// Conn returns a connection through the member i. It is made again by itself after the
// member has restarted.
func (t *Trio) Conn(i int, opts ...nats.Option) (*nats.Conn, error) {
	return dial(seat{t, i}, opts)
}

// SystemConn is Conn with the credentials of the system account.
func (t *Trio) SystemConn(i int, opts ...nats.Option) (*nats.Conn, error) {
	return dialSystem(seat{t, i}, t.opts.Keys, opts)
}

// seat connects through whichever member runs at a place at the time.
type seat struct {
	trio  *Trio
	place int
}

func (s seat) InProcessConn() (net.Conn, error) {
	m := s.trio.Member(s.place)
	if m == nil {
		return nil, refuse(ErrStopped, "member %d is down", s.place)
	}
	return openPipe(m.server)
}

// Abort stops all members at once, handing nothing over: there is nobody to take it.
func (t *Trio) Abort() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.abortLocked()
}

func (t *Trio) abortLocked() {
	var wg sync.WaitGroup
	for i, m := range t.members {
		if m != nil {
			wg.Go(func() { m.Abort() }) //nolint:errcheck // it is logged, and nobody runs another
		}
		t.members[i] = nil
	}
	wg.Wait()
}
