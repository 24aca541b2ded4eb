package oidc

import (
	"errors"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"dms/tenancy"
	"dms/tenancy/oidc/oidctest"
)

// leastBadTokens keeps the corpus from shrinking unnoticed.
const leastBadTokens = 600

func TestBadTokensAreRefused(t *testing.T) {
	p, c := startIDP(t), &clock{at: noon}
	v := startVerifier(t, p, c, func(o *Options) { o.Audience = []string{oidctest.Audience} })
	set, err := NewSet(v)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := v.Verify(t.Context(), access(t, p, nil)); err != nil {
		t.Fatalf("the token that the bad ones are made of: %v", err)
	}
	if _, _, err := v.Verify(t.Context(), oidctest.Forge(t, `{"alg":"RS256","kid":"rsa","typ":"at+jwt"}`, oidctest.JSON(t, p.Claims(nil)))); err != nil {
		t.Fatalf("the token that the forged ones are made of: %v", err)
	}
	corpus := oidctest.BadTokens(t, p)
	t.Logf("%d bad tokens", len(corpus))
	if len(corpus) < leastBadTokens {
		t.Errorf("there are %d bad tokens, want at least %d", len(corpus), leastBadTokens)
	}
	for _, bad := range corpus {
		t.Run(bad.Name, func(t *testing.T) {
			for how, verify := range map[string]func() (tenancy.Identity, time.Time, error){
				"alone":    func() (tenancy.Identity, time.Time, error) { return v.Verify(t.Context(), bad.Token) },
				"in a set": func() (tenancy.Identity, time.Time, error) { return set.Verify(t.Context(), bad.Token) },
				"exchange": func() (tenancy.Identity, time.Time, error) { return v.VerifyIDToken(t.Context(), bad.Token) },
			} {
				id, expires, err := verify()
				if how == "exchange" && bad.Exchange {
					if err != nil {
						t.Errorf("an ID token in the exchange: %v", err)
					}
					continue
				}
				if !errors.Is(err, tenancy.ErrUnauthenticated) || errors.Is(err, tenancy.ErrExpired) || errors.Is(err, tenancy.ErrUnavailable) {
					t.Errorf("%s: got %v, want ErrUnauthenticated", how, err)
				}
				if !cmp.Equal(id, tenancy.Identity{}) || !expires.IsZero() {
					t.Errorf("%s: a refused token has the identity %+v until %s", how, id, expires)
				}
			}
		})
	}
	if got := p.Fetches.Load(); got != 1 {
		t.Errorf("bad tokens at one time made %d fetches of keys, want none after the first", got-1)
	}
}

func TestEveryBitOfATokenMatters(t *testing.T) {
	p, c := startIDP(t), &clock{at: noon}
	v := startVerifier(t, p, c, nil)
	raw := sign(t, jose.EdDSA, "ed", "at+jwt", oidctest.Keys(t).Ed, p.Claims(nil))
	if _, _, err := v.Verify(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	for i := range len(raw) {
		for bit := range 8 {
			changed := []byte(raw)
			changed[i] ^= 1 << bit
			if _, _, err := v.Verify(t.Context(), string(changed)); !errors.Is(err, tenancy.ErrUnauthenticated) {
				t.Fatalf("bit %d of byte %d: got %v, want ErrUnauthenticated", bit, i, err)
			}
		}
		if _, _, err := v.Verify(t.Context(), raw[:i]); !errors.Is(err, tenancy.ErrUnauthenticated) {
			t.Fatalf("first %d bytes: got %v, want ErrUnauthenticated", i, err)
		}
	}
}
