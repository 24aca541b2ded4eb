package claims

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"dms/tenancy"
)

const (
	project1 = "0123456789abcdef0123456789abcdef"
	project2 = "fedcba9876543210fedcba9876543210"
)

type grants = map[tenancy.ProjectID]tenancy.Grant

func roles(all ...tenancy.Role) tenancy.Grant { return tenancy.Grant{Roles: all} }

func mustCompile(t testing.TB, e Expressions) *Mapping {
	t.Helper()
	m, err := Compile(e)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestDefaultExpressions(t *testing.T) {
	m := mustCompile(t, Expressions{})
	for name, tt := range map[string]struct {
		claims string
		want   tenancy.Identity
	}{
		"nothing but a subject": {`{"sub":"a"}`, tenancy.Identity{Subject: "a", Grants: grants{}}},
		"a name":                {`{"sub":"a","name":"A","preferred_username":"b"}`, tenancy.Identity{Subject: "a", Name: "A", Grants: grants{}}},
		"a user name":           {`{"sub":"a","preferred_username":"b"}`, tenancy.Identity{Subject: "a", Name: "b", Grants: grants{}}},
		"an empty name":         {`{"sub":"a","name":"","preferred_username":"b"}`, tenancy.Identity{Subject: "a", Name: "b", Grants: grants{}}},
		"a list": {`{"sub":"a","dms_projects":[{"id":"` + project1 + `","name":"one","roles":["viewer","producer"]},{"roles":[],"id":"` + project2 + `"}]}`,
			tenancy.Identity{Subject: "a", Grants: grants{project1: {Name: "one", Roles: []tenancy.Role{tenancy.Viewer, tenancy.Producer}}, project2: {}}}},
		"a map": {`{"sub":"a","dms_projects":{"` + project1 + `":["consumer"],"` + project2 + `":["operator"]}}`,
			tenancy.Identity{Subject: "a", Grants: grants{project1: roles(tenancy.Consumer), project2: roles(tenancy.Operator)}}},
		"a project without roles": {`{"sub":"a","dms_projects":[{"id":"` + project1 + `"}]}`, tenancy.Identity{Subject: "a", Grants: grants{project1: {}}}},
		"a project twice": {`{"sub":"a","dms_projects":[{"id":"` + project1 + `","roles":["viewer"]},{"id":"` + project1 + `","name":"x","roles":["consumer","viewer"]}]}`,
			tenancy.Identity{Subject: "a", Grants: grants{project1: {Name: "x", Roles: []tenancy.Role{tenancy.Viewer, tenancy.Consumer}}}}},
	} {
		got, err := m.Identity([]byte(tt.claims))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestProjectsAndRolesOfOtherShapes(t *testing.T) {
	const groups = `{"sub":"a","n":3,"f":1.5,"groups":["dms/` + project1 + `/producer","dms/` + project1 + `/consumer","other","dms/` + project2 + `/viewer"],"ids":["` + project1 + `"],"roles":["viewer"],"tid":"01234567-89ab-cdef-0123-456789abcdef"}`
	for name, tt := range map[string]struct {
		e    Expressions
		want grants
	}{
		"groups with a path": {Expressions{Projects: `claims.groups.filter(g, g.startsWith("dms/")).map(g, g.split("/")).map(p, {"id": p[1], "roles": [p[2]]})`},
			grants{project1: roles(tenancy.Producer, tenancy.Consumer), project2: roles(tenancy.Viewer)}},
		"ids and roles apart": {Expressions{Projects: `claims.ids`, Roles: `claims.roles`}, grants{project1: roles(tenancy.Viewer)}},
		"one fixed project":   {Expressions{Projects: `["` + project2 + `"]`, Roles: `["manager"]`}, grants{project2: roles(tenancy.Manager)}},
		"a fixed map":         {Expressions{Projects: `{"` + project2 + `": ["manager", "operator"]}`}, grants{project2: roles(tenancy.Manager, tenancy.Operator)}},
		"a UUID":              {Expressions{Projects: `[claims.tid.replace("-", "")]`}, grants{project1: {}}},
		"a derived id":        {Expressions{Projects: `[projectID("k8s/" + claims.sub)]`}, grants{ProjectID("k8s/a"): {}}},
		"a comprehension":     {Expressions{Projects: `claims.ids.transformMapEntry(i, id, {id: ["viewer"]})`}, grants{project1: roles(tenancy.Viewer)}},
		"whole numbers":       {Expressions{Projects: `claims.n == 3 && claims.f < claims.n && type(claims.n) == int ? claims.ids : []`}, grants{project1: {}}},
		"common roles beside own": {Expressions{Projects: `[dyn("` + project1 + `"), dyn({"id": "` + project2 + `", "roles": ["viewer"]})]`, Roles: `["consumer"]`},
			grants{project1: roles(tenancy.Consumer), project2: roles(tenancy.Viewer)}},
		"roles that nobody needs": {Expressions{Projects: `{"` + project1 + `": ["viewer"]}`, Roles: `claims.missing`}, grants{project1: roles(tenancy.Viewer)}},
	} {
		id, err := mustCompile(t, tt.e).Identity([]byte(groups))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, id.Grants); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestCompileSaysWhatIsWrongAndWhere(t *testing.T) {
	for name, tt := range map[string]struct {
		e    Expressions
		want []string
	}{
		"unknown variable":    {Expressions{Subject: `claim.sub`}, []string{"subject: line 1, column 1: ", "'claim'"}},
		"unknown function":    {Expressions{Projects: "claims.groups\n  .fliter(g, true)"}, []string{"projects: line 2, column ", "fliter"}},
		"syntax":              {Expressions{Name: `claims.name +`}, []string{"name: line 1, column 14: "}},
		"a number as subject": {Expressions{Subject: `1`}, []string{"subject: line 1, column 1: results in int, want string"}},
		"a list as name":      {Expressions{Name: `["a"]`}, []string{"name: ", "results in list(string), want string"}},
		"an optional subject": {Expressions{Subject: `claims.?sub`}, []string{"subject: ", "optional_type(dyn), want string"}},
		"projects as text":    {Expressions{Projects: `"x"`}, []string{"projects: ", "results in string"}},
		"projects as numbers": {Expressions{Projects: `[1]`}, []string{"projects: ", "results in list(int)"}},
		"projects to text":    {Expressions{Projects: `{"a": "viewer"}`}, []string{"projects: ", "results in map(string, string)"}},
		"roles as text":       {Expressions{Roles: `"viewer"`}, []string{"roles: ", "want list(string)"}},
		"roles as numbers":    {Expressions{Roles: `[1]`}, []string{"roles: ", "results in list(int)"}},
		"a rule of a claim":   {Expressions{Rules: []Rule{{Expression: `claims.ok`}}}, []string{"rules[0]: ", "results in dyn, want bool"}},
		"an empty rule":       {Expressions{Rules: []Rule{{Expression: `true`}, {}}}, []string{"rules[1]: no expression"}},
		"text and number":     {Expressions{Subject: `"a" + 1`}, []string{"subject: line 1, column 5: ", "no matching overload"}},
		"too long":            {Expressions{Subject: `"` + strings.Repeat("a", maxExpression) + `"`}, []string{"subject: "}},
		"too deep":            {Expressions{Projects: strings.Repeat("[", 1000) + strings.Repeat("]", 1000)}, []string{"projects: "}},
		"too many rules":      {Expressions{Rules: make([]Rule, maxRules+1)}, []string{"rules: "}},
		"a bad pattern":       {Expressions{Rules: []Rule{{Expression: `claims.sub.matches("(")`}}}, []string{"rules[0]: "}},
		"several at once":     {Expressions{Subject: `1`, Name: `x`, Rules: []Rule{{Expression: `2`}}}, []string{"subject: ", "name: ", "rules[0]: "}},
	} {
		_, err := Compile(tt.e)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error is %q, want it to contain %q", name, err, want)
			}
		}
	}
}

func TestIdentityRefusesAndTellsNoClaims(t *testing.T) {
	projects := func(v string) string { return `{"sub":"canary","dms_projects":` + v + `}` }
	one := func(v string) string { return projects(`[{"id":"` + project1 + `","roles":` + v + `}]`) }
	for name, tt := range map[string]struct {
		e      Expressions
		claims string
		want   string
	}{
		"no subject":             {Expressions{}, `{}`, "subject: line 1, column 7: no value"},
		"empty subject":          {Expressions{}, `{"sub":""}`, "no subject"},
		"subject as a number":    {Expressions{}, `{"sub":1}`, "subject: result is not a string"},
		"subject as null":        {Expressions{}, `{"sub":null}`, "subject: result is not a string"},
		"long subject":           {Expressions{}, `{"sub":"` + strings.Repeat("a", 256) + `"}`, "256 bytes"},
		"subject of two lines":   {Expressions{}, `{"sub":"canary\ncanary"}`, "control character"},
		"name as a list":         {Expressions{}, `{"sub":"a","name":["canary"]}`, "name: "},
		"long name":              {Expressions{}, `{"sub":"a","name":"` + strings.Repeat("a", 256) + `"}`, "256 bytes"},
		"projects as text":       {Expressions{}, projects(`"canary"`), "projects: result is neither"},
		"projects null":          {Expressions{}, projects(`null`), "projects: result is neither"},
		"projects as a number":   {Expressions{}, projects(`1`), "projects: result is neither"},
		"a number in the list":   {Expressions{}, projects(`[1]`), "entry 1: neither"},
		"null in the list":       {Expressions{}, projects(`[null]`), "entry 1: neither"},
		"a bad id in the list":   {Expressions{}, projects(`["canary"]`), "malformed project id"},
		"id in upper case":       {Expressions{}, projects(`["` + strings.ToUpper(project1) + `"]`), "malformed project id"},
		"entry without id":       {Expressions{}, projects(`[{"roles":["viewer"]}]`), "malformed project id"},
		"entry with more":        {Expressions{}, projects(`[{"id":"` + project1 + `","canary":true}]`), "none of id, name, roles"},
		"id as a number":         {Expressions{}, projects(`[{"id":1}]`), "not a string"},
		"project name a number":  {Expressions{}, projects(`[{"id":"` + project1 + `","name":1}]`), "not a string"},
		"second entry is bad":    {Expressions{}, projects(`["` + project1 + `","canary"]`), "entry 2: malformed"},
		"roles as text":          {Expressions{}, one(`"viewer"`), "not a list"},
		"roles null":             {Expressions{}, one(`null`), "not a list"},
		"roles as a map":         {Expressions{}, one(`{"viewer":true}`), "not a list"},
		"role null":              {Expressions{}, one(`[null]`), "not a string"},
		"unknown role":           {Expressions{}, one(`["canary"]`), "a role is none of"},
		"role in other case":     {Expressions{}, one(`["Viewer"]`), "a role is none of"},
		"map with a bad id":      {Expressions{}, projects(`{"canary":["viewer"]}`), "malformed project id"},
		"map with text":          {Expressions{}, projects(`{"` + project1 + `":"viewer"}`), "not a list"},
		"map with a bad role":    {Expressions{}, projects(`{"` + project1 + `":["canary"]}`), "a role is none of"},
		"too many projects":      {Expressions{Projects: `lists.range(1001).map(i, projectID(string(i)))`}, `{"sub":"a"}`, "more than 1000"},
		"common roles are bad":   {Expressions{Projects: `["` + project1 + `"]`, Roles: `claims.r`}, `{"sub":"a","r":["canary"]}`, "roles: a role"},
		"common roles missing":   {Expressions{Projects: `["` + project1 + `"]`, Roles: `claims.r`}, `{"sub":"a"}`, "roles: line 1"},
		"a rule is false":        {Expressions{Rules: []Rule{{`claims.sub == "b"`, "only b"}}}, `{"sub":"canary"}`, "rules[0]: only b"},
		"a rule without words":   {Expressions{Rules: []Rule{{`claims.sub == "b"`, ""}}}, `{"sub":"canary"}`, `rules[0]: claims.sub == "b"`},
		"a rule without claim":   {Expressions{Rules: []Rule{{`claims.email_verified == true`, ""}}}, `{"sub":"canary"}`, "rules[0]: line 1, column 7"},
		"a computed key":         {Expressions{Projects: `[{"a": "b"}[claims.sub]]`}, `{"sub":"canary"}`, "projects: line 1"},
		"a conversion":           {Expressions{Projects: `[string(int(claims.sub))]`}, `{"sub":"canary"}`, "projects: line 1"},
		"a pattern of theirs":    {Expressions{Rules: []Rule{{`"x".matches(claims.sub)`, ""}}}, `{"sub":"(canary"}`, "rules[0]"},
		"a number out of range":  {Expressions{}, `{"sub":"a","n":1e999}`, "out of range"},
		"not JSON":               {Expressions{}, `x`, "claims: "},
		"null":                   {Expressions{}, `null`, "not an object"},
		"operator as whole name": {Expressions{}, projects(`{"*":["operator"]}`), "malformed project id"},
	} {
		got, err := mustCompile(t, tt.e).Identity([]byte(tt.claims))
		if err == nil {
			t.Errorf("%s: accepted as %+v", name, got)
			continue
		}
		if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error is %q, want it to contain %q", name, err, tt.want)
		}
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error tells a claim: %v", name, err)
		}
		if !cmp.Equal(got, tenancy.Identity{}) {
			t.Errorf("%s: a refused identity is %+v", name, got)
		}
	}
}

