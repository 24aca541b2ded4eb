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
	"dms/tenancy/oidc/oidctest"
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

func isUnavailable(err error) bool {
	return errors.Is(err, tenancy.ErrUnavailable) && !errors.Is(err, tenancy.ErrUnauthenticated)
}

func isUnauthenticated(err error) bool {
	return errors.Is(err, tenancy.ErrUnauthenticated) && !errors.Is(err, tenancy.ErrUnavailable)
}

// later is a good token that was made some time after noon, with the provider's EC key.
func later(t *testing.T, p *idp, after time.Duration, kid string, key any) string {
	t.Helper()
	at := noon.Add(after)
	return sign(t, jose.ES256, kid, "at+jwt", key, p.Claims(m{
		"iat": at.Unix(), "nbf": at.Unix(), "exp": at.Add(time.Hour).Unix(),
	}))
}

func TestUnknownKeysDoNotMakeFetches(t *testing.T) {
	p, c := startIDP(t), &clock{at: noon}
	v := startVerifier(t, p, c, nil)
	ok(t, v, access(t, p, nil))
	for i := range 1000 {
		refused(t, v, sign(t, jose.ES256, fmt.Sprint("unknown-", i), "at+jwt", oidctest.Keys(t).OtherEC, p.Claims(nil)), tenancy.ErrUnauthenticated)
	}
	if got := p.Fetches.Load(); got != 1 {
		t.Errorf("1000 unknown keys in one moment: %d fetches, want the first alone", got)
	}
	for i := range 4 {
		c.advance(15 * time.Second)
		refused(t, v, sign(t, jose.ES256, fmt.Sprint("unknown-again-", i), "at+jwt", oidctest.Keys(t).OtherEC, p.Claims(nil)), tenancy.ErrUnauthenticated)
	}
	if got := p.Fetches.Load(); got != 3 {
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
	if got := p.Fetches.Load(); got != 1 {
		t.Errorf("50 first tokens: %d fetches, want 1", got)
	}
}

func TestNewKeyIsFoundAndWithdrawnKeyForgotten(t *testing.T) {
	p, c := startIDP(t), &clock{at: noon}
	v := startVerifier(t, p, c, nil)
	ok(t, v, later(t, p, 0, "ec", oidctest.Keys(t).EC))
	p.Set(func(p *idp) {
		p.Keys = []jose.JSONWebKey{oidctest.Public("new", "ES256", oidctest.Keys(t).OtherEC.Public())}
	})
	c.advance(fetchPause)
	ok(t, v, later(t, p, fetchPause, "new", oidctest.Keys(t).OtherEC))
	refused(t, v, later(t, p, fetchPause, "ec", oidctest.Keys(t).EC), tenancy.ErrUnauthenticated)
}

func TestWithdrawnKeyIsForgottenWithoutAnyNewOne(t *testing.T) {
	p, c := startIDP(t), &clock{at: noon}
	v := startVerifier(t, p, c, nil)
	ok(t, v, later(t, p, 0, "ec", oidctest.Keys(t).EC))
	p.Set(func(p *idp) { p.Keys = p.Keys[:1] })
	c.advance(refreshEvery + time.Second)
	raw := later(t, p, refreshEvery, "ec", oidctest.Keys(t).EC)
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
	ok(t, v, later(t, p, 0, "ec", oidctest.Keys(t).EC))
	down := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusBadGateway) }
	p.Set(func(p *idp) { p.Discovery, p.JWKS = down, down })
	for _, after := range []time.Duration{time.Hour, 12 * time.Hour, MinStaleKeys} {
		c.mu.Lock()
		c.at = noon.Add(after)
		c.mu.Unlock()
		ok(t, v, later(t, p, after, "ec", oidctest.Keys(t).EC))
		refused(t, v, later(t, p, after, "unknown", oidctest.Keys(t).OtherEC), tenancy.ErrUnauthenticated)
	}
	after := MinStaleKeys + time.Second
	c.advance(time.Second)
	refused(t, v, later(t, p, after, "ec", oidctest.Keys(t).EC), tenancy.ErrUnavailable)
	p.Set(func(p *idp) { p.Discovery, p.JWKS = nil, nil })
	c.advance(fetchPause)
	ok(t, v, later(t, p, after, "ec", oidctest.Keys(t).EC))
}

func TestProviderThatComesUpLater(t *testing.T) {
	p, c := startIDP(t), &clock{at: noon}
	v := startVerifier(t, p, c, nil)
	down := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusServiceUnavailable) }
	p.Set(func(p *idp) { p.Discovery = down })
	raw := access(t, p, nil)
	for range 10 {
		refused(t, v, raw, tenancy.ErrUnavailable)
	}
	if got := p.Discoveries.Load(); got != 1 {
		t.Errorf("10 tokens in one moment: asked %d times, want once", got)
	}
	p.Set(func(p *idp) { p.Discovery = nil })
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
	p.Set(func(p *idp) {
		p.JWKS = func(_ http.ResponseWriter, r *http.Request) {
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
	p.Set(func(p *idp) {
		p.Discovery = func(_ http.ResponseWriter, r *http.Request) {
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

func TestKeysThatWeCannotUseDoNotSpoilTheOthers(t *testing.T) {
	p := startIDP(t)
	good, err := oidctest.Public("rsa", "RS256", oidctest.Keys(t).RSA.Public()).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	p.Set(func(p *idp) {
		p.JWKS = func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"keys":[{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"},{"kty":"OKP","crv":"X25519","x":"AA"},%s]}`, good)
		}
	})
	ok(t, startVerifier(t, p, &clock{at: noon}, nil), access(t, p, nil))
}

func TestTokenWithoutKidWhenThereIsOneKey(t *testing.T) {
	p := startIDP(t)
	p.Set(func(p *idp) { p.Keys = p.Keys[:1] })
	v := startVerifier(t, p, &clock{at: noon}, nil)
	ok(t, v, oidctest.Forge(t, `{"alg":"RS256"}`, oidctest.JSON(t, p.Claims(nil))))
	refused(t, v, sign(t, jose.RS256, "", "", oidctest.Keys(t).OtherRSA, p.Claims(nil)), tenancy.ErrUnauthenticated)
}

func TestOutageIsLoggedWithoutTheToken(t *testing.T) {
	p := httptest.NewServer(http.NotFoundHandler())
	defer p.Close()
	var log syncBuffer
	v, err := New(Options{ID: "x", Issuer: p.URL, Audience: []string{"dms"}, Log: slog.New(slog.NewJSONHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	raw := oidctest.Forge(t, `{"alg":"RS256","kid":"canary"}`, `{"canary":true}`)
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
