package oidc

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"dms/tenancy"
)

// badTokens is the corpus: every token is refused, with the one error that callers see.
func badTokens(t *testing.T, p *idp) map[string]string {
	t.Helper()
	k := keys()
	good := claimsOf(p, nil)
	payload := toJSON(t, good)
	const head = `{"alg":"RS256","kid":"rsa","typ":"at+jwt"}`
	valid := forge(t, head, payload)
	parts := strings.Split(valid, ".")
	der, err := x509.MarshalPKIXPublicKey(k.rsa.Public())
	if err != nil {
		t.Fatal(err)
	}
	spki := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&k.rsa.PublicKey)})
	jwk, err := jose.JSONWebKey{Key: k.otherEC.Public(), KeyID: "mine"}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	withHeaders := func(extra map[jose.HeaderKey]any) string {
		o := (&jose.SignerOptions{}).WithHeader("kid", "rsa").WithType("at+jwt")
		for name, value := range extra {
			o = o.WithHeader(name, value)
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: k.rsa}, o)
		if err != nil {
			t.Fatal(err)
		}
		jws, err := signer.Sign([]byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := jws.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	bad := map[string]string{
		"empty":                     "",
		"dots":                      "..",
		"not base64":                "a!.b!.c!",
		"one part":                  parts[0],
		"two parts":                 parts[0] + "." + parts[1],
		"four parts":                valid + ".x",
		"five parts":                parts[0] + "..." + parts[2] + ".",
		"no signature":              parts[0] + "." + parts[1] + ".",
		"no payload":                parts[0] + ".." + parts[2],
		"signature of another":      parts[0] + "." + parts[1] + "." + strings.Split(access(t, p, m{"sub": "bob"}), ".")[2],
		"payload of another":        parts[0] + "." + b64(toJSON(t, claimsOf(p, m{"sub": "bob"}))) + "." + parts[2],
		"padded":                    valid + "=",
		"standard base64":           parts[0] + "." + parts[1] + "." + base64.StdEncoding.EncodeToString([]byte("\xfb\xff\xfe")),
		"line break at the end":     valid + "\n",
		"line break inside":         parts[0] + "." + parts[1][:8] + "\n" + parts[1][8:] + "." + parts[2],
		"space before":              " " + valid,
		"bearer before":             "Bearer " + valid,
		"JSON serialization":        `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"two signatures":            `{"payload":"` + parts[1] + `","signatures":[{"protected":"` + parts[0] + `","signature":"` + parts[2] + `"},{"protected":"` + parts[0] + `","signature":"` + parts[2] + `"}]}`,
		"oversized":                 access(t, p, m{"x": padding(maxToken)}),
		"megabyte":                  access(t, p, m{"x": padding(1 << 20)}),
		"alg none":                  b64(`{"alg":"none","typ":"at+jwt"}`) + "." + b64(payload) + ".",
		"alg None":                  b64(`{"alg":"None","kid":"rsa"}`) + "." + b64(payload) + "." + parts[2],
		"alg none with a signature": b64(`{"alg":"none","kid":"rsa"}`) + "." + b64(payload) + "." + parts[2],
		"alg in lower case":         forge(t, `{"alg":"rs256","kid":"rsa"}`, payload),
		"no alg":                    forge(t, `{"kid":"rsa"}`, payload),
		"alg as a list":             forge(t, `{"alg":["RS256"],"kid":"rsa"}`, payload),
		"alg null":                  forge(t, `{"alg":null,"kid":"rsa"}`, payload),
		"HS256 with the PEM key":    forgeHMAC(`{"alg":"HS256","kid":"rsa"}`, payload, spki),
		"HS256 with the PKCS1 key":  forgeHMAC(`{"alg":"HS256","kid":"rsa"}`, payload, pkcs1),
		"HS256 with the DER key":    forgeHMAC(`{"alg":"HS256","kid":"rsa"}`, payload, der),
		"HS256 with the modulus":    forgeHMAC(`{"alg":"HS256","kid":"rsa"}`, payload, k.rsa.N.Bytes()),
		"HS256 with an empty key":   forgeHMAC(`{"alg":"HS256","kid":"rsa"}`, payload, nil),
		"HMAC called RS256":         forgeHMAC(head, payload, spki),
		"RS384":                     sign(t, jose.RS384, "rsa", "at+jwt", k.rsa, good),
		"RS512":                     sign(t, jose.RS512, "rsa", "at+jwt", k.rsa, good),
		"PS512":                     sign(t, jose.PS512, "rsa", "at+jwt", k.rsa, good),
		"weak RSA key":              sign(t, jose.RS256, "weak", "at+jwt", k.weakRSA, good),
		"PS256 with an RS256 key":   sign(t, jose.PS256, "rs-only", "at+jwt", k.otherRSA, good),
		"key for encryption":        sign(t, jose.ES256, "enc", "at+jwt", k.otherEC, good),
		"unknown key":               sign(t, jose.ES256, "other", "at+jwt", k.otherEC, good),
		"another key's name":        sign(t, jose.ES256, "ec", "at+jwt", k.otherEC, good),
		"key of another kind":       sign(t, jose.ES256, "rsa", "at+jwt", k.ec, good),
		"no kid":                    forge(t, `{"alg":"RS256","typ":"at+jwt"}`, payload),
		"empty kid":                 forge(t, `{"alg":"RS256","kid":"","typ":"at+jwt"}`, payload),
		"kid as a number":           forge(t, `{"alg":"RS256","kid":1}`, payload),
		"kid as a path":             sign(t, jose.ES256, "../../../../dev/null", "at+jwt", k.otherEC, good),
		"kid as SQL":                sign(t, jose.ES256, "x' UNION SELECT 'y", "at+jwt", k.otherEC, good),
		"kid as a URL":              sign(t, jose.ES256, p.URL+"/keys", "at+jwt", k.otherEC, good),
		"kid of 300 bytes":          sign(t, jose.ES256, padding(300), "at+jwt", k.otherEC, good),
		"embedded key":              forge(t, `{"alg":"RS256","kid":"rsa","jwk":`+string(jwk)+`}`, payload),
		"key by URL":                withHeaders(map[jose.HeaderKey]any{"jku": p.URL + "/keys"}),
		"certificate by URL":        withHeaders(map[jose.HeaderKey]any{"x5u": p.URL}),
		"certificate":               withHeaders(map[jose.HeaderKey]any{"x5c": []string{"MIIB"}}),
		"critical header":           withHeaders(map[jose.HeaderKey]any{"crit": []string{"exp"}, "exp": 1}),
		"empty critical header":     withHeaders(map[jose.HeaderKey]any{"crit": []string{}}),
		"unencoded payload":         withHeaders(map[jose.HeaderKey]any{"b64": false}),
		"compressed":                withHeaders(map[jose.HeaderKey]any{"zip": "DEF"}),
		"called encrypted":          withHeaders(map[jose.HeaderKey]any{"enc": "A256GCM"}),
		"type of a logout token":    sign(t, jose.RS256, "rsa", "logout+jwt", k.rsa, good),
		"type of an event":          sign(t, jose.RS256, "rsa", "secevent+jwt", k.rsa, good),
		"type of a DPoP proof":      sign(t, jose.RS256, "rsa", "dpop+jwt", k.rsa, good),
		"type as a number":          forge(t, `{"alg":"RS256","kid":"rsa","typ":1}`, payload),
		"alg twice":                 forge(t, `{"alg":"none","alg":"RS256","kid":"rsa"}`, payload),
		"alg twice in another case": forge(t, `{"alg":"RS256","ALG":"none","kid":"rsa"}`, payload),
		"kid twice":                 forge(t, `{"alg":"RS256","kid":"x","kid":"rsa"}`, payload),
		"header is a list":          forge(t, `[]`, payload),
		"header is null":            forge(t, `null`, payload),
		"header with data after":    forge(t, head+`{}`, payload),
		"header nested deep":        forge(t, `{"alg":"RS256","kid":"rsa","x":`+strings.Repeat("[", 50)+strings.Repeat("]", 50)+`}`, payload),
		"header is not UTF-8":       forge(t, "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"x\":\"\xff\"}", payload),
		"payload is not JSON":       forge(t, head, "x"),
		"payload is a list":         forge(t, head, "["+payload+"]"),
		"payload is null":           forge(t, head, "null"),
		"payload with data after":   forge(t, head, payload+payload),
		"payload nested deep":       forge(t, head, withMember(t, good, `"x":`+strings.Repeat("[", 3000)+strings.Repeat("]", 3000))),
		"payload is not UTF-8":      forge(t, head, withMember(t, good, "\"x\":\"\xff\"")),
		"sub twice":                 forge(t, head, withMember(t, good, `"sub":"bob"`)),
		"sub twice in another case": forge(t, head, withMember(t, good, `"Sub":"bob"`)),
		"sub twice, escaped":        forge(t, head, withMember(t, good, `"\u0073ub":"bob"`)),
		"projects twice":            forge(t, head, withMember(t, good, `"dms_projects":[]`)),
		"twice inside a claim":      access(t, p, m{"dms_projects": rawJSON(`{"` + string(project1) + `":["viewer"],"` + string(project1) + `":["manager"]}`)}),
		"iss in upper case":         access(t, p, m{"iss": nil, "ISS": p.URL}),
		"no iss":                    access(t, p, m{"iss": nil}),
		"other iss":                 access(t, p, m{"iss": "https://idp.example.com"}),
		"iss with a slash":          access(t, p, m{"iss": p.URL + "/"}),
		"iss in other case":         access(t, p, m{"iss": strings.ToUpper(p.URL)}),
		"iss as a list":             access(t, p, m{"iss": []string{p.URL}}),
		"no aud":                    access(t, p, m{"aud": nil}),
		"other aud":                 access(t, p, m{"aud": "other"}),
		"aud in other case":         access(t, p, m{"aud": "DMS"}),
		"aud with more":             access(t, p, m{"aud": "dms "}),
		"aud of other lengths":      access(t, p, m{"aud": []string{"dm", "dmss", ""}}),
		"aud empty":                 access(t, p, m{"aud": []string{}}),
		"aud null":                  access(t, p, m{"aud": rawJSON(`null`)}),
		"aud with null":             access(t, p, m{"aud": rawJSON(`["dms",null]`)}),
		"aud with a number":         access(t, p, m{"aud": rawJSON(`["dms",1]`)}),
		"aud as an object":          access(t, p, m{"aud": m{"dms": true}}),
		"aud in a list in a list":   access(t, p, m{"aud": [][]string{{"dms"}}}),
		"no sub":                    access(t, p, m{"sub": nil}),
		"empty sub":                 access(t, p, m{"sub": ""}),
		"sub as a number":           access(t, p, m{"sub": 1}),
		"sub of 300 bytes":          access(t, p, m{"sub": padding(300)}),
		"name as a number":          access(t, p, m{"name": 1}),
		"bound to a certificate":    access(t, p, m{"cnf": m{"x5t#S256": "x"}}),
		"bound to nothing":          access(t, p, m{"cnf": m{}}),
		"claims from elsewhere":     access(t, p, m{"_claim_names": m{"dms_projects": "src"}, "_claim_sources": m{"src": m{"endpoint": p.URL}}, "dms_projects": "x"}),
		"ID token":                  sign(t, jose.RS256, "rsa", "JWT", k.rsa, claimsOf(p, m{"nonce": "n"})),
		"ID token without a type":   sign(t, jose.RS256, "rsa", "", k.rsa, claimsOf(p, m{"at_hash": "h"})),
		"no exp":                    access(t, p, m{"exp": nil}),
		"life of two days":          access(t, p, m{"exp": noon.Add(48 * time.Hour).Unix()}),
		"of tomorrow":               access(t, p, m{"iat": noon.Add(24 * time.Hour).Unix(), "nbf": nil, "exp": noon.Add(25 * time.Hour).Unix()}),
		"not yet":                   access(t, p, m{"nbf": noon.Add(2 * time.Minute).Unix()}),
		"projects as text":          access(t, p, m{"dms_projects": string(project1)}),
		"projects as a number":      access(t, p, m{"dms_projects": 1}),
		"projects null":             access(t, p, m{"dms_projects": rawJSON(`null`)}),
		"project is text":           access(t, p, m{"dms_projects": []string{string(project1)}}),
		"project is null":           access(t, p, m{"dms_projects": rawJSON(`[null]`)}),
		"project without id":        access(t, p, m{"dms_projects": []m{{"roles": []string{"viewer"}}}}),
		"project with a bad id":     access(t, p, m{"dms_projects": []m{{"id": strings.ToUpper(string(project1)), "roles": []string{}}}}),
		"project without roles":     access(t, p, m{"dms_projects": []m{{"id": project1}}}),
		"project with more":         access(t, p, m{"dms_projects": []m{{"id": project1, "roles": []string{}, "admin": true}}}),
		"project twice":             access(t, p, m{"dms_projects": []m{{"id": project1, "roles": []string{}}, {"id": project1, "roles": []string{"manager"}}}}),
		"one bad project of two":    access(t, p, m{"dms_projects": []m{{"id": project1, "roles": []string{"manager"}}, {"id": "x", "roles": []string{}}}}),
		"roles as text":             access(t, p, m{"dms_projects": []m{{"id": project1, "roles": "manager"}}}),
		"roles null":                access(t, p, m{"dms_projects": []m{{"id": project1, "roles": nil}}}),
		"unknown role":              access(t, p, m{"dms_projects": []m{{"id": project1, "roles": []string{"root"}}}}),
		"role in other case":        access(t, p, m{"dms_projects": []m{{"id": project1, "roles": []string{"Manager"}}}}),
		"role null":                 access(t, p, m{"dms_projects": []m{{"id": project1, "roles": []any{nil}}}}),
		"map with a bad id":         access(t, p, m{"dms_projects": m{"*": []string{"manager"}}}),
		"map with roles as text":    access(t, p, m{"dms_projects": m{string(project1): "manager"}}),
		"map with an unknown role":  access(t, p, m{"dms_projects": m{string(project1): []string{"root"}}}),
		"map with roles as object":  access(t, p, m{"dms_projects": m{string(project1): m{"roles": []string{"manager"}}}}),
	}
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.RSA_OAEP_256, Key: k.rsa.Public(), KeyID: "rsa"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	jwe, err := encrypter.Encrypt([]byte(valid))
	if err != nil {
		t.Fatal(err)
	}
	if bad["encrypted"], err = jwe.CompactSerialize(); err != nil {
		t.Fatal(err)
	}
	// A password-based key that would cost minutes to derive.
	bad["password bomb"] = b64(`{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2c":2147483647,"p2s":"c2FsdA"}`) + ".a.a.a.a"
	// Bits of the last letter that stand for nothing: another spelling of one token.
	bad["spare bits"] = valid[:len(valid)-1] + string(valid[len(valid)-1]+1)
	return bad
}

// rawJSON goes into claims as it is.
type rawJSON string

func (r rawJSON) MarshalJSON() ([]byte, error) { return []byte(r), nil }

func TestBadTokensAreRefused(t *testing.T) {
	p, c := startIDP(t), &clock{at: noon}
	v := startVerifier(t, p, c, nil)
	set, err := NewSet(v)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := v.Verify(t.Context(), access(t, p, nil)); err != nil {
		t.Fatalf("the token that the bad ones are made of: %v", err)
	}
	if _, _, err := v.Verify(t.Context(), forge(t, `{"alg":"RS256","kid":"rsa","typ":"at+jwt"}`, toJSON(t, claimsOf(p, nil)))); err != nil {
		t.Fatalf("the token that the forged ones are made of: %v", err)
	}
	for name, raw := range badTokens(t, p) {
		t.Run(name, func(t *testing.T) {
			for _, verify := range []func() (tenancy.Identity, time.Time, error){
				func() (tenancy.Identity, time.Time, error) { return v.Verify(t.Context(), raw) },
				func() (tenancy.Identity, time.Time, error) { return set.Verify(t.Context(), raw) },
			} {
				id, expires, err := verify()
				if !errors.Is(err, tenancy.ErrUnauthenticated) || errors.Is(err, tenancy.ErrExpired) {
					t.Errorf("got %v, want ErrUnauthenticated", err)
				}
				if !cmp.Equal(id, tenancy.Identity{}) || !expires.IsZero() {
					t.Errorf("a refused token has the identity %+v until %s", id, expires)
				}
			}
			if _, _, err := v.VerifyIDToken(t.Context(), raw); err == nil && !strings.HasPrefix(name, "ID token") {
				t.Error("accepted in the exchange")
			}
		})
	}
	if got := p.fetches.Load(); got != 1 {
		t.Errorf("bad tokens at one time made %d fetches of keys, want none after the first", got-1)
	}
}

func TestEveryBitOfATokenMatters(t *testing.T) {
	p, c := startIDP(t), &clock{at: noon}
	v := startVerifier(t, p, c, nil)
	raw := sign(t, jose.EdDSA, "ed", "at+jwt", keys().ed, claimsOf(p, nil))
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

func FuzzReadHeader(f *testing.F) {
	f.Add(b64(`{"alg":"RS256","kid":"a","typ":"at+jwt"}`) + "." + b64(`{}`) + ".AAAA")
	f.Add(b64(`{"alg":"none"}`) + "..")
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

func FuzzReadGrants(f *testing.F) {
	f.Add([]byte(`[{"id":"0123456789abcdef0123456789abcdef","name":"x","roles":["manager"]}]`))
	f.Add([]byte(`{"0123456789abcdef0123456789abcdef":["viewer","operator"]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, claim []byte) {
		o, err := readObject([]byte(`{"c":` + string(claim) + `}`))
		if err != nil {
			return
		}
		grants, err := readGrants(o["c"])
		if err != nil {
			if grants != nil {
				t.Errorf("%s: error and grants %v", claim, grants)
			}
			return
		}
		for id, grant := range grants {
			if _, err := tenancy.ParseProjectID(string(id)); err != nil {
				t.Errorf("%s: %v", claim, err)
			}
			for _, r := range grant.Roles {
				if _, err := tenancy.ParseRole(string(r)); err != nil {
					t.Errorf("%s: %v", claim, err)
				}
			}
		}
	})
}
