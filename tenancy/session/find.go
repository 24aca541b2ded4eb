package session

import (
	"context"
	"errors"
	"time"

	"dms/tenancy"
)

const (
	// freshFor is how long a node believes what it has read: a page asks for many things
	// at once. A session that another node has ended lives on here for as long.
	freshFor = 2 * time.Second
	// staleFor is how long it believes that while the bucket has no leader, which takes 4
	// to 9 seconds to come back.
	staleFor = 20 * time.Second
	// findWithin is how long a session is looked for; while there is no leader, what is
	// remembered is believed after this.
	findWithin = time.Second
	// useEvery is how often it is written down that a session is in use, and useWithin
	// how long that may take: the next use may succeed.
	useEvery  = time.Minute
	useWithin = time.Second
	// mostSeen bounds the sessions that a node remembers.
	mostSeen = 10_000
)

// sighting is a session as this node last read it.
type sighting struct {
	session tenancy.Session
	at      time.Time
}

// Find returns the session with the secret: ErrNoSession if there is none, an error that
// wraps tenancy.ErrUnavailable if that cannot be known.
func (s *Store) Find(ctx context.Context, secret string) (tenancy.Session, error) {
	if len(secret) != secretLength {
		return tenancy.Session{}, tenancy.ErrNoSession
	}
	key := keyOf(secret)
	s.mu.Lock()
	seen, known := s.seen[key]
	s.mu.Unlock()
	now := s.now()
	if known && now.Before(s.ends(seen.session)) && now.Sub(seen.at) < freshFor {
		return seen.session, nil
	}
	asked := ctx
	if known && now.Sub(seen.at) < staleFor {
		var cancel context.CancelFunc
		asked, cancel = context.WithTimeout(ctx, findWithin)
		defer cancel()
	}
	one, _, err := s.read(asked, key)
	switch {
	case err == nil:
		s.remember(key, one)
		return one, nil
	case errors.Is(err, tenancy.ErrNoSession):
		s.forget(key)
		return tenancy.Session{}, err
	case asked != ctx && ctx.Err() == nil && now.Before(s.ends(seen.session)):
		return seen.session, nil
	}
	return tenancy.Session{}, unavailable("find session", err)
}

// Use notes that the session, as Find returned it, is in use, which keeps it from ending.
// It is written down about once a minute. That it could not be is no error: a later use
// will be.
func (s *Store) Use(ctx context.Context, secret string, one tenancy.Session) {
	now := s.now()
	every := min(useEvery, s.idle/4)
	if now.Sub(one.Used) < every || !s.fresh(keyOf(secret), now) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, useWithin)
	defer cancel()
	_, _ = s.Change(ctx, secret, func(there tenancy.Session) (tenancy.Session, error) {
		if now.Sub(there.Used) < every {
			return there, errUsed // another node has noted it
		}
		there.Used = now.UTC()
		return there, nil
	})
}

var errUsed = errors.New("its use has been noted")

// fresh reports whether what is remembered was read just now, and so the bucket answers.
func (s *Store) fresh(key string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Sub(s.seen[key].at) < freshFor
}

func (s *Store) remember(key string, one tenancy.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if _, known := s.seen[key]; !known && len(s.seen) >= mostSeen {
		for k, old := range s.seen {
			if now.Sub(old.at) > staleFor {
				delete(s.seen, k)
			}
		}
		if len(s.seen) >= mostSeen {
			return // then it is read each time
		}
	}
	s.seen[key] = sighting{one, now}
}

func (s *Store) forget(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seen, key)
}
