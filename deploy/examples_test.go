package deploy

import (
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dms/tenancy"
	"dms/tenancy/certtest"
	"dms/tenancy/claims"
	"dms/tenancy/oidc/oidctest"

	"github.com/google/go-cmp/cmp"
)

const (
	shop    tenancy.ProjectID = "8f14e45fceea167a5a36dedd4bea2543"
	billing tenancy.ProjectID = "c9f0f895fb98ab9159f51fd0297e236d"
)

// exampleClaims are real claims of the provider, with changes; nil removes one.
func exampleClaims(t *testing.T, name string, changes map[string]any) map[string]any {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "claims", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

type (
	projectGrants = map[tenancy.ProjectID]tenancy.Grant
	changedClaims = map[string]any
)

func TestExamplesOfIdentityProviders(t *testing.T) {
	namespace := func(name, account string) map[string]any {
		return map[string]any{"namespace": name, "pod": map[string]any{"name": "x"}, "serviceaccount": map[string]any{"name": account}}
	}
	producerConsumer := []tenancy.Role{tenancy.Producer, tenancy.Consumer}
	for name, tt := range map[string]struct {
		want    tenancy.Identity
		others  map[string]changedClaims // whose projects are none
		refused map[string]changedClaims
	}{
		"keycloak": {
			want: tenancy.Identity{Subject: "3f1d1a0c-55a7-4d7c-8b0e-0e6b8a4e7f21", Name: "alice", Grants: projectGrants{
				shop: {Roles: producerConsumer}, billing: {Roles: []tenancy.Role{tenancy.Viewer}},
			}},
			others: map[string]changedClaims{
				"in no group": {"groups": nil}, "in other groups": {"groups": []string{"/dms", "/dms/" + string(shop), "/x/dms/" + string(shop) + "/manager"}},
			},
			refused: map[string]changedClaims{
				"a refresh token": {"typ": "Refresh"}, "of no kind": {"typ": nil}, "address not verified": {"email_verified": false},
				"unknown role": {"groups": []string{"/dms/" + string(shop) + "/admin"}}, "no subject": {"sub": nil},
			},
		},
		"entra": {
			want: tenancy.Identity{Subject: "690222be-ff1a-4d56-abd1-7e4f7d38e474", Name: "alice@example.com", Grants: projectGrants{
				shop: {Roles: []tenancy.Role{tenancy.Manager}}, billing: {Roles: []tenancy.Role{tenancy.Viewer}},
			}},
			others:  map[string]changedClaims{"without roles": {"roles": nil}, "with roles of others": {"roles": []string{"Reports.Read"}}},
			refused: map[string]changedClaims{"another tenant": {"tid": "x"}, "version 1.0": {"ver": "1.0"}, "no object": {"oid": nil}},
		},
		"dex": {
			want: tenancy.Identity{Subject: "CgcyMzQyNzQ5EgZnaXRodWI", Name: "alice@example.com", Grants: projectGrants{
				shop: {Name: "shop", Roles: []tenancy.Role{tenancy.Producer, tenancy.Consumer, tenancy.Manager}},
			}},
			others:  map[string]changedClaims{"in no team": {"groups": nil}, "in other teams": {"groups": []string{"acme:design", "evil:shop"}}},
			refused: map[string]changedClaims{"address not verified": {"email_verified": false}, "without an address": {"email_verified": nil}},
		},
		"kubernetes": {
			want: tenancy.Identity{Subject: "system:serviceaccount:shop:checkout", Name: "checkout", Grants: projectGrants{
				claims.ProjectID("kubernetes/prod/shop"): {Name: "shop", Roles: producerConsumer},
			}},
			refused: map[string]changedClaims{
				"without a pod":     {"kubernetes.io": map[string]any{"namespace": "shop", "serviceaccount": map[string]any{"name": "x"}}},
				"of the system":     {"kubernetes.io": namespace("kube-system", "dms-manager")},
				"of a legacy token": {"kubernetes.io": nil},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Load(filepath.Join("examples", name+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			if len(c.IdentityProviders) != 1 || c.IdentityProviders[0].ID != name {
				t.Fatalf("the example has the providers %+v", c.IdentityProviders)
			}
			p := c.IdentityProviders[0]
			m, err := claims.Compile(p.options().Claims)
			if err != nil {
				t.Fatal(err)
			}
			identify := func(changes changedClaims) (tenancy.Identity, error) {
				c := exampleClaims(t, name, changes)
				if c["iss"] != p.Issuer {
					t.Errorf("the claims are of %v, and the example trusts %s", c["iss"], p.Issuer)
				}
				return m.Identity([]byte(oidctest.JSON(t, c)))
			}
			got, err := identify(nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
			for what, changes := range tt.others {
				if got, err := identify(changes); err != nil || len(got.Grants) != 0 {
					t.Errorf("%s: got %+v, %v, want nobody's projects", what, got, err)
				}
			}
			for what, changes := range tt.refused {
				if got, err := identify(changes); err == nil {
					t.Errorf("%s: accepted as %+v", what, got)
				}
			}
		})
	}
}

func TestEveryExampleIsTested(t *testing.T) {
	files, err := filepath.Glob("examples/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, err := os.Stat(filepath.Join("testdata", "claims", strings.TrimSuffix(filepath.Base(f), ".yaml")+".json")); err != nil {
			t.Errorf("%s has no claims to test it with: %v", f, err)
		}
	}
	if len(files) < 4 {
		t.Errorf("there are %d examples, want at least 4", len(files))
	}
}

// The page shows providers in a form that the configuration takes.
func TestProvidersOnThePageAreTaken(t *testing.T) {
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(page), "<!-- identity provider -->\n```yaml\n")
	block, _, closed := strings.Cut(block, "```")
	if !ok || !closed {
		t.Fatal("the page shows no identity provider")
	}
	c, err := load(t, minimal+block)
	if err != nil {
		t.Fatal(err)
	}
	m, err := claims.Compile(c.IdentityProviders[0].options().Claims)
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.Identity([]byte(`{"sub":"a","email":"alice@example.com","email_verified":true,"groups":["dms/` + string(shop) + `/producer","staff"]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := tenancy.Identity{Subject: "a", Name: "alice@example.com", Grants: projectGrants{shop: {Roles: []tenancy.Role{tenancy.Producer}}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
}

// An issuer whose certificate is from an authority of its own is reached with ca_file
// and not without.
func TestAnIssuerWithItsOwnAuthority(t *testing.T) {
	authority := certtest.NewAuthority(t)
	idp := oidctest.New(t)
	url := serveHTTPS(t, authority, idp.Handler())
	idp.URL = url
	now := time.Now()
	token := idp.Access(t, oidctest.M{"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix()})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	certtest.WriteFile(t, ca, authority.PEM())
	for _, file := range []string{ca, ""} {
		set, err := newProviders([]IdentityProvider{{ID: "a", Issuer: url, Audience: []string{oidctest.Audience}, CAFile: file}}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = set.Verify(t.Context(), token)
		set.Close()
		if (err == nil) != (file == ca) {
			t.Errorf("with ca_file %q: %v", file, err)
		}
	}
	for name, file := range map[string]string{"missing": ca + "x", "no certificate": "../go.mod"} {
		if _, err := newProviders([]IdentityProvider{{ID: "a", Issuer: url, Audience: []string{"dms"}, CAFile: file}}, nil); err == nil || !strings.Contains(err.Error(), "identity provider a: ca_file") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
