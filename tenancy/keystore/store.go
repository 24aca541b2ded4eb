package keystore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"dms/tenancy"
	"dms/tenancy/accesskey"
	"dms/tenancy/records"
	"dms/tenancy/seal"
)

const (
	// refreshEvery is how often a node asks for what other nodes have changed.
	refreshEvery = time.Second
	// freshEvery is how often it asks at most because somebody presents what it does not
	// know, and freshWithin how long that somebody waits.
	freshEvery  = 100 * time.Millisecond
	freshWithin = 2 * time.Second
	// refreshWithin ends one round of asking.
	refreshWithin = 10 * time.Second
	// startOverAfter is how long a node may have been unable to ask before it reads all
	// records anew. It is shorter than the life of the marks it may have missed.
	startOverAfter = time.Hour
	openWithin     = time.Minute
	// rereadEvery is how often a record is read again that another write is in the way of.
	rereadEvery = 200 * time.Millisecond
)

// Options are what a store needs.
type Options struct {
	// Conn is a connection to the service's own account. The store does not close it.
	Conn *nats.Conn
	// Sealing seals secrets at rest: the first seals, all of them open.
	Sealing []seal.Key
	// Configured keys exist beside those that are made over the API, and cannot be
	// changed by it.
	Configured []accesskey.Key
	// MaxLife bounds the life of keys that are made or changed; 0 means that they need
	// not end.
	MaxLife time.Duration
	Now     func() time.Time // nil means time.Now
	Log     *slog.Logger     // nil discards
}

// Store keeps access keys and revocations. It is safe for concurrent use. Close it.
type Store struct {
	opts       Options
	log        *slog.Logger
	bucket     *records.Bucket
	boxes      *seal.Sealer
	configured accesskey.Set
	stop       context.CancelFunc
	done       chan struct{} // closed when the refreshing goroutine has ended

	// scanning serialises scan; it is taken before mu, and mu before usage.mu.
	scanning sync.Mutex
	scanned  time.Time // last time a scan came to its end; guarded by scanning

	mu     sync.RWMutex
	mirror *mirror

	usage usage

	wake    chan struct{} // somebody waits for a scan; holds one value
	waiting sync.Mutex
	round   chan struct{} // closed after a scan that begins later; guarded by waiting
}

// mirror is what this node knows of the bucket.
type mirror struct {
	next    uint64 // first sequence not yet scanned; guarded by Store.scanning
	keys    map[string]entry
	revoked map[string]revocation
	used    map[string]time.Time
}

func newMirror() *mirror {
	return &mirror{next: 1, keys: make(map[string]entry), revoked: make(map[string]revocation), used: make(map[string]time.Time)}
}

// Open reads all records, and makes an empty bucket if there is none. It tries until
// ctx ends, a minute at most.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Conn == nil {
		return nil, errors.New("keystore needs a connection")
	}
	if o.MaxLife < 0 {
		return nil, fmt.Errorf("keystore: longest life is %s", o.MaxLife)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	boxes, err := seal.New(o.Sealing)
	if err != nil {
		return nil, fmt.Errorf("keystore: %w", err)
	}
	configured, err := accesskey.NewSet(o.Configured)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	b, err := records.Open(ctx, o.Conn, bucket())
	if err != nil {
		return nil, fmt.Errorf("open keystore: %w", err)
	}
	life, stop := context.WithCancel(context.Background())
	s := &Store{
		opts: o, log: o.Log.With("component", "keystore"), bucket: b, boxes: boxes, configured: configured,
		stop: stop, done: make(chan struct{}), mirror: newMirror(), usage: newUsage(),
		wake: make(chan struct{}, 1),
	}
	if err := s.scan(ctx); err != nil {
		stop()
		return nil, fmt.Errorf("open keystore: %w", err)
	}
	// Owned by the store: Close ends it and waits for it.
	go s.refresh(life)
	return s, nil
}

// Close ends what the store does in the background and waits for it.
func (s *Store) Close() {
	s.stop()
	<-s.done
}

