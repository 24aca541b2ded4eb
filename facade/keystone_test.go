package facade_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"dms/facade"
	"dms/tenancy"
	"dms/tenancy/token"

	"github.com/google/go-cmp/cmp"
)

const (
	tokensPath     = "/v3/auth/tokens"
	federationPath = "/v3/OS-FEDERATION/identity_providers/idp/protocols/oidc/auth"
)

// identityService is a service with one access key, one token of ours for no project, and
// the tokens of exchange.
func identityService(offers map[tenancy.ProjectID]tenancy.Grant) *fake {
	f := exchange(offers)
	f.secret = func(id, secret, source string) (tenancy.Identity, time.Time, error) {
		if id != keyID || secret != secret40 || !strings.HasPrefix(source, "127.0.0.1:") {
			return tenancy.Identity{}, time.Time{}, fmt.Errorf("secret detail: %w", tenancy.ErrUnauthenticated)
		}
		caller := identity(project, tenancy.Producer)
		caller.Issuer, caller.Subject, caller.Name, caller.KeyID = "access-key", id, "", id
		return caller, time.Time{}, nil
	}
	return f
}

// keystoneError demands the shape that clients of the identity service read.
func keystoneError(t *testing.T, a answer) {
	t.Helper()
	var e map[string]map[string]any
	if err := json.Unmarshal([]byte(a.body), &e); err != nil || len(e) != 1 || len(e["error"]) != 3 ||
		e["error"]["code"] != float64(a.status) || e["error"]["message"] == "" || e["error"]["title"] != http.StatusText(a.status) {
		t.Errorf("not an error of the identity service: %d %s", a.status, a.body)
	}
	if strings.Contains(a.body, "secret") {
		t.Errorf("the error tells details: %s", a.body)
	}
}

