package tenancy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestAScopeIsRolesOrQueues(t *testing.T) {
	queues := map[string][]Permission{"q": {Produce, Observe}}
	many := make(map[string][]Permission)
	for i := range MaxKeyQueues + 1 {
		many[fmt.Sprint(i)] = []Permission{Observe}
	}
	for name, row := range map[string]struct {
		scope KeyScope
		ok    bool
	}{
		"roles":                 {KeyScope{Roles: []Role{Viewer, Operator}}, true},
		"queues":                {KeyScope{Queues: queues}, true},
		"nothing":               {KeyScope{}, false},
		"both":                  {KeyScope{Roles: []Role{Viewer}, Queues: queues}, false},
		"a role twice":          {KeyScope{Roles: []Role{Viewer, Viewer}}, false},
		"another role":          {KeyScope{Roles: []Role{"root"}}, false},
		"a queue with nothing":  {KeyScope{Queues: map[string][]Permission{"q": nil}}, false},
		"operate on a queue":    {KeyScope{Queues: map[string][]Permission{"q": {Operate}}}, false},
		"no permission at all":  {KeyScope{Queues: map[string][]Permission{"q": {0}}}, false},
		"a permission twice":    {KeyScope{Queues: map[string][]Permission{"q": {Consume, Consume}}}, false},
		"more queues than fit":  {KeyScope{Queues: many}, false},
		"every permission once": {KeyScope{Queues: map[string][]Permission{"q": {Observe, Produce, Consume, Manage}}}, true},
	} {
		if err := row.scope.Validate(); (err == nil) != row.ok {
			t.Errorf("%s: %v, want it accepted: %t", name, err, row.ok)
		}
	}
}

func TestNobodyGivesMoreThanTheyHave(t *testing.T) {
	all := []Role{Viewer, Producer, Consumer, Manager, Operator}
	for _, mine := range all {
		id := Identity{Grants: map[ProjectID]Grant{projectA: {Roles: []Role{mine}}}}
		for _, given := range all {
			want := true
			for p := Observe; p <= Operate; p++ {
				if given.Allows(p) && !mine.Allows(p) {
					want = false
				}
			}
			if got := (KeyScope{Roles: []Role{given}}).Within(id, projectA); got != want {
				t.Errorf("%s gives %s: %t, want %t", mine, given, got, want)
			}
			if (KeyScope{Roles: []Role{given}}).Within(id, projectB) {
				t.Errorf("%s of one project gives %s of another", mine, given)
			}
		}
		for _, p := range []Permission{Observe, Produce, Consume, Manage} {
			if got := (KeyScope{Queues: map[string][]Permission{"q": {p}}}).Within(id, projectA); got != mine.Allows(p) {
				t.Errorf("%s gives %s on a queue: %t, want %t", mine, p, got, mine.Allows(p))
			}
		}
	}
}

func TestPermissionsOnQueuesEndAtTheQueue(t *testing.T) {
	id := Identity{Grants: map[ProjectID]Grant{projectA: {Queues: map[string][]Permission{"q": {Produce}, "r": {Manage}}}}}
	for name, row := range map[string]struct {
		project ProjectID
		queue   string
		want    []Permission
	}{
		"the queue":                {projectA, "q", []Permission{Observe, Produce}},
		"the other queue":          {projectA, "r", []Permission{Observe, Manage}},
		"a queue without any":      {projectA, "s", nil},
		"no queue":                 {projectA, "", nil},
		"the same name, elsewhere": {projectB, "q", nil},
	} {
		var got []Permission
		for _, p := range append(permissions(), 0) {
			if id.CanOn(p, row.project, row.queue) {
				got = append(got, p)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(row.want) {
			t.Errorf("%s: %v, want %v", name, got, row.want)
		}
	}
	for _, p := range permissions() {
		if id.Can(p, projectA) {
			t.Errorf("permissions on queues permit %s in the project", p)
		}
	}
	if !id.Limited(projectA) || id.Limited(projectB) || !id.Member(projectA) {
		t.Error("the identity is not what it should be: limited in its project")
	}
	if (Identity{Grants: map[ProjectID]Grant{projectA: {}}}).Limited(projectA) {
		t.Error("an identity without anything is limited to queues")
	}
}

func TestPermissionsHaveNames(t *testing.T) {
	for _, p := range []Permission{Observe, Produce, Consume, Manage} {
		if got, err := ParseQueuePermission(p.String()); got != p || err != nil {
			t.Errorf("%s is read as %s, %v", p, got, err)
		}
	}
	for _, s := range []string{"", "operate", "Observe", "permission 0", " consume"} {
		if got, err := ParseQueuePermission(s); err == nil {
			t.Errorf("%q is read as %s", s, got)
		}
	}
}

func TestNewKeysAreChecked(t *testing.T) {
	now := time.Unix(1_900_000_000, 0)
	good := NewAccessKey{KeyScope: KeyScope{Roles: []Role{Viewer}}, Description: strings.Repeat("ä", MaxKeyDescription)}
	if err := good.Validate(now); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*NewAccessKey){
		"no scope":         func(k *NewAccessKey) { k.Roles = nil },
		"long description": func(k *NewAccessKey) { k.Description += "x" },
		"ends now":         func(k *NewAccessKey) { k.Expires = now },
		"has ended":        func(k *NewAccessKey) { k.Expires = now.Add(-time.Hour) },
	} {
		k := good
		change(&k)
		if k.Validate(now) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
