package accesskey

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"time"

	"dms/tenancy"
)

const (
	dateLayout = "20060102T150405Z"
	// maxSkew is how far X-Sdk-Date may be from our clock, either way, inclusive.
	maxSkew = 15 * time.Minute
)

// decoySecret stands in for the secret of an unknown key, so that an unknown key takes
// the same path as a wrong signature. Requests signed with it are refused all the same.
const decoySecret Secret = "decoy-decoy-decoy-decoy-decoy-decoy-deco"

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
	key, known := v.keys[auth.keyID]
	if !known {
		key.Secret = decoySecret
	}
	match := 0
	for _, canonical := range all {
		want := auth.form.sign(auth.keyID, key.Secret, auth.scope, date, canonical)
		match |= subtle.ConstantTimeCompare([]byte(want), []byte(auth.signature))
	}
	if match != 1 || !known {
		return tenancy.Identity{}, errors.New("unknown access key or wrong signature")
	}
	return key.identity(), nil
}

// single returns the value of a header that must occur exactly once.
func single(h http.Header, name string) (string, error) {
	values := h.Values(name)
	if len(values) != 1 {
		return "", fmt.Errorf("header %s occurs %d times, want 1", name, len(values))
	}
	return values[0], nil
}
