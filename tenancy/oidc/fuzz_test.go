package oidc

import (
	"net/http"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"dms/tenancy/oidc/oidctest"
)

// insideSet returns a provider and a set that trusts it, without any network, at noon.
func insideSet(t testing.TB) (*idp, *Set) {
	t.Helper()
	p := oidctest.New(t)
	p.URL = "http://127.0.0.1:1" // nothing listens there, and nothing is sent
	v, err := New(Options{
		ID: "test", Issuer: p.URL, Audience: []string{oidctest.Audience}, Now: oidctest.Noon,
		Client: &http.Client{Transport: &inside{handler: p.Handler()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	set, err := NewSet(v)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	return p, set
}

// Nothing is accepted but tokens that the provider has signed.
func FuzzVerify(f *testing.F) {
	p, set := insideSet(f)
	k := oidctest.Keys(f)
	signed := map[string]bool{
		p.Access(f, nil): true,
		oidctest.Sign(f, jose.EdDSA, "ed", "at+jwt", k.Ed, p.Claims(nil)): true,
		oidctest.Sign(f, jose.ES256, "ec", "JWT", k.EC, p.Claims(nil)):    true,
	}
	for raw := range signed {
		if _, _, err := set.Verify(f.Context(), raw); err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	for _, bad := range oidctest.BadTokens(f, p) {
		if len(bad.Token) < 4<<10 {
			f.Add(bad.Token)
		}
	}
	f.Fuzz(func(t *testing.T, raw string) {
		id, _, err := set.Verify(t.Context(), raw)
		if err != nil {
			return
		}
		if !signed[raw] && !otherECDSA(signed, raw) {
			t.Errorf("accepted as %+v: %q", id, raw)
		}
	})
}

// otherECDSA reports whether the token is signed but for its signature, which ECDSA lets
// anyone write in a second way.
func otherECDSA(signed map[string]bool, raw string) bool {
	at := strings.LastIndex(raw, ".")
	for s := range signed {
		if at > 0 && strings.HasPrefix(s, raw[:at+1]) && strings.HasPrefix(raw, oidctest.B64(`{"alg":"ES256"`)[:18]) {
			return true
		}
	}
	return false
}

func FuzzReadHeader(f *testing.F) {
	f.Add(oidctest.B64(`{"alg":"RS256","kid":"a","typ":"at+jwt"}`) + "." + oidctest.B64(`{}`) + ".AAAA")
	f.Add(oidctest.B64(`{"alg":"none"}`) + "..")
	f.Add("....")
	f.Fuzz(func(t *testing.T, raw string) {
		h, err := readHeader(raw)
		if err != nil {
			return
		}
		if h.Algorithm != "RS256" && h.Algorithm != "PS256" && h.Algorithm != "ES256" && h.Algorithm != "EdDSA" {
			t.Errorf("%q has algorithm %q", raw, h.Algorithm)
		}
		if strings.Count(raw, ".") != 2 || strings.ContainsAny(raw, "\r\n =+/") {
			t.Errorf("%q is not canonical", raw)
		}
	})
}

func FuzzReadKeys(f *testing.F) {
	k := oidctest.Keys(f)
	f.Add([]byte(oidctest.JSON(f, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{oidctest.Public("a", "", k.RSA.Public()), oidctest.Public("b", "ES256", k.EC.Public())}})))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0"},{},null,1]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, err := readKeys(body)
		if err != nil {
			return
		}
		if len(keys) == 0 || len(keys) > maxKeys {
			t.Errorf("%q has %d keys", body, len(keys))
		}
		for _, key := range keys {
			if !key.IsPublic() || !key.Valid() || !usable(key.JSONWebKey) || key.name == "" || key.print == "" {
				t.Errorf("%q has the key %+v", body, key)
			}
		}
	})
}

func FuzzReadConfirmation(f *testing.F) {
	f.Add([]byte(`{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}`))
	f.Add([]byte(`{"x5t#S256":"x","jkt":"y"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, claim []byte) {
		o, err := readObject([]byte(`{"cnf":` + string(claim) + `}`))
		if err != nil {
			return
		}
		if got, err := readConfirmation(o["cnf"]); (err == nil) == got.IsZero() {
			t.Errorf("%s is read as %q, %v: a claim must bind or be refused", claim, got, err)
		}
	})
}

// BenchmarkBadToken measures what a stranger can make us do with one token: on average
// over the corpus, and with the one that costs most.
func BenchmarkBadToken(b *testing.B) {
	p, set := insideSet(b)
	corpus := oidctest.BadTokens(b, p)
	for _, bad := range corpus { // also fetches the keys
		if _, _, err := set.Verify(b.Context(), bad.Token); err == nil {
			b.Fatalf("%s: accepted", bad.Name)
		}
	}
	b.Run("average", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			set.Verify(b.Context(), corpus[i%len(corpus)].Token) //nolint:errcheck // see above
		}
	})
	dearest, most := oidctest.BadToken{}, time.Duration(0)
	for _, bad := range corpus {
		least := time.Hour
		for range 5 {
			begin := time.Now()
			set.Verify(b.Context(), bad.Token) //nolint:errcheck // see above
			least = min(least, time.Since(begin))
		}
		if least > most {
			dearest, most = bad, least
		}
	}
	b.Run("dearest", func(b *testing.B) {
		b.Logf("the dearest is %q", dearest.Name)
		for b.Loop() {
			set.Verify(b.Context(), dearest.Token) //nolint:errcheck // see above
		}
	})
}

// BenchmarkGoodToken measures a token seen before, and one never seen.
func BenchmarkGoodToken(b *testing.B) {
	p, set := insideSet(b)
	raw := p.Access(b, nil)
	verify := func(b *testing.B) {
		b.Helper()
		if _, _, err := set.Verify(b.Context(), raw); err != nil {
			b.Fatal(err)
		}
	}
	verify(b)
	b.Run("remembered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			verify(b)
		}
	})
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		v := set.byID["test"]
		for b.Loop() {
			v.memory.mu.Lock()
			v.memory.young, v.memory.old = nil, nil
			v.memory.mu.Unlock()
			verify(b)
		}
	})
}
