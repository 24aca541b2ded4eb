package facade_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"dms/facade"
	"dms/mapping/dms"
	"dms/tenancy"
)

func TestCredentials(t *testing.T) {
	f := stocked()
	f.signature = func(r *http.Request, body []byte) (tenancy.Identity, error) {
		if strings.Contains(r.Header.Get("Authorization"), "Signature=good") && string(body) == r.Header.Get("X-Body") {
			return identity(project, tenancy.Manager), nil
		}
		return tenancy.Identity{}, fmt.Errorf("secret detail: %w", tenancy.ErrUnauthenticated)
	}
	s := serve(t, f, nil)
	const name = `{"name":"q"}`
	for what, c := range map[string]struct {
		headers []string
		status  int
		code    string
	}{
		"token":                             {[]string{"X-Auth-Token", "manager"}, 201, ""},
		"token with blanks":                 {[]string{"X-Auth-Token", " manager "}, 201, ""},
		"bearer":                            {[]string{"X-Auth-Token", "", "Authorization", "bearer manager"}, 201, ""},
		"signature":                         {[]string{"X-Auth-Token", "", "Authorization", "SDK-HMAC-SHA256 Access=a, Signature=good", "X-Body", name}, 201, ""},
		"derived signature":                 {[]string{"X-Auth-Token", "", "Authorization", "V11-HMAC-SHA256 Credential=a, Signature=good", "X-Body", name}, 201, ""},
		"token before signature":            {[]string{"X-Auth-Token", "manager", "Authorization", "SDK-HMAC-SHA256 Signature=bad"}, 201, ""},
		"the project in its header":         {[]string{"X-Project-Id", project}, 201, ""},
		"another project in its header":     {[]string{"X-Project-Id", foreign}, 401, "DMS.10240104"},
		"nothing":                           {[]string{"X-Auth-Token", ""}, 401, "DMS.10240103"},
		"basic":                             {[]string{"X-Auth-Token", "", "Authorization", "Basic YTpi"}, 401, "DMS.10240103"},
		"empty bearer":                      {[]string{"X-Auth-Token", "", "Authorization", "Bearer "}, 401, "DMS.10240103"},
		"bad token":                         {[]string{"X-Auth-Token", "nonsense"}, 401, "DMS.10240101"},
		"bad token before a good bearer":    {[]string{"X-Auth-Token", "nonsense", "Authorization", "Bearer manager"}, 401, "DMS.10240101"},
		"bad bearer":                        {[]string{"X-Auth-Token", "", "Authorization", "Bearer nonsense"}, 401, "DMS.10240101"},
		"expired token":                     {[]string{"X-Auth-Token", "expired"}, 401, "DMS.10240102"},
		"token of another project":          {[]string{"X-Auth-Token", "stranger"}, 401, "DMS.10240104"},
		"token of no project":               {[]string{"X-Auth-Token", "nobody"}, 401, "DMS.10240104"},
		"identity provider does not answer": {[]string{"X-Auth-Token", "provider-down"}, 503, "DMS.10250005"},
		"bad signature":                     {[]string{"X-Auth-Token", "", "Authorization", "SDK-HMAC-SHA256 Signature=bad"}, 401, "APIGW.0301"},
		"signature of another body":         {[]string{"X-Auth-Token", "", "Authorization", "SDK-HMAC-SHA256 Signature=good", "X-Body", "other"}, 401, "APIGW.0301"},
	} {
		got := s.do("POST", base+"/queues", name, c.headers...)
		if got.status != c.status || got.code() != c.code {
			t.Errorf("%s: got %d %s, want %d %s", what, got.status, got.body, c.status, c.code)
		}
		if strings.Contains(got.body, "secret") {
			t.Errorf("%s: the answer tells details: %s", what, got.body)
		}
		if got.status == 401 {
			onlyStrings(t, got.body)
		}
	}
	if !strings.Contains(s.log.String(), "secret detail") {
		t.Error("the log does not tell details either")
	}
	if strings.Contains(s.log.String(), "nonsense") {
		t.Error("the log tells a token")
	}
}

func TestCredentialHeadersGivenTwiceAreRefused(t *testing.T) {
	s := serve(t, &fake{}, nil)
	for _, header := range []string{"X-Auth-Token", "Authorization"} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.server.URL+base+"/queues", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header[header] = []string{"manager", "Bearer manager"}
		res, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 401 {
			t.Errorf("two %s: status %d, want 401", header, res.StatusCode)
		}
	}
}

