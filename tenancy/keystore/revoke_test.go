package keystore

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dms/deploy/engine/enginetest"
	"dms/mapping/dms"
	"dms/tenancy"
	"dms/tenancy/records"
	"dms/tenancy/seal"
)

func TestARevokedTokenIsRevokedOnEveryNode(t *testing.T) {
	s := newService()
	one, two := s.open(t, 0, nil), s.open(t, 1, nil)
	p := enginetest.NewProject()
	id := manager(p.ID)
	id.TokenID = "0198c0de-0000-7000-8000-000000000001"
	child := id
	child.TokenID, child.Origins = "0198c0de-0000-7000-8000-000000000002", []string{"root", id.TokenID, "parent"}
	sibling := id
	sibling.TokenID = "0198c0de-0000-7000-8000-000000000003"
	for _, token := range []tenancy.Identity{id, child, sibling} {
		if got, err := one.Current(token); err != nil || !cmp.Equal(got, token) {
			t.Fatalf("a good token: %+v, %v", got, err)
		}
	}
	if err := one.Revoke(t.Context(), id.TokenID, s.now().Add(time.Hour), id); err != nil {
		t.Fatal(err)
	}
	revoked := time.Now()
	if !one.Revoked(id.TokenID) {
		t.Error("the node that revoked the token does not know it")
	}
	enginetest.Wait(t, func() string {
		if !two.Revoked(id.TokenID) {
			return "the other node does not know that the token is revoked"
		}
		return ""
	})
	t.Logf("the other node refused the token after %s", time.Since(revoked).Round(10*time.Millisecond))
	for i, store := range []*Store{one, two} {
		for _, token := range []tenancy.Identity{id, child} {
			if _, err := store.Current(token); !errors.Is(err, tenancy.ErrUnauthenticated) {
				t.Errorf("node %d: %s of %s: %v", i, token.TokenID, token.Origins, err)
			}
		}
		if _, err := store.Current(sibling); err != nil {
			t.Errorf("node %d: another token of the same caller: %v", i, err)
		}
	}
	two.Close()
	if !s.open(t, 2, nil).Revoked(id.TokenID) {
		t.Error("a node that starts later does not know that the token is revoked")
	}
	// Once the token has ended, nobody needs to remember.
	s.pass(2 * time.Hour)
	mustScan(t, one)
	if one.Revoked(id.TokenID) {
		t.Error("a token that has ended is still remembered")
	}
	if err := one.Revoke(t.Context(), "ended", s.now(), id); err != nil || one.Revoked("ended") {
		t.Errorf("a token that has ended was revoked: %v", err)
	}
}

func TestRevocationsAreBounded(t *testing.T) {
	s := newService()
	store := s.open(t, 0, nil)
	alice, bob := manager(enginetest.NewProject().ID), manager(enginetest.NewProject().ID)
	bob.Subject = "bob"
	store.mu.Lock()
	for i := range maxRevoked - 1 {
		store.mirror.revoked[fmt.Sprint(i)] = revocation{until: s.now().Add(time.Hour), by: alice.Issuer + " " + alice.Subject}
	}
	store.mu.Unlock()
	end := s.now().Add(time.Hour)
	for range 2 { // the second changes nothing
		if err := store.Revoke(t.Context(), "last", end, alice); err != nil {
			t.Errorf("the last one: %v", err)
		}
	}
	if err := store.Revoke(t.Context(), "more", end, alice); !isCode(err, dms.TooManyRequests) {
		t.Errorf("one more: %v", err)
	}
	if err := store.Revoke(t.Context(), "other", end, bob); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	for _, id := range []string{"", "a.b", "*", ">", "a b", strings.Repeat("x", 65), "é"} {
		if err := store.Revoke(t.Context(), id, end, bob); err == nil {
			t.Errorf("token id %q: revoked", id)
		}
	}
}

func TestTokensOfAKeyAreWhatTheKeyIs(t *testing.T) {
	s := newService()
	store := s.open(t, 0, nil)
	p := tenancy.Project{ID: enginetest.NewProject().ID, Name: "shop"}
	k, secret := mustCreate(t, store, p, roles(tenancy.Manager))
	id, ok := opens(t, store, s.now, k.ID, secret)
	if !ok {
		t.Fatal("the key is refused")
	}
	id.TokenID = "token"
	current := func() (tenancy.Identity, error) {
		t.Helper()
		return store.Current(id)
	}
	if got, err := current(); err != nil || !cmp.Equal(got, id) {
		t.Fatalf("at first: %+v, %v", got, err)
	}
	unscoped := id
	unscoped.Offers, unscoped.Grants = id.Grants, nil
	if got, err := store.Current(unscoped); err != nil || !cmp.Equal(got, unscoped) {
		t.Errorf("for no project: %+v, %v", got, err)
	}
	less := tenancy.KeyScope{Roles: []tenancy.Role{tenancy.Viewer}}
	if _, err := store.Change(t.Context(), p.ID, k.ID, manager(p.ID), tenancy.KeyChange{Scope: &less}); err != nil {
		t.Fatal(err)
	}
	if got, err := current(); err != nil || got.Can(tenancy.Manage, p.ID) || !got.Can(tenancy.Observe, p.ID) {
		t.Errorf("after the key lost a role: %+v, %v", got, err)
	}
	stolen := id
	stolen.Grants = map[tenancy.ProjectID]tenancy.Grant{enginetest.NewProject().ID: {Roles: []tenancy.Role{tenancy.Viewer}}}
	if _, err := store.Current(stolen); !errors.Is(err, tenancy.ErrUnauthenticated) {
		t.Errorf("for another project than the key's: %v", err)
	}
	if _, _, err := store.Rotate(t.Context(), p.ID, k.ID, manager(p.ID), time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := current(); err != nil {
		t.Errorf("within the overlap of a rotation: %v", err)
	}
	s.pass(time.Hour)
	if _, err := current(); !errors.Is(err, tenancy.ErrUnauthenticated) {
		t.Errorf("after the overlap: %v", err)
	}
	id.KeyGeneration++
	if _, err := current(); err != nil {
		t.Errorf("of the new secret: %v", err)
	}
	if err := store.Delete(t.Context(), p.ID, k.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := current(); !errors.Is(err, tenancy.ErrUnauthenticated) {
		t.Errorf("after the key was deleted: %v", err)
	}
}

func FuzzEntryOf(f *testing.F) {
	s, err := seal.New([]seal.Key{sealing(1)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"project":"0123456789abcdef0123456789abcdef","roles":["viewer"],"secret":"AQ=="}`))
	f.Add([]byte(`{"queues":{"q":["produce"]}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		// Nothing in the corpus is sealed with the key: nothing may be usable.
		if e := entryOf(s, "A", records.Item{Key: "k.A", Data: append([]byte{}, data...), Revision: 1}); e.unusable == nil {
			t.Errorf("%q is a key: %+v", data, e.rec)
		}
	})
}