func TestTokensAreIssued(t *testing.T) {
	grants := map[tenancy.ProjectID]tenancy.Grant{project: {Name: "shop", Roles: []tenancy.Role{tenancy.Manager}}}
	f := identityService(grants)
	s := serve(t, f, nil)
	auth := func(identity, scope string) string {
		if scope != "" {
			scope = `,"scope":` + scope
		}
		return `{"auth":{"identity":` + identity + scope + `}}`
	}
	password := `{"methods":["password"],"password":{"user":{"name":"` + keyID + `","password":"` + secret40 + `","domain":{"name":"acme"}}}}`
	byUserID := `{"methods":["password"],"password":{"user":{"id":"` + keyID + `","password":"` + secret40 + `"}}}`
	credential := `{"methods":["application_credential"],"application_credential":{"id":"` + keyID + `","secret":"` + secret40 + `"}}`
	byName := `{"methods":["application_credential"],"application_credential":{"name":"` + keyID + `","secret":"` + secret40 + `","user":{"name":"x","domain":{"id":"d"}}}}`
	byToken := func(token string) string { return `{"methods":["token"],"token":{"id":"` + token + `"}}` }
	byProject := `{"project":{"id":"` + project + `"}}`
	byProjectName := `{"project":{"name":"shop","domain":{"name":"acme"}}}`
	for name, c := range map[string]struct {
		body   string
		status int
		want   string // the token, or nothing
	}{
		"a password":                  {auth(password, ""), 201, "token-of-" + project},
		"a password by id":            {auth(byUserID, byProject), 201, "token-of-" + project},
		"for a project by name":       {auth(password, byProjectName), 201, "token-of-" + project},
		"for the domain":              {auth(password, `{"domain":{"id":"default"}}`), 201, "token-of-none, 1 offered"},
		"for nothing":                 {auth(password, `"unscoped"`), 201, "token-of-none, 1 offered"},
		"a credential":                {auth(credential, ""), 201, "token-of-" + project},
		"a credential by name":        {auth(byName, ""), 201, "token-of-" + project},
		"a token":                     {auth(byToken("producer"), byProject), 201, "token-of-" + project},
		"a token with a blank":        {auth(byToken("producer\\n"), byProject), 201, "token-of-" + project},
		"an unscoped token":           {auth(byToken("unscoped"), byProjectName), 201, "token-of-" + project},
		"an unscoped token, for what": {auth(byToken("unscoped"), ""), 201, "token-of-" + project},

		"for another project":          {auth(password, `{"project":{"id":"`+foreign+`"}}`), 401, ""},
		"for another name":             {auth(password, `{"project":{"name":"bank"}}`), 401, ""},
		"a token for another project":  {auth(byToken("producer"), `{"project":{"id":"`+foreign+`"}}`), 401, ""},
		"an unscoped one, for another": {auth(byToken("unscoped"), `{"project":{"id":"`+foreign+`"}}`), 401, ""},
		"a token of nobody's":          {auth(byToken("nobody"), ""), 401, ""},
		"a wrong password":             {auth(strings.Replace(password, secret40, "wrong", 1), ""), 401, ""},
		"a wrong user":                 {auth(strings.Replace(password, keyID, "WRONG", 1), ""), 401, ""},
		"a forged token":               {auth(byToken("forged"), ""), 401, ""},
		"an expired token":             {auth(byToken("expired"), ""), 401, ""},
		"a provider that is away":      {auth(byToken("provider-down"), ""), 503, ""},
		"no method":                    {auth(`{"methods":[],"token":{"id":"x"}}`, ""), 400, ""},
		"two methods":                  {auth(`{"methods":["token","password"],"token":{"id":"x"}}`, ""), 400, ""},
		"another method":               {auth(`{"methods":["totp"],"token":{"id":"x"}}`, ""), 400, ""},
		"a method without its part":    {auth(`{"methods":["password"],"token":{"id":"x"}}`, ""), 400, ""},
		"a part too many":              {auth(`{"methods":["token"],"token":{"id":"producer"},"password":{"user":{}}}`, ""), 400, ""},
		"two names of the user":        {auth(strings.Replace(password, `"name":"A`, `"id":"B","name":"A`, 1), ""), 400, ""},
		"no password":                  {auth(`{"methods":["password"],"password":{"user":{"name":"x"}}}`, ""), 400, ""},
		"no user":                      {auth(`{"methods":["password"],"password":{"user":{"password":"x"}}}`, ""), 400, ""},
		"an empty token":               {auth(byToken(" "), ""), 400, ""},
		"another scope":                {auth(password, `{"system":{"all":true}}`), 400, ""},
		"no identity":                  {`{"auth":{}}`, 400, ""},
		"no JSON":                      {`auth`, 400, ""},
		"one more member":              {`{"auth":{},"x":1}`, 400, ""},
		"nothing":                      {``, 400, ""},
	} {
		got := s.do("POST", tokensPath, c.body, "X-Auth-Token", "")
		if result := got.header.Get("X-Subject-Token"); got.status != c.status || result != c.want {
			t.Errorf("%s: got %d %q %s, want %d %q", name, got.status, result, got.body, c.status, c.want)
		}
		if got.status >= 400 {
			keystoneError(t, got)
		}
	}
	if log := s.log.String(); strings.Contains(log, secret40) || strings.Contains(log, "token-of") {
		t.Errorf("the log tells a secret: %s", log)
	}
}

func TestAnIssuedTokenSaysWhatItIsFor(t *testing.T) {
	s := serve(t, identityService(nil), func(o *facade.Options, _ *http.Server) {
		o.PublicURL, o.Region, o.Domain = "https://dms.example.com", "eu-de", "acme"
		o.Now = func() time.Time { return time.Unix(1_900_000_000, 0) }
	})
	body := `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"` + keyID + `","password":"` + secret40 + `"}}}}}`
	got := s.do("POST", tokensPath, body, "X-Auth-Token", "")
	entry := func(kind, path string) string {
		return `{"id":"` + kind + `","type":"` + kind + `","name":"` + kind + `","endpoints":[{"id":"` + kind + `-public","interface":"public","region":"eu-de","region_id":"eu-de","url":"https://dms.example.com` + path + `"}]}`
	}
	catalog := `[` + entry("identity", "/v3") + `,` + entry("dms", "/v1.0/"+project) + `,` + entry("dmsv1", "/v1.0/"+project) + `,` + entry("dmsv2", "/v2/"+project) + `]`
	want := `{"token":{"expires_at":"2030-03-18T17:46:40.000000Z","issued_at":"2030-03-17T17:46:40.000000Z","methods":["password"],` +
		`"user":{"id":"` + keyID + `","name":"` + keyID + `","domain":{"id":"default","name":"acme"}},` +
		`"project":{"id":"` + project + `","name":"shop","domain":{"id":"default","name":"acme"}},"roles":[{"id":"producer","name":"producer"}],"catalog":` + catalog + `}}`
	if got.body != want {
		t.Errorf("got  %s\nwant %s", got.body, want)
	}
	if got := s.do("GET", "/v3/auth/catalog", ""); got.body != `{"catalog":`+catalog+`}` {
		t.Errorf("the catalog is %s", got.body)
	}
	if got := s.do("GET", "/v3/auth/catalog", "", "X-Auth-Token", "unscoped"); got.body != `{"catalog":[`+entry("identity", "/v3")+`]}` {
		t.Errorf("the catalog of no project is %s", got.body)
	}
}

