package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"dms/tenancy"
)

const (
	project1 tenancy.ProjectID = "0123456789abcdef0123456789abcdef"
	project2 tenancy.ProjectID = "fedcba9876543210fedcba9876543210"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// keys are the private keys of all tests: RSA keys are slow to make.
type privateKeys struct {
	rsa, otherRSA, weakRSA *rsa.PrivateKey
	ec, otherEC            *ecdsa.PrivateKey
	ed                     ed25519.PrivateKey
}

var keys = sync.OnceValue(func() privateKeys {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	var k privateKeys
	var err error
	k.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	k.otherRSA, err = rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	k.weakRSA, err = rsa.GenerateKey(rand.Reader, 1024)
	must(err)
	k.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	k.otherEC, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	_, k.ed, err = ed25519.GenerateKey(rand.Reader)
	must(err)
	return k
})

// idp is a provider whose answers a test can change.
type idp struct {
	*httptest.Server
	discoveries, fetches atomic.Int64

	mu        sync.Mutex
	keys      []jose.JSONWebKey
	discovery http.HandlerFunc // in place of the real answer
	jwks      http.HandlerFunc // in place of the real answer
}

func public(id, algorithm string, key any) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key, KeyID: id, Algorithm: algorithm, Use: "sig"}
}

func startIDP(t *testing.T) *idp {
	t.Helper()
	k := keys()
	p := &idp{keys: []jose.JSONWebKey{
		public("rsa", "", k.rsa.Public()), public("ec", "ES256", k.ec.Public()), public("ed", "EdDSA", k.ed.Public()),
		public("weak", "", k.weakRSA.Public()), public("rs-only", "RS256", k.otherRSA.Public()),
		{Key: k.otherEC.Public(), KeyID: "enc", Use: "enc"},
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		p.discoveries.Add(1)
		if h := p.override(func() http.HandlerFunc { return p.discovery }); h != nil {
			h(w, r)
			return
		}
		writeJSON(w, map[string]any{
			"issuer": p.URL, "jwks_uri": p.URL + "/keys", "authorization_endpoint": p.URL + "/a", "token_endpoint": p.URL + "/t",
			// What a provider advertises must not matter.
			"id_token_signing_alg_values_supported": []string{"none", "HS256", "RS256"},
		})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) {
		p.fetches.Add(1)
		if h := p.override(func() http.HandlerFunc { return p.jwks }); h != nil {
			h(w, r)
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		writeJSON(w, jose.JSONWebKeySet{Keys: p.keys})
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *idp) override(get func() http.HandlerFunc) http.HandlerFunc {
	p.mu.Lock()
	defer p.mu.Unlock()
	return get()
}

func (p *idp) set(change func(*idp)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the test sees a broken answer
}

// clock is a time that a test sets.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func startVerifier(t *testing.T, p *idp, c *clock, change func(*Options)) *Verifier {
	t.Helper()
	o := Options{ID: "test", Issuer: p.URL, Audience: []string{"dms", "dms-two"}, Client: p.Client(), Now: c.now}
	if change != nil {
		change(&o)
	}
	v, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

type m = map[string]any

// claimsOf are good claims at noon, with changes; a nil value removes a claim.
func claimsOf(p *idp, changes m) m {
	c := m{
		"iss": p.URL, "sub": "alice", "aud": "dms", "name": "Alice", "jti": "1",
		"iat": noon.Unix(), "nbf": noon.Unix(), "exp": noon.Add(time.Hour).Unix(),
		"dms_projects": []m{{"id": project1, "name": "one", "roles": []string{"manager"}}},
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// sign makes a token with go-jose.
func sign(t *testing.T, algorithm jose.SignatureAlgorithm, kid, typ string, key any, claims any) string {
	t.Helper()
	o := (&jose.SignerOptions{}).WithHeader("kid", kid)
	if typ != "" {
		o = o.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, o)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// access signs good claims with changes as an access token.
func access(t *testing.T, p *idp, changes m) string {
	t.Helper()
	return sign(t, jose.RS256, "rsa", "at+jwt", keys().rsa, claimsOf(p, changes))
}

// forge signs any header and payload with the provider's RSA key, correctly.
func forge(t *testing.T, header, payload string) string {
	t.Helper()
	input := b64(header) + "." + b64(payload)
	sum := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, keys().rsa, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64(string(signature))
}

// forgeHMAC signs with a key that everybody knows.
func forgeHMAC(header, payload string, key []byte) string {
	input := b64(header) + "." + b64(payload)
	h := hmac.New(sha256.New, key)
	h.Write([]byte(input))
	return input + "." + b64(string(h.Sum(nil)))
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func toJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// withMember puts raw JSON into the claims, which may make them ambiguous.
func withMember(t *testing.T, claims m, member string) string {
	t.Helper()
	return strings.TrimSuffix(toJSON(t, claims), "}") + "," + member + "}"
}

func padding(n int) string { return strings.Repeat("a", n) }

// waitFor polls until the condition returns "".
func waitFor(t *testing.T, condition func() string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		problem := condition()
		if problem == "" {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("still: %s", problem)
		case <-tick.C:
		}
	}
}
