package console

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Provider is an identity provider that people can sign in with.
type Provider struct {
	ID     string // as tokens and clients of the API know it
	Name   string // for people; empty means the ID
	Issuer string // exact
	// ClientID and Secret are the console's at the provider. Without a secret it is a
	// public client, protected by PKCE alone.
	ClientID string
	Secret   Secret
	Scopes   []string // beside openid; nil means profile and offline_access
	// Client reaches the provider; it must bound what it reads and follow no redirects.
	Client *http.Client
}

// Secret is a client secret; it shows itself to nobody.
type Secret string

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("(secret)") }

// String hides the secret.
func (Secret) String() string { return "(secret)" }

// GoString hides the secret.
func (Secret) GoString() string { return "(secret)" }

// discoverAfter is how old what a provider says of itself may get.
const discoverAfter = time.Hour

// provider is a Provider and what it says of itself.
type provider struct {
	Provider
	now func() time.Time

	mu    sync.Mutex
	known *endpoints
	at    time.Time
}

// endpoints is what a provider says of itself.
type endpoints struct {
	auth     oauth2.Endpoint
	verifier *gooidc.IDTokenVerifier
	signOut  string // "" if it has none
}

var errProvider = errors.New("the identity provider")

// discover returns the provider's endpoints. While it is away, what it said before counts.
func (p *provider) discover(ctx context.Context) (*endpoints, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known != nil && p.now().Sub(p.at) < discoverAfter {
		return p.known, nil
	}
	e, err := p.ask(ctx)
	if err != nil {
		if p.known != nil {
			return p.known, nil
		}
		return nil, fmt.Errorf("discovery of identity provider %s: %w", p.ID, err)
	}
	p.known, p.at = e, p.now()
	return e, nil
}

func (p *provider) ask(ctx context.Context) (*endpoints, error) {
	found, err := gooidc.NewProvider(gooidc.ClientContext(ctx, p.Client), p.Issuer)
	if err != nil {
		return nil, err
	}
	var more struct {
		SignOut string   `json:"end_session_endpoint"`
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := found.Claims(&more); err != nil {
		return nil, err
	}
	e := &endpoints{
		auth: found.Endpoint(), signOut: more.SignOut,
		verifier: found.Verifier(&gooidc.Config{ClientID: p.ClientID, Now: p.now}),
	}
	for _, u := range []string{e.auth.AuthURL, e.auth.TokenURL, e.signOut} {
		if err := checkEndpoint(u); err != nil {
			return nil, err
		}
	}
	// Guessing, which is the default, may spend the code on the wrong guess.
	e.auth.AuthStyle = oauth2.AuthStyleInParams
	if p.Secret != "" && (len(more.Methods) == 0 || slices.Contains(more.Methods, "client_secret_basic")) {
		e.auth.AuthStyle = oauth2.AuthStyleInHeader
	}
	return e, nil
}

// checkEndpoint accepts https, and http on this machine only. Unlike an issuer an
// endpoint may have a query.
func checkEndpoint(s string) error {
	u, err := url.Parse(s)
	if err != nil || s == "" || u.Scheme == "https" && u.Host != "" {
		return err
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("endpoint %q is not https", s)
}

func (p *provider) config(e *endpoints, redirect string) *oauth2.Config {
	scopes := p.Scopes
	if scopes == nil {
		scopes = []string{"profile", gooidc.ScopeOfflineAccess}
	}
	if !slices.Contains(scopes, gooidc.ScopeOpenID) {
		scopes = append([]string{gooidc.ScopeOpenID}, scopes...)
	}
	return &oauth2.Config{ClientID: p.ClientID, ClientSecret: string(p.Secret), Endpoint: e.auth, RedirectURL: redirect, Scopes: scopes}
}

// exchange turns a code into tokens that the provider meant for this sign-in. A refusal
// wraps errRefused; any other error means that the provider could not be asked.
func (p *provider) exchange(ctx context.Context, code string, t trip) (*oauth2.Token, error) {
	e, err := p.discover(ctx)
	if err != nil {
		return nil, err
	}
	ctx = gooidc.ClientContext(ctx, p.Client)
	token, err := p.config(e, t.Redirect).Exchange(ctx, code, oauth2.VerifierOption(t.Verifier))
	if err != nil {
		return nil, refusal(err)
	}
	id, err := p.checkID(ctx, e, token)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(t.Nonce)) != 1 {
		return nil, fmt.Errorf("%w: the ID token is of another sign-in", errRefused)
	}
	return token, nil
}

// errRefused means that what the browser brought, or the provider gave for it, is no good.
var errRefused = errors.New("sign-in refused")

// checkID checks the ID token among the tokens, and that the access token belongs to it.
func (p *provider) checkID(ctx context.Context, e *endpoints, token *oauth2.Token) (*gooidc.IDToken, error) {
	raw := idToken(token)
	if raw == "" {
		return nil, fmt.Errorf("%w: the provider gave no ID token", errRefused)
	}
	id, err := e.verifier.Verify(ctx, raw)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	if id.AccessTokenHash != "" {
		if err := id.VerifyAccessToken(token.AccessToken); err != nil {
			return nil, fmt.Errorf("%w: %w", errRefused, err)
		}
	}
	return id, nil
}

func idToken(t *oauth2.Token) string {
	raw, _ := t.Extra("id_token").(string)
	return raw
}

// refresh spends the refresh token.
func (p *provider) refresh(ctx context.Context, refresh string) (*oauth2.Token, error) {
	e, err := p.discover(ctx)
	if err != nil {
		return nil, err
	}
	ctx = gooidc.ClientContext(ctx, p.Client)
	token, err := p.config(e, "").TokenSource(ctx, &oauth2.Token{RefreshToken: refresh}).Token()
	if err != nil {
		return nil, refusal(err)
	}
	if idToken(token) != "" {
		if _, err := p.checkID(ctx, e, token); err != nil {
			return nil, err
		}
	}
	return token, nil
}

// refusal tells what the provider refused from what could not be asked.
func refusal(err error) error {
	if r, ok := errors.AsType[*oauth2.RetrieveError](err); ok && r.Response != nil && r.Response.StatusCode/100 == 4 &&
		r.Response.StatusCode != http.StatusTooManyRequests && r.Response.StatusCode != http.StatusRequestTimeout {
		// The whole answer may hold tokens; its code says what is wrong.
		return fmt.Errorf("%w: %w answers %d %.64q", errRefused, errProvider, r.Response.StatusCode, r.ErrorCode)
	}
	return fmt.Errorf("ask %w: %w", errProvider, err)
}
