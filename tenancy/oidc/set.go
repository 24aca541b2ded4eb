package oidc

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"dms/tenancy"
)

// Set verifies tokens of several providers. It is safe for concurrent use.
type Set struct {
	byID     map[string]*Verifier
	byIssuer map[string]*Verifier
}

// NewSet makes a set of the verifiers, whose ids and issuers must differ. It owns them:
// Close closes them. An empty set refuses every token.
func NewSet(verifiers ...*Verifier) (*Set, error) {
	s := &Set{byID: make(map[string]*Verifier), byIssuer: make(map[string]*Verifier)}
	for _, v := range verifiers {
		if _, ok := s.byID[v.id]; ok {
			return nil, fmt.Errorf("identity provider %s occurs twice", v.id)
		}
		if other, ok := s.byIssuer[v.issuer]; ok {
			return nil, fmt.Errorf("identity providers %s and %s have the same issuer", other.id, v.id)
		}
		s.byID[v.id], s.byIssuer[v.issuer] = v, v
	}
	return s, nil
}

// Close closes all verifiers of the set.
func (s *Set) Close() {
	for _, v := range s.byID {
		v.Close()
	}
}

// Verify is Verifier.Verify of the provider that the token names as its issuer. The
// name is not verified yet, and decides nothing but who judges the token.
func (s *Set) Verify(ctx context.Context, raw string) (tenancy.Identity, time.Time, error) {
	if len(raw) > maxToken {
		return refuse(fmt.Errorf("token has %d bytes, more than %d", len(raw), maxToken))
	}
	sum := digest(raw, false)
	// Looking into every memory costs less than looking for the issuer in the token.
	for _, v := range s.byID {
		if id, expires, ok := v.recall(sum); ok {
			return id, expires, nil
		}
	}
	v, ok := s.byIssuer[unverifiedIssuer(raw)]
	if !ok {
		return refuse(errors.New("token of no known issuer"))
	}
	return v.verify(ctx, raw, sum, false)
}

// Verified is how many tokens were known from before, and how many had their signature
// and claims gone through, good or bad, since the start.
func (s *Set) Verified() (recalled, verified int64) {
	for _, v := range s.byID {
		recalled += v.memory.recalled.Load()
		verified += v.memory.verified.Load()
	}
	return recalled, verified
}

// VerifyIDToken is Verifier.VerifyIDToken of the provider with the given id.
func (s *Set) VerifyIDToken(ctx context.Context, provider, raw string) (tenancy.Identity, time.Time, error) {
	v, ok := s.byID[provider]
	if !ok {
		return refuse(fmt.Errorf("no identity provider %.64q", provider))
	}
	return v.VerifyIDToken(ctx, raw)
}

func refuse(err error) (tenancy.Identity, time.Time, error) {
	return tenancy.Identity{}, time.Time{}, fmt.Errorf("%w: %w", tenancy.ErrUnauthenticated, err)
}

func unverifiedIssuer(raw string) string {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return ""
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	o, err := readObject(b)
	if err != nil {
		return ""
	}
	var issuer string
	if o.text("iss", &issuer) != nil {
		return ""
	}
	return issuer
}
