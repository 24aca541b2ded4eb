package oidctest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// OP is an OpenID provider made of zitadel's op package and its example storage. Its
// tokens are those that op writes: real time, type JWT, groups instead of projects.
type OP struct {
	Issuer  string
	Fetches atomic.Int64 // how often keys were asked for
	Subject string       // of every token
	store   *opStore
	client  *http.Client
	down    atomic.Bool
	slow    atomic.Int64 // nanoseconds before each answer
}

// StartOP runs a provider with one signing key. Every token is for Audience, of a client
// that signs in with its secret and is in the groups.
func StartOP(t testing.TB, groups ...string) *OP {
	t.Helper()
	groups = append([]string{}, groups...) // never null in a token
	p := &OP{Subject: "sid1"}
	s := httptest.NewUnstartedServer(nil)
	p.Issuer = "http://" + s.Listener.Addr().String()
	p.store = &opStore{Storage: storage.NewStorage(storage.NewUserStore(p.Issuer)), groups: groups}
	p.Rotate(t)
	provider, err := op.NewProvider(&op.Config{}, p.store, op.StaticIssuer(p.Issuer), op.WithAllowInsecure(), op.WithCORSOptions(nil))
	if err != nil {
		t.Fatal(err)
	}
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/keys") {
			p.Fetches.Add(1)
		}
		if p.down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		if wait := time.Duration(p.slow.Load()); wait > 0 {
			timer := time.NewTimer(wait)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-r.Context().Done():
				return
			}
		}
		provider.ServeHTTP(w, r)
	})
	s.Start()
	t.Cleanup(s.Close)
	p.client = s.Client()
	return p
}

// SetDown makes the provider answer 503 to everything, or ends that.
func (p *OP) SetDown(down bool) { p.down.Store(down) }

// SetSlow makes the provider wait before each answer.
func (p *OP) SetSlow(wait time.Duration) { p.slow.Store(int64(wait)) }

// Token signs a client in and returns its access token.
func (p *OP) Token(t testing.TB) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"profile"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.Issuer+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("sid1", "verysecret")
	res, err := p.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || res.StatusCode != http.StatusOK || strings.Count(answer.Token, ".") != 2 {
		t.Fatalf("token of the provider: status %d, %q, %v", res.StatusCode, answer.Token, err)
	}
	return answer.Token
}

// Rotate makes a new key that signs from now on. Those before stay published.
func (p *OP) Rotate(t testing.TB) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	p.store.keys = append([]opKey{{rand.Text(), key}}, p.store.keys...)
}

// Withdraw takes back all keys but the one that signs.
func (p *OP) Withdraw() {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	p.store.keys = p.store.keys[:1]
}

// opKey is op's SigningKey.
type opKey struct {
	id  string
	key *ecdsa.PrivateKey
}

func (k opKey) ID() string                                  { return k.id }
func (k opKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (k opKey) Key() any                                    { return k.key }

// opPublicKey is op's Key.
type opPublicKey struct{ opKey }

func (k opPublicKey) Algorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (k opPublicKey) Use() string                        { return "sig" }
func (k opPublicKey) Key() any                           { return k.key.Public() }

// opStore is the example storage with keys that change and tokens that are JWTs.
type opStore struct {
	*storage.Storage
	groups []string

	mu   sync.Mutex
	keys []opKey // the one that signs first
}

func (s *opStore) SigningKey(context.Context) (op.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[0], nil
}

func (s *opStore) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.ES256}, nil
}

func (s *opStore) KeySet(context.Context) ([]op.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make([]op.Key, len(s.keys))
	for i, k := range s.keys {
		keys[i] = opPublicKey{k}
	}
	return keys, nil
}

func (s *opStore) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return map[string]any{"groups": s.groups}, nil
}

func (s *opStore) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	c, err := s.Storage.ClientCredentials(ctx, id, secret)
	return opClient{c}, err
}

func (s *opStore) ClientCredentialsTokenRequest(ctx context.Context, id string, scopes []string) (op.TokenRequest, error) {
	r, err := s.Storage.ClientCredentialsTokenRequest(ctx, id, scopes)
	return opRequest{r}, err
}

// opClient gets JWTs.
type opClient struct{ op.Client }

func (opClient) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

// opRequest is for our audience.
type opRequest struct{ op.TokenRequest }

func (opRequest) GetAudience() []string { return []string{Audience} }