func TestIdentityQuestionsAreAnswered(t *testing.T) {
	f := &fake{}
	s := serve(t, f, func(o *facade.Options, _ *http.Server) {
		o.PublicURL = "https://dms.example.com"
		o.ProjectName = func(id tenancy.ProjectID) string { return map[tenancy.ProjectID]string{foreign: "bank"}[id] }
	})
	const links = `"links":{"self":"https://dms.example.com%s","previous":null,"next":null}}`
	shop := `{"id":"` + project + `","name":"shop","domain_id":"default","parent_id":"default","description":"","enabled":true,"is_domain":false}`
	version := `{"id":"v3.6","status":"stable","updated":"2016-04-04T00:00:00Z","media-types":[{"base":"application/json","type":"application/vnd.openstack.identity-v3+json"}],"links":[{"rel":"self","href":"https://dms.example.com/v3/"}]}`
	for _, c := range []struct {
		path, token string
		status      int
		want        string
	}{
		{"/", "", 300, `{"versions":{"values":[` + version + `]}}`},
		{"/v3", "", 200, `{"version":` + version + `}`},
		{"/v3/", "", 200, `{"version":` + version + `}`},
		{"/v3/projects", "manager", 200, `{"projects":[` + shop + `],` + fmt.Sprintf(links, "/v3/projects")},
		{"/v3/projects?name=shop", "manager", 200, `{"projects":[` + shop + `],` + fmt.Sprintf(links, "/v3/projects")},
		{"/v3/projects?name=local-1", "manager", 200, `{"projects":[` + shop + `],` + fmt.Sprintf(links, "/v3/projects")},
		{"/v3/projects?name=other", "manager", 200, `{"projects":[],` + fmt.Sprintf(links, "/v3/projects")},
		{"/v3/projects", "unscoped", 200, `{"projects":[` + shop + `],` + fmt.Sprintf(links, "/v3/projects")},
		{"/v3/projects", "nobody", 200, `{"projects":[],` + fmt.Sprintf(links, "/v3/projects")},
		{"/v3/auth/projects?name=shop", "limited", 200, `{"projects":[` + shop + `],` + fmt.Sprintf(links, "/v3/auth/projects")},
		{"/v3/auth/domains", "manager", 200, `{"domains":[{"id":"default","name":"Default","description":"","enabled":true}],` + fmt.Sprintf(links, "/v3/auth/domains")},
		{"/v3/auth/domains?name=acme", "manager", 200, `{"domains":[{"id":"default","name":"acme","description":"","enabled":true}],` + fmt.Sprintf(links, "/v3/auth/domains")},
		{"/v3/users?name=Alice", "manager", 200, `{"users":[{"id":"alice","name":"Alice","domain_id":"default","enabled":true}],` + fmt.Sprintf(links, "/v3/users")},
		{"/v3/users?name=bob", "manager", 200, `{"users":[],` + fmt.Sprintf(links, "/v3/users")},
	} {
		if got := s.do("GET", c.path, "", "X-Auth-Token", c.token); got.status != c.status || got.body != c.want {
			t.Errorf("%s as %s:\n got %d %s\nwant %d %s", c.path, c.token, got.status, got.body, c.status, c.want)
		}
	}
	// A name that the credential does not carry is looked up, and the id stands in for one
	// that nobody knows.
	if got := s.do("GET", "/v3/projects?name=bank", "", "X-Auth-Token", "nameless"); !strings.Contains(got.body, `"id":"`+foreign+`","name":"bank"`) || strings.Contains(got.body, project) {
		t.Errorf("the nameless project: %s", got.body)
	}
	if got := s.do("GET", "/v3/projects", "", "X-Auth-Token", "nameless"); !strings.Contains(got.body, `"id":"`+project+`","name":"`+project+`"`) {
		t.Errorf("a project without a name: %s", got.body)
	}
	var admitted []string
	f.admit = func(_ context.Context, id tenancy.ProjectID, name string) (tenancy.Project, error) {
		admitted = append(admitted, string(id)+" "+name)
		return tenancy.Project{ID: id}, nil
	}
	for _, id := range []string{project, foreign} {
		s.do("POST", tokensPath, `{"auth":{"identity":{"methods":["token"],"token":{"id":"nameless"}},"scope":{"project":{"id":"`+id+`"}}}}`)
	}
	if !cmp.Equal(admitted, []string{project + " ", foreign + " bank"}) {
		t.Errorf("admitted were %q: an id is no name", admitted)
	}
	for _, path := range []string{"/v3/auth/catalog", "/v3/projects", "/v3/auth/projects", "/v3/auth/domains", "/v3/users", tokensPath} {
		for token, status := range map[string]int{"": 401, "nonsense": 401, "expired": 401, "provider-down": 503} {
			got := s.do("GET", path, "", "X-Auth-Token", token)
			if got.status != status {
				t.Errorf("%s with token %q: %d %s", path, token, got.status, got.body)
			}
			keystoneError(t, got)
		}
		if path == tokensPath {
			continue
		}
		// A signature will do.
		f.signature = func(*http.Request, []byte) (tenancy.Identity, error) { return identity(project, tenancy.Viewer), nil }
		if got := s.do("GET", path, "", "X-Auth-Token", "", "Authorization", "SDK-HMAC-SHA256 Access=a"); got.status != 200 {
			t.Errorf("%s, signed: %d %s", path, got.status, got.body)
		}
		if got := s.do("GET", path+"?name=a&name=b", ""); path != "/v3/auth/catalog" && got.status != 400 {
			t.Errorf("%s with two names: %d %s", path, got.status, got.body)
		}
	}
}

