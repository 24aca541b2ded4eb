package oidc

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dms/tenancy"
	"dms/tenancy/claims"
	"dms/tenancy/oidc/oidctest"
)

// trustOP makes a verifier for a real provider, at the real time and ahead of it.
func trustOP(t *testing.T, p *oidctest.OP) (*Verifier, *clock) {
	t.Helper()
	c := &clock{at: time.Now()}
	v, err := New(Options{
		ID: "op", Issuer: p.Issuer, Audience: []string{oidctest.Audience}, Now: c.now,
		Claims: claims.Expressions{Projects: `claims.groups.filter(g, g.startsWith("dms/")).map(g, g.split("/")).map(p, {"id": p[1], "roles": [p[2]]})`},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v, c
}

func TestARealProviderThatRotatesItsKeys(t *testing.T) {
	p := oidctest.StartOP(t, "dms/"+string(project1)+"/producer", "dms/"+string(project1)+"/consumer", "staff")
	v, c := trustOP(t, p)
	first := p.Token(t)
	got, _, err := v.Verify(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	// With client credentials the program is the subject.
	want := tenancy.Identity{Issuer: p.Issuer, Subject: p.Subject, Client: p.Subject, Grants: map[tenancy.ProjectID]tenancy.Grant{
		project1: {Roles: []tenancy.Role{tenancy.Producer, tenancy.Consumer}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	p.Rotate(t)
	c.advance(fetchPause)
	second := p.Token(t)
	ok(t, v, second)
	ok(t, v, first) // its key is still published
	p.Withdraw()
	for range 2 {
		p.Rotate(t)
		c.advance(fetchPause)
		ok(t, v, p.Token(t))
	}
	refused(t, v, first, tenancy.ErrUnauthenticated)
	ok(t, v, second)
}

func TestARealProviderThatGoesDownAndComesBack(t *testing.T) {
	p := oidctest.StartOP(t)
	v, c := trustOP(t, p)
	known := p.Token(t)
	ok(t, v, known)
	p.Rotate(t)
	unknown := p.Token(t)
	p.SetDown(true)
	c.advance(fetchPause)
	refused(t, v, unknown, tenancy.ErrUnauthenticated)
	ok(t, v, known)
	p.SetDown(false)
	c.advance(fetchPause)
	ok(t, v, unknown)
}

func TestARealProviderThatIsSlow(t *testing.T) {
	p := oidctest.StartOP(t)
	v, c := trustOP(t, p)
	known := p.Token(t)
	ok(t, v, known)
	p.SetSlow(time.Minute)
	c.advance(time.Minute)
	before := p.Fetches.Load()
	// Known keys wait for nobody: the test would take a minute otherwise.
	for i := range 100 {
		if _, _, err := v.Verify(t.Context(), known); err != nil {
			t.Fatalf("token %d: %v", i, err)
		}
	}
	if got := p.Fetches.Load() - before; got != 0 {
		t.Errorf("%d fetches for a key that is known", got)
	}
}