// What an expression may cost is bounded, whatever the claims are.
func TestExpensiveEvaluationsAreGivenUp(t *testing.T) {
	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf("group-%d", i))
	}
	payload, err := json.Marshal(map[string]any{"sub": "a", "groups": many})
	if err != nil {
		t.Fatal(err)
	}
	for name, projects := range map[string]string{
		"nested loops":    `claims.groups.map(a, claims.groups.map(b, claims.groups.exists(c, a + b == c)))[0].map(x, "x")`,
		"growing texts":   `[lists.range(60).map(i, "aaaaaaaaaa").map(s, claims.groups.join(s).replace("a", s).replace("a", s).replace("a", s).replace("a", s)).join(",")]`,
		"ranges":          `lists.range(100000000).map(i, "x")`,
		"search in texts": `claims.groups.filter(g, claims.groups.join(",").matches("(a+)+" + g))`,
	} {
		_, err := mustCompile(t, Expressions{Projects: projects}).Identity(payload)
		if err == nil || !strings.Contains(err.Error(), "projects: ") {
			t.Errorf("%s: got %v, want it given up", name, err)
		}
	}
}

func TestProjectIDIsStable(t *testing.T) {
	// The first half of the SHA-256 of "kubernetes/shop".
	const want = "e558b25e619dd1c51acb75131f295492"
	if got := ProjectID("kubernetes/shop"); got != want {
		t.Errorf("got %s, want %s: projects would lose their data", got, want)
	}
	if _, err := tenancy.ParseProjectID(want); err != nil {
		t.Error(err)
	}
}