func TestTheHostOfARequestNamesTheService(t *testing.T) {
	s := serve(t, &fake{}, nil)
	for host, want := range map[string]string{
		"dms.example.com:8443": "http://dms.example.com:8443/v3/", "[::1]:80": "http://[::1]:80/v3/",
		`x"y`: "", "a b": "", strings.Repeat("a", 300): "http://localhost/v3/", "a,b": "http://localhost/v3/",
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.server.URL+"/v3", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		res, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var body struct {
			Version struct{ Links []struct{ Href string } }
		}
		err = json.NewDecoder(res.Body).Decode(&body)
		res.Body.Close()
		if want == "" {
			continue // the server itself refuses such a request
		}
		if err != nil || len(body.Version.Links) != 1 || body.Version.Links[0].Href != want {
			t.Errorf("host %q: %+v, %v, want %s", host, body, err, want)
		}
	}
}

func TestTokensAreShownAndRevoked(t *testing.T) {
	var revoked []string
	f := &fake{
		inspect: func(_ context.Context, raw string) (tenancy.Token, error) {
			if raw != "mine" {
				return tenancy.Token{}, fmt.Errorf("secret: %w", tenancy.ErrUnauthenticated)
			}
			id := identity(project, tenancy.Viewer)
			id.TokenID = "token-id"
			return tenancy.Token{Identity: id, Issued: time.Unix(1_900_000_000, 0), Expires: time.Unix(2_000_000_000, 0)}, nil
		},
		revoke: func(_ context.Context, token tenancy.Token, by tenancy.Identity) error {
			revoked = append(revoked, token.Identity.TokenID+" by "+by.Subject)
			return nil
		},
	}
	s := serve(t, f, nil)
	got := s.do("GET", tokensPath, "", "X-Subject-Token", "mine")
	if got.status != 200 || got.header.Get("X-Subject-Token") != "mine" || !strings.Contains(got.body, `"audit_ids":["token-id"]`) ||
		!strings.Contains(got.body, `"issued_at":"2030-03-17T17:46:40.000000Z"`) || !strings.Contains(got.body, "/v1.0/"+project) {
		t.Errorf("shown: %d %v %s", got.status, got.header, got.body)
	}
	for what, c := range map[string]struct {
		subject string
		status  int
	}{"another's": {"theirs", 404}, "none": {"", 400}} {
		for _, method := range []string{"GET", "DELETE"} {
			got := s.do(method, tokensPath, "", "X-Subject-Token", c.subject)
			if got.status != c.status {
				t.Errorf("%s %s: %d %s", method, what, got.status, got.body)
			}
			keystoneError(t, got)
		}
	}
	if got := s.do("DELETE", tokensPath, "", "X-Subject-Token", "mine", "X-Auth-Token", ""); got.status != 401 || revoked != nil {
		t.Errorf("without a caller: %d, revoked %v", got.status, revoked)
	}
	if got := s.do("DELETE", tokensPath, "", "X-Subject-Token", "mine"); got.status != 204 || !cmp.Equal(revoked, []string{"token-id by alice"}) {
		t.Errorf("revoking: %d, revoked %v", got.status, revoked)
	}
	f.revoke = func(context.Context, tenancy.Token, tenancy.Identity) error { return errors.New("secret") }
	if got := s.do("DELETE", tokensPath, "", "X-Subject-Token", "mine"); got.status != 503 {
		t.Errorf("when it cannot be written: %d %s", got.status, got.body)
	}
}

