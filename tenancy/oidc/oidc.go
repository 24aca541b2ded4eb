package oidc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"

	"dms/tenancy"
)

// DefaultProjectsClaim is the claim that carries projects and roles.
const DefaultProjectsClaim = "dms_projects"

const (
	maxToken = 16 << 10       // bytes of a token
	maxLife  = 24 * time.Hour // from iat, or from now where there is none, to exp
	skew     = 60 * time.Second
)

// Options say which provider is trusted and for what.
type Options struct {
	ID       string   // name of the provider in this service, as X-Idp-Id carries it
	Issuer   string   // exact; https, or http on a loopback address
	Audience []string // a token must name at least one, exactly
	// RequireAccessType refuses bearer tokens without the type at+jwt of RFC 9068. Set it
	// for every provider that can write the type; without it ID tokens are told from
	// access tokens by their claims alone.
	RequireAccessType bool
	ProjectsClaim     string           // DefaultProjectsClaim if empty
	Client            *http.Client     // nil means one of our own; redirects are never followed
	Log               *slog.Logger     // nil discards
	Now               func() time.Time // nil means time.Now
}

// Verifier verifies tokens of one provider. It is safe for concurrent use. Close it.
type Verifier struct {
	id       string
	issuer   string
	audience []string
	strict   bool
	claim    string
	now      func() time.Time
	keys     *keySet
	frame    *gooidc.IDTokenVerifier
}

// New makes a verifier without asking the provider anything. It fails without an id, an
// issuer and an audience: a verifier that accepts tokens meant for others is none.
func New(o Options) (*Verifier, error) {
	if o.ID == "" {
		return nil, errors.New("identity provider has no id")
	}
	if err := checkURL(o.Issuer); err != nil {
		return nil, fmt.Errorf("identity provider %s: issuer: %w", o.ID, err)
	}
	if len(o.Audience) == 0 || slices.Contains(o.Audience, "") {
		return nil, fmt.Errorf("identity provider %s: no audience, or an empty one", o.ID)
	}
	if o.ProjectsClaim == "" {
		o.ProjectsClaim = DefaultProjectsClaim
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	v := &Verifier{
		id: o.ID, issuer: o.Issuer, audience: slices.Clone(o.Audience),
		strict: o.RequireAccessType, claim: o.ProjectsClaim, now: o.Now,
	}
	v.keys = newKeySet(o.Issuer, o.Client, o.Now, o.Log.With("component", "oidc", "provider", o.ID))
	v.frame = gooidc.NewVerifier(o.Issuer, v.keys, &gooidc.Config{
		SupportedSigningAlgs: algorithms(),
		// Audience and times are checked in claims.go, more strictly.
		SkipClientIDCheck: true,
		SkipExpiryCheck:   true,
		Now:               o.Now,
	})
	return v, nil
}

// Close ends what the verifier does in the background and waits for it.
func (v *Verifier) Close() { v.keys.close() }

// ID is the provider's name in this service.
func (v *Verifier) ID() string { return v.id }

// Issuer is the provider's issuer URL.
func (v *Verifier) Issuer() string { return v.issuer }

// Verify returns the identity and the end of a bearer token: an access token, not an ID
// token. The error wraps tenancy.ErrExpired; tenancy.ErrUnavailable while the provider's
// keys cannot be had; or, for anything else that is wrong, tenancy.ErrUnauthenticated
// with the reason, which is for the log only.
func (v *Verifier) Verify(ctx context.Context, raw string) (tenancy.Identity, time.Time, error) {
	return v.verify(ctx, raw, false)
}

// VerifyIDToken is Verify for the exchange, which takes ID tokens as well as access
// tokens: official clients send the one, keystoneauth by default the other.
func (v *Verifier) VerifyIDToken(ctx context.Context, raw string) (tenancy.Identity, time.Time, error) {
	return v.verify(ctx, raw, true)
}

func (v *Verifier) verify(ctx context.Context, raw string, exchange bool) (tenancy.Identity, time.Time, error) {
	id, expires, err := v.judge(ctx, raw, exchange)
	switch {
	case err == nil:
		return id, expires, nil
	case errors.Is(err, tenancy.ErrExpired), errors.Is(err, tenancy.ErrUnavailable):
		return tenancy.Identity{}, time.Time{}, fmt.Errorf("token of %s: %w", v.id, err)
	case ctx.Err() != nil:
		return tenancy.Identity{}, time.Time{}, fmt.Errorf("token of %s: %w", v.id, ctx.Err())
	}
	return tenancy.Identity{}, time.Time{}, fmt.Errorf("%w: token of %s: %w", tenancy.ErrUnauthenticated, v.id, err)
}

func (v *Verifier) judge(ctx context.Context, raw string, exchange bool) (tenancy.Identity, time.Time, error) {
	h, err := readHeader(raw)
	if err != nil {
		return tenancy.Identity{}, time.Time{}, err
	}
	if err := h.checkType(v.strict && !exchange); err != nil {
		return tenancy.Identity{}, time.Time{}, err
	}
	// go-oidc prints the errors of a key set instead of wrapping them, so that what the
	// key set says travels beside it.
	var trouble error
	token, err := v.frame.Verify(withTrouble(ctx, &trouble), raw)
	if trouble != nil {
		return tenancy.Identity{}, time.Time{}, trouble
	}
	if err != nil {
		return tenancy.Identity{}, time.Time{}, err
	}
	c, err := readClaims(token)
	if err != nil {
		return tenancy.Identity{}, time.Time{}, err
	}
	if !exchange && !h.isAccess() && c.isIDToken() {
		return tenancy.Identity{}, time.Time{}, errors.New("an ID token is no access token")
	}
	return v.identity(c)
}

// checkURL accepts https anywhere and http on a loopback address.
func checkURL(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return err
	}
	if u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%q is not the plain URL of a host", s)
	}
	switch u.Scheme {
	case "https":
		return nil
	case "http":
		ip := net.ParseIP(u.Hostname())
		if u.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
			return nil
		}
		return fmt.Errorf("%q is http and not on a loopback address", s)
	}
	return fmt.Errorf("%q is not https", s)
}