func FuzzIdentity(f *testing.F) {
	mappings := []*Mapping{
		mustCompile(f, Expressions{}),
		mustCompile(f, Expressions{
			Subject: `claims.email`, Name: `claims.?name.orValue("")`,
			Projects: `claims.groups.filter(g, g.startsWith("dms/")).map(g, g.split("/")).map(p, {"id": p[1], "roles": [p[2]]})`,
			Rules:    []Rule{{`claims.email_verified == true`, ""}},
		}),
	}
	f.Add([]byte(`{"sub":"a","dms_projects":[{"id":"0123456789abcdef0123456789abcdef","name":"x","roles":["manager"]}]}`))
	f.Add([]byte(`{"sub":"a","dms_projects":{"0123456789abcdef0123456789abcdef":["viewer","operator"]}}`))
	f.Add([]byte(`{"email":"a@b","email_verified":true,"groups":["dms/0123456789abcdef0123456789abcdef/viewer"]}`))
	f.Add([]byte(`{"sub":"a","dms_projects":null}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, m := range mappings {
			id, err := m.Identity(payload)
			if err != nil {
				if !cmp.Equal(id, tenancy.Identity{}) {
					t.Errorf("%q: error and identity %+v", payload, id)
				}
				continue
			}
			if id.Subject == "" || len(id.Subject) > maxText || strings.ContainsFunc(id.Subject+id.Name, unicode.IsControl) {
				t.Errorf("%q: subject %q, name %q", payload, id.Subject, id.Name)
			}
			for project, grant := range id.Grants {
				if _, err := tenancy.ParseProjectID(string(project)); err != nil {
					t.Errorf("%q: %v", payload, err)
				}
				for _, r := range grant.Roles {
					if _, err := tenancy.ParseRole(string(r)); err != nil {
						t.Errorf("%q: %v", payload, err)
					}
				}
			}
		}
	})
}
