package mapping

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dms/mapping/dms"
	"dms/tenancy"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// session is one project on one node: its connection and what is remembered about
// its queues. Everything in it can be forgotten and found again.
type session struct {
	b       *Broker
	project tenancy.ProjectID
	log     *slog.Logger

	users   int       // guarded by Broker.mu
	lastUse time.Time // guarded by Broker.mu

	once   sync.Once
	err    error
	isOpen atomic.Bool

	conn  *nats.Conn
	calls *wire // requests and their single replies
	pulls *wire // deliveries
	js    jetstream.JetStream
	ctl   *ctl
	quota *quota
	due   *mover
	seen  *figures

	deadStore needed
	jobs      *jobs
	failures  failures
	dropped   dropped

	base context.Context // ends with the session
	stop context.CancelCauseFunc
	work sync.WaitGroup // every goroutine of the session

	closing struct {
		sync.Mutex
		begun bool
	}

	mu          sync.Mutex
	queues      map[dms.QueueID]*queue
	dispatchers map[dms.GroupRef]*dispatcher
	readers     map[readerKey]*reader
	sweeps      map[dms.GroupRef]*sweepPlan
	burials     map[string][]chan struct{} // by subject of the dead letter
}

func newSession(b *Broker, id tenancy.ProjectID) *session {
	s := &session{
		b:           b,
		project:     id,
		log:         b.log.With("project", string(id)),
		lastUse:     time.Now(),
		queues:      make(map[dms.QueueID]*queue),
		dispatchers: make(map[dms.GroupRef]*dispatcher),
		readers:     make(map[readerKey]*reader),
		sweeps:      make(map[dms.GroupRef]*sweepPlan),
		burials:     make(map[string][]chan struct{}),
		deadStore:   needed{config: deadConfig},
	}
	s.jobs = newJobs(s)
	s.base, s.stop = context.WithCancelCause(b.base)
	return s
}

func (s *session) opened() bool { return s.isOpen.Load() }

// broken reports whether the connection has ended for good, which it does only when
// its account is deleted.
func (s *session) broken() bool { return s.opened() && s.conn.IsClosed() }

// open connects the session once; everyone who asks gets the same outcome. It does
// not hang on one caller's context, since others may wait for the same connection.
func (s *session) open(ctx context.Context) error {
	s.once.Do(func() {
		dial, cancel := context.WithTimeout(s.base, holdFor)
		defer cancel()
		if s.err = s.connect(dial); s.err == nil {
			s.isOpen.Store(true)
		}
	})
	if s.err != nil {
		return toError(s.err)
	}
	return nil
}

func (s *session) connect(ctx context.Context) (err error) {
	s.conn, err = s.b.tenants.Connect(ctx, s.project)
	if err != nil {
		err = fmt.Errorf("connect project %s: %w", s.project, err)
		if !errors.Is(err, tenancy.ErrNoProject) {
			err = dms.Wrap(dms.Unavailable, err)
		}
		return err
	}
	defer func() {
		if err != nil {
			s.conn.Close()
		}
	}()
	if s.js, err = jetstream.New(s.conn, jetstream.WithDefaultTimeout(attemptFor)); err != nil {
		return err
	}
	if s.calls, err = newWire(s.conn); err != nil {
		return err
	}
	if s.pulls, err = newWire(s.conn); err != nil {
		return err
	}
	s.ctl = newCtl(s)
	s.quota = newQuota(s)
	s.due = newMover(s)
	s.seen = newFigures(s)
	if _, err = s.conn.Subscribe("wake.>", s.wake); err != nil {
		return err
	}
	if _, err = s.conn.Subscribe(droppedPrefix+">", s.heardDropped); err != nil {
		return err
	}
	s.spawn(s.resume)
	return nil
}

// resume takes up what an earlier run of this or another node left behind: delayed
// messages that are due, and last deliveries that have timed out.
func (s *session) resume() {
	if err := s.due.resume(s.base); err != nil && s.base.Err() == nil {
		s.log.LogAttrs(s.base, slog.LevelWarn, "cannot look for delayed messages", slog.Any("err", err))
	}
	if err := s.jobs.resume(s.base); err != nil && s.base.Err() == nil {
		s.log.LogAttrs(s.base, slog.LevelWarn, "cannot look for jobs", slog.Any("err", err))
	}
	if err := s.sweepAll(s.base); err != nil && s.base.Err() == nil {
		s.log.LogAttrs(s.base, slog.LevelWarn, "cannot look for messages to dead-letter", slog.Any("err", err))
	}
}

