package facade_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"dms/facade"
	"dms/mapping/dms"
	"dms/monitor/alarm"
	"dms/tenancy"
	"dms/tenancy/audit"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// operators are the routes of operators with what they take.
func operators(id string) map[string]string {
	return map[string]string{
		"GET /admin/v1/projects": "", "POST /admin/v1/projects": `{"name":"x"}`, "GET /admin/v1/projects/" + id: "",
		"PATCH /admin/v1/projects/" + id: `{"name":"y"}`, "DELETE /admin/v1/projects/" + id: "",
		"GET /admin/v1/audit": "", "GET /admin/v1/audit/verify": "",
		"GET /admin/v1/cluster": "", "DELETE /admin/v1/cluster/members/n3": "",
	}
}

// TestEveryChangeIsRecordedOnce drives every route and expects one record of those that
// change something, one count of those that move messages, and none of the others.
func TestEveryChangeIsRecordedOnce(t *testing.T) {
	f := benched()
	withKey(f)
	f.revoke = func(context.Context, tenancy.Token, tenancy.Identity) error { return nil }
	f.removeTags = func(context.Context, dms.QueueRef, []dms.TagRemoval) (int, error) { return 1, nil }
	f.tenants = []tenancy.Project{{ID: project, Limits: tenancy.DefaultLimits()}}
	m := &monitoring{rule: alarm.Rule{ID: alarmID, Name: "a", Metric: "queued_messages", Comparison: alarm.Above, Severity: alarm.Major}}
	s := serve(t, f, func(o *facade.Options, _ *http.Server) { o.Alarms, o.Metrics, o.Figures = m, m, &figures{} })
	changes, uses := 0, 0
	for _, rt := range readRoutes(t) {
		if rt.needs == "public" || strings.HasSuffix(rt.pattern, "/tags/") {
			continue
		}
		body, token := rt.body(), "manager"
		if rt.needs == "operate" {
			token = "operator"
			body = operators(project)[rt.method+" "+rt.path(project)]
		}
		f.recorded()
		path := rt.path(project)
		if strings.HasSuffix(path, "/events") {
			path += "?seconds=1"
		}
		got := s.do(rt.method, path, body, "X-Auth-Token", token, "X-Request-Id", "request-0001", "X-Subject-Token", "viewer")
		if got.status >= 300 {
			t.Errorf("%s %s: %d %s", rt.method, rt.pattern, got.status, got.body)
			continue
		}
		want := 0
		var kind audit.Kind
		switch {
		case rt.needs == "produce" || rt.needs == "consume" || rt.needs == "inspect":
			want, kind = 1, audit.Use
			uses++
		case (rt.needs == "manage" || rt.needs == "operate" || rt.needs == "caller") && rt.method != "GET":
			want, kind = 1, audit.Change
			changes++
		}
		records := settled(t, f, want)
		if len(records) != want {
			t.Errorf("%s %s: %d records, want %d: %+v", rt.method, rt.pattern, len(records), want, records)
			continue
		}
		for _, r := range records {
			trail := tenancy.ProjectID(project)
			if rt.needs == "operate" {
				trail = audit.Service
			}
			if r.record.Kind != kind || r.trail != trail {
				t.Errorf("%s %s: a record of kind %s in the trail of %s", rt.method, rt.pattern, r.record.Kind, r.trail)
			}
			if kind == audit.Use {
				if looked := map[bool]string{true: queueID}[rt.needs == "inspect"]; r.record.Counts[0].Queue != looked {
					t.Errorf("%s %s: counted for the queue %q, want %q", rt.method, rt.pattern, r.record.Counts[0].Queue, looked)
				}
				continue
			}
			if strings.HasSuffix(rt.pattern, "/queues/delete") && !slices.Contains(r.record.Object.Queues, queueID) {
				t.Errorf("%s %s: the record is about %+v", rt.method, rt.pattern, r.record.Object)
			}
			if r.record.Status != got.status || r.record.Action == "" || r.record.Source != "127.0.0.1" || r.record.RequestID != "request-0001" ||
				r.record.Actor != (audit.Actor{Issuer: "https://idp.test", Subject: "alice"}) || r.record.Time.IsZero() {
				t.Errorf("%s %s: record %+v", rt.method, rt.pattern, r.record)
			}
			if strings.Contains(rt.pattern, "/alarms") && r.record.Object.Alarm != alarmID {
				t.Errorf("%s %s: the record is about %+v", rt.method, rt.pattern, r.record.Object)
			}
			if strings.Contains(rt.pattern, "/access-keys") && r.record.Object.AccessKey != keyID {
				t.Errorf("%s %s: the record is about %+v", rt.method, rt.pattern, r.record.Object)
			}
			if strings.Contains(rt.pattern, "{queue}") && r.record.Object.Queue != queueID {
				t.Errorf("%s %s: the record is about %+v", rt.method, rt.pattern, r.record.Object)
			}
		}
	}
	if changes < 38 || uses < 15 {
		t.Errorf("only %d changes and %d uses were seen", changes, uses)
	}
}