func TestWithoutSignaturesSignedRequestsAreRefused(t *testing.T) {
	s := serve(t, &fake{}, func(o *facade.Options, _ *http.Server) { o.Signatures = nil })
	got := s.do("GET", base+"/queues", "", "X-Auth-Token", "", "Authorization", "SDK-HMAC-SHA256 Access=a")
	if got.status != 401 || got.code() != "APIGW.0301" {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestAdmission(t *testing.T) {
	for what, c := range map[string]struct {
		err    error
		status int
		code   string
	}{
		"no such project":    {fmt.Errorf("look up: %w", tenancy.ErrNoProject), 401, "DMS.10240104"},
		"registry is silent": {errors.New("no quorum"), 503, "DMS.10250005"},
		"it knows better":    {&dms.Error{Code: dms.QuotaExceeded}, 400, "DMS.10240020"},
	} {
		var asked string
		f := stocked()
		f.admit = func(_ context.Context, id tenancy.ProjectID, name string) (tenancy.Project, error) {
			asked = fmt.Sprint(id, " ", name)
			return tenancy.Project{}, c.err
		}
		s := serve(t, f, nil)
		got := s.do("GET", base+"/queues", "")
		if got.status != c.status || got.code() != c.code {
			t.Errorf("%s: got %d %s, want %d %s", what, got.status, got.body, c.status, c.code)
		}
		if asked != project+" shop" {
			t.Errorf("%s: %q was admitted", what, asked)
		}
		if calls := f.called(); calls != "" {
			t.Errorf("%s: the request went on to %s", what, calls)
		}
	}
}

// TestEveryRouteAsksWhoIsCalling drives all routes with every role, without any
// credential and with those of another project.
func TestEveryRouteAsksWhoIsCalling(t *testing.T) {
	f := &fake{workbench: fakeWorkbench{err: &dms.Error{Code: dms.QueueNotFound}}} // nothing exists
	s := serve(t, f, nil)
	permissions := map[string]tenancy.Permission{
		"observe": tenancy.Observe, "produce": tenancy.Produce, "consume": tenancy.Consume, "manage": tenancy.Manage, "inspect": tenancy.Inspect,
	}
	for _, rt := range readRoutes(t) {
		if rt.needs == "public" || rt.needs == "caller" || rt.needs == "operate" { // the last two have tests of their own
			continue
		}
		needs, ok := permissions[rt.needs]
		if !ok {
			t.Fatalf("%s %s needs %q", rt.method, rt.pattern, rt.needs)
		}
		for _, role := range []tenancy.Role{tenancy.Viewer, tenancy.Producer, tenancy.Consumer, tenancy.Manager, tenancy.Operator} {
			got := s.do(rt.method, rt.path(project), rt.body(), "X-Auth-Token", string(role))
			if refused := got.status == 403 && got.code() == "DMS.10240311"; refused == role.Allows(needs) {
				t.Errorf("%s on %s %s: got %d %s", role, rt.method, rt.pattern, got.status, got.body)
			}
		}
		before := f.called()
		for token, code := range map[string]string{"": "DMS.10240103", "stranger": "DMS.10240104"} {
			got := s.do(rt.method, rt.path(project), rt.body(), "X-Auth-Token", token)
			if got.status != 401 || got.code() != code {
				t.Errorf("token %q on %s %s: got %d %s, want 401 %s", token, rt.method, rt.pattern, got.status, got.body, code)
			}
		}
		if got := s.do(rt.method, rt.path(foreign), rt.body()); got.status != 401 || got.code() != "DMS.10240104" {
			t.Errorf("foreign %s %s: got %d %s", rt.method, rt.pattern, got.status, got.body)
		}
		if after := f.called(); after != before {
			t.Errorf("%s %s: refused callers reached %s", rt.method, rt.pattern, strings.TrimPrefix(after, before))
		}
	}
}

// TestChecksComeInOrder lets every check fail that comes after the one in question.
func TestChecksComeInOrder(t *testing.T) {
	s := serve(t, &fake{}, nil)
	const badQuery = "?max_msgs=0"
	for _, c := range []struct{ path, token, code string }{
		{"/v2/x/queues/y/groups/z/messages" + badQuery, "nonsense", "DMS.10240005"},
		{base + "/queues/y/groups/z/messages" + badQuery, "nonsense", "DMS.10240101"},
		{base + "/queues/y/groups/z/messages" + badQuery, "stranger", "DMS.10240104"},
		{base + "/queues/y/groups/z/messages" + badQuery, "producer", "DMS.10240311"},
		{base + "/queues/y/groups/z/messages" + badQuery, "consumer", "DMS.10240015"},
		{queuePath + "/groups/z/messages" + badQuery, "consumer", "DMS.10240016"},
		{groupPath + "/messages" + badQuery, "consumer", "DMS.10240014"},
	} {
		if got := s.do("GET", c.path, "", "X-Auth-Token", c.token); got.code() != c.code {
			t.Errorf("%s as %s: got %d %s, want %s", c.path, c.token, got.status, got.body, c.code)
		}
	}
	long := strings.Repeat(" ", 900_000)
	if got := s.do("POST", base+"/queues/y/messages", long, "X-Auth-Token", "nonsense"); got.code() != "DMS.10240101" {
		t.Errorf("a stranger's long body: got %d %s", got.status, got.body)
	}
	if got := s.do("POST", base+"/queues/y/messages", long); got.code() != "DMS.10240015" {
		t.Errorf("a long body for a bad queue ID: got %d %s", got.status, got.body)
	}
}