// wake hears what changed: a control record, a message in a FIFO queue, a dead letter.
func (s *session) wake(m *nats.Msg) {
	switch {
	case strings.HasPrefix(m.Subject, wakeQueue):
		if key, _, ok := strings.Cut(m.Subject[len(wakeQueue):], "."); ok && len(key) == 32 {
			s.wakeReaders(key, "")
		}
	case strings.HasPrefix(m.Subject, wakeCtl):
		rev, _ := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64) // 0: unknown
		s.ctlChanged(strings.Split(m.Subject[len(wakeCtl):], "."), rev)
	case strings.HasPrefix(m.Subject, wakeDead):
		switch t := strings.Split(m.Subject[len(wakeDead):], "."); len(t) {
		case 3:
			s.wakeReaders(t[0], t[1])
			s.seen.deadChanged(t[0], t[1])
			s.buried("dead." + m.Subject[len(wakeDead):])
		case 4:
			s.wakeLane(t[1], t[2])
		}
	}
}

// ctlChanged takes the tokens of a control record's key.
func (s *session) ctlChanged(tokens []string, rev uint64) {
	if len(tokens) < 2 || len(tokens[1]) != 32 || len(tokens) > 2 && len(tokens[2]) != 32 {
		return
	}
	switch tokens[0] {
	case "queue":
		if id, err := dms.ParseQueueID(hyphenate(tokens[1])); err == nil {
			s.forget(id)
			s.recordChanged(id)
			s.wakeReaders(tokens[1], "")
		}
	case "job":
		if id, err := dms.ParseJobID(hyphenate(tokens[1])); err == nil {
			s.jobs.heard(id)
		}
	case "cursor", "deadcursor", "againcursor":
		if len(tokens) == 3 {
			if tokens[0] == "deadcursor" {
				s.seen.deadChanged(tokens[1], tokens[2])
			}
			s.cursorChanged(tokens[0], tokens[1], tokens[2], rev)
		}
	}
}

func (s *session) cursorChanged(store, queue, group string, rev uint64) {
	kind := dms.Live
	switch store {
	case "deadcursor":
		kind = dms.Dead
	case "againcursor":
		kind = dms.Again
	}
	ref := dms.GroupRef{
		QueueRef: dms.QueueRef{Project: s.project, Queue: dms.QueueID(hyphenate(queue))},
		Group:    dms.GroupID("g-" + hyphenate(group)),
	}
	s.mu.Lock()
	r := s.readers[readerKey{ref: ref, kind: kind}]
	s.mu.Unlock()
	if r != nil {
		r.heard(rev)
	}
	if kind == dms.Again {
		s.wakeReaders(queue, group) // polls of the queue wait for the lane, too
	}
}

// busy reports whether the session must stay open although nobody calls.
func (s *session) busy() bool { return s.opened() && (s.due.waiting() || s.jobs.busy()) }

// spawn runs f in a goroutine of the session, unless the session is being closed.
func (s *session) spawn(f func()) {
	s.closing.Lock()
	defer s.closing.Unlock()
	if !s.closing.begun {
		s.work.Go(f)
	}
}

// close ends the session's own work, returns what was not handed out, closes the
// connection, and waits for all of it.
func (s *session) close() {
	s.stop(errStopping)
	// A session that is still being opened is waited for here.
	s.once.Do(func() { s.err = errClosed })
	s.mu.Lock()
	ended := slices.Collect(maps.Values(s.dispatchers))
	clear(s.dispatchers)
	s.mu.Unlock()
	soon, cancel := context.WithTimeout(context.WithoutCancel(s.base), drainFor)
	defer cancel()
	for _, d := range ended {
		d.awaitPull(soon)
		d.end(false)
	}
	if s.opened() {
		// Deliveries that are on their way are waited for, and given back.
		s.pulls.drain(drainFor)
	}
	for _, d := range ended {
		d.forget()
	}
	s.closing.Lock()
	s.closing.begun = true
	s.closing.Unlock()
	s.work.Wait()
	if s.opened() {
		// What was returned a moment ago must still go out.
		_ = s.conn.FlushTimeout(time.Second)
		s.conn.Close()
	}
}

// drainFor is how long a closing session waits for deliveries that are on their way.
const drainFor = 2 * time.Second

// ensure makes a stream of the project if it is not there yet.
func (s *session) ensure(ctx context.Context, c jetstream.StreamConfig) error {
	return hold(ctx, func(ctx context.Context) error {
		if _, err := s.js.Stream(ctx, c.Name); err == nil || !errors.Is(err, jetstream.ErrStreamNotFound) {
			return err
		}
		_, err := s.js.CreateStream(ctx, c)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return nil // another node was faster
		}
		if err == nil {
			s.awaitNews(ctx, c.Name, c.Subjects[0], true)
		}
		return err
	})
}

// needed is a store of the project that is made when first needed.
type needed struct {
	config func() jetstream.StreamConfig

	mu   sync.Mutex
	done bool
}

func (n *needed) ensure(ctx context.Context, s *session) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.done {
		return nil
	}
	err := s.ensure(ctx, n.config())
	n.done = err == nil
	return err
}