// settled waits until there are as many records as wanted: counts are made after the
// answer.
func settled(t *testing.T, f *fake, want int) []recorded {
	t.Helper()
	var all []recorded
	eventually(t, func() (string, bool) {
		all = append(all, f.recorded()...)
		return fmt.Sprintf("%d records", len(all)), len(all) >= want
	})
	return all
}

func TestARecordTellsWhatWasMade(t *testing.T) {
	f := stocked()
	f.tenants = nil
	withKey(f)
	f.inspect = func(context.Context, string) (tenancy.Token, error) {
		id := identity(foreign, tenancy.Viewer)
		id.TokenID = "token-id"
		return tenancy.Token{Identity: id}, nil
	}
	f.revoke = func(context.Context, tenancy.Token, tenancy.Identity) error { return nil }
	s := serve(t, f, nil)
	for _, row := range []struct {
		method, path, body, token string
		want                      audit.Record
	}{
		{"POST", keysPath, `{"roles":["viewer"],"description":"secret-name"}`, "manager", audit.Record{Action: "createAccessKey", Object: audit.Object{AccessKey: keyID}, Status: 201}},
		{"POST", keysPath + "/" + keyID + "/rotate", "", "manager", audit.Record{Action: "rotateAccessKey", Object: audit.Object{AccessKey: keyID}, Status: 200}},
		{"DELETE", tokensPath, "", "viewer", audit.Record{Action: "revokeToken", Object: audit.Object{Project: foreign, Token: "token-id"}, Status: 204}},
		{"DELETE", tokensPath, "", "unscoped", audit.Record{Action: "revokeToken", Object: audit.Object{Project: foreign, Token: "token-id"}, Status: 204}},
		{"POST", base + "/queues", `{"name":"secret-name"}`, "manager", audit.Record{Action: "createQueue", Object: audit.Object{Queue: queueID}, Status: 201}},
		{"POST", queuePath + "/groups", `{"groups":[{"name":"secret-name"}]}`, "manager", audit.Record{Action: "createGroups", Object: audit.Object{Queue: queueID, Groups: []string{groupID}}, Status: 201}},
		{"DELETE", groupPath, "", "manager", audit.Record{Action: "deleteGroup", Object: audit.Object{Queue: queueID, Groups: []string{groupID}}, Status: 204}},
		{"POST", "/admin/v1/projects", `{"id":"` + foreign + `","name":"secret-name"}`, "operator", audit.Record{Action: "createProject", Object: audit.Object{Project: foreign}, Status: 201}},
		{"DELETE", "/admin/v1/projects/" + foreign, "", "operator", audit.Record{Action: "deleteProject", Object: audit.Object{Project: foreign}, Status: 204}},
	} {
		if got := s.do(row.method, row.path, row.body, "X-Auth-Token", row.token, "X-Subject-Token", "a-secret-token"); got.status != row.want.Status {
			t.Errorf("%s %s: %d %s", row.method, row.path, got.status, got.body)
		}
		records := settled(t, f, 1)
		row.want.Kind, row.want.Source, row.want.Actor = audit.Change, "127.0.0.1", audit.Actor{Issuer: "https://idp.test", Subject: "alice"}
		if diff := cmp.Diff(row.want, records[0].record, cmpopts.IgnoreFields(audit.Record{}, "Time", "RequestID")); diff != "" || len(records) != 1 {
			t.Errorf("%s %s: %d records (-want +got):\n%s", row.method, row.path, len(records), diff)
		}
		if text, err := json.Marshal(records); err != nil || strings.Contains(string(text), "secret") || strings.Contains(string(text), secret40) {
			t.Errorf("%s %s: the record tells a name: %s", row.method, row.path, text)
		}
	}
}

