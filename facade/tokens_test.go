package facade_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"dms/facade"
	"dms/tenancy"

	"github.com/google/go-cmp/cmp"
)

const exchangePath = "/v3.0/OS-AUTH/id-token/tokens"

// exchange returns a service whose identity provider vouches for a caller with grants.
func exchange(grants map[tenancy.ProjectID]tenancy.Grant) *fake {
	return &fake{
		idToken: func(_ context.Context, provider, token string) (tenancy.Identity, time.Time, error) {
			switch {
			case provider != "idp":
				return tenancy.Identity{}, time.Time{}, fmt.Errorf("secret: %w", tenancy.ErrUnauthenticated)
			case token == "old":
				return tenancy.Identity{}, time.Time{}, fmt.Errorf("secret: %w", tenancy.ErrExpired)
			case token == "down":
				return tenancy.Identity{}, time.Time{}, errors.New("secret")
			case token != "good.id.token":
				return tenancy.Identity{}, time.Time{}, fmt.Errorf("secret: %w", tenancy.ErrUnauthenticated)
			}
			return tenancy.Identity{Issuer: "https://idp.test", Subject: "alice", Name: "Alice", Grants: grants}, time.Unix(2_000_000_000, 5000), nil
		},
		issue: func(id tenancy.Identity, notAfter time.Time) (string, time.Time, error) {
			if len(id.Grants) == 0 && id.Offers != nil {
				return fmt.Sprintf("token-of-none, %d offered", len(id.Offers)), notAfter, nil
			}
			if len(id.Grants) != 1 || id.Offers != nil {
				return "", time.Time{}, fmt.Errorf("a token for %d projects", len(id.Grants))
			}
			for p := range id.Grants {
				return "token-of-" + string(p), notAfter.In(time.FixedZone("x", 3600)), nil
			}
			return "", time.Time{}, nil
		},
	}
}

func TestIDTokensAreExchanged(t *testing.T) {
	one := map[tenancy.ProjectID]tenancy.Grant{project: {Name: "shop", Roles: []tenancy.Role{tenancy.Producer}}}
	two := map[tenancy.ProjectID]tenancy.Grant{project: one[project], foreign: {Name: "bank"}}
	same := map[tenancy.ProjectID]tenancy.Grant{project: {Name: "shop"}, foreign: {Name: "shop"}}
	const byID = `{"auth":{"id_token":{"id":"good.id.token\n"},"scope":{"project":{"id":"` + project + `"}}}}` + "\n"
	scope := func(s string) string {
		return `{"auth":{"id_token":{"id":" good.id.token "},"scope":` + s + `}}`
	}
	for name, c := range map[string]struct {
		grants map[tenancy.ProjectID]tenancy.Grant
		body   string
		status int
		want   string // token or error code
	}{
		"by ID":                    {two, byID, 201, "token-of-" + project},
		"by name":                  {two, scope(`{"project":{"name":"bank","domain":{"name":"acme"}}}`), 201, "token-of-" + foreign},
		"by ID and name":           {two, scope(`{"project":{"id":"` + project + `","name":"any"}}`), 201, "token-of-" + project},
		"the only one":             {one, `{"auth":{"id_token":{"id":"good.id.token"}}}`, 201, "token-of-" + project},
		"the only one, null scope": {one, scope(`null`), 201, "token-of-" + project},
		"which of two":             {two, scope(`{"project":{}}`), 400, "DMS.10240009"},
		"two, and none named":      {two, scope(`{}`), 201, "token-of-none, 2 offered"},
		"two, and no scope":        {two, `{"auth":{"id_token":{"id":"good.id.token"}}}`, 201, "token-of-none, 2 offered"},
		"unscoped":                 {one, scope(`"unscoped"`), 201, "token-of-none, 1 offered"},
		"unscoped, as an object":   {one, scope(`{"unscoped":{}}`), 201, "token-of-none, 1 offered"},
		"another word":             {one, scope(`"all"`), 400, "DMS.10240009"},
		"two scopes":               {one, scope(`{"project":{"name":"shop"},"domain":{"name":"acme"}}`), 400, "DMS.10240009"},
		"a name that two have":     {same, scope(`{"project":{"name":"shop"}}`), 400, "DMS.10240009"},
		"none at all":              {nil, scope(`{}`), 401, "DMS.10240104"},
		"not of the project":       {one, scope(`{"project":{"id":"` + foreign + `"}}`), 401, "DMS.10240104"},
		"not of the name":          {one, scope(`{"project":{"name":"bank"}}`), 401, "DMS.10240104"},
		"of a domain":              {one, scope(`{"domain":{"name":"acme"}}`), 201, "token-of-none, 1 offered"},
		"forged":                   {one, `{"auth":{"id_token":{"id":"forged"}}}`, 401, "DMS.10240101"},
		"expired":                  {one, `{"auth":{"id_token":{"id":"old"}}}`, 401, "DMS.10240102"},
		"provider does not answer": {one, `{"auth":{"id_token":{"id":"down"}}}`, 503, "DMS.10250005"},
		"no token":                 {one, `{"auth":{"id_token":{"id":" \n"}}}`, 400, "DMS.10240009"},
		"no JSON":                  {one, `auth`, 400, "DMS.10240009"},
		"unknown member":           {one, `{"auth":{"id_token":{"id":"good.id.token"},"identity":{}}}`, 400, "DMS.10240009"},
	} {
		s := serve(t, exchange(c.grants), nil)
		got := s.do("POST", exchangePath, c.body, "X-Auth-Token", "", "X-Idp-Id", "idp", "Content-Type", "application/json;charset=UTF-8")
		result := got.header.Get("X-Subject-Token")
		if got.status >= 400 {
			result = got.code()
			onlyStrings(t, got.body)
		}
		if got.status != c.status || result != c.want || got.header.Get("X-Request-Id") == "" {
			t.Errorf("%s: got %d %s %s, want %d %s", name, got.status, result, got.body, c.status, c.want)
		}
		if strings.Contains(got.body, "secret") || strings.Contains(s.log.String(), "id.token") || strings.Contains(s.log.String(), "token-of") {
			t.Errorf("%s: a secret is told in %s or %s", name, got.body, s.log)
		}
	}
}

