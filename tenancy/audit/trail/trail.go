package trail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"dms/tenancy"
	"dms/tenancy/audit"

	"github.com/nats-io/nats.go"
)

const (
	// DefaultKeep is how long records are kept.
	DefaultKeep = 90 * 24 * time.Hour
	// tickEvery is how often counts that are due are written, and what could not be
	// written is tried again.
	tickEvery = 5 * time.Second
	// idleAfter is when the connection of a project that nobody uses is closed.
	idleAfter = 2 * time.Minute
	// flushWithin bounds what one tick may take for one project.
	flushWithin = 10 * time.Second
	// closeWithin bounds what the end may take.
	closeWithin = 3 * time.Second
	// maxPending bounds the records that wait to be written after all. While there are
	// that many, nothing may be changed.
	maxPending = 1000
	// maxFlushes is how many projects are written to at the same time.
	maxFlushes = 8
)

// Options are what a trail needs.
type Options struct {
	// Connect opens a connection into the account of a project or of the service. The
	// trail closes it.
	Connect func(context.Context, tenancy.ProjectID) (*nats.Conn, error)
	// Secret is what the keys of the chains are derived from: at least 32 bytes, the same
	// on all nodes.
	Secret []byte
	Node   string           // name of this node, for the records
	Keep   time.Duration    // how long records are kept; 0 means DefaultKeep
	Log    *slog.Logger     // nil discards
	Now    func() time.Time // nil means time.Now
}

// Trail reads and writes the trails of all projects. It is safe for concurrent use by
// any number of nodes. Close it.
type Trail struct {
	o     Options
	log   *slog.Logger
	tally *audit.Tally

	base context.Context // ends with the trail
	stop context.CancelFunc
	done chan struct{} // closed when the writing goroutine has ended

	mu      sync.Mutex
	ledgers map[tenancy.ProjectID]*ledger
	pending map[tenancy.ProjectID][]*entry
	waiting int // records in pending
	closed  bool
}

var errClosed = errors.New("the audit trail is closed")

// New checks the options and begins to write counts. It does not talk to the cluster.
func New(o Options) (*Trail, error) {
	switch {
	case o.Connect == nil:
		return nil, errors.New("audit trail: option Connect is missing")
	case o.Node == "":
		return nil, errors.New("audit trail: option Node is missing")
	case o.Keep < 0:
		return nil, fmt.Errorf("audit trail: records are to be kept for %s", o.Keep)
	}
	if _, err := audit.NewChain(o.Secret, audit.Service); err != nil {
		return nil, err
	}
	if o.Keep == 0 {
		o.Keep = DefaultKeep
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	t := &Trail{
		o: o, log: o.Log.With("component", "audit"), tally: audit.NewTally(o.Node),
		done:    make(chan struct{}),
		ledgers: make(map[tenancy.ProjectID]*ledger),
		pending: make(map[tenancy.ProjectID][]*entry),
	}
	// The trail's own lifetime, ended by Close.
	t.base, t.stop = context.WithCancel(context.Background())
	go t.write() // owned by the trail: Close ends it and waits for it
	return t, nil
}

// Close writes what is still to be written, as far as ctx gives time, and closes all
// connections. What cannot be written, because the other nodes are stopping as well, is
// lost: counts of the last minute, and records whose callers were told that they failed.
// Nothing may be asked of the trail afterwards.
func (t *Trail) Close(ctx context.Context) {
	t.stop()
	<-t.done
	ending, cancel := context.WithTimeout(ctx, closeWithin)
	defer cancel()
	lost := t.flush(ending, true)
	t.mu.Lock()
	t.closed = true
	var open []*ledger
	for id, l := range t.ledgers {
		delete(t.ledgers, id)
		open = append(open, l)
	}
	t.mu.Unlock()
	for _, l := range open {
		l.close()
	}
	if lost > 0 {
		t.log.LogAttrs(ctx, slog.LevelWarn, "audit records could not be written before the end", slog.Int("records", lost))
	}
}

// Ready returns an error while no record of the project could be written. The trail is
// made if there is none.
func (t *Trail) Ready(ctx context.Context, project tenancy.ProjectID) error {
	t.mu.Lock()
	full := t.waiting >= maxPending
	t.mu.Unlock()
	if full {
		return fmt.Errorf("%w: %d audit records wait to be written", tenancy.ErrUnavailable, maxPending)
	}
	err := t.with(ctx, project, func(ctx context.Context, l *ledger) error {
		return patient(ctx, l.refresh)
	})
	if err != nil {
		return fmt.Errorf("audit trail of %s: %w", project, err)
	}
	return nil
}

// Write returns when the record is on disk on a quorum of replicas. One that could not
// be written within the time of ctx is written later, once, as long as this trail lives.
func (t *Trail) Write(ctx context.Context, project tenancy.ProjectID, r audit.Record) error {
	r.Node = t.o.Node
	e := &entry{record: r}
	err := t.with(ctx, project, func(ctx context.Context, l *ledger) error { return l.append(ctx, e) })
	if err == nil {
		return nil
	}
	if !errors.Is(err, tenancy.ErrNoProject) {
		t.later(project, e)
	}
	return fmt.Errorf("write audit record of %s: %w", project, err)
}

// Note counts a call without waiting.
func (t *Trail) Note(project tenancy.ProjectID, kind audit.Kind, c audit.Count) {
	t.tally.Add(project, kind, c, t.o.Now())
}

// with lets f use the project's ledger, one at a time.
func (t *Trail) with(ctx context.Context, project tenancy.ProjectID, f func(context.Context, *ledger) error) error {
	l, err := t.enter(project)
	if err != nil {
		return err
	}
	defer t.leave(l)
	select {
	case <-l.turn:
		defer func() { l.turn <- struct{}{} }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return f(ctx, l)
}

func (t *Trail) enter(project tenancy.ProjectID) (*ledger, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, errClosed
	}
	l, ok := t.ledgers[project]
	if !ok {
		var err error
		if l, err = newLedger(t, project); err != nil {
			return nil, err
		}
		t.ledgers[project] = l
	}
	l.users++
	return l, nil
}

func (t *Trail) leave(l *ledger) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l.users--
	l.lastUse = time.Now()
}

// later keeps a record that could not be written, unless there are too many.
func (t *Trail) later(project tenancy.ProjectID, entries ...*entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range entries {
		if t.waiting >= maxPending {
			t.log.LogAttrs(t.base, slog.LevelError, "an audit record is lost",
				slog.String("project", string(project)), slog.Any("record", e.record))
			continue
		}
		t.pending[project] = append(t.pending[project], e)
		t.waiting++
	}
}
