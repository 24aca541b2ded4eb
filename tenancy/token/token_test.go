package token

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dms/tenancy"
	"dms/tenancy/seal"
)

const project tenancy.ProjectID = "77b6a44cba5143ab91d13ab9a8ff44fd"

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func key(id byte) seal.Key {
	k := seal.Key{ID: id}
	for i := range k.Secret {
		k.Secret[i] = id + byte(i)
	}
	return k
}

func sealer(t testing.TB, now time.Time, keys ...seal.Key) *Sealer {
	t.Helper()
	s, err := New(keys, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func caller() tenancy.Identity {
	return tenancy.Identity{
		Issuer: "https://idp.example.com", Subject: "alice", Name: "Alice Ä", KeyID: "AK1",
		Grants: map[tenancy.ProjectID]tenancy.Grant{project: {Name: "demo", Roles: []tenancy.Role{tenancy.Manager, tenancy.Operator}}},
	}
}

func sealed(t testing.TB, s *Sealer, notAfter time.Time) string {
	t.Helper()
	token, _, err := s.Seal(caller(), notAfter)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// mustRefuse fails the test unless the token is refused as unauthenticated.
func mustRefuse(t *testing.T, s *Sealer, token string) {
	t.Helper()
	o, err := s.Open(token)
	if !errors.Is(err, tenancy.ErrUnauthenticated) {
		t.Errorf("got %v, want ErrUnauthenticated: %.100s", err, token)
	}
	if !cmp.Equal(o, Opened{}) {
		t.Errorf("a refused token says %+v", o)
	}
}

func TestOpenReturnsWhatWasSealed(t *testing.T) {
	s := sealer(t, noon, key(1))
	token, expires, err := s.Seal(caller(), noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if !expires.Equal(noon.Add(time.Hour)) {
		t.Errorf("sealed until %s, want an hour", expires)
	}
	o, err := s.Open(token)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.ID) != 36 {
		t.Errorf("the token's id is %q, want a UUID", o.ID)
	}
	want := Opened{ID: o.ID, Identity: caller(), Issued: noon, Expires: expires}
	if diff := cmp.Diff(want, o); diff != "" {
		t.Errorf("token (-want +got):\n%s", diff)
	}
}

func TestTokensForNoProjectAndForQueuesKeepWhatTheySay(t *testing.T) {
	s := sealer(t, noon, key(1))
	other := tenancy.ProjectID(strings.Repeat("0", 32))
	base := tenancy.Identity{Issuer: "i", Subject: "s", KeyID: "AK1", KeyGeneration: 3, Origins: []string{"first", "second"}}
	limited := base
	limited.Grants = map[tenancy.ProjectID]tenancy.Grant{project: {Queues: map[string][]tenancy.Permission{
		"9bf46390-38a2-462d-b392-4d5b2d519c55": {tenancy.Produce, tenancy.Observe}}}}
	unscoped := base
	unscoped.Offers = map[tenancy.ProjectID]tenancy.Grant{
		project: {Name: "demo", Roles: []tenancy.Role{tenancy.Viewer}}, other: limited.Grants[project],
	}
	nothing := base
	nothing.Offers = map[tenancy.ProjectID]tenancy.Grant{}
	for name, want := range map[string]tenancy.Identity{"limited": limited, "unscoped": unscoped, "without projects": nothing} {
		token, _, err := s.Seal(want, noon.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		o, err := s.Open(token)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, o.Identity); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if name != "limited" && (o.Identity.Member(project) || o.Identity.Can(tenancy.Observe, project)) {
			t.Errorf("%s: it opens a project", name)
		}
	}
	many := base
	many.Offers = make(map[tenancy.ProjectID]tenancy.Grant)
	for i := range 500 {
		many.Offers[tenancy.ProjectID(fmt.Sprintf("%032x", i))] = tenancy.Grant{Name: "a project"}
	}
	if _, _, err := s.Seal(many, noon.Add(time.Hour)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("500 projects in a token: %v, want ErrTooLarge", err)
	}
}

func TestTokensAreNotExchangedForEver(t *testing.T) {
	s := sealer(t, noon, key(1))
	id := caller()
	for len(id.Origins) < maxOrigins {
		id.Origins = append(id.Origins, "0198c0de-0000-7000-8000-000000000001")
		if _, _, err := s.Seal(id, noon.Add(time.Hour)); err != nil {
			t.Fatalf("after %d exchanges: %v", len(id.Origins), err)
		}
	}
	id.Origins = append(id.Origins, "one more")
	if _, _, err := s.Seal(id, noon.Add(time.Hour)); !errors.Is(err, ErrTooOften) {
		t.Errorf("after %d exchanges: %v", len(id.Origins), err)
	}
}

func TestABoundTokenStaysBound(t *testing.T) {
	s := sealer(t, noon, key(1))
	id := caller()
	id.Certificate = tenancy.ThumbprintOf([]byte("a certificate"))
	token, _, err := s.Seal(id, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Open(token)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(id, got.Identity); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	if got, err := s.Open(sealed(t, s, noon.Add(time.Hour))); err != nil || got.Identity.Bound() {
		t.Errorf("a token without a certificate: got %+v, %v", got, err)
	}
}

func TestLifeIsBounded(t *testing.T) {
	now := noon.Add(700 * time.Millisecond)
	s := sealer(t, now, key(1))
	for _, tt := range []struct {
		name           string
		notAfter, want time.Time
	}{
		{"a second", noon.Add(time.Second), noon.Add(time.Second)},
		{"part of a second", noon.Add(1900 * time.Millisecond), noon.Add(time.Second)},
		{"a day", noon.Add(24 * time.Hour), noon.Add(24 * time.Hour)},
		{"two days", noon.Add(48 * time.Hour), noon.Add(24 * time.Hour)},
		{"without end", time.Unix(1<<40, 0), noon.Add(24 * time.Hour)},
	} {
		token, got, err := s.Seal(caller(), tt.notAfter)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if !got.Equal(tt.want) {
			t.Errorf("%s: ends %s, want %s", tt.name, got, tt.want)
		}
		if o, err := s.Open(token); err != nil || !o.Expires.Equal(tt.want) {
			t.Errorf("%s: opens until %s (%v), want %s", tt.name, o.Expires, err, tt.want)
		}
	}
	for _, notAfter := range []time.Time{noon, now, noon.Add(-time.Hour), {}} {
		if _, _, err := s.Seal(caller(), notAfter); !errors.Is(err, tenancy.ErrExpired) {
			t.Errorf("until %s: got %v, want ErrExpired", notAfter, err)
		}
	}
}

func TestTokenEndsOnTheSecond(t *testing.T) {
	token := sealed(t, sealer(t, noon, key(1)), noon.Add(time.Minute))
	end := noon.Add(time.Minute)
	if _, err := sealer(t, end.Add(-time.Nanosecond), key(1)).Open(token); err != nil {
		t.Errorf("right before its end: %v", err)
	}
	for _, now := range []time.Time{end, end.Add(time.Hour)} {
		o, err := sealer(t, now, key(1)).Open(token)
		if !errors.Is(err, tenancy.ErrExpired) || errors.Is(err, tenancy.ErrUnauthenticated) {
			t.Errorf("%s after its end: got %v, want ErrExpired alone", now.Sub(end), err)
		}
		if !cmp.Equal(o, Opened{}) {
			t.Errorf("an expired token says %+v", o)
		}
	}
}

func TestOneProjectPerToken(t *testing.T) {
	s := sealer(t, noon, key(1))
	for name, change := range map[string]func(*tenancy.Identity){
		"no project":      func(id *tenancy.Identity) { id.Grants = nil },
		"two projects":    func(id *tenancy.Identity) { id.Grants[tenancy.ProjectID(strings.Repeat("0", 32))] = tenancy.Grant{} },
		"malformed":       func(id *tenancy.Identity) { id.Grants = map[tenancy.ProjectID]tenancy.Grant{"x": {}} },
		"no subject":      func(id *tenancy.Identity) { id.Subject = "" },
		"no issuer":       func(id *tenancy.Identity) { id.Issuer = "" },
		"unknown role":    func(id *tenancy.Identity) { id.Grants[project] = tenancy.Grant{Roles: []tenancy.Role{"root"}} },
		"too long a name": func(id *tenancy.Identity) { id.Name = strings.Repeat("a", maxToken) },
	} {
		id := caller()
		change(&id)
		if token, _, err := s.Seal(id, noon.Add(time.Hour)); err == nil {
			t.Errorf("%s: sealed %.40s", name, token)
		}
	}
}

func TestEveryBitOfATokenMatters(t *testing.T) {
	s := sealer(t, noon, key(1), key(2))
	token := sealed(t, s, noon.Add(time.Hour))
	box, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, prefix))
	if err != nil {
		t.Fatal(err)
	}
	for i := range box {
		for bit := range 8 {
			changed := bytes.Clone(box)
			changed[i] ^= 1 << bit
			mustRefuse(t, s, prefix+base64.RawURLEncoding.EncodeToString(changed))
		}
	}
	for i := range len(token) {
		for bit := range 8 {
			changed := []byte(token)
			changed[i] ^= 1 << bit
			mustRefuse(t, s, string(changed))
		}
	}
}

func TestTokensOfOtherLengthsAndSpellingsAreRefused(t *testing.T) {
	s := sealer(t, noon, key(1))
	token := sealed(t, s, noon.Add(time.Hour))
	for i := range len(token) {
		mustRefuse(t, s, token[:i])
	}
	for _, other := range []string{
		token + "A", token + "=", token + "==", token + "\n", "\n" + token, token[:20] + "\r\n" + token[20:], " " + token, token + " ",
		strings.ToUpper(token), strings.TrimPrefix(token, prefix), prefix + token, "dmst2." + strings.TrimPrefix(token, prefix),
		token + token, prefix, prefix + strings.Repeat("A", maxToken), "eyJhbGciOiJub25lIn0.e30.",
		token + strings.Repeat("A", maxToken),
	} {
		mustRefuse(t, s, other)
	}
}

func TestSpareBitsOfTheLastLetterMatter(t *testing.T) {
	s := sealer(t, noon, key(1))
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	// Tokens of three lengths in a row cover all cases of padding.
	for extra := range 3 {
		id := caller()
		id.Name = strings.Repeat("x", extra)
		token, _, err := s.Seal(id, noon.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		for _, letter := range alphabet {
			if other := token[:len(token)-1] + string(letter); other != token {
				mustRefuse(t, s, other)
			}
		}
	}
}

func TestKeysCanBeReplaced(t *testing.T) {
	before := sealer(t, noon, key(1))
	during := sealer(t, noon, key(2), key(1))
	after := sealer(t, noon, key(2))
	old, fresh := sealed(t, before, noon.Add(time.Hour)), sealed(t, during, noon.Add(time.Hour))
	if _, err := during.Open(old); err != nil {
		t.Errorf("token of the old key while both are in use: %v", err)
	}
	if _, err := after.Open(fresh); err != nil {
		t.Errorf("token of the new key: %v", err)
	}
	mustRefuse(t, after, old)
	mustRefuse(t, before, fresh)
	impostor := key(1)
	impostor.Secret[0] ^= 1
	mustRefuse(t, sealer(t, noon, impostor), old)
}

func TestTokenIsBoundToItsKeysName(t *testing.T) {
	one, two := key(1), key(2)
	two.Secret = one.Secret
	token := sealed(t, sealer(t, noon, one), noon.Add(time.Hour))
	box, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, prefix))
	if err != nil {
		t.Fatal(err)
	}
	box[0] = two.ID
	mustRefuse(t, sealer(t, noon, two), prefix+base64.RawURLEncoding.EncodeToString(box))
}

func TestAuthenticClaimsAreStillChecked(t *testing.T) {
	s := sealer(t, noon, key(1))
	end := noon.Add(time.Hour).Unix()
	for name, plain := range map[string]string{
		"not JSON":                    "x",
		"empty":                       "",
		"no project":                  fmt.Sprintf(`{"iss":"i","sub":"s","rol":[],"iat":%d,"exp":%d}`, noon.Unix(), end),
		"other claims":                fmt.Sprintf(`{"iss":"i","sub":"s","prj":%q,"rol":[],"iat":%d,"exp":%d,"admin":true}`, project, noon.Unix(), end),
		"other role":                  fmt.Sprintf(`{"iss":"i","sub":"s","prj":%q,"rol":["root"],"iat":%d,"exp":%d}`, project, noon.Unix(), end),
		"no subject":                  fmt.Sprintf(`{"iss":"i","prj":%q,"rol":[],"iat":%d,"exp":%d}`, project, noon.Unix(), end),
		"unscoped, but for a project": fmt.Sprintf(`{"iss":"i","sub":"s","uns":true,"prj":%q,"iat":%d,"exp":%d}`, project, noon.Unix(), end),
		"unscoped, but with roles":    fmt.Sprintf(`{"iss":"i","sub":"s","uns":true,"rol":["viewer"],"iat":%d,"exp":%d}`, noon.Unix(), end),
		"offers beside a project":     fmt.Sprintf(`{"iss":"i","sub":"s","prj":%q,"off":[{"p":%q,"r":[]}],"iat":%d,"exp":%d}`, project, project, noon.Unix(), end),
		"an offer without a project":  fmt.Sprintf(`{"iss":"i","sub":"s","uns":true,"off":[{"p":"","r":[]}],"iat":%d,"exp":%d}`, noon.Unix(), end),
		"an offer twice":              fmt.Sprintf(`{"iss":"i","sub":"s","uns":true,"off":[{"p":%q,"r":[]},{"p":%q,"r":[]}],"iat":%d,"exp":%d}`, project, project, noon.Unix(), end),
		"a queue's other permission":  fmt.Sprintf(`{"iss":"i","sub":"s","prj":%q,"que":{"q":["operate"]},"iat":%d,"exp":%d}`, project, noon.Unix(), end),
		"too long":                    fmt.Sprintf(`{"iss":"i","sub":"s","prj":%q,"rol":[],"iat":%d,"exp":%d}`, project, noon.Unix(), noon.Add(25*time.Hour).Unix()),
		"no end":                      fmt.Sprintf(`{"iss":"i","sub":"s","prj":%q,"rol":[],"iat":%d}`, project, noon.Unix()),
		"other bind":                  fmt.Sprintf(`{"iss":"i","sub":"s","prj":%q,"rol":[],"x5t":"x","iat":%d,"exp":%d}`, project, noon.Unix(), end),
	} {
		t.Run(name, func(t *testing.T) {
			box := s.boxes.Append(nil, []byte(plain), []byte(prefix))
			mustRefuse(t, s, prefix+base64.RawURLEncoding.EncodeToString(box))
		})
	}
}

func TestEveryTokenIsDifferent(t *testing.T) {
	s := sealer(t, noon, key(1))
	if a, b := sealed(t, s, noon.Add(time.Hour)), sealed(t, s, noon.Add(time.Hour)); a == b {
		t.Error("two tokens of one caller are equal")
	}
}

func TestNewRefusesBadKeys(t *testing.T) {
	for name, keys := range map[string][]seal.Key{
		"none": nil, "zero": {{ID: 1}}, "id twice": {key(1), key(1)},
	} {
		if _, err := New(keys, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestIsTellsSealedTokensFromOthers(t *testing.T) {
	if !Is(sealed(t, sealer(t, noon, key(1)), noon.Add(time.Hour))) {
		t.Error("a sealed token is not taken for one")
	}
	for _, other := range []string{"", "eyJhbGciOiJFUzI1NiJ9.e30.x", "dmst1", "DMST1.x"} {
		if Is(other) {
			t.Errorf("%q is taken for a sealed token", other)
		}
	}
}

func FuzzOpen(f *testing.F) {
	// Nothing in the corpus is sealed with the key that opens: nothing may be accepted.
	foreign := key(1)
	foreign.Secret[0] ^= 1
	other := sealed(f, sealer(f, noon, foreign), noon.Add(time.Hour))
	f.Add(other)
	f.Add(other[:len(other)-1])
	f.Add(prefix)
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	s := sealer(f, noon, key(1))
	f.Fuzz(func(t *testing.T, token string) { mustRefuse(t, s, token) })
}
