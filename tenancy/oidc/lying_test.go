package oidc

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"dms/tenancy"
	"dms/tenancy/oidc/oidctest"
)

// answer is a fixed answer.
func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		w.Write([]byte(body)) //nolint:errcheck // the reader may stop early
	}
}

func redirect(status int, to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, status) }
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// drip answers a byte at a time, for ever.
func drip(w http.ResponseWriter, r *http.Request) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
			w.Write([]byte(" ")) //nolint:errcheck // ends with the context
			http.NewResponseController(w).Flush()
		}
	}
}

// reset cuts the connection in the middle of an answer.
func reset(w http.ResponseWriter, _ *http.Request) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")) //nolint:errcheck // it is cut anyway
	c.Close()
}

// bomb is small on the wire and large when unpacked.
func bomb(body string) http.HandlerFunc {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(body)) //nolint:errcheck // to memory
	for range 8 {
		z.Write(bytes.Repeat([]byte(" "), 1<<20)) //nolint:errcheck // to memory
	}
	z.Close()
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(b.Bytes()) //nolint:errcheck // the reader may stop early
	}
}

func longHeader(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Padding", strings.Repeat("a", 2*maxHeader))
	answer(http.StatusOK, "{}")(w, r)
}

// keySetOf is the JSON of a key set with raw keys.
func keySetOf(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

// TestLyingProviders gives a verifier that has no keys yet a provider that does not do
// as it should. No token may be accepted, nobody else may be asked, and nobody may wait
// for long.
func TestLyingProviders(t *testing.T) {
	elsewhere := startIDP(t)
	k := oidctest.Keys(t)
	encode := func(key jose.JSONWebKey) string {
		b, err := key.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	change := func(key jose.JSONWebKey, change func(m)) string {
		var o m
		if err := json.Unmarshal([]byte(encode(key)), &o); err != nil {
			t.Fatal(err)
		}
		change(o)
		return oidctest.JSON(t, o)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, ecKey := oidctest.Public("rsa", "", k.RSA.Public()), oidctest.Public("ec", "", k.EC.Public())
	good := encode(rsaKey)
	document := func(change func(p *idp, d m)) func(*idp) {
		return func(p *idp) {
			d := p.Document()
			change(p, d)
			p.Discovery = func(w http.ResponseWriter, _ *http.Request) { oidctest.WriteJSON(w, d) }
		}
	}
	discovery := func(h http.HandlerFunc) func(*idp) { return func(p *idp) { p.Discovery = h } }
	keys := func(h http.HandlerFunc) func(*idp) { return func(p *idp) { p.JWKS = h } }
	set := func(keys ...string) func(*idp) {
		return func(p *idp) { p.JWKS = answer(http.StatusOK, keySetOf(keys...)) }
	}
	wellKnown := elsewhere.URL + "/.well-known/openid-configuration"
	behaviours := map[string]func(*idp){
		"discovery: another issuer":            document(func(_ *idp, d m) { d["issuer"] = elsewhere.URL }),
		"discovery: no issuer":                 document(func(_ *idp, d m) { delete(d, "issuer") }),
		"discovery: the issuer with a slash":   document(func(p *idp, d m) { d["issuer"] = p.URL + "/" }),
		"discovery: the issuer in capitals":    document(func(p *idp, d m) { d["issuer"] = strings.ToUpper(p.URL) }),
		"discovery: issuer is a list":          document(func(p *idp, d m) { d["issuer"] = []string{p.URL} }),
		"discovery: issuer is null":            document(func(_ *idp, d m) { d["issuer"] = nil }),
		"discovery: no address of keys":        document(func(_ *idp, d m) { delete(d, "jwks_uri") }),
		"discovery: empty address of keys":     document(func(_ *idp, d m) { d["jwks_uri"] = "" }),
		"discovery: keys in a file":            document(func(_ *idp, d m) { d["jwks_uri"] = "file:///etc/passwd" }),
		"discovery: keys at plain http":        document(func(_ *idp, d m) { d["jwks_uri"] = "http://198.51.100.1/keys" }),
		"discovery: keys at the metadata host": document(func(_ *idp, d m) { d["jwks_uri"] = "http://169.254.169.254/keys" }),
		"discovery: keys with a password": document(func(_ *idp, d m) {
			d["jwks_uri"] = strings.Replace(elsewhere.URL, "http://", "http://a:b@", 1) + "/keys"
		}),
		"discovery: keys at a relative address": document(func(_ *idp, d m) { d["jwks_uri"] = "/keys" }),
		"discovery: addresses of keys":          document(func(_ *idp, d m) { d["jwks_uri"] = []string{elsewhere.URL} }),
		"discovery: moved for good":             discovery(redirect(301, wellKnown)),
		"discovery: found elsewhere":            discovery(redirect(302, wellKnown)),
		"discovery: temporarily elsewhere":      discovery(redirect(307, wellKnown)),
		"discovery: redirects to itself":        discovery(redirect(302, "/.well-known/openid-configuration")),
		"discovery: not found":                  discovery(answer(404, "{}")),
		"discovery: forbidden":                  discovery(answer(403, "{}")),
		"discovery: server error":               discovery(answer(500, "oops")),
		"discovery: no content":                 discovery(answer(204, "")),
		"discovery: a web page":                 discovery(answer(200, "<!doctype html><title>Sign in</title>")),
		"discovery: null":                       discovery(answer(200, "null")),
		"discovery: a list":                     discovery(answer(200, "[]")),
		"discovery: empty":                      discovery(answer(200, "")),
		"discovery: cut short":                  discovery(answer(200, `{"issuer":"`)),
		"discovery: without end":                discovery(answer(200, `{"issuer":"`+strings.Repeat("a", maxResponse))),
		"discovery: nested deep":                discovery(answer(200, strings.Repeat("[", 100_000))),
		"discovery: a bomb":                     discovery(bomb(`{"issuer":"x"}`)),
		"discovery: a long header":              discovery(longHeader),
		"discovery: cuts the connection":        discovery(reset),
		"discovery: hangs":                      discovery(hang),
		"discovery: drips":                      discovery(drip),
		"keys: moved for good":                  keys(redirect(301, elsewhere.URL+"/keys")),
		"keys: found elsewhere":                 keys(redirect(302, elsewhere.URL+"/keys")),
		"keys: permanently elsewhere":           keys(redirect(308, elsewhere.URL+"/keys")),
		"keys: not found":                       keys(answer(404, keySetOf(good))),
		"keys: server error":                    keys(answer(500, keySetOf(good))),
		"keys: partial":                         keys(answer(206, keySetOf(good))),
		"keys: a web page":                      keys(answer(200, "<!doctype html>")),
		"keys: null":                            keys(answer(200, "null")),
		"keys: a list":                          keys(answer(200, "["+good+"]")),
		"keys: data after":                      keys(answer(200, keySetOf(good)+"x")),
		"keys: without end":                     keys(answer(200, `{"keys":[`+good+`],"x":"`+strings.Repeat("a", maxResponse)+`"}`)),
		"keys: a bomb":                          keys(bomb(keySetOf(good))),
		"keys: cuts the connection":             keys(reset),
		"keys: hang":                            keys(hang),
		"keys: drip":                            keys(drip),
		"keys: none":                            set(),
		"keys: an empty one":                    set("{}"),
		"keys: null and a number":               set("null", "1"),
		"keys: too many":                        set(strings.Split(strings.Repeat(good+"\n", maxKeys)+good, "\n")...),
		"keys: a secret":                        set(`{"kty":"oct","k":"c2VjcmV0","kid":"rsa"}`),
		"keys: an unknown kind":                 set(`{"kty":"x","kid":"rsa"}`),
		"keys: weak":                            set(encode(oidctest.Public("rsa", "", k.WeakRSA.Public()))),
		"keys: private":                         set(encode(jose.JSONWebKey{Key: k.RSA, KeyID: "rsa"})),
		"keys: for encryption":                  set(change(rsaKey, func(o m) { o["use"] = "enc" })),
		"keys: a large exponent":                set(change(rsaKey, func(o m) { o["e"] = oidctest.B64(string(new(big.Int).Lsh(big.NewInt(1), 40).Bytes())) })),
		"keys: exponent one":                    set(change(rsaKey, func(o m) { o["e"] = "AQ" })),
		"keys: a huge modulus":                  set(change(rsaKey, func(o m) { o["n"] = oidctest.B64(strings.Repeat("\xff", 2048)) })),
		"keys: a modulus of zeros":              set(change(rsaKey, func(o m) { o["n"] = oidctest.B64(strings.Repeat("\x00", 256)) })),
		"keys: a certificate of another key":    set(change(rsaKey, func(o m) { o["x5c"] = []string{"MIIB"} })),
		"keys: a point off the curve":           set(change(ecKey, func(o m) { o["x"] = o["y"] })),
		"keys: of P-384":                        set(encode(oidctest.Public("rsa", "", p384.Public()))),
		"keys: of secp256k1":                    set(change(ecKey, func(o m) { o["crv"] = "secp256k1" })),
		"keys: for key agreement":               set(`{"kty":"OKP","crv":"X25519","x":"` + strings.Repeat("A", 43) + `","kid":"rsa"}`),
		"keys: short Ed25519":                   set(`{"kty":"OKP","crv":"Ed25519","x":"AAAA","kid":"rsa"}`),
	}
	if len(behaviours) < 40 {
		t.Errorf("there are %d behaviours, want at least 40", len(behaviours))
	}
	for name, change := range behaviours {
		t.Run(name, func(t *testing.T) {
			p := startIDP(t)
			p.Set(change)
			v := startVerifier(t, p, &clock{at: noon}, func(o *Options) { o.Client = nil })
			defer v.Close() // before the provider, which waits for its answers to end
			ctx := t.Context()
			if strings.HasSuffix(name, "hang") || strings.HasSuffix(name, "hangs") || strings.HasSuffix(name, "drip") || strings.HasSuffix(name, "drips") {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 200*time.Millisecond)
				defer cancel()
			}
			if id, _, err := v.Verify(ctx, access(t, p, nil)); !isUnavailable(err) {
				t.Errorf("got %+v, %v, want ErrUnavailable", id, err)
			}
		})
	}
	if got := elsewhere.Fetches.Load() + elsewhere.Discoveries.Load(); got != 0 {
		t.Errorf("another host was asked %d times", got)
	}
}

// A provider may also publish the wrong keys under the right names. It decides what its
// keys are, so that all one can see is that tokens do not fit them.
func TestProvidersWithTheWrongKeys(t *testing.T) {
	k := oidctest.Keys(t)
	for name, keys := range map[string][]jose.JSONWebKey{
		"another key under the name": {oidctest.Public("rsa", "", k.OtherRSA.Public())},
		"another kind":               {oidctest.Public("rsa", "", k.EC.Public())},
		"another algorithm":          {oidctest.Public("rsa", "PS256", k.RSA.Public())},
		"two keys under one name":    {oidctest.Public("rsa", "", k.OtherRSA.Public()), oidctest.Public("rsa", "", k.RSA.Public())},
		"the key under another name": {oidctest.Public("RSA", "", k.RSA.Public())},
		"a name that is a prefix":    {oidctest.Public("rs", "", k.RSA.Public())},
	} {
		p := startIDP(t)
		p.Set(func(p *idp) { p.Keys = keys })
		v := startVerifier(t, p, &clock{at: noon}, nil)
		if _, _, err := v.Verify(t.Context(), access(t, p, nil)); !isUnauthenticated(err) {
			t.Errorf("%s: got %v, want ErrUnauthenticated", name, err)
		}
	}
}

func TestOneKeyListedTwiceIsStillOne(t *testing.T) {
	p := startIDP(t)
	k := oidctest.Keys(t)
	p.Set(func(p *idp) {
		p.Keys = []jose.JSONWebKey{oidctest.Public("rsa", "", k.RSA.Public()), oidctest.Public("rsa", "RS256", k.RSA.Public()), oidctest.Public("rsa", "", k.RSA.Public())}
	})
	ok(t, startVerifier(t, p, &clock{at: noon}, nil), access(t, p, nil))
}

// A lie after the truth changes nothing: the keys that were had are kept.
func TestALieAfterTheTruthChangesNothing(t *testing.T) {
	for name, lie := range map[string]http.HandlerFunc{
		"no keys": answer(200, `{"keys":[]}`), "a web page": answer(200, "<html>"), "server error": answer(500, ""), "another place": redirect(302, "/"),
	} {
		p, c := startIDP(t), &clock{at: noon}
		v := startVerifier(t, p, c, nil)
		ok(t, v, access(t, p, nil))
		p.Set(func(p *idp) { p.JWKS = lie })
		c.advance(refreshEvery + time.Second)
		for i := range 10 {
			// An unknown key makes the verifier ask again, and wait for the lie.
			refused(t, v, sign(t, jose.ES256, fmt.Sprint("unknown-", i), "at+jwt", oidctest.Keys(t).OtherEC, p.Claims(nil)), tenancy.ErrUnauthenticated)
			c.advance(fetchPause)
		}
		if _, _, err := v.Verify(t.Context(), access(t, p, nil)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if p.Fetches.Load() < 2 {
			t.Errorf("%s: the lie was not heard", name)
		}
	}
}
