package token

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"dms/tenancy"
	"dms/tenancy/seal"
)

const (
	// prefix marks a sealed token and its version. A JWT begins with "eyJ".
	prefix = "dmst1."
	// MaxLife is the longest life of a token.
	MaxLife = 24 * time.Hour
	// maxToken bounds a sealed token, so that it fits into a header.
	maxToken = 8 << 10
)

// Sealer seals and opens tokens. It is safe for concurrent use.
type Sealer struct {
	boxes *seal.Sealer
	now   func() time.Time
}

// New makes a sealer. The first key seals; all of them open, so that a key can be
// replaced without making its tokens invalid. A nil now means time.Now.
func New(keys []seal.Key, now func() time.Time) (*Sealer, error) {
	boxes, err := seal.New(keys)
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	if now == nil {
		now = time.Now
	}
	return &Sealer{boxes: boxes, now: now}, nil
}

// Is reports whether a bearer token is a sealed one, by its prefix alone.
func Is(token string) bool { return strings.HasPrefix(token, prefix) }

// Opened is what a token says.
type Opened struct {
	ID       string           // random; revocations name it
	Identity tenancy.Identity // with one grant, or with offers only
	Issued   time.Time
	Expires  time.Time
}

// maxOrigins bounds how often tokens can be exchanged for one another.
const maxOrigins = 8

// ErrTooOften means that the identity is of a token that was exchanged too often already.
var ErrTooOften = errors.New("the token was exchanged too often")

// ErrTooLarge means that what the identity holds does not fit into a token.
var ErrTooLarge = errors.New("the token would be too large for a header")

// Seal makes a token for an identity that holds exactly one project, or for one that
// holds none and has offers. It ends at notAfter or after MaxLife, whichever is first,
// in whole seconds, rounded down, and returns that time. It is an error if that time
// has passed. The identity's own TokenID is not kept; its Origins are.
func (s *Sealer) Seal(id tenancy.Identity, notAfter time.Time) (token string, expires time.Time, err error) {
	now := s.now()
	expires = now.Add(MaxLife)
	if notAfter.Before(expires) {
		expires = notAfter
	}
	expires = time.Unix(expires.Unix(), 0).UTC()
	if !expires.After(now) {
		return "", time.Time{}, fmt.Errorf("seal token: %w at %s", tenancy.ErrExpired, expires.Format(time.RFC3339))
	}
	plain, err := encode(id, now, expires)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("seal token: %w", err)
	}
	token = prefix + base64.RawURLEncoding.EncodeToString(s.boxes.Append(nil, plain, []byte(prefix)))
	if len(token) > maxToken {
		return "", time.Time{}, fmt.Errorf("seal token: %w: it would have %d bytes, more than %d", ErrTooLarge, len(token), maxToken)
	}
	return token, expires, nil
}

// Open returns what a sealed token says. A token that has ended gives
// tenancy.ErrExpired, anything else that is wrong tenancy.ErrUnauthenticated, wrapped.
func (s *Sealer) Open(token string) (Opened, error) {
	plain, err := s.unseal(token)
	if err != nil {
		return Opened{}, fmt.Errorf("%w: %w", tenancy.ErrUnauthenticated, err)
	}
	o, err := decode(plain)
	if err != nil {
		return Opened{}, fmt.Errorf("%w: %w", tenancy.ErrUnauthenticated, err)
	}
	if !s.now().Before(o.Expires) {
		return Opened{}, fmt.Errorf("token: %w at %s", tenancy.ErrExpired, o.Expires.Format(time.RFC3339))
	}
	return o, nil
}

func (s *Sealer) unseal(token string) ([]byte, error) {
	text, ok := strings.CutPrefix(token, prefix)
	if !ok {
		return nil, errors.New("not a sealed token")
	}
	if len(token) > maxToken {
		return nil, fmt.Errorf("token has %d bytes, more than %d", len(token), maxToken)
	}
	// The decoder passes over line breaks, even when strict: one token would have many
	// spellings.
	if strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("token has a line break")
	}
	box, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errors.New("token is not base64url")
	}
	plain, err := s.boxes.Open(box, []byte(prefix))
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	return plain, nil
}