func TestAnExchangedTokenIsDescribed(t *testing.T) {
	f := exchange(map[tenancy.ProjectID]tenancy.Grant{project: {Name: "shop", Roles: []tenancy.Role{tenancy.Producer, tenancy.Viewer}}})
	s := serve(t, f, func(o *facade.Options, _ *http.Server) {
		o.Now = func() time.Time { return time.Unix(1_900_000_000, 0) }
	})
	got := s.do("POST", exchangePath, `{"auth":{"id_token":{"id":"good.id.token"}}}`, "X-Auth-Token", "", "X-Idp-Id", "idp")
	var body map[string]map[string]any
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		t.Fatal(err)
	}
	domain := map[string]any{"id": "default", "name": "Default"}
	entry := func(kind, path string) any {
		return map[string]any{"id": kind, "type": kind, "name": kind, "endpoints": []any{map[string]any{
			"id": kind + "-public", "interface": "public", "region": "local-1", "region_id": "local-1", "url": s.server.URL + path,
		}}}
	}
	want := map[string]map[string]any{"token": {
		"expires_at": "2033-05-18T03:33:20.000005Z",
		"issued_at":  "2030-03-17T17:46:40.000000Z",
		"methods":    []any{"mapped"},
		"user": map[string]any{"id": "alice", "name": "Alice", "domain": domain, "OS-FEDERATION": map[string]any{
			"groups": []any{}, "identity_provider": map[string]any{"id": "idp"}, "protocol": map[string]any{"id": "oidc"},
		}},
		"project": map[string]any{"id": project, "name": "shop", "domain": domain},
		"roles":   []any{map[string]any{"id": "producer", "name": "producer"}, map[string]any{"id": "viewer", "name": "viewer"}},
		"catalog": []any{entry("identity", "/v3"), entry("dms", "/v1.0/"+project), entry("dmsv1", "/v1.0/"+project), entry("dmsv2", "/v2/"+project)},
	}}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Clients parse the time with this form, with or without a fraction.
	if !regexp.MustCompile(`"expires_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"`).MatchString(got.body) {
		t.Errorf("the body is %s", got.body)
	}
}

func TestExchangeForAProjectThatIsNotThere(t *testing.T) {
	f := exchange(map[tenancy.ProjectID]tenancy.Grant{project: {}})
	f.admit = func(context.Context, tenancy.ProjectID, string) (tenancy.Project, error) {
		return tenancy.Project{}, tenancy.ErrNoProject
	}
	s := serve(t, f, nil)
	got := s.do("POST", exchangePath, `{"auth":{"id_token":{"id":"good.id.token"}}}`, "X-Auth-Token", "", "X-Idp-Id", "idp")
	if got.status != 401 || got.code() != "DMS.10240104" || got.header.Get("X-Subject-Token") != "" {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestWithoutAnExchangeThereIsNoURL(t *testing.T) {
	s := serve(t, &fake{}, func(o *facade.Options, _ *http.Server) { o.Exchange = nil })
	if got := s.do("POST", exchangePath, `{}`); got.status != 404 || got.code() != "DMS.10240406" {
		t.Errorf("got %d %s", got.status, got.body)
	}
}
