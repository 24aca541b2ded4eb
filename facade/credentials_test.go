package facade_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"dms/facade"
	"dms/tenancy"
	"dms/tenancy/oidc"
	"dms/tenancy/oidc/oidctest"
	"dms/tenancy/seal"
	"dms/tenancy/token"
)

// verifiers are the real ones, of an identity provider and of sealed tokens, at noon.
type verifiers struct {
	set    *oidc.Set
	sealer *token.Sealer
}

func (v *verifiers) VerifyToken(ctx context.Context, raw string) (tenancy.Identity, time.Time, error) {
	if token.Is(raw) {
		o, err := v.sealer.Open(raw)
		return o.Identity, o.Expires, err
	}
	return v.set.Verify(ctx, raw)
}

func (v *verifiers) VerifyIDToken(ctx context.Context, provider, raw string) (tenancy.Identity, time.Time, error) {
	return v.set.VerifyIDToken(ctx, provider, raw)
}

func (v *verifiers) Issue(id tenancy.Identity, notAfter time.Time) (string, time.Time, error) {
	return v.sealer.Seal(id, notAfter)
}

// newVerifiers trusts the provider under the name "idp".
func newVerifiers(t *testing.T, p *oidctest.Provider) *verifiers {
	t.Helper()
	v, err := oidc.New(oidc.Options{ID: "idp", Issuer: p.URL, Audience: []string{oidctest.Audience}, Now: oidctest.Noon})
	if err != nil {
		t.Fatal(err)
	}
	set, err := oidc.NewSet(v)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	sealer, err := token.New([]seal.Key{{ID: 1, Secret: [32]byte{1}}}, oidctest.Noon)
	if err != nil {
		t.Fatal(err)
	}
	return &verifiers{set, sealer}
}

// identityBase is below the project that the provider's tokens are for.
const identityBase = "/v2/" + string(oidctest.Project1)

// A stranger learns nothing from the answer to a bad token, and no bad token is taken.
func TestEveryBadTokenHasTheSameAnswer(t *testing.T) {
	p := oidctest.Start(t)
	v := newVerifiers(t, p)
	f := stocked()
	s := serve(t, f, func(o *facade.Options, _ *http.Server) { o.Tokens, o.Exchange = v, v })
	// One answer is checked against the description; the others are equal to it.
	client := s.client
	ask := func(header, value string) answer {
		return s.with(client, "GET", identityBase+"/queues", "", "X-Auth-Token", "", header, value, "X-Request-Id", "the-same-request")
	}
	if got := ask("X-Auth-Token", p.Access(t, nil)); got.status != 200 {
		t.Fatalf("a good token: got %d %s", got.status, got.body)
	}
	want := ask("X-Auth-Token", "not.a.token")
	if want.status != 401 || want.code() != "DMS.10240101" {
		t.Fatalf("a bad token: got %d %s", want.status, want.body)
	}
	before, sent := f.called(), 0
	client = s.plain
	for _, bad := range oidctest.BadTokens(t, p) {
		if !headerValue(bad.Token) {
			continue
		}
		sent++
		for _, header := range [][2]string{{"X-Auth-Token", bad.Token}, {"Authorization", "Bearer " + bad.Token}} {
			got := ask(header[0], header[1])
			if got.status != want.status || got.body != want.body || got.header.Get("WWW-Authenticate") != want.header.Get("WWW-Authenticate") {
				t.Errorf("%s in %s: got %d %s, want %d %s", bad.Name, header[0], got.status, got.body, want.status, want.body)
			}
		}
	}
	if sent < 500 {
		t.Errorf("%d bad tokens were sent, want at least 500", sent)
	}
	if after := f.called(); after != before {
		t.Errorf("bad tokens reached %s", after[len(before):])
	}
}

// headerValue reports whether a token can be sent in a header as it is: clients refuse
// control characters, servers trim blanks and refuse long headers.
func headerValue(token string) bool {
	if token == "" || len(token) > 16<<10+4<<10 || token[0] == ' ' || token[len(token)-1] == ' ' {
		return false
	}
	for i := range len(token) {
		if token[i] < ' ' || token[i] == 0x7f {
			return false
		}
	}
	return true
}