func TestWithoutARecordNothingIsChanged(t *testing.T) {
	f := stocked()
	f.unrecorded = func() error { return errors.New("no quorum") }
	s := serve(t, f, nil)
	for path, body := range map[string]string{base + "/queues": `{"name":"q"}`, tagsPath: `{"tag":{"key":"k"}}`} {
		got := s.do("POST", path, body)
		if got.status != 503 || got.code() != "DMS.10250005" || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if calls := f.called(); calls != "" {
		t.Errorf("unrecorded calls came as far as %s", calls)
	}
	// What moves messages, or only reads, does not wait for records.
	for _, c := range [][2]string{{"GET", base + "/queues"}, {"POST", queuePath + "/messages"}, {"GET", groupPath + "/messages"}, {"POST", groupPath + "/ack"}} {
		if got := s.do(c[0], c[1], (listed{method: c[0], pattern: c[1]}).body()); got.status >= 300 {
			t.Errorf("%s %s: %d %s", c[0], c[1], got.status, got.body)
		}
	}
}

func TestAChangeThatCouldNotBeRecordedIsNoSuccess(t *testing.T) {
	f := stocked()
	asked := 0
	f.unrecorded = func() error { // ready before, gone after
		if asked++; asked > 1 {
			return errors.New("no quorum")
		}
		return nil
	}
	s := serve(t, f, nil)
	got := s.do("POST", base+"/queues", `{"name":"q"}`)
	if got.status != 503 || strings.Contains(got.body, queueID) {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got := f.called(); got != "CreateQueue" {
		t.Errorf("the service was asked for %q", got)
	}
}

func TestAnUncertainChangeIsRecordedAsSuch(t *testing.T) {
	f := stocked()
	f.deleteQueue = func(context.Context, dms.QueueRef) error { return dms.Wrap(dms.Unavailable, errors.New("no answer")) }
	f.createQueue = func(context.Context, tenancy.ProjectID, dms.NewQueue) (dms.Queue, error) { panic("a handler") }
	s := serve(t, f, nil)
	for path, want := range map[string]int{queuePath: 503, base + "/queues": 500} {
		method, body := "DELETE", ""
		if want == 500 {
			method, body = "POST", `{"name":"q"}`
		}
		if got := s.do(method, path, body); got.status != want {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
		if r := settled(t, f, 1)[0].record; r.Kind != audit.Change || r.Status != want {
			t.Errorf("%s: record %+v, want status %d", path, r, want)
		}
	}
}

func TestTheRecordIsWrittenAlthoughTheClientIsGone(t *testing.T) {
	f := stocked()
	ctx, cancel := context.WithCancel(t.Context())
	entered := make(chan struct{})
	f.deleteQueue = func(ctx context.Context, _ dms.QueueRef) error {
		cancel()
		close(entered)
		<-ctx.Done() // until the server has noticed
		return nil
	}
	s := serve(t, f, nil)
	req, err := http.NewRequestWithContext(ctx, "DELETE", s.server.URL+queuePath, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", "manager")
	if res, err := s.plain.Do(req); err == nil {
		res.Body.Close()
	}
	<-entered
	if r := settled(t, f, 1)[0].record; r.Kind != audit.Change || r.Action != "deleteQueue" {
		t.Errorf("record %+v", r)
	}
}

func TestRefusalsGoToTheTrailOfWhomTheyConcern(t *testing.T) {
	f := stocked()
	f.queue = func(context.Context, dms.QueueRef) (dms.Queue, error) {
		return dms.Queue{}, &dms.Error{Code: dms.QueueNotFound}
	}
	s := serve(t, f, nil)
	alice := audit.Actor{Issuer: "https://idp.test", Subject: "alice"}
	for what, row := range map[string]struct {
		method, path, token string
		trail               tenancy.ProjectID
		want                audit.Count
	}{
		"a role":               {"DELETE", queuePath, "viewer", project, audit.Count{Action: "deleteQueue", Actor: alice, Code: "DMS.10240311"}},
		"an unknown queue":     {"GET", queuePath, "viewer", project, audit.Count{Action: "showQueue", Actor: alice, Code: "DMS.10240401"}},
		"a malformed queue":    {"GET", base + "/queues/x", "viewer", project, audit.Count{Action: "showQueue", Actor: alice, Code: "DMS.10240015"}},
		"no token":             {"GET", queuePath, "", audit.Service, audit.Count{Action: "showQueue", Code: "DMS.10240103", Target: project}},
		"a bad token":          {"GET", queuePath, "nonsense", audit.Service, audit.Count{Action: "showQueue", Code: "DMS.10240101", Target: project}},
		"a stranger":           {"GET", queuePath, "stranger", audit.Service, audit.Count{Action: "showQueue", Actor: alice, Code: "DMS.10240104", Target: project}},
		"a tenant as operator": {"GET", "/admin/v1/projects", "manager", audit.Service, audit.Count{Action: "listProjects", Actor: alice, Code: "DMS.10240311"}},
	} {
		f.recorded()
		s.do(row.method, row.path, "", "X-Auth-Token", row.token)
		row.want.Source, row.want.Calls = "127.0.0.1", 1
		want := []recorded{{row.trail, audit.Record{Kind: audit.Refusal, Node: "n", Counts: []audit.Count{row.want}}}}
		if diff := cmp.Diff(want, settled(t, f, 1), cmp.AllowUnexported(recorded{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	f.recorded()
	s.with(s.plain, "GET", "/nothing", "", "X-Auth-Token", "")
	s.do("GET", base+"/queues", "")
	if got := f.recorded(); len(got) != 0 {
		t.Errorf("an unknown URL or a read is recorded: %+v", got)
	}
}

// TestIssuedTokensAreCounted issues one by every way there is, and refuses one.
func TestIssuedTokensAreCounted(t *testing.T) {
	f := identityService(map[tenancy.ProjectID]tenancy.Grant{project: {Name: "shop", Roles: []tenancy.Role{tenancy.Producer}}})
	s := serve(t, f, nil)
	password := func(secret, scope string) string {
		return `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"` + keyID + `","password":"` + secret + `"}}}` + scope + `}}`
	}
	alice := audit.Actor{Issuer: "https://idp.test", Subject: "alice"}
	key := audit.Actor{Issuer: "access-key", Subject: keyID, KeyID: keyID}
	for what, row := range map[string]struct {
		path, body string
		trail      tenancy.ProjectID
		kind       audit.Kind
		want       audit.Count
	}{
		"for a key":           {tokensPath, password(secret40, ""), project, audit.Use, audit.Count{Action: "createToken", Actor: key}},
		"for no project":      {tokensPath, password(secret40, `,"scope":"unscoped"`), audit.Service, audit.Use, audit.Count{Action: "createToken", Actor: key}},
		"for another project": {tokensPath, password(secret40, `,"scope":{"project":{"id":"`+foreign+`"}}`), audit.Service, audit.Refusal, audit.Count{Action: "createToken", Actor: key, Source: "127.0.0.1", Code: "DMS.10240104"}},
		"a wrong password":    {tokensPath, password("wrong", ""), audit.Service, audit.Refusal, audit.Count{Action: "createToken", Source: "127.0.0.1", Code: "APIGW.0301"}},
		"federated":           {federationPath, "", audit.Service, audit.Use, audit.Count{Action: "federateByPost", Actor: alice}},
		"an ID token":         {"/v3.0/OS-AUTH/id-token/tokens", `{"auth":{"id_token":{"id":"good.id.token"}}}`, project, audit.Use, audit.Count{Action: "exchangeToken", Actor: alice}},
	} {
		f.recorded()
		s.do("POST", row.path, row.body, "X-Auth-Token", "", "X-Idp-Id", "idp", "Authorization", "Bearer good.id.token")
		row.want.Calls = 1
		want := []recorded{{row.trail, audit.Record{Kind: row.kind, Node: "n", Counts: []audit.Count{row.want}}}}
		if diff := cmp.Diff(want, settled(t, f, 1), cmp.AllowUnexported(recorded{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

func TestManagersReadTheTrail(t *testing.T) {
	f := stocked()
	s := serve(t, f, nil)
	for range 5 {
		s.do("POST", base+"/queues", `{"name":"q"}`)
	}
	var ids []uint64
	for path := base + "/audit?order=oldest&limit=2&action=createQueue&actor=alice"; ; {
		got := s.do("GET", path, "")
		var list struct {
			Records []struct {
				Sequence uint64
				Action   string
			}
			Next string
		}
		if err := json.Unmarshal([]byte(got.body), &list); err != nil || got.status != 200 {
			t.Fatalf("%d %s: %v", got.status, got.body, err)
		}
		for _, r := range list.Records {
			ids = append(ids, r.Sequence)
		}
		if list.Next == "" {
			break
		}
		path = base + "/audit?order=oldest&limit=2&action=createQueue&actor=alice&cursor=" + list.Next
	}
	if !slices.Equal(ids, []uint64{1, 2, 3, 4, 5}) {
		t.Errorf("the pages hold %v", ids)
	}
	if got := s.do("GET", base+"/audit/verify", ""); got.status != 200 || !strings.Contains(got.body, `"intact":false`) || !strings.Contains(got.body, `"sequence":3`) {
		t.Errorf("verify: %d %s", got.status, got.body)
	}
	if got := s.do("GET", "/admin/v1/audit/verify", "", "X-Auth-Token", "operator"); got.status != 200 || !strings.Contains(got.body, `"intact":true`) {
		t.Errorf("verify as operator: %d %s", got.status, got.body)
	}
	for _, query := range []string{
		"limit=0", "limit=201", "limit=x", "order=up", "from=yesterday", "to=2026-01-01", "cursor=x", "cursor=bjA", "cursor=bzE", "cursor=bjE&cursor=bjE",
		"cursor=bjAx", "actor=a&actor=b", "from=2026-01-01T00:00:00Z&from=2026-01-01T00:00:00Z",
	} {
		if got := s.do("GET", base+"/audit?"+query, ""); got.status != 400 || got.code() != "DMS.10540014" {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
}