// scan reads all changes since the last scan. When it returns, the mirror holds every
// record that was in the bucket when it was called.
func (s *Store) scan(ctx context.Context) error {
	s.scanning.Lock()
	defer s.scanning.Unlock()
	m := s.mirror
	if !s.scanned.IsZero() && time.Since(s.scanned) > startOverAfter {
		m = newMirror()
	}
	for {
		i, ok, err := s.bucket.Next(ctx, m.next)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		s.note(m, i)
		m.next = i.Revision + 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mirror, s.scanned = m, time.Now()
	s.mirror.prune(s.opts.Now())
	return nil
}

// Fresh returns when this node knows what was in the bucket when it was called, or after
// two seconds. Whoever calls at the same time shares one question to the leader, and
// there are no more than ten of them a second.
func (s *Store) Fresh() {
	s.waiting.Lock()
	if s.round == nil {
		s.round = make(chan struct{})
	}
	round := s.round
	s.waiting.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	limit := time.NewTimer(freshWithin)
	defer limit.Stop()
	select {
	case <-round:
	case <-s.done:
	case <-limit.C:
	}
}

// refresh scans until ctx ends.
func (s *Store) refresh(ctx context.Context) {
	defer close(s.done)
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	pace := time.NewTimer(0)
	defer pace.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.wake:
			select {
			case <-ctx.Done():
				return
			case <-pace.C:
			}
		}
		pace.Reset(freshEvery)
		s.waiting.Lock()
		round := s.round
		s.round = nil
		s.waiting.Unlock()
		err := s.refreshOnce(ctx)
		if round != nil {
			close(round)
		}
		// Said once, not at every tick of an outage.
		if err != nil && ctx.Err() == nil && !failing {
			s.log.LogAttrs(ctx, slog.LevelWarn, "access keys and revocations could not be refreshed", slog.Any("error", err))
		}
		failing = err != nil
	}
}

func (s *Store) refreshOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, refreshWithin)
	defer cancel()
	if err := s.scan(ctx); err != nil {
		return err
	}
	return s.flushUsage(ctx)
}

// note puts what was read or written into the mirror, unless something newer is there.
func (s *Store) note(m *mirror, i records.Item) {
	kind, id := "", ""
	if len(i.Key) > 2 {
		kind, id = i.Key[:2], i.Key[2:]
	}
	var e entry
	if kind == kindKey {
		if e = entryOf(s.boxes, id, i); e.unusable != nil {
			s.log.LogAttrs(context.Background(), slog.LevelError, "an access key cannot be used",
				slog.String("key", id), slog.Any("error", e.unusable))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch kind {
	case kindKey:
		if e.revision > m.keys[id].revision {
			m.keys[id] = e
		}
	case kindRevoked:
		m.revoked[id] = revocationOf(i)
	case kindUsed:
		if at := usedOf(i); at.After(m.used[id]) {
			m.used[id] = at
		}
	}
}

// prune forgets what cannot matter any more: revoked tokens that have ended, and keys that
// were deleted so long ago that no older record of them can be under way.
func (m *mirror) prune(now time.Time) {
	for id, e := range m.keys {
		if e.rec == nil && e.unusable == nil && now.Sub(e.written) > startOverAfter {
			delete(m.keys, id)
		}
	}
	for id, r := range m.revoked {
		if now.After(r.until) {
			delete(m.revoked, id)
		}
	}
}

// AccessKey implements accesskey.Keys. It does no I/O.
func (s *Store) AccessKey(id string) (accesskey.Key, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.accessKeyLocked(id)
}

// accessKeyLocked is AccessKey for a caller who holds s.mu.
func (s *Store) accessKeyLocked(id string) (accesskey.Key, bool) {
	if k, ok := s.configured.AccessKey(id); ok {
		return k, true
	}
	e := s.mirror.keys[id]
	if e.rec == nil || e.unusable != nil {
		return accesskey.Key{}, false
	}
	return e.key, true
}

// List returns the keys of the project, oldest first: configured keys, then others. It
// tells the truth as of the call, whatever node made a key.
func (s *Store) List(ctx context.Context, project tenancy.ProjectID) ([]tenancy.AccessKey, error) {
	if err := s.scan(ctx); err != nil {
		return nil, explain(fmt.Errorf("list access keys: %w", err))
	}
	var all []tenancy.AccessKey
	for id, k := range s.configured {
		if k.Project == project {
			all = append(all, tenancy.AccessKey{
				ID: id, Project: project, KeyScope: tenancy.KeyScope{Roles: k.Roles, Queues: k.Queues},
				Expires: k.Expires, LastUsed: s.lastUsed(id), Configured: true,
			})
		}
	}
	s.mu.RLock()
	for id, e := range s.mirror.keys {
		if e.rec != nil && e.rec.Project == project {
			all = append(all, e.describe(id, s.lastUsedLocked(id)))
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(all, func(a, b tenancy.AccessKey) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// explain marks what may pass: everything but what is known to be an answer.
func explain(err error) error {
	return fmt.Errorf("%w: %w", tenancy.ErrUnavailable, err)
}
