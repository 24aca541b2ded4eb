package token

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"dms/tenancy"
)

const (
	// prefix marks a sealed token and its version. A JWT begins with "eyJ".
	prefix = "dmst1."
	// MaxLife is the longest life of a token.
	MaxLife = 24 * time.Hour
	// maxToken bounds a sealed token, so that it fits into a header.
	maxToken = 8 << 10
)

// Key is one sealing key. All nodes of a service hold the same keys.
type Key struct {
	ID     byte // unique among the keys in use
	Secret [32]byte
}

// LogValue keeps the secret out of logs.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// String names the key without its secret.
func (k Key) String() string { return fmt.Sprintf("token key %d", k.ID) }

// GoString names the key without its secret.
func (k Key) GoString() string { return k.String() }

// Sealer seals and opens tokens. It is safe for concurrent use.
type Sealer struct {
	newest byte
	aeads  map[byte]cipher.AEAD
	now    func() time.Time
}

// New makes a sealer. The first key seals; all of them open, so that a key can be
// replaced without making its tokens invalid. A nil now means time.Now.
func New(keys []Key, now func() time.Time) (*Sealer, error) {
	if len(keys) == 0 {
		return nil, errors.New("no token key")
	}
	if now == nil {
		now = time.Now
	}
	s := &Sealer{newest: keys[0].ID, aeads: make(map[byte]cipher.AEAD, len(keys)), now: now}
	for _, k := range keys {
		if k.Secret == [32]byte{} {
			return nil, fmt.Errorf("%s is all zeros", k)
		}
		if _, ok := s.aeads[k.ID]; ok {
			return nil, fmt.Errorf("%s occurs twice", k)
		}
		aead, err := chacha20poly1305.NewX(k.Secret[:])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
		s.aeads[k.ID] = aead
	}
	return s, nil
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
	box := make([]byte, 1+chacha20poly1305.NonceSizeX, 1+chacha20poly1305.NonceSizeX+len(plain)+chacha20poly1305.Overhead)
	box[0] = s.newest
	// Read of crypto/rand never fails: it ends the program instead.
	rand.Read(box[1:])
	box = s.aeads[s.newest].Seal(box, box[1:], plain, associated(s.newest))
	token = prefix + base64.RawURLEncoding.EncodeToString(box)
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
	if len(box) < 1+chacha20poly1305.NonceSizeX+chacha20poly1305.Overhead {
		return nil, errors.New("token is too short")
	}
	aead, ok := s.aeads[box[0]]
	if !ok {
		return nil, errors.New("token is sealed with a key that is not in use")
	}
	nonce, sealed := box[1:1+chacha20poly1305.NonceSizeX], box[1+chacha20poly1305.NonceSizeX:]
	plain, err := aead.Open(nil, nonce, sealed, associated(box[0]))
	if err != nil {
		return nil, errors.New("token is not authentic")
	}
	return plain, nil
}

func associated(key byte) []byte { return append([]byte(prefix), key) }
