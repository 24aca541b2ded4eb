package oidc

import (
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"dms/tenancy"
	"dms/tenancy/oidc/oidctest"
)

// remembered returns how many tokens the verifier remembers.
func remembered(v *Verifier) int {
	v.memory.mu.Lock()
	defer v.memory.mu.Unlock()
	return len(v.memory.young) + len(v.memory.old)
}

func TestGoodTokensAreRemembered(t *testing.T) {
	p, c := startIDP(t), &clock{at: noon}
	v := startVerifier(t, p, c, nil)
	set, err := NewSet(v)
	if err != nil {
		t.Fatal(err)
	}
	raw := access(t, p, m{"cnf": m{"x5t#S256": tenancy.ThumbprintOf([]byte("x")).String()}})
	first, until, err := set.Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	if n := remembered(v); n != 1 {
		t.Errorf("%d tokens are remembered, want 1", n)
	}
	again, untilAgain, err := set.Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, again); diff != "" || !until.Equal(untilAgain) {
		t.Errorf("until %s, then %s (-first +again):\n%s", until, untilAgain, diff)
	}
	if again.Certificate.IsZero() {
		t.Error("a remembered token is no longer bound")
	}
	refused(t, v, raw+"x", tenancy.ErrUnauthenticated)
	if n := remembered(v); n != 1 {
		t.Errorf("%d tokens are remembered after a bad one, want 1", n)
	}
}

// What a token is good for depends on how it is presented.
func TestATokenOfTheExchangeIsNotRememberedAsABearerToken(t *testing.T) {
	p, c := startIDP(t), &clock{at: noon}
	v := startVerifier(t, p, c, nil)
	raw := sign(t, jose.RS256, "rsa", "JWT", oidctest.Keys(t).RSA, p.Claims(m{"nonce": "n"}))
	for range 2 {
		if _, _, err := v.VerifyIDToken(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
		refused(t, v, raw, tenancy.ErrUnauthenticated)
	}
}

func TestRememberedTokensEnd(t *testing.T) {
	p, c := startIDP(t), &clock{at: noon}
	v := startVerifier(t, p, c, nil)
	raw := access(t, p, nil)
	ok(t, v, raw)
	c.advance(time.Hour + DefaultSkew - time.Nanosecond)
	ok(t, v, raw)
	c.advance(time.Nanosecond)
	refused(t, v, raw, tenancy.ErrExpired)
}

// A withdrawn key takes all tokens with it that it has signed, seen before or not, and
// no others.
func TestRememberedTokensEndWithTheirKey(t *testing.T) {
	p, c := startIDP(t), &clock{at: noon}
	v := startVerifier(t, p, c, nil)
	byEC, byRSA := later(t, p, 0, "ec", oidctest.Keys(t).EC), access(t, p, nil)
	ok(t, v, byEC)
	ok(t, v, byRSA)
	// Another key gets the name of the withdrawn one.
	p.Set(func(p *idp) { p.Keys[1] = oidctest.Public("ec", "ES256", oidctest.Keys(t).OtherEC.Public()) })
	c.advance(refreshEvery + time.Second)
	waitFor(t, func() string {
		if _, _, err := v.Verify(t.Context(), byEC); err == nil {
			return "a token of the withdrawn key is still good"
		}
		return ""
	})
	ok(t, v, byRSA)
}

func TestTheMemoryIsBounded(t *testing.T) {
	memory := memory{limit: 100}
	sum := func(i int) tokenDigest { return tokenDigest{byte(i), byte(i >> 8)} }
	for i := range 1000 {
		memory.put(sum(i), verified{size: 10})
		if n := len(memory.young) + len(memory.old); n > 20 {
			t.Fatalf("%d tokens of size 10 are remembered with a limit of 100 a generation", n)
		}
		if _, ok := memory.get(sum(0)); !ok {
			t.Fatalf("a token in use was forgotten after %d others", i)
		}
	}
	if _, ok := memory.get(sum(500)); ok {
		t.Error("a token that nobody uses is remembered after 499 others")
	}
}
