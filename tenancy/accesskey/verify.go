package accesskey

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"time"

	"dms/tenancy"
)

const (
	dateLayout = "20060102T150405Z"
	// maxSkew is how far X-Sdk-Date may be from our clock, either way, inclusive. A signed
	// request can therefore be repeated, unchanged and whole, for as long: nothing in it
	// is for one use. TLS keeps it from strangers, and a send can carry Idempotency-Key.
	maxSkew = 15 * time.Minute
)

// decoySecret stands in for the secret of an unknown key, so that an unknown key takes
// the same path as a wrong signature. Requests signed with it are refused all the same.
const decoySecret Secret = "decoy-decoy-decoy-decoy-decoy-decoy-deco"

// Options are what a verifier needs.
type Options struct {
	Keys Keys
	// Used, if set, is told of every key that was presented with its secret. It is called
	// from the request's goroutine and must not block.
	Used func(keyID string)
	// Fresh, if set, brings the keys up to date with what other nodes know. It is called
	// before a secret is found to be wrong or a key to be unknown: the key may have been
	// made, or its secret changed, a moment ago. It may wait, for a bounded time.
	Fresh func()
	Now   func() time.Time // nil means time.Now
}

// Verifier verifies signed requests and secrets. It is safe for concurrent use.
//
// After five wrong secrets in a row for one key from one address, the key is refused
// from there for five minutes, whatever is presented.
type Verifier struct {
	keys  Keys
	used  func(string)
	fresh func()
	now   func() time.Time
	locks *lockout
}

// NewVerifier makes a verifier of whatever keys there are when it is asked.
func NewVerifier(o Options) (*Verifier, error) {
	if o.Keys == nil {
		return nil, errors.New("access keys: no keys")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Used == nil {
		o.Used = func(string) {}
	}
	return &Verifier{keys: o.Keys, used: o.Used, fresh: o.Fresh, now: o.Now, locks: newLockout()}, nil
}

// New makes a verifier of fixed keys; see NewSet. No keys at all is allowed and refuses
// every request. A nil now means time.Now.
func New(keys []Key, now func() time.Time) (*Verifier, error) {
	set, err := NewSet(keys)
	if err != nil {
		return nil, err
	}
	return NewVerifier(Options{Keys: set, Now: now})
}

// VerifySignature returns the identity of the key that signed the request. The body is
// the whole body of the request as it was received. Whatever is wrong comes back as
// tenancy.ErrUnauthenticated, wrapped with the reason, which is for the log only.
func (v *Verifier) VerifySignature(r *http.Request, body []byte) (tenancy.Identity, error) {
	id, err := v.verify(r, body)
	if err != nil {
		return tenancy.Identity{}, fmt.Errorf("%w: %w", tenancy.ErrUnauthenticated, err)
	}
	return id, nil
}

// VerifySecret returns the identity of the key with the id and the secret, and when it
// ends; the zero time means that it does not. The source is the address of the caller,
// with or without a port. Errors are those of VerifySignature.
func (v *Verifier) VerifySecret(keyID, secret, source string) (tenancy.Identity, time.Time, error) {
	given := sha256.Sum256([]byte(secret))
	id, until, err := v.judge(keyID, source, func(s Secret) bool {
		want := sha256.Sum256([]byte(s))
		return subtle.ConstantTimeCompare(want[:], given[:]) == 1
	})
	if err != nil {
		return tenancy.Identity{}, time.Time{}, fmt.Errorf("%w: %w", tenancy.ErrUnauthenticated, err)
	}
	return id, until, nil
}

func (v *Verifier) verify(r *http.Request, body []byte) (tenancy.Identity, error) {
	header, err := single(r.Header, "Authorization")
	if err != nil {
		return tenancy.Identity{}, err
	}
	auth, err := parseAuthorization(header)
	if err != nil {
		return tenancy.Identity{}, err
	}
	date, err := single(r.Header, dateHeader)
	if err != nil {
		return tenancy.Identity{}, err
	}
	at, err := time.Parse(dateLayout, date)
	if err != nil || at.Format(dateLayout) != date {
		return tenancy.Identity{}, errors.New("date is malformed")
	}
	if skew := v.now().Sub(at).Abs(); skew > maxSkew {
		return tenancy.Identity{}, fmt.Errorf("date is %s off", skew)
	}
	if auth.form.scoped && auth.date != date[:8] {
		return tenancy.Identity{}, errors.New("credential is of another day than the request")
	}
	all, err := canonicals(r, body, auth.headers, auth.form.quirks)
	if err != nil {
		return tenancy.Identity{}, err
	}
	id, _, err := v.judge(auth.keyID, r.RemoteAddr, func(s Secret) bool {
		match := 0
		for _, canonical := range all {
			want := auth.form.sign(auth.keyID, s, auth.scope, date, canonical)
			match |= subtle.ConstantTimeCompare([]byte(want), []byte(auth.signature))
		}
		return match == 1
	})
	return id, err
}

// judge finds out which secret of the key fits, and what that is worth.
func (v *Verifier) judge(keyID, source string, fits func(Secret) bool) (tenancy.Identity, time.Time, error) {
	who := suspect{keyID, sourceOf(source)}
	key, known, generation, right := v.try(keyID, fits)
	// Also for a key that is locked: otherwise the time would tell that it exists.
	if !right && v.fresh != nil {
		v.fresh()
		key, known, generation, right = v.try(keyID, fits)
	}
	if !known {
		return tenancy.Identity{}, time.Time{}, errors.New("unknown access key or wrong signature")
	}
	now := v.now()
	if !v.locks.allow(who, right, now) {
		return tenancy.Identity{}, time.Time{}, fmt.Errorf("wrong signature of access key %s, or the key is locked for this address", keyID)
	}
	until, ok := key.Until(generation, now)
	if !ok {
		return tenancy.Identity{}, time.Time{}, fmt.Errorf("access key %s, or its former secret, has ended at %s", keyID, until.Format(time.RFC3339))
	}
	v.used(keyID)
	return key.identity(generation), until, nil
}

// try tries both secrets of the key, whether it exists or not and has two or not, so that
// the time it takes does not tell.
func (v *Verifier) try(keyID string, fits func(Secret) bool) (key Key, known bool, generation int, right bool) {
	key, known = v.keys.AccessKey(keyID)
	current, former := key.Secret, key.Former
	if current == "" {
		current, known = decoySecret, false
	}
	if former == "" {
		former = decoySecret
	}
	isCurrent, isFormer := fits(current), fits(former) && key.Former != ""
	generation = key.Generation
	if !isCurrent {
		generation--
	}
	return key, known, generation, known && (isCurrent || isFormer)
}

// single returns the value of a header that must occur exactly once.
func single(h http.Header, name string) (string, error) {
	values := h.Values(name)
	if len(values) != 1 {
		return "", fmt.Errorf("header %s occurs %d times, want 1", name, len(values))
	}
	return values[0], nil
}
