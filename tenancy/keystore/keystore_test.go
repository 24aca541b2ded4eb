package keystore

import (
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dms/deploy/engine/enginetest"
	"dms/mapping/dms"
	"dms/tenancy"
	"dms/tenancy/accesskey"
)

func mustCreate(t *testing.T, s *Store, p tenancy.Project, n tenancy.NewAccessKey) (tenancy.AccessKey, accesskey.Secret) {
	t.Helper()
	k, secret, err := s.Create(t.Context(), p, manager(p.ID), n)
	if err != nil {
		t.Fatal(err)
	}
	return k, secret
}

// opens reports whether the key with the secret is accepted on a node.
func opens(t *testing.T, s *Store, now func() time.Time, id string, secret accesskey.Secret) (tenancy.Identity, bool) {
	t.Helper()
	v, err := accesskey.NewVerifier(accesskey.Options{Keys: s, Now: now, Used: s.Used})
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := v.VerifySecret(id, string(secret), "192.0.2.1")
	return got, err == nil
}

func isCode(err error, code dms.Code) bool {
	e, ok := errors.AsType[*dms.Error](err)
	return ok && e.Code == code
}

func TestAKeyLivesOnEveryNodeUntilItIsDeleted(t *testing.T) {
	s := newService()
	one, two := s.open(t, 0, nil), s.open(t, 1, nil)
	p := tenancy.Project{ID: enginetest.NewProject().ID, Name: "shop"}
	made, secret := mustCreate(t, one, p, tenancy.NewAccessKey{Description: "billing", KeyScope: tenancy.KeyScope{Roles: []tenancy.Role{tenancy.Producer}}})
	if !regexp.MustCompile(`^[A-Z0-9]{20}$`).MatchString(made.ID) || !regexp.MustCompile(`^[A-Za-z0-9]{40}$`).MatchString(string(secret)) {
		t.Errorf("the key is %q with a secret of %d characters", made.ID, len(secret))
	}
	want := tenancy.AccessKey{
		ID: made.ID, Project: p.ID, Description: "billing", Created: made.Created, CreatedBy: "alice",
		KeyScope: tenancy.KeyScope{Roles: []tenancy.Role{tenancy.Producer}},
	}
	if diff := cmp.Diff(want, made); diff != "" || time.Since(made.Created).Abs() > time.Minute {
		t.Errorf("the key at %s (-want +got):\n%s", made.Created, diff)
	}
	if _, ok := opens(t, one, s.now, made.ID, secret); !ok {
		t.Error("the node that made the key refuses it")
	}
	// The list is true at once, whatever the other node has heard by itself.
	list, err := two.List(t.Context(), p.ID)
	if err != nil || len(list) != 1 || list[0].ID != made.ID {
		t.Fatalf("the other node lists %+v, %v", list, err)
	}
	id, ok := opens(t, two, s.now, made.ID, secret)
	if grant := id.Grants[p.ID]; !ok || len(id.Grants) != 1 || grant.Name != "shop" || !cmp.Equal(grant.Roles, made.Roles) {
		t.Errorf("the other node: %t, %+v", ok, id)
	}
	if err := two.Delete(t.Context(), p.ID, made.ID); err != nil {
		t.Fatal(err)
	}
	if _, ok := opens(t, two, s.now, made.ID, secret); ok {
		t.Error("the node that deleted the key accepts it")
	}
	deleted := time.Now()
	enginetest.Wait(t, func() string {
		if _, ok := opens(t, one, s.now, made.ID, secret); ok {
			return "the other node accepts the deleted key"
		}
		return ""
	})
	t.Logf("the other node refused the deleted key after %s", time.Since(deleted).Round(10*time.Millisecond))
	for _, store := range []*Store{one, two} {
		if err := store.Delete(t.Context(), p.ID, made.ID); !isCode(err, dms.AccessKeyNotFound) {
			t.Errorf("deleting it again: %v", err)
		}
	}
}

