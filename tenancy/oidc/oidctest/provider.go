package oidctest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	jose "github.com/go-jose/go-jose/v4"
)

// Provider is an identity provider whose answers a test can change, through Set.
type Provider struct {
	*httptest.Server
	Discoveries, Fetches atomic.Int64 // how often it was asked for its document and its keys

	mu        sync.Mutex
	Keys      []jose.JSONWebKey
	Discovery http.HandlerFunc // in place of the real answer
	JWKS      http.HandlerFunc // in place of the real answer
}

// Start runs a provider with the public keys of Keys: "rsa", "ec" and "ed", which are
// good; "weak", which is too short; "rs-only", which is for RS256 alone; and "enc",
// which is not for signatures.
func Start(t testing.TB) *Provider {
	t.Helper()
	p := New(t)
	p.Server = httptest.NewServer(p.Handler())
	t.Cleanup(p.Close)
	return p
}

// New is Start without a server: the caller serves Handler and sets URL. BadTokens want
// it to be http on 127.0.0.1.
func New(t testing.TB) *Provider {
	t.Helper()
	k := Keys(t)
	return &Provider{Server: &httptest.Server{}, Keys: []jose.JSONWebKey{
		Public("rsa", "", k.RSA.Public()), Public("ec", "ES256", k.EC.Public()), Public("ed", "EdDSA", k.Ed.Public()),
		Public("weak", "", k.WeakRSA.Public()), Public("rs-only", "RS256", k.OtherRSA.Public()),
		{Key: k.OtherEC.Public(), KeyID: "enc", Use: "enc"},
	}}
}

// Handler answers as the provider.
func (p *Provider) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		p.Discoveries.Add(1)
		if h := p.override(func() http.HandlerFunc { return p.Discovery }); h != nil {
			h(w, r)
			return
		}
		WriteJSON(w, p.Document())
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) {
		p.Fetches.Add(1)
		if h := p.override(func() http.HandlerFunc { return p.JWKS }); h != nil {
			h(w, r)
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		WriteJSON(w, jose.JSONWebKeySet{Keys: p.Keys})
	})
	return mux
}

// Document is the provider's discovery document.
func (p *Provider) Document() map[string]any {
	return map[string]any{
		"issuer": p.URL, "jwks_uri": p.URL + "/keys", "authorization_endpoint": p.URL + "/a", "token_endpoint": p.URL + "/t",
		// What a provider advertises must not matter.
		"id_token_signing_alg_values_supported": []string{"none", "HS256", "RS256"},
	}
}

func (p *Provider) override(get func() http.HandlerFunc) http.HandlerFunc {
	p.mu.Lock()
	defer p.mu.Unlock()
	return get()
}

// Set changes the provider while it runs.
func (p *Provider) Set(change func(*Provider)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// WriteJSON answers with a JSON value.
func WriteJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	// The test sees a broken answer.
	_ = json.NewEncoder(w).Encode(v)
}
