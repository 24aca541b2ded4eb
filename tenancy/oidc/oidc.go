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
	"dms/tenancy/claims"
)

const maxToken = 16 << 10 // bytes of a token

// Defaults and bounds of what a provider may be configured to.
const (
	DefaultSkew = 60 * time.Second
	MaxSkew     = 5 * time.Minute

	DefaultLife = 24 * time.Hour
	MaxLife     = 30 * 24 * time.Hour

	// MinStaleKeys is the default, too: an outage of a day must not stop anyone.
	MinStaleKeys = 24 * time.Hour
	MaxStaleKeys = 30 * 24 * time.Hour
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
	// Claims say what the claims of a token mean. The zero value is claims.Default.
	Claims claims.Expressions
	// Skew is how far the provider's clock and ours may differ, up to MaxSkew: a token is
	// good this much before it begins and after it ends. 0 means DefaultSkew.
	Skew time.Duration
	// Life is the longest that a token may be good for, from iat, or from now where there
	// is none, to exp, up to MaxLife. 0 means DefaultLife.
	Life time.Duration
	// StaleKeys is how long keys are used that could not be fetched again, from
	// MinStaleKeys, which 0 stands for, to MaxStaleKeys.
	StaleKeys time.Duration
	Client    *http.Client     // nil means one of our own; redirects are never followed
	Log       *slog.Logger     // nil discards
	Now       func() time.Time // nil means time.Now
}

// Validate reports what New would refuse.
func (o Options) Validate() error {
	_, err := o.check()
	return err
}

// check compiles the expressions on its way.
func (o *Options) check() (*claims.Mapping, error) {
	if o.ID == "" {
		return nil, errors.New("identity provider has no id")
	}
	if err := checkURL(o.Issuer); err != nil {
		return nil, fmt.Errorf("identity provider %s: issuer: %w", o.ID, err)
	}
	if len(o.Audience) == 0 || slices.Contains(o.Audience, "") {
		return nil, fmt.Errorf("identity provider %s: no audience, or an empty one", o.ID)
	}
	for _, d := range []struct {
		name          string
		value         *time.Duration
		least, normal time.Duration
		most          time.Duration
	}{
		{"skew", &o.Skew, time.Second, DefaultSkew, MaxSkew},
		{"life", &o.Life, time.Minute, DefaultLife, MaxLife},
		{"stale keys", &o.StaleKeys, MinStaleKeys, MinStaleKeys, MaxStaleKeys},
	} {
		if *d.value == 0 {
			*d.value = d.normal
		}
		if *d.value < d.least || *d.value > d.most {
			return nil, fmt.Errorf("identity provider %s: %s is %s, want %s to %s", o.ID, d.name, *d.value, d.least, d.most)
		}
	}
	mapping, err := claims.Compile(o.Claims)
	if err != nil {
		return nil, fmt.Errorf("identity provider %s: claims: %w", o.ID, err)
	}
	return mapping, nil
}

// Verifier verifies tokens of one provider. It is safe for concurrent use. Close it.
type Verifier struct {
	id       string
	issuer   string
	audience []string
	strict   bool
	skew     time.Duration
	life     time.Duration
	mapping  *claims.Mapping
	now      func() time.Time
	keys     *keySet
	frame    *gooidc.IDTokenVerifier
	memory   memory
}

// New makes a verifier without asking the provider anything. It fails without an id, an
// issuer and an audience: a verifier that accepts tokens meant for others is none.
func New(o Options) (*Verifier, error) {
	mapping, err := o.check()
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	v := &Verifier{
		id: o.ID, issuer: o.Issuer, audience: slices.Clone(o.Audience),
		strict: o.RequireAccessType, skew: o.Skew, life: o.Life, mapping: mapping, now: o.Now,
	}
	v.keys = newKeySet(o.Issuer, o.Client, o.StaleKeys, o.Now, o.Log.With("component", "oidc", "provider", o.ID))
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
// token. A token that is bound to a certificate gives an identity that names it; whoever
// asks must see to it that the caller holds it. The error wraps tenancy.ErrExpired;
// tenancy.ErrUnavailable while the provider's keys cannot be had; or, for anything else
// that is wrong, tenancy.ErrUnauthenticated with the reason, which is for the log only.
// The identity's grants must not be changed.
func (v *Verifier) Verify(ctx context.Context, raw string) (tenancy.Identity, time.Time, error) {
	sum := digest(raw, false)
	if id, expires, ok := v.recall(sum); ok {
		return id, expires, nil
	}
	return v.verify(ctx, raw, sum, false)
}

// VerifyIDToken is Verify for the exchange, which takes ID tokens as well as access
// tokens: official clients send the one, keystoneauth by default the other.
func (v *Verifier) VerifyIDToken(ctx context.Context, raw string) (tenancy.Identity, time.Time, error) {
	sum := digest(raw, true)
	if id, expires, ok := v.recall(sum); ok {
		return id, expires, nil
	}
	return v.verify(ctx, raw, sum, true)
}

// recall returns what is remembered of a token that was verified before. Its key must
// still be one of the provider's, and it must not have ended.
func (v *Verifier) recall(sum tokenDigest) (tenancy.Identity, time.Time, bool) {
	t, ok := v.memory.get(sum)
	if !ok || !v.keys.holds(t.key) || !v.now().Before(t.expires) {
		return tenancy.Identity{}, time.Time{}, false
	}
	v.memory.recalled.Add(1)
	return t.identity, t.expires, true
}

func (v *Verifier) verify(ctx context.Context, raw string, sum tokenDigest, exchange bool) (tenancy.Identity, time.Time, error) {
	var trail trail
	v.memory.verified.Add(1)
	id, expires, err := v.judge(ctx, raw, exchange, &trail)
	switch {
	case err == nil:
		v.memory.put(sum, verified{id, expires, trail.key, len(raw) + grantSize*len(id.Grants)})
		return id, expires, nil
	case errors.Is(err, tenancy.ErrExpired), errors.Is(err, tenancy.ErrUnavailable):
		return tenancy.Identity{}, time.Time{}, fmt.Errorf("token of %s: %w", v.id, err)
	case ctx.Err() != nil:
		return tenancy.Identity{}, time.Time{}, fmt.Errorf("token of %s: %w", v.id, ctx.Err())
	}
	return tenancy.Identity{}, time.Time{}, fmt.Errorf("%w: token of %s: %w", tenancy.ErrUnauthenticated, v.id, err)
}

func (v *Verifier) judge(ctx context.Context, raw string, exchange bool, trail *trail) (tenancy.Identity, time.Time, error) {
	h, err := readHeader(raw)
	if err != nil {
		return tenancy.Identity{}, time.Time{}, err
	}
	if err := h.checkType(v.strict && !exchange); err != nil {
		return tenancy.Identity{}, time.Time{}, err
	}
	token, err := v.frame.Verify(withTrail(ctx, trail), raw)
	if trail.trouble != nil {
		return tenancy.Identity{}, time.Time{}, trail.trouble
	}
	if err != nil {
		return tenancy.Identity{}, time.Time{}, err
	}
	payload, o, err := readClaims(token)
	if err != nil {
		return tenancy.Identity{}, time.Time{}, err
	}
	if !exchange && !h.isAccess() && o.isIDToken() {
		return tenancy.Identity{}, time.Time{}, errors.New("an ID token is no access token")
	}
	return v.identity(payload, o)
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
