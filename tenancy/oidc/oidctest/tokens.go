package oidctest

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"dms/tenancy"
)

// What the tokens say.
const (
	Project1 tenancy.ProjectID = "0123456789abcdef0123456789abcdef"
	Project2 tenancy.ProjectID = "fedcba9876543210fedcba9876543210"
	Audience                   = "dms"
)

// Noon is when tokens begin, unless their claims say otherwise. They end an hour later.
func Noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

// M is a JSON object.
type M = map[string]any

// Raw goes into claims as it is.
type Raw string

// MarshalJSON returns the text itself, which must be JSON.
func (r Raw) MarshalJSON() ([]byte, error) { return []byte(r), nil }

// Claims are good claims at noon, with changes; a nil value removes a claim.
func (p *Provider) Claims(changes M) M {
	noon := Noon()
	c := M{
		"iss": p.URL, "sub": "alice", "aud": Audience, "name": "Alice", "jti": "1",
		"iat": noon.Unix(), "nbf": noon.Unix(), "exp": noon.Add(time.Hour).Unix(),
		"dms_projects": []M{{"id": Project1, "name": "one", "roles": []string{"manager"}}},
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// Access signs good claims with changes as an access token, with RS256.
func (p *Provider) Access(t testing.TB, changes M) string {
	t.Helper()
	return Sign(t, jose.RS256, "rsa", "at+jwt", Keys(t).RSA, p.Claims(changes))
}

// Sign makes a token with go-jose.
func Sign(t testing.TB, algorithm jose.SignatureAlgorithm, kid, typ string, key any, claims any) string {
	t.Helper()
	o := (&jose.SignerOptions{}).WithHeader("kid", kid)
	if typ != "" {
		o = o.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, o)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign([]byte(JSON(t, claims)))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Forge signs any header and payload with the provider's RSA key, correctly.
func Forge(t testing.TB, header, payload string) string {
	t.Helper()
	input := B64(header) + "." + B64(payload)
	sum := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, Keys(t).RSA, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + B64(string(signature))
}

// ForgeHMAC signs with a key that everybody knows.
func ForgeHMAC(header, payload string, key []byte) string {
	input := B64(header) + "." + B64(payload)
	h := hmac.New(sha256.New, key)
	h.Write([]byte(input))
	return input + "." + B64(string(h.Sum(nil)))
}

// B64 is base64url without padding.
func B64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// JSON encodes a value.
func JSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// WithMember puts raw JSON into an object, which may make it ambiguous.
func WithMember(t testing.TB, object M, member string) string {
	t.Helper()
	return strings.TrimSuffix(JSON(t, object), "}") + "," + member + "}"
}

// Padding is a text of n letters.
func Padding(n int) string { return strings.Repeat("a", n) }