func TestANewKeyAndANewSecretWorkEverywhereAtOnce(t *testing.T) {
	s := newService()
	one, two := s.open(t, 0, nil), s.open(t, 1, nil)
	v, err := accesskey.NewVerifier(accesskey.Options{Keys: two, Now: s.now, Fresh: two.Fresh})
	if err != nil {
		t.Fatal(err)
	}
	p := enginetest.NewProject()
	for range 5 {
		k, secret := mustCreate(t, one, p, roles(tenancy.Viewer))
		for range 10 { // more often than wrong secrets lock a key
			if _, _, err := v.VerifySecret(k.ID, string(secret), "192.0.2.1"); err != nil {
				t.Fatalf("the other node, right after the key was made: %v", err)
			}
			if _, secret, err = one.Rotate(t.Context(), p.ID, k.ID, manager(p.ID), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Those who wait share the questions, and nobody waits for ever.
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(two.Fresh)
	}
	wg.Wait()
	two.Close()
	two.Fresh()
}

func TestKeysOfAnotherProjectDoNotExist(t *testing.T) {
	s := newService()
	store := s.open(t, 0, nil)
	p, other := enginetest.NewProject(), enginetest.NewProject()
	k, secret := mustCreate(t, store, p, roles(tenancy.Viewer))
	text := "mine"
	_, change := store.Change(t.Context(), other.ID, k.ID, manager(other.ID), tenancy.KeyChange{Description: &text})
	_, _, rotate := store.Rotate(t.Context(), other.ID, k.ID, manager(other.ID), 0)
	for what, err := range map[string]error{"change": change, "rotate": rotate, "delete": store.Delete(t.Context(), other.ID, k.ID)} {
		if !isCode(err, dms.AccessKeyNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, id := range []string{"", "x", "*", ">", k.ID + "x", "k." + k.ID[2:], strings.Repeat("a", 20), strings.Repeat(".", 20), strings.Repeat(">", 20)} {
		if err := store.Delete(t.Context(), p.ID, id); !isCode(err, dms.AccessKeyNotFound) {
			t.Errorf("delete %q: %v", id, err)
		}
	}
	if list, err := store.List(t.Context(), other.ID); err != nil || len(list) != 0 {
		t.Errorf("the other project lists %v, %v", list, err)
	}
	if _, ok := opens(t, store, s.now, k.ID, secret); !ok {
		t.Error("the key was harmed")
	}
}

func TestRotationLeavesTheFormerSecretForItsOverlap(t *testing.T) {
	s := newService()
	one, two := s.open(t, 0, nil), s.open(t, 1, nil)
	p := enginetest.NewProject()
	k, first := mustCreate(t, one, p, roles(tenancy.Viewer))
	rotate := func(overlap time.Duration) accesskey.Secret {
		t.Helper()
		got, secret, err := two.Rotate(t.Context(), p.ID, k.ID, manager(p.ID), overlap)
		if err != nil {
			t.Fatal(err)
		}
		if overlap > 0 && got.OverlapEnd.Sub(got.Rotated) != overlap || overlap == 0 && !got.OverlapEnd.IsZero() {
			t.Errorf("rotated at %s, overlap until %s, want %s", got.Rotated, got.OverlapEnd, overlap)
		}
		mustScan(t, one)
		return secret
	}
	check := func(what string, want map[accesskey.Secret]bool) {
		t.Helper()
		for secret, ok := range want {
			for i, store := range []*Store{one, two} {
				if _, got := opens(t, store, s.now, k.ID, secret); got != ok {
					t.Errorf("%s: node %d accepts a secret: %t, want %t", what, i, got, ok)
				}
			}
		}
	}
	second := rotate(time.Hour)
	check("within the overlap", map[accesskey.Secret]bool{first: true, second: true})
	s.pass(time.Hour)
	check("after the overlap", map[accesskey.Secret]bool{first: false, second: true})
	third := rotate(time.Hour)
	check("after another", map[accesskey.Secret]bool{first: false, second: true, third: true})
	fourth := rotate(0)
	check("without overlap", map[accesskey.Secret]bool{first: false, second: false, third: false, fourth: true})
	for _, overlap := range []time.Duration{-1, MaxOverlap + 1} {
		if _, _, err := one.Rotate(t.Context(), p.ID, k.ID, manager(p.ID), overlap); !isCode(err, dms.BadManageBody) {
			t.Errorf("an overlap of %s: %v", overlap, err)
		}
	}
}

func TestAKeyGivesNoMoreThanItsMakerHas(t *testing.T) {
	s := newService()
	store := s.open(t, 0, nil)
	p := enginetest.NewProject()
	operator := manager(p.ID)
	operator.Grants[p.ID] = tenancy.Grant{Roles: []tenancy.Role{tenancy.Manager, tenancy.Operator}}
	if _, _, err := store.Create(t.Context(), p, manager(p.ID), roles(tenancy.Operator)); !isCode(err, dms.AccessDenied) {
		t.Errorf("a manager makes an operator's key: %v", err)
	}
	viewer := manager(p.ID)
	viewer.Grants[p.ID] = tenancy.Grant{Roles: []tenancy.Role{tenancy.Viewer}}
	queues := tenancy.NewAccessKey{KeyScope: tenancy.KeyScope{Queues: map[string][]tenancy.Permission{"q": {tenancy.Produce}}}}
	for _, n := range []tenancy.NewAccessKey{roles(tenancy.Producer), queues} {
		if _, _, err := store.Create(t.Context(), p, viewer, n); !isCode(err, dms.AccessDenied) {
			t.Errorf("a viewer makes %+v: %v", n, err)
		}
	}
	k, _, err := store.Create(t.Context(), p, operator, roles(tenancy.Manager, tenancy.Operator))
	if err != nil {
		t.Fatal(err)
	}
	// Nor does anybody get there by way of a key that is there.
	less := tenancy.KeyScope{Roles: []tenancy.Role{tenancy.Viewer}}
	if _, _, err := store.Rotate(t.Context(), p.ID, k.ID, manager(p.ID), 0); !isCode(err, dms.AccessDenied) {
		t.Errorf("a manager gets the secret of an operator's key: %v", err)
	}
	if _, err := store.Change(t.Context(), p.ID, k.ID, manager(p.ID), tenancy.KeyChange{Scope: &less}); !isCode(err, dms.AccessDenied) {
		t.Errorf("a manager changes an operator's key: %v", err)
	}
	small, _ := mustCreate(t, store, p, roles(tenancy.Viewer))
	more := tenancy.KeyScope{Roles: []tenancy.Role{tenancy.Operator}}
	if _, err := store.Change(t.Context(), p.ID, small.ID, manager(p.ID), tenancy.KeyChange{Scope: &more}); !isCode(err, dms.AccessDenied) {
		t.Errorf("a manager makes an operator's key of another: %v", err)
	}
	if err := store.Delete(t.Context(), p.ID, k.ID); err != nil {
		t.Errorf("a manager deletes an operator's key: %v", err)
	}
}

func TestAKeyDoesNotOutliveTheKeyThatMadeIt(t *testing.T) {
	s := newService()
	store := s.open(t, 0, func(o *Options) { o.MaxLife = 48 * time.Hour })
	p := enginetest.NewProject()
	n := roles(tenancy.Manager)
	n.Expires = s.now().Add(time.Hour).UTC().Truncate(time.Second)
	parent, secret := mustCreate(t, store, p, n)
	by, ok := opens(t, store, s.now, parent.ID, secret)
	if !ok {
		t.Fatal("the key is refused")
	}
	child, _, err := store.Create(t.Context(), p, by, roles(tenancy.Viewer))
	if err != nil || !child.Expires.Equal(parent.Expires) || child.CreatedBy != parent.ID {
		t.Errorf("the child: %+v, %v", child, err)
	}
	later := parent.Expires.Add(time.Second)
	long := roles(tenancy.Viewer)
	long.Expires = later
	if _, _, err := store.Create(t.Context(), p, by, long); !isCode(err, dms.BadManageBody) {
		t.Errorf("a child that ends later: %v", err)
	}
	if _, err := store.Change(t.Context(), p.ID, child.ID, by, tenancy.KeyChange{Expires: &later}); !isCode(err, dms.BadManageBody) {
		t.Errorf("a child that is made to end later: %v", err)
	}
	// Whoever is no key is bound by the longest life alone.
	k, _ := mustCreate(t, store, p, roles(tenancy.Viewer))
	if want := k.Created.Add(48 * time.Hour); !k.Expires.Equal(want) {
		t.Errorf("a key without a wish ends at %s, want %s", k.Expires, want)
	}
	if got, err := store.Change(t.Context(), p.ID, k.ID, manager(p.ID), tenancy.KeyChange{Expires: &time.Time{}}); err != nil || got.Expires.IsZero() {
		t.Errorf("a key that shall not end: %+v, %v", got, err)
	}
	s.pass(time.Hour)
	if _, ok := opens(t, store, s.now, parent.ID, secret); ok {
		t.Error("the key outlives its end")
	}
	if _, _, err := store.Create(t.Context(), p, by, roles(tenancy.Viewer)); !isCode(err, dms.AccessDenied) {
		t.Errorf("a key that has ended makes another: %v", err)
	}
}

func TestAProjectHasAHundredKeys(t *testing.T) {
	s := newService()
	nodes := []*Store{s.open(t, 0, nil), s.open(t, 1, nil), s.open(t, 2, nil)}
	p := enginetest.NewProject()
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			for range 40 {
				if _, _, err := nodes[i].Create(t.Context(), p, manager(p.ID), roles(tenancy.Viewer)); err != nil && !isCode(err, dms.TooManyAccessKeys) {
					t.Errorf("node %d: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	// Where two nodes collided at the last place, none may have got it.
	for range 3 {
		if _, _, err := nodes[0].Create(t.Context(), p, manager(p.ID), roles(tenancy.Viewer)); err != nil {
			break
		}
	}
	list, err := nodes[1].List(t.Context(), p.ID)
	if err != nil || len(list) != tenancy.MaxAccessKeys {
		t.Fatalf("there are %d keys, %v, want %d", len(list), err, tenancy.MaxAccessKeys)
	}
	if _, _, err := nodes[2].Create(t.Context(), p, manager(p.ID), roles(tenancy.Viewer)); !isCode(err, dms.TooManyAccessKeys) {
		t.Errorf("one more: %v", err)
	}
	other := enginetest.NewProject()
	mustCreate(t, nodes[2], other, roles(tenancy.Viewer))
	if err := nodes[2].Delete(t.Context(), p.ID, list[0].ID); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, nodes[0], p, roles(tenancy.Viewer))
}

func TestTheKeysOfADeletedProjectGo(t *testing.T) {
	s := newService()
	one, two := s.open(t, 0, nil), s.open(t, 1, nil)
	p, other := enginetest.NewProject(), enginetest.NewProject()
	for range 3 {
		mustCreate(t, one, p, roles(tenancy.Viewer))
	}
	kept, _ := mustCreate(t, one, other, roles(tenancy.Viewer))
	for range 2 {
		if err := two.DeleteAll(t.Context(), p.ID); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := one.List(t.Context(), p.ID); err != nil || len(list) != 0 {
		t.Errorf("left are %+v, %v", list, err)
	}
	if list, err := one.List(t.Context(), other.ID); err != nil || len(list) != 1 || list[0].ID != kept.ID {
		t.Errorf("of another project are left %+v, %v", list, err)
	}
}

func TestConfiguredKeysAreListedAndStay(t *testing.T) {
	s := newService()
	p := enginetest.NewProject()
	configured := accesskey.Key{ID: "CONFIGURED", Secret: "configured-secret-configured", Project: p.ID, ProjectName: "shop", Roles: []tenancy.Role{tenancy.Manager}}
	store := s.open(t, 0, func(o *Options) { o.Configured = []accesskey.Key{configured} })
	if _, ok := opens(t, store, s.now, configured.ID, configured.Secret); !ok {
		t.Error("the configured key is refused")
	}
	k, _ := mustCreate(t, store, p, roles(tenancy.Viewer))
	list, err := store.List(t.Context(), p.ID)
	if err != nil || len(list) != 2 || list[0].ID != configured.ID || !list[0].Configured || list[1].ID != k.ID || list[1].Configured {
		t.Fatalf("the list is %+v, %v", list, err)
	}
	if list[0].LastUsed.IsZero() || !list[1].LastUsed.IsZero() {
		t.Errorf("last uses are %s and %s", list[0].LastUsed, list[1].LastUsed)
	}
	_, _, rotate := store.Rotate(t.Context(), p.ID, configured.ID, manager(p.ID), 0)
	for what, err := range map[string]error{"delete": store.Delete(t.Context(), p.ID, configured.ID), "rotate": rotate} {
		if !isCode(err, dms.AccessKeyFixed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	other := enginetest.NewProject()
	if err := store.Delete(t.Context(), other.ID, configured.ID); !isCode(err, dms.AccessKeyNotFound) {
		t.Errorf("another project learns of the configured key: %v", err)
	}
}
