package oidc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"dms/tenancy"
)

func ok(t *testing.T, v *Verifier, raw string) {
	t.Helper()
	if _, _, err := v.Verify(t.Context(), raw); err != nil {
		t.Errorf("good token: %v", err)
	}
}

func refused(t *testing.T, v *Verifier, raw string, want error) {
	t.Helper()
	if _, _, err := v.Verify(t.Context(), raw); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

// later is a good token that was made some time after noon, with the provider's EC key.
func later(t *testing.T, p *idp, after time.Duration, kid string, key any) string {
	t.Helper()
	at := noon.Add(after)
	return sign(t, jose.ES256, kid, "at+jwt", key, claimsOf(p, m{
		"iat": at.Unix(), "nbf": at.Unix(), "exp": at.Add(time.Hour).Unix(),
	}))
}

func TestUnknownKeysDoNotMakeFetches(t *testing.T) {
	p, c := startIDP(t), &clock{at: noon}
	v := startVerifier(t, p, c, nil)
	ok(t, v, access(t, p, nil))
	for i := range 1000 {
		refused(t, v, sign(t, jose.ES256, fmt.Sprint("unknown-", i), "at+jwt", keys().otherEC, claimsOf(p, nil)), tenancy.ErrUnauthenticated)
	}
	if got := p.fetches.Load(); got != 1 {
		t.Errorf("1000 unknown keys in one moment: %d fetches, want the first alone", got)
	}
	for range 4 {
		c.advance(15 * time.Second)
		refused(t, v, sign(t, jose.ES256, "unknown", "at+jwt", keys().otherEC, claimsOf(p, nil)), tenancy.ErrUnauthenticated)
	}
	if got := p.fetches.Load(); got != 3 {
		t.Errorf("unknown keys for a minute: %d fetches, want 3, one per 30 s", got)
	}
}

func TestOneFetchServesAllWhoWait(t *testing.T) {
	p, c := startIDP(t), &clock{at: noon}
	v := startVerifier(t, p, c, nil)
	raw := access(t, p, nil)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { ok(t, v, raw) })
	}
	wg.Wait()
	if got := p.fetches.Load(); got != 1 {
		t.Errorf("50 first tokens: %d fetches, want 1", got)
	}
}

func TestNewKeyIsFoundAndWithdrawnKeyForgotten(t *testing.T) {
	p, c := startIDP(t), &clock{at: noon}
	v := startVerifier(t, p, c, nil)
	ok(t, v, later(t, p, 0, "ec", keys().ec))
	p.set(func(p *idp) { p.keys = []jose.JSONWebKey{public("new", "ES256", keys().otherEC.Public())} })
	c.advance(fetchPause)
	ok(t, v, later(t, p, fetchPause, "new", keys().otherEC))
	refused(t, v, later(t, p, fetchPause, "ec", keys().ec), tenancy.ErrUnauthenticated)
}

func TestWithdrawnKeyIsForgottenWithoutAnyNewOne(t *testing.T) {
	p, c := startIDP(t), &clock{at: noon}
	v := startVerifier(t, p, c, nil)
	ok(t, v, later(t, p, 0, "ec", keys().ec))
	p.set(func(p *idp) { p.keys = p.keys[:1] })
	c.advance(staleAfter + time.Second)
	raw := later(t, p, staleAfter, "ec", keys().ec)
	// The first token after that begins the fetch but does not wait for it.
	ok(t, v, raw)
	waitFor(t, func() string {
		if _, _, err := v.Verify(t.Context(), raw); err == nil {
			return "the withdrawn key is still good"
		}
		return ""
	})
}

