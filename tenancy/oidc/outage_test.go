package oidc

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"dms/tenancy"
	"dms/tenancy/oidc/oidctest"
)

// inside is a transport that hands requests to a handler in the same goroutine, so that
// a test with simulated time can wait for all that is going on.
type inside struct {
	handler http.Handler
	down    atomic.Bool
}

func (i *inside) RoundTrip(r *http.Request) (*http.Response, error) {
	if i.down.Load() {
		return nil, errors.New("no route to host")
	}
	w := httptest.NewRecorder()
	i.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// simulated returns a provider and a verifier for use in simulated time.
func simulated(t *testing.T, change func(*Options)) (*idp, *inside, *Verifier) {
	t.Helper()
	p := oidctest.New(t)
	p.URL = "https://idp.example.com"
	net := &inside{handler: p.Handler()}
	o := Options{ID: "test", Issuer: p.URL, Audience: []string{"dms"}, Client: &http.Client{Transport: net}}
	if change != nil {
		change(&o)
	}
	v, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p, net, v
}

// fresh is a token that has just been made.
func fresh(t *testing.T, p *idp, kid string, key any) string {
	t.Helper()
	now := time.Now()
	return sign(t, jose.EdDSA, kid, "at+jwt", key, p.Claims(m{
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(), "jti": now.String(),
	}))
}

// A day without the provider stops nobody whose key is known, and a longer one only if
// the operator did not ask for more.
func TestAnOutageStopsNobodyUntilKeysAreTooOld(t *testing.T) {
	for _, tt := range []struct {
		name         string
		stale, limit time.Duration
		every        time.Duration // between two tokens
	}{{"default", 0, 24 * time.Hour, time.Minute}, {"three days", 72 * time.Hour, 72 * time.Hour, 10 * time.Minute}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, net, v := simulated(t, func(o *Options) { o.StaleKeys = tt.stale })
				defer v.Close()
				key := oidctest.Keys(t).Ed
				ok(t, v, fresh(t, p, "ed", key))
				net.down.Store(true)
				verified := 0
				for begin := time.Now(); time.Since(begin) <= tt.limit; time.Sleep(tt.every) {
					ok(t, v, fresh(t, p, "ed", key))
					verified++
				}
				if want := int(tt.limit/tt.every) + 1; verified != want {
					t.Errorf("%d tokens were good during the outage, want %d", verified, want)
				}
				refused(t, v, fresh(t, p, "ed", key), tenancy.ErrUnavailable)
				net.down.Store(false)
				time.Sleep(retryEvery + time.Second)
				synctest.Wait()
				ok(t, v, fresh(t, p, "ed", key))
			})
		})
	}
}

// Keys are fetched again without any token asking for it.
func TestAWithdrawnKeyIsForgottenWhereNobodySignsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, v := simulated(t, nil)
		defer v.Close()
		raw := fresh(t, p, "ed", oidctest.Keys(t).Ed)
		ok(t, v, raw)
		p.Set(func(p *idp) { p.Keys = p.Keys[:1] })
		time.Sleep(refreshEvery + time.Second)
		synctest.Wait()
		refused(t, v, raw, tenancy.ErrUnauthenticated)
		if got := p.Fetches.Load(); got != 2 {
			t.Errorf("%d fetches in ten minutes, want the first and the refresh", got)
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if got, want := p.Fetches.Load(), int64(24*time.Hour/refreshEvery)+2; got != want {
			t.Errorf("%d fetches in a day without tokens, want %d", got, want)
		}
	})
}

// Random key names make at most two fetches a minute, however many there are, and a new
// key is found all the same.
func TestAFloodOfUnknownKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, v := simulated(t, nil)
		defer v.Close()
		key := oidctest.Keys(t).Ed
		ok(t, v, fresh(t, p, "ed", key))
		stranger := fresh(t, p, "stranger", key)
		begin, flood := time.Now(), 10*time.Minute
		for time.Since(begin) < flood {
			refused(t, v, fresh(t, p, time.Now().Format("150405.000"), key), tenancy.ErrUnauthenticated)
			time.Sleep(time.Second)
		}
		if got, most := p.Fetches.Load(), int64(flood/fetchPause)+1; got > most {
			t.Errorf("%d fetches in %s, want at most %d", got, flood, most)
		}
		p.Set(func(p *idp) { p.Keys = append(p.Keys, oidctest.Public("new", "EdDSA", key.Public())) })
		time.Sleep(fetchPause)
		ok(t, v, fresh(t, p, "new", key))
		refused(t, v, stranger, tenancy.ErrUnauthenticated)
		if n := len(v.keys.missing); n > maxMissing {
			t.Errorf("%d missing names are remembered, want at most %d", n, maxMissing)
		}
	})
}

// A name that a fetch did not find is not looked for again for a minute.
func TestAMissingNameIsNotLookedForAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, v := simulated(t, nil)
		defer v.Close()
		key := oidctest.Keys(t).Ed
		ok(t, v, fresh(t, p, "ed", key))
		time.Sleep(fetchPause)
		refused(t, v, fresh(t, p, "stranger", key), tenancy.ErrUnauthenticated)
		before := p.Fetches.Load()
		time.Sleep(missingFor - time.Second)
		refused(t, v, fresh(t, p, "stranger", key), tenancy.ErrUnauthenticated)
		if got := p.Fetches.Load() - before; got != 0 {
			t.Errorf("%d fetches for a name that was missing a minute ago, want none", got)
		}
		time.Sleep(2 * time.Second)
		p.Set(func(p *idp) { p.Keys = append(p.Keys, oidctest.Public("stranger", "EdDSA", key.Public())) })
		ok(t, v, fresh(t, p, "stranger", key))
	})
}

// A provider that never answers holds nobody whose key is known, and others for no
// longer than a fetch may take.
func TestAProviderThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, v := simulated(t, nil)
		defer v.Close()
		key := oidctest.Keys(t).Ed
		ok(t, v, fresh(t, p, "ed", key))
		p.Set(func(p *idp) {
			p.Discovery = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		})
		time.Sleep(refreshEvery + time.Second)
		begin := time.Now()
		ok(t, v, fresh(t, p, "ed", key))
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("a token with a known key waited %s", waited)
		}
		time.Sleep(fetchPause)
		begin = time.Now()
		_, _, err := v.Verify(t.Context(), fresh(t, p, "new", key))
		if waited := time.Since(begin); err == nil || waited > fetchTimeout {
			t.Errorf("a token with an unknown key waited %s, then %v", waited, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		time.Sleep(fetchPause)
		begin = time.Now()
		if _, _, err := v.Verify(ctx, fresh(t, p, "newer", key)); err == nil || time.Since(begin) > time.Second {
			t.Errorf("a caller with a second to spare waited %s, then %v", time.Since(begin), err)
		}
	})
}
