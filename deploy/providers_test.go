package deploy

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"dms/deploy/devidp"
	"dms/tenancy"
	"dms/tenancy/oidc/oidctest"
)

// startDevIDP serves the development identity provider as dms dev does.
func startDevIDP(t *testing.T, project tenancy.ProjectID) *devidp.Provider {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, err := devidp.New(devidp.Options{
		Development: true, Issuer: "http://" + l.Addr().String() + devidp.Path,
		Users: []devidp.User{{Name: "demo", Password: "demo", Projects: []devidp.Membership{{Project: project, Roles: []tenancy.Role{tenancy.Manager}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: p}}
	s.Start()
	t.Cleanup(s.Close)
	return p
}

// Three issuers that have nothing in common are trusted side by side: each for its own
// tokens, by its own expressions, and none for another's.
func TestIssuersSideBySide(t *testing.T) {
	const project = shop
	op := oidctest.StartOP(t, "dms/"+string(project)+"/producer")
	dev := startDevIDP(t, project)
	plain := oidctest.Start(t)
	now := time.Now()
	times := oidctest.M{"iat": now.Unix(), "nbf": nil, "exp": now.Add(time.Hour).Unix()}
	devToken, err := dev.MintAccess("demo", project, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	issuers := []struct {
		provider IdentityProvider
		token    string
		subject  string
		project  tenancy.ProjectID
		role     tenancy.Role
	}{
		{IdentityProvider{ID: "op", Issuer: op.Issuer, Audience: []string{oidctest.Audience}, Claims: ClaimExpressions{
			Projects: `claims.groups.map(g, g.split("/")).map(p, {"id": p[1], "roles": [p[2]]})`,
		}}, op.Token(t), "sid1", project, tenancy.Producer},
		{IdentityProvider{ID: "dev", Issuer: dev.Issuer(), Audience: []string{devidp.Audience}, RequireAccessType: true}, devToken, "demo", project, tenancy.Manager},
		{IdentityProvider{ID: "plain", Issuer: plain.URL, Audience: []string{oidctest.Audience}, Claims: ClaimExpressions{
			Subject: `"plain:" + claims.sub`, Projects: `["` + string(billing) + `"]`, Roles: `["viewer"]`,
		}}, plain.Access(t, times), "plain:alice", billing, tenancy.Viewer},
	}
	var all []IdentityProvider
	for _, i := range issuers {
		all = append(all, i.provider)
	}
	set, err := newProviders(all, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	for _, i := range issuers {
		id, _, err := set.Verify(t.Context(), i.token)
		if err != nil || id.Issuer != i.provider.Issuer || id.Subject != i.subject || !id.Can(tenancy.Observe, i.project) || len(id.Grants) != 1 || id.Grants[i.project].Roles[0] != i.role {
			t.Errorf("%s: got %+v, %v", i.provider.ID, id, err)
		}
		for _, other := range issuers {
			_, _, err := set.VerifyIDToken(t.Context(), other.provider.ID, i.token)
			if own := other.provider.ID == i.provider.ID; own != (err == nil) || !own && !errors.Is(err, tenancy.ErrUnauthenticated) {
				t.Errorf("token of %s in the exchange of %s: %v", i.provider.ID, other.provider.ID, err)
			}
		}
	}
	// One that is down concerns nobody else.
	op.SetDown(true)
	plain.Close()
	if _, _, err := set.Verify(t.Context(), devToken); err != nil {
		t.Errorf("while others are down: %v", err)
	}
	for _, i := range issuers {
		if _, _, err := set.Verify(t.Context(), i.token); err != nil {
			t.Errorf("%s, whose keys are known: %v", i.provider.ID, err)
		}
	}
	// One that claims to be another has the wrong keys.
	forged := plain.Access(t, oidctest.M{"iss": op.Issuer, "iat": now.Unix(), "nbf": nil, "exp": now.Add(time.Hour).Unix()})
	if _, _, err := set.Verify(t.Context(), forged); !errors.Is(err, tenancy.ErrUnauthenticated) {
		t.Errorf("a token that says it is of op: got %v", err)
	}
	if _, err := newProviders(append(all, all[0]), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("an issuer is taken twice")
	}
}