func TestOutageOfTheProvider(t *testing.T) {
	p, c := startIDP(t), &clock{at: noon}
	v := startVerifier(t, p, c, nil)
	ok(t, v, later(t, p, 0, "ec", keys().ec))
	down := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusBadGateway) }
	p.set(func(p *idp) { p.discovery, p.jwks = down, down })
	for _, after := range []time.Duration{time.Hour, 12 * time.Hour, dropAfter} {
		c.mu.Lock()
		c.at = noon.Add(after)
		c.mu.Unlock()
		ok(t, v, later(t, p, after, "ec", keys().ec))
		refused(t, v, later(t, p, after, "unknown", keys().otherEC), tenancy.ErrUnauthenticated)
	}
	after := dropAfter + time.Second
	c.advance(time.Second)
	refused(t, v, later(t, p, after, "ec", keys().ec), tenancy.ErrUnavailable)
	p.set(func(p *idp) { p.discovery, p.jwks = nil, nil })
	c.advance(fetchPause)
	ok(t, v, later(t, p, after, "ec", keys().ec))
}

func TestProviderThatComesUpLater(t *testing.T) {
	p, c := startIDP(t), &clock{at: noon}
	v := startVerifier(t, p, c, nil)
	down := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusServiceUnavailable) }
	p.set(func(p *idp) { p.discovery = down })
	raw := access(t, p, nil)
	for range 10 {
		refused(t, v, raw, tenancy.ErrUnavailable)
	}
	if got := p.discoveries.Load(); got != 1 {
		t.Errorf("10 tokens in one moment: asked %d times, want once", got)
	}
	p.set(func(p *idp) { p.discovery = nil })
	c.advance(firstPause)
	ok(t, v, raw)
}

func TestProviderThatDoesNotExist(t *testing.T) {
	p := startIDP(t)
	raw := access(t, p, nil)
	v := startVerifier(t, p, &clock{at: noon}, nil)
	p.Close()
	refused(t, v, raw, tenancy.ErrUnavailable)
	// Whatever can be judged without keys is judged.
	refused(t, v, "x", tenancy.ErrUnauthenticated)
}

func TestSlowProviderDoesNotHoldCallersBeyondTheirTime(t *testing.T) {
	p, c := startIDP(t), &clock{at: noon}
	v := startVerifier(t, p, c, nil)
	release := make(chan struct{})
	p.set(func(p *idp) {
		p.jwks = func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
	})
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, _, err := v.Verify(ctx, access(t, p, nil))
	if !errors.Is(err, tenancy.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	// Close must end the fetch: the test would hang here otherwise.
	v.Close()
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	before := goleak.IgnoreCurrent()
	p := startIDP(t)
	hold := make(chan struct{})
	p.set(func(p *idp) {
		p.discovery = func(_ http.ResponseWriter, r *http.Request) {
			close(hold)
			<-r.Context().Done()
		}
	})
	v := startVerifier(t, p, &clock{at: noon}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { // ends with ctx, awaited below
		_, _, err := v.Verify(ctx, access(t, p, nil))
		done <- err
	}()
	<-hold
	cancel()
	<-done
	v.Close()
	refused(t, v, access(t, p, nil), tenancy.ErrUnavailable)
	p.Close()
	goleak.VerifyNone(t, before)
}

func TestLyingProviders(t *testing.T) {
	elsewhere := startIDP(t)
	document := func(change func(m)) func(p *idp) {
		return func(p *idp) {
			doc := m{"issuer": p.URL, "jwks_uri": p.URL + "/keys"}
			change(doc)
			p.discovery = func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, doc) }
		}
	}
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			w.Write([]byte(body)) //nolint:errcheck // the reader may stop early
		}
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	set, err := jose.JSONWebKey{Key: keys().rsa.Public(), KeyID: "rsa"}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	many := "[" + strings.Repeat(string(set)+",", maxKeys) + string(set) + "]"
	for name, change := range map[string]func(*idp){
		"other issuer":          document(func(d m) { d["issuer"] = elsewhere.URL }),
		"no issuer":             document(func(d m) { delete(d, "issuer") }),
		"no keys":               document(func(d m) { delete(d, "jwks_uri") }),
		"keys in a file":        document(func(d m) { d["jwks_uri"] = "file:///etc/passwd" }),
		"keys at plain http":    document(func(d m) { d["jwks_uri"] = "http://198.51.100.1/keys" }),
		"keys as a list":        document(func(d m) { d["jwks_uri"] = []string{elsewhere.URL} }),
		"discovery redirects":   func(p *idp) { p.discovery = redirect(elsewhere.URL + "/.well-known/openid-configuration") },
		"keys redirect":         func(p *idp) { p.jwks = redirect(elsewhere.URL + "/keys") },
		"discovery not found":   func(p *idp) { p.discovery = answer(404, "{}") },
		"discovery is text":     func(p *idp) { p.discovery = answer(200, "hello") },
		"discovery without end": func(p *idp) { p.discovery = answer(200, `{"issuer":"`+strings.Repeat("a", maxResponse)) },
		"discovery empty":       func(p *idp) { p.discovery = answer(200, "") },
		"keys not found":        func(p *idp) { p.jwks = answer(404, `{"keys":[`+string(set)+`]}`) },
		"keys are text":         func(p *idp) { p.jwks = answer(200, "hello") },
		"keys without end": func(p *idp) {
			p.jwks = answer(200, `{"keys":[`+string(set)+`],"x":"`+strings.Repeat("a", maxResponse)+`"}`)
		},
		"no keys at all": func(p *idp) { p.jwks = answer(200, `{"keys":[]}`) },
		"keys of other kinds": func(p *idp) {
			p.jwks = answer(200, `{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"rsa"},{"kty":"x"},1,null]}`)
		},
		"too many keys":          func(p *idp) { p.jwks = answer(200, `{"keys":`+many+`}`) },
		"keys with an empty one": func(p *idp) { p.jwks = answer(200, `{"keys":[{}]}`) },
	} {
		t.Run(name, func(t *testing.T) {
			p := startIDP(t)
			p.set(change)
			v := startVerifier(t, p, &clock{at: noon}, nil)
			refused(t, v, access(t, p, nil), tenancy.ErrUnavailable)
		})
	}
	if got := elsewhere.fetches.Load() + elsewhere.discoveries.Load(); got != 0 {
		t.Errorf("another host was asked %d times", got)
	}
}

