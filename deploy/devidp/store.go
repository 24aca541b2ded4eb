package devidp

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"strings"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	tokenLife   = time.Hour        // access and ID tokens
	signInLife  = 10 * time.Minute // from the request to the exchange of the code
	refreshLife = 24 * time.Hour
	maxSessions = 1000 // requests, and refresh tokens, at one time
)

var errUnknown = errors.New("unknown or expired")

// store is op's Storage, and its Crypto. Everything but the users is forgotten at the
// end of the process.
type store struct {
	issuer string
	users  map[string]User // never changed
	key    signingKey
	client client
	now    func() time.Time

	mu        sync.Mutex
	requests  map[string]*session // by id
	codes     map[string]string   // to ids of requests
	refreshes map[string]*session // by refresh token
	pending   map[string]pending  // access tokens to be signed, by id
}

// pending is an access token between its creation and its signature, which op asks for
// in two calls, one right after the other.
type pending struct {
	user    string
	scopes  []string
	expires time.Time
}

var (
	_ op.Storage                   = (*store)(nil)
	_ op.CanSetUserinfoFromRequest = (*store)(nil)
	_ op.Crypto                    = (*store)(nil)
)

func newStore(o Options, users map[string]User, key signingKey, path string) *store {
	return &store{
		issuer: o.Issuer, users: users, key: key, now: o.Now,
		client:    client{path: path, redirects: o.Redirects, logoutRedirects: o.LogoutRedirects},
		requests:  make(map[string]*session),
		codes:     make(map[string]string),
		refreshes: make(map[string]*session),
		pending:   make(map[string]pending),
	}
}

// signIn checks the password and marks the request as signed in.
func (s *store) signIn(id, name, password string) error {
	u, known := s.users[name]
	got, want := sha256.Sum256([]byte(password)), sha256.Sum256([]byte(u.Password))
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 || !known {
		return errors.New("user name or password is wrong")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.live(s.requests, id)
	if !ok {
		return errors.New("this page is too old: start again")
	}
	done := *r
	done.user, done.signedIn = name, s.now()
	s.requests[id] = &done
	return nil
}

// live returns a session that has not ended. The caller holds mu.
func (s *store) live(all map[string]*session, key string) (*session, bool) {
	r, ok := all[key]
	if !ok || !s.now().Before(r.ends) {
		return nil, false
	}
	return r, true
}

// put adds a session and forgets those that have ended; if there are too many, nobody
// gets in until some end. The caller holds mu.
func (s *store) put(all map[string]*session, key string, r *session) error {
	for k, old := range all {
		if !s.now().Before(old.ends) {
			delete(all, k)
		}
	}
	for code, id := range s.codes {
		if _, ok := s.requests[id]; !ok {
			delete(s.codes, code)
		}
	}
	if len(all) >= maxSessions {
		return oidc.ErrServerError().WithDescription("too many are signing in")
	}
	all[key] = r
	return nil
}

func (s *store) CreateAuthRequest(_ context.Context, r *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	if len(r.Prompt) == 1 && r.Prompt[0] == oidc.PromptNone {
		// Nobody is ever signed in here beforehand.
		return nil, oidc.ErrLoginRequired()
	}
	// op would find a missing challenge only when the code is exchanged, and takes plain ones.
	if r.CodeChallenge == "" || r.CodeChallengeMethod != oidc.CodeChallengeMethodS256 {
		return nil, oidc.ErrInvalidRequest().WithDescription("PKCE with S256 is required")
	}
	a := &session{
		id: rand.Text(), client: r.ClientID, redirect: r.RedirectURI, state: r.State, nonce: r.Nonce,
		mode: r.ResponseMode, kind: r.ResponseType, scopes: r.Scopes,
		challenge: &oidc.CodeChallenge{Challenge: r.CodeChallenge, Method: r.CodeChallengeMethod},
		ends:      s.now().Add(signInLife),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.put(s.requests, a.id, a); err != nil {
		return nil, err
	}
	return a, nil
}

func (s *store) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.live(s.requests, id)
	if !ok {
		return nil, errUnknown
	}
	return r, nil
}

func (s *store) AuthRequestByCode(_ context.Context, code string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.live(s.requests, s.codes[code])
	if !ok {
		return nil, errUnknown
	}
	return r, nil
}

func (s *store) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[code] = id
	return nil
}

// DeleteAuthRequest is called when the code has been exchanged, so that a code is good
// for one exchange.
func (s *store) DeleteAuthRequest(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.requests, id)
	for code, request := range s.codes {
		if request == id {
			delete(s.codes, code)
		}
	}
	return nil
}

func (s *store) CreateAccessToken(_ context.Context, r op.TokenRequest) (string, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, expires := s.create(r)
	return id, expires, nil
}

// create prepares an access token. The caller holds mu.
func (s *store) create(r op.TokenRequest) (id string, expires time.Time) {
	now := s.now()
	for id, p := range s.pending {
		if !now.Before(p.expires) {
			delete(s.pending, id)
		}
	}
	id, expires = rand.Text(), now.Add(tokenLife)
	s.pending[id] = pending{user: r.GetSubject(), scopes: r.GetScopes(), expires: expires}
	return id, expires
}

func (s *store) CreateAccessAndRefreshTokens(_ context.Context, r op.TokenRequest, current string) (string, string, time.Time, error) {
	from, ok := r.(*session)
	if !ok {
		return "", "", time.Time{}, errors.New("not a session")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if current != "" {
		// A refresh token is good for one use: of two at the same time one loses here.
		if _, ok := s.refreshes[current]; !ok {
			return "", "", time.Time{}, oidc.ErrInvalidGrant()
		}
		delete(s.refreshes, current)
	}
	next := *from
	next.ends = s.now().Add(refreshLife)
	refresh := rand.Text()
	if err := s.put(s.refreshes, refresh, &next); err != nil {
		return "", "", time.Time{}, err
	}
	id, expires := s.create(r)
	return id, refresh, expires, nil
}

func (s *store) TokenRequestByRefreshToken(_ context.Context, token string) (op.RefreshTokenRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.live(s.refreshes, token)
	if !ok {
		return nil, errUnknown
	}
	// op narrows the scopes of what it gets.
	own := *r
	return &own, nil
}

// Encrypt makes what op takes for opaque. For access tokens, where op passes the id and
// the subject, that is a JWT of RFC 9068, which op cannot make itself: it gives all its
// JWTs the type of ID tokens. For codes it is a random text.
func (s *store) Encrypt(text string) (string, error) {
	id, _, isToken := strings.Cut(text, ":")
	if !isToken {
		return rand.Text(), nil
	}
	s.mu.Lock()
	p, ok := s.pending[id]
	delete(s.pending, id)
	s.mu.Unlock()
	if !ok {
		return "", errUnknown
	}
	return s.sign(accessType, s.users[p.user], id, []string{Audience}, p.scopes, p.expires)
}

// Decrypt is the inverse of Encrypt for access tokens.
func (s *store) Decrypt(token string) (string, error) {
	c, err := s.verify(token)
	if err != nil {
		return "", err
	}
	return c.ID + ":" + c.Subject, nil
}

func (s *store) SigningKey(context.Context) (op.SigningKey, error) { return s.key, nil }

func (s *store) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{s.key.SignatureAlgorithm()}, nil
}

func (s *store) KeySet(context.Context) ([]op.Key, error) {
	return []op.Key{publicKey{s.key}}, nil
}

func (s *store) Health(context.Context) error { return nil }
