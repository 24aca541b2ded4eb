package tenancy

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	projectA = ProjectID("0123456789abcdef0123456789abcdef")
	projectB = ProjectID("f123456789abcdef0123456789abcdef")
)

func permissions() []Permission {
	return []Permission{Observe, Produce, Consume, Manage, Operate, Inspect}
}

func TestRolesAllowWhatTheyAreFor(t *testing.T) {
	for role, want := range map[Role][]Permission{
		Viewer:   {Observe},
		Producer: {Observe, Produce},
		Consumer: {Observe, Consume, Inspect},
		Manager:  {Observe, Produce, Consume, Manage, Inspect},
		Operator: {Operate},
		"":       nil,
		"admin":  nil,
		"VIEWER": nil,
	} {
		var got []Permission
		for _, p := range append(permissions(), 0, Inspect+1) {
			if role.Allows(p) {
				got = append(got, p)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("permissions of %q (-want +got):\n%s", role, d)
		}
	}
}

func TestOnlyTheFiveRolesAreRead(t *testing.T) {
	for _, s := range []string{"viewer", "producer", "consumer", "manager", "operator"} {
		if got, err := ParseRole(s); err != nil || string(got) != s {
			t.Errorf("ParseRole(%q) = %q, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "Viewer", "MANAGER", " viewer", "viewer ", "admin", "viewer,manager"} {
		if got, err := ParseRole(s); err == nil || got != "" {
			t.Errorf("ParseRole(%q) = %q, want it refused", s, got)
		}
	}
}

func TestAnIdentityMayDoWhatItsGrantsSay(t *testing.T) {
	id := Identity{Subject: "ada", Grants: map[ProjectID]Grant{
		projectA: {Roles: []Role{Producer, Consumer}},
		projectB: {Name: "empty"},
	}}
	for name, row := range map[string]struct {
		id      Identity
		project ProjectID
		member  bool
		can     []Permission
	}{
		"its project":               {id, projectA, true, []Permission{Observe, Produce, Consume, Inspect}},
		"a project without roles":   {id, projectB, true, nil},
		"another project":           {id, "0000456789abcdef0123456789abcdef", false, nil},
		"no project":                {id, "", false, nil},
		"nobody":                    {Identity{}, projectA, false, nil},
		"an operator in a project":  {Identity{Grants: map[ProjectID]Grant{projectA: {Roles: []Role{Operator}}}}, projectA, true, []Permission{Operate}},
		"an unknown role and a few": {Identity{Grants: map[ProjectID]Grant{projectA: {Roles: []Role{"root", Viewer}}}}, projectA, true, []Permission{Observe}},
	} {
		if got := row.id.Member(row.project); got != row.member {
			t.Errorf("%s: Member = %t, want %t", name, got, row.member)
		}
		var can []Permission
		for _, p := range permissions() {
			if row.id.Can(p, row.project) {
				can = append(can, p)
			}
		}
		if d := cmp.Diff(row.can, can); d != "" {
			t.Errorf("%s: permissions (-want +got):\n%s", name, d)
		}
	}
}

func TestAScopedIdentityKnowsOneProject(t *testing.T) {
	id := Identity{Issuer: "i", Subject: "ada", Name: "Ada", KeyID: "k", Grants: map[ProjectID]Grant{
		projectA: {Name: "a", Roles: []Role{Manager}},
		projectB: {Name: "b", Roles: []Role{Viewer}},
	}}
	got, ok := id.Scoped(projectB)
	want := Identity{Issuer: "i", Subject: "ada", Name: "Ada", KeyID: "k", Grants: map[ProjectID]Grant{projectB: {Name: "b", Roles: []Role{Viewer}}}}
	if d := cmp.Diff(want, got); !ok || d != "" {
		t.Errorf("scoped: %t (-want +got):\n%s", ok, d)
	}
	if got.Member(projectA) || got.Can(Observe, projectA) {
		t.Error("a scoped identity reaches another project")
	}
	if len(id.Grants) != 2 {
		t.Errorf("scoping took grants from the identity itself: %v", id.Grants)
	}
	if got, ok := got.Scoped(projectA); ok || got.Grants != nil || got.Subject != "" {
		t.Errorf("scoped to a project it is no member of: %+v, %t", got, ok)
	}
}

func TestTheContextCarriesTheCaller(t *testing.T) {
	if id, ok := FromContext(t.Context()); ok || id.Subject != "" {
		t.Errorf("a context without a caller gives %+v", id)
	}
	ctx := NewContext(NewContext(t.Context(), Identity{Subject: "ada"}), Identity{Subject: "bob"})
	child, cancel := context.WithCancel(ctx)
	defer cancel()
	if id, ok := FromContext(child); !ok || id.Subject != "bob" {
		t.Errorf("the caller is %+v, %t, want bob", id, ok)
	}
}