func TestFederatedTokensAreForNoProject(t *testing.T) {
	grants := map[tenancy.ProjectID]tenancy.Grant{project: {Name: "shop"}, foreign: {Name: "bank"}}
	f := exchange(grants)
	s := serve(t, f, nil)
	for _, method := range []string{"GET", "POST"} {
		got := s.do(method, federationPath, "", "X-Auth-Token", "", "Authorization", "Bearer good.id.token")
		if got.status != 201 || got.header.Get("X-Subject-Token") != "token-of-none, 2 offered" ||
			!strings.Contains(got.body, `"methods":["mapped"]`) || strings.Contains(got.body, `"project"`) || strings.Contains(got.body, `"dms"`) {
			t.Errorf("%s: %d %s", method, got.status, got.body)
		}
	}
	for what, c := range map[string]struct {
		path, authorization string
		status              int
	}{
		"no token":         {federationPath, "", 401},
		"basic":            {federationPath, "Basic eDp5", 401},
		"empty":            {federationPath, "Bearer ", 401},
		"forged":           {federationPath, "Bearer forged", 401},
		"expired":          {federationPath, "Bearer old", 401},
		"away":             {federationPath, "Bearer down", 503},
		"another provider": {strings.Replace(federationPath, "/idp/", "/other/", 1), "Bearer good.id.token", 401},
	} {
		got := s.do("POST", c.path, "", "X-Auth-Token", "", "Authorization", c.authorization)
		if got.status != c.status || got.header.Get("X-Subject-Token") != "" {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
		keystoneError(t, got)
	}
	f.issue = func(tenancy.Identity, time.Time) (string, time.Time, error) {
		return "", time.Time{}, fmt.Errorf("seal: %w", token.ErrTooLarge)
	}
	got := s.do("POST", federationPath, "", "X-Auth-Token", "", "Authorization", "Bearer good.id.token")
	if got.status != 400 || !strings.Contains(got.body, "too many projects") {
		t.Errorf("more projects than a token holds: %d %s", got.status, got.body)
	}
}

func TestWithoutSessionsThereAreNoTokens(t *testing.T) {
	s := serve(t, &fake{}, func(o *facade.Options, _ *http.Server) { o.Sessions, o.Exchange = nil, nil })
	for _, c := range [][2]string{{"POST", tokensPath}, {"GET", tokensPath}, {"DELETE", tokensPath}, {"POST", federationPath}} {
		got := s.do(c[0], c[1], `{}`, "X-Subject-Token", "x")
		if got.status != 404 {
			t.Errorf("%s %s: %d %s", c[0], c[1], got.status, got.body)
		}
		keystoneError(t, got)
	}
}
