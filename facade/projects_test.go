package facade_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"dms/facade"
	"dms/tenancy"

	"github.com/google/go-cmp/cmp"
)

const projects = "/admin/v1/projects"

// problem reads an operators' error.
func (a answer) problem() string {
	var p struct {
		Code   string
		Status int
	}
	if json.Unmarshal([]byte(a.body), &p) != nil || p.Status != a.status || a.header.Get("Content-Type") != "application/problem+json" {
		return "not a problem"
	}
	return p.Code
}

func TestOperatorsKeepTheListOfProjects(t *testing.T) {
	f := &fake{}
	s := serve(t, f, nil)
	operator := func(method, path, body string) answer {
		t.Helper()
		return s.do(method, path, body, "X-Auth-Token", "operator")
	}
	for _, step := range []struct {
		method, path, body string
		status             int
		want               string // the answer, or the code of the problem
	}{
		{"GET", projects, "", 200, `{"projects":[]}`},
		{"POST", projects, `{"id":"` + project + `","name":"shop","limits":{"queues":7}}`, 201,
			`{"id":"` + project + `","name":"shop","limits":{"queues":7,"groups_per_queue":3,"stored_bytes":10737418240}}`},
		{"POST", projects, `{"id":"` + project + `"}`, 409, "project_exists"},
		{"GET", projects + "/" + project, "", 200,
			`{"id":"` + project + `","name":"shop","limits":{"queues":7,"groups_per_queue":3,"stored_bytes":10737418240}}`},
		{"PATCH", projects + "/" + project, `{"limits":{"stored_bytes":2097152}}`, 200,
			`{"id":"` + project + `","name":"shop","limits":{"queues":7,"groups_per_queue":3,"stored_bytes":2097152}}`},
		{"PATCH", projects + "/" + project, `{"name":"Größe"}`, 200,
			`{"id":"` + project + `","name":"Größe","limits":{"queues":7,"groups_per_queue":3,"stored_bytes":2097152}}`},
		{"PATCH", projects + "/" + foreign, `{"name":"x"}`, 404, "project_not_found"},
		{"GET", projects + "/" + foreign, "", 404, "project_not_found"},
		{"POST", projects, `{"limits":{"stored_bytes":9007199254740992}}`, 400, "quota_exceeded"},
		{"DELETE", projects + "/" + project, "", 204, ""},
		{"DELETE", projects + "/" + project, "", 204, ""},
		{"GET", projects, "", 200, `{"projects":[]}`},
	} {
		got := operator(step.method, step.path, step.body)
		body := got.body
		if got.status >= 400 {
			body = got.problem()
		}
		if got.status != step.status || body != step.want {
			t.Errorf("%s %s %s: %d %s, want %d %s", step.method, step.path, step.body, got.status, got.body, step.status, step.want)
		}
		if strings.Contains(got.body, "secret") {
			t.Errorf("%s %s: the answer tells details: %s", step.method, step.path, got.body)
		}
	}
	if got := operator("POST", projects, `{}`); got.status != 201 || len(f.All()) != 1 {
		t.Errorf("without an ID: %d %s", got.status, got.body)
	}
}

func TestProjectsAreListedInPages(t *testing.T) {
	f := &fake{}
	for i := range 5 {
		f.tenants = append(f.tenants, tenancy.Project{ID: tenancy.ProjectID(fmt.Sprintf("%032x", i)), Limits: tenancy.DefaultLimits()})
	}
	s := serve(t, f, nil)
	var got []int
	for cursor := ""; ; {
		var list struct {
			Projects []struct{ ID string }
			Next     string
		}
		a := s.do("GET", projects+"?limit=2&cursor="+cursor, "", "X-Auth-Token", "operator")
		if err := json.Unmarshal([]byte(a.body), &list); err != nil || a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		got = append(got, len(list.Projects))
		if cursor = list.Next; cursor == "" {
			break
		}
	}
	if diff := cmp.Diff([]int{2, 2, 1}, got); diff != "" {
		t.Errorf("sizes of pages (-want +got):\n%s", diff)
	}
}