func TestKeysThatWeCannotUseDoNotSpoilTheOthers(t *testing.T) {
	p := startIDP(t)
	good, err := public("rsa", "RS256", keys().rsa.Public()).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	p.set(func(p *idp) {
		p.jwks = func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"keys":[{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"},{"kty":"OKP","crv":"X25519","x":"AA"},%s]}`, good)
		}
	})
	ok(t, startVerifier(t, p, &clock{at: noon}, nil), access(t, p, nil))
}

func TestTokenWithoutKidWhenThereIsOneKey(t *testing.T) {
	p := startIDP(t)
	p.set(func(p *idp) { p.keys = p.keys[:1] })
	v := startVerifier(t, p, &clock{at: noon}, nil)
	ok(t, v, forge(t, `{"alg":"RS256"}`, toJSON(t, claimsOf(p, nil))))
	refused(t, v, sign(t, jose.RS256, "", "", keys().otherRSA, claimsOf(p, nil)), tenancy.ErrUnauthenticated)
}

func TestOutageIsLoggedWithoutTheToken(t *testing.T) {
	p := httptest.NewServer(http.NotFoundHandler())
	defer p.Close()
	var log syncBuffer
	v, err := New(Options{ID: "x", Issuer: p.URL, Audience: []string{"dms"}, Log: slog.New(slog.NewJSONHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	raw := forge(t, `{"alg":"RS256","kid":"canary"}`, `{"canary":true}`)
	if _, _, err := v.Verify(t.Context(), raw); !errors.Is(err, tenancy.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	v.Close()
	if got := log.String(); !strings.Contains(got, "could not be fetched") || strings.Contains(got, "canary") || strings.Contains(got, raw[:20]) {
		t.Errorf("log: %s", got)
	}
}

// syncBuffer can be written by one goroutine and read by another.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
