package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"dms/tenancy"
	"dms/tenancy/records"
	"dms/tenancy/seal"
)

const (
	// DefaultIdle is how long a session lives of which no use is made, DefaultLife how long
	// at most.
	DefaultIdle = 30 * time.Minute
	DefaultLife = 12 * time.Hour

	// maxBytes keeps this bucket from starving the others of the account: thousands of
	// sessions.
	maxBytes   = 32 << 20
	openWithin = time.Minute
	// markLife is how long the mark of a session that was ended stays behind.
	markLife = time.Minute
	// secretLength is that of a secret in base32, as rand.Text makes it twice.
	secretLength = 52
)

// Options are what a store needs.
type Options struct {
	// Conn is a connection to the service's own account. The store does not close it.
	Conn *nats.Conn
	// Sealing seals tokens at rest: the first seals, all of them open.
	Sealing []seal.Key
	Idle    time.Duration    // 0 means DefaultIdle
	Life    time.Duration    // 0 means DefaultLife
	Now     func() time.Time // nil means time.Now
}

// Store keeps sessions. It is safe for concurrent use and needs no end.
type Store struct {
	bucket     *records.Bucket
	boxes      *seal.Sealer
	idle, life time.Duration
	now        func() time.Time

	mu   sync.Mutex
	seen map[string]sighting // by record key
}

// Open makes the bucket if there is none. It tries until ctx ends, a minute at most.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Conn == nil || o.Idle < 0 || o.Life < 0 {
		return nil, errors.New("sessions need a connection, and times that are not negative")
	}
	boxes, err := seal.New(o.Sealing)
	if err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	s := &Store{boxes: boxes, idle: o.Idle, life: o.Life, now: o.Now, seen: make(map[string]sighting)}
	if s.idle == 0 {
		s.idle = DefaultIdle
	}
	if s.life == 0 {
		s.life = DefaultLife
	}
	if s.now == nil {
		s.now = time.Now
	}
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	s.bucket, err = records.Open(ctx, o.Conn, records.Config{
		Name: "sessions", Description: "who has signed in to the console", MaxBytes: maxBytes, Lives: true,
	})
	if err != nil {
		return nil, fmt.Errorf("open sessions: %w", err)
	}
	return s, nil
}

// Idle is when the session ends if no use is made of it.
func (s *Store) Idle(one tenancy.Session) time.Time { return one.Used.Add(s.idle) }

// End is when the session ends whatever is done.
func (s *Store) End(one tenancy.Session) time.Time { return one.Started.Add(s.life) }

// ends is the earlier of the two.
func (s *Store) ends(one tenancy.Session) time.Time {
	if idle := s.Idle(one); idle.Before(s.End(one)) {
		return idle
	}
	return s.End(one)
}

// Start stores a session that begins now and returns the secret that finds it.
func (s *Store) Start(ctx context.Context, one tenancy.Session) (secret string, err error) {
	one.Started = s.now().UTC()
	one.Used = one.Started
	secret = rand.Text() + rand.Text()
	key := keyOf(secret)
	if _, err := s.write(ctx, key, one, 0); err != nil {
		return "", unavailable("start session", err)
	}
	return secret, nil
}

// keyOf names the record. What an attacker learns from the time a look-up takes is about
// the digest and does not lead to a secret.
func keyOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return "s." + hex.EncodeToString(sum[:])
}

func (s *Store) write(ctx context.Context, key string, one tenancy.Session, at uint64) (records.Item, error) {
	plain, err := json.Marshal(one)
	if err != nil {
		return records.Item{}, err
	}
	// The storage counts lives in whole seconds.
	life := max(s.ends(one).Sub(s.now()), time.Second).Round(time.Second) + time.Second
	return s.bucket.Write(ctx, key, s.boxes.Append(nil, plain, []byte(key)), at, life)
}

// read returns the session and its revision; ErrNoSession if there is none, or it is over.
func (s *Store) read(ctx context.Context, key string) (tenancy.Session, uint64, error) {
	i, err := s.bucket.Read(ctx, key)
	if err != nil {
		return tenancy.Session{}, 0, err
	}
	if i.Data == nil {
		return tenancy.Session{}, 0, tenancy.ErrNoSession
	}
	var one tenancy.Session
	plain, err := s.boxes.Open(i.Data, []byte(key))
	if err == nil {
		err = json.Unmarshal(plain, &one)
	}
	if err != nil {
		return one, 0, fmt.Errorf("%w: %w", tenancy.ErrNoSession, err)
	}
	if !s.now().Before(s.ends(one)) {
		return one, 0, tenancy.ErrNoSession
	}
	return one, i.Revision, nil
}

// Change replaces the session by what f makes of it. f may be called repeatedly, and its
// error ends the change.
func (s *Store) Change(ctx context.Context, secret string, f func(tenancy.Session) (tenancy.Session, error)) (tenancy.Session, error) {
	key := keyOf(secret)
	for {
		one, revision, err := s.read(ctx, key)
		if err != nil {
			return tenancy.Session{}, unavailable("change session", err)
		}
		if one, err = f(one); err != nil {
			return tenancy.Session{}, err
		}
		_, err = s.write(ctx, key, one, revision)
		if err == nil {
			s.remember(key, one)
			return one, nil
		}
		if !errors.Is(err, records.ErrConflict) || ctx.Err() != nil {
			return tenancy.Session{}, unavailable("change session", err)
		}
	}
}

// Stop ends the session; one that has ended already is no error. Other nodes notice
// within freshFor.
func (s *Store) Stop(ctx context.Context, secret string) error {
	key := keyOf(secret)
	s.forget(key)
	if _, err := s.bucket.Put(ctx, key, nil, markLife); err != nil {
		return unavailable("end session", err)
	}
	s.forget(key)
	return nil
}

// Once reports whether it is called for the first time with the name, on whatever node,
// within the life.
func (s *Store) Once(ctx context.Context, name string, life time.Duration) (first bool, err error) {
	sum := sha256.Sum256([]byte(name))
	// The content tells two writers apart: the second must not take the first one's write
	// for its own that was not answered.
	_, err = s.bucket.Write(ctx, "o."+hex.EncodeToString(sum[:]), []byte(rand.Text()), 0, life)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, records.ErrConflict):
		return false, nil
	}
	return false, unavailable("use once", err)
}

// unavailable marks what may pass.
func unavailable(what string, err error) error {
	if errors.Is(err, tenancy.ErrNoSession) {
		return err
	}
	return fmt.Errorf("%s: %w: %w", what, tenancy.ErrUnavailable, err)
}