func TestProjectsAreReadStrictly(t *testing.T) {
	f := &fake{tenants: []tenancy.Project{{ID: project, Limits: tenancy.DefaultLimits()}}}
	s := serve(t, f, nil)
	x := strings.Repeat
	for _, c := range []struct{ method, path, body, code string }{
		{"POST", projects, ``, "bad_management_body"},
		{"POST", projects, `[]`, "bad_management_body"},
		{"POST", projects, `{"ID":"` + foreign + `"}`, "bad_management_body"},
		{"POST", projects, `{"name":"a","name":"b"}`, "bad_management_body"},
		{"POST", projects, `{"id":"control"}`, "bad_project_id"},
		{"POST", projects, `{"id":"` + strings.ToUpper(foreign) + `"}`, "bad_project_id"},
		{"POST", projects, `{"id":7}`, "bad_management_body"},
		{"POST", projects, `{"name":"` + x("é", 65) + `"}`, "bad_management_body"},
		{"POST", projects, `{"name":"a\nb"}`, "bad_management_body"},
		{"POST", projects, `{"name":"\u001b[31m"}`, "bad_management_body"},
		{"POST", projects, `{"limits":{"queues":501}}`, "bad_management_body"},
		{"POST", projects, `{"limits":{"queues":-1}}`, "bad_management_body"},
		{"POST", projects, `{"limits":{"queues":1.5}}`, "bad_management_body"},
		{"POST", projects, `{"limits":{"groups_per_queue":0}}`, "bad_management_body"},
		{"POST", projects, `{"limits":{"groups_per_queue":1e300}}`, "bad_management_body"},
		{"POST", projects, `{"limits":{"stored_bytes":1000}}`, "bad_management_body"},
		{"POST", projects, `{"limits":{"stored":1000}}`, "bad_management_body"},
		{"POST", projects, `{"limits":null}`, "bad_management_body"},
		{"POST", projects, `{"created":"2026-01-01T00:00:00Z"}`, "bad_management_body"},
		{"PATCH", projects + "/" + project, `{"id":"` + foreign + `"}`, "bad_management_body"},
		{"PATCH", projects + "/" + project, `{"limits":{"queues":501}}`, "bad_management_body"},
		{"PATCH", projects + "/x", `{}`, "bad_project_id"},
		{"GET", projects + "/control", ``, "bad_project_id"},
		{"DELETE", projects + "/control", ``, "bad_project_id"},
		{"GET", projects + "?limit=201", ``, "bad_url_parameters"},
		{"GET", projects + "?cursor=x", ``, "bad_url_parameters"},
		{"GET", "/admin/v1/audit?limit=0", ``, "bad_url_parameters"},
	} {
		got := s.do(c.method, c.path, c.body, "X-Auth-Token", "operator")
		if got.status != 400 || got.problem() != c.code {
			t.Errorf("%s %s %s: %d %s, want %s", c.method, c.path, c.body, got.status, got.body, c.code)
		}
	}
	if diff := cmp.Diff([]tenancy.Project{{ID: project, Limits: tenancy.DefaultLimits()}}, f.All()); diff != "" {
		t.Errorf("refused requests changed projects (-want +got):\n%s", diff)
	}
}

func TestOnlyOperatorsOperate(t *testing.T) {
	f := &fake{tenants: []tenancy.Project{{ID: project, Limits: tenancy.DefaultLimits()}}}
	s := serve(t, f, nil)
	seen := 0
	for _, rt := range readRoutes(t) {
		if rt.needs != "operate" {
			continue
		}
		seen++
		for token, want := range map[string]string{
			"viewer": "access_denied", "producer": "access_denied", "consumer": "access_denied", "manager": "access_denied",
			"stranger": "access_denied", "nobody": "access_denied", "": "token_missing", "nonsense": "token_invalid", "expired": "token_expired",
		} {
			status := 403
			if strings.HasPrefix(want, "token_") {
				status = 401
			}
			got := s.do(rt.method, rt.path(project), operators(project)[rt.method+" "+rt.path(project)], "X-Auth-Token", token)
			if got.status != status || got.problem() != want {
				t.Errorf("%s %s as %q: %d %s", rt.method, rt.pattern, token, got.status, got.body)
			}
		}
	}
	if seen != 9 || len(f.All()) != 1 {
		t.Errorf("%d routes of operators; the projects are %v", seen, f.All())
	}
}

func TestOperatorsOfABoundProjectNeedABoundToken(t *testing.T) {
	f := &fake{tenants: []tenancy.Project{{ID: project, Limits: tenancy.DefaultLimits(), BoundOnly: true}}}
	f.signature = func(*http.Request, []byte) (tenancy.Identity, error) { return identity(project, tenancy.Operator), nil }
	s := serve(t, f, nil)
	if got := s.do("DELETE", projects+"/"+project, "", "X-Auth-Token", "operator"); got.status != 401 || got.problem() != "token_invalid" {
		t.Errorf("with a token: %d %s", got.status, got.body)
	}
	if got := s.do("DELETE", projects+"/"+project, "", "X-Auth-Token", "", "Authorization", "SDK-HMAC-SHA256 Access=a"); got.status != 401 || got.problem() != "signature_bad" {
		t.Errorf("signed: %d %s", got.status, got.body)
	}
	if len(f.All()) != 1 {
		t.Error("the project is gone")
	}
	f.tenants[0].BoundOnly = false
	if got := s.do("DELETE", projects+"/"+project, "", "X-Auth-Token", "operator"); got.status != 204 {
		t.Errorf("of a project that admits all: %d %s", got.status, got.body)
	}
}

func TestWithoutTenantsThereAreNoOperators(t *testing.T) {
	s := serve(t, &fake{}, func(o *facade.Options, _ *http.Server) { o.Tenants = nil })
	if got := s.do("GET", projects, "", "X-Auth-Token", "operator"); got.status != 404 || got.problem() != "no_such_route" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got := s.with(s.plain, "GET", "/admin/v2/nothing", ""); got.status != 404 || got.problem() != "no_such_route" {
		t.Errorf("an unknown URL: %d %s", got.status, got.body)
	}
}
