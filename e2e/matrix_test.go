package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"dms/deploy"
	"dms/deploy/deploytest"
	"dms/tenancy"
	"dms/tenancy/accesskey"
)

var fullMatrix = flag.Bool("matrix.full", false, "call every operation below every version, with every trick")

// A stranger is a way to call that gives no right to project one, or less than all.
type stranger struct {
	name    string
	prepare func(t *testing.T, r *http.Request, body string)
	roles   []tenancy.Role // in project one; none for those that are not let in at all
	other   bool           // has rights in the other project
	more    bool           // for the full matrix
}

// A target says what the URL of a call names.
type target struct {
	name                       string
	project, queue, group, key string
	accessKey, alarm, job      string
	malformed                  bool // 400 is a right answer
	own                        bool // it is there, and belongs to project one
	missing                    bool // it is well-formed, and no member of project one may see whether it exists
}

// matrix is everything that a call of the matrix needs.
type matrix struct {
	t       *testing.T
	base    string
	client  *Client
	calls   int
	missing map[string]string // what is told of what does not exist, by operation and caller
}

// TestTheIsolationMatrix calls every described operation, as every sort of caller that
// may not do what it does, on everything that there is, is not, or never could be. What
// the nodes log meanwhile must hold none of the secrets that were sent.
func TestTheIsolationMatrix(t *testing.T) {
	t.Parallel()
	log := &deploytest.Log{}
	c := deploytest.StartLogged(t, slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), func(o *deploy.Config) { o.Limits.FailuresPerSecond = 0 })
	one, two := c.AccessKey(0), c.AccessKey(1)
	owner, other := tenantOf(t, c, one), tenantOf(t, c, two)
	v, foreign := newVictim(owner), newVictim(other)
	deleted := owner.queue("")
	deletedGroup := owner.group(deleted, "g")
	owner.must(http.StatusNoContent, nil, "DELETE", "/queues/"+deleted, "")
	made := owner.accessKey(`"roles":["manager"]`)
	owner.must(http.StatusNoContent, nil, "DELETE", "/access-keys/"+made.AccessKey, "")
	secrets := []string{v.handler, v.dead, foreign.handler, string(one.Secret), string(two.Secret), made.SecretKey, owner.project.Token, other.project.Token}
	secrets = append(secrets, "canary-of-a-body")
	owner.send(v.queue, texts("canary-of-a-body")...)
	before, beforeOther := v.state(owner), foreign.state(other)

	// The token is made to end, and the matrix begins when it has.
	ending := c.TokenUntil(t, time.Now().Add(2*time.Second), one.Project, tenancy.Manager)
	waitFor(t, func() (bool, string) {
		a := owner.at("GET", owner.base+"/queues", "", "X-Auth-Token", ending)
		return errorCode(a) == "DMS.10240102", a.String()
	})
	secrets = append(secrets, ending)
	m := &matrix{t: t, base: c.URL(t, 0), missing: make(map[string]string)}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	m.client = NewClient(m.base, "", Transport{Base: transport, Description: description})

	targets := targetsOf(one.Project, two.Project, v, foreign, deleted, deletedGroup, made.AccessKey)
	for _, op := range description.Operations() {
		if op.NoToken {
			continue
		}
		prefixes := op.Prefix
		if !*fullMatrix {
			prefixes = prefixes[:1]
		}
		for _, prefix := range prefixes {
			for _, s := range strangers(t, c, ending) {
				for _, at := range targets {
					if foreignHome := s.other && at.project == string(two.Project); !foreignHome && (*fullMatrix || !s.more) {
						m.try(op, prefix, s, at, v)
					}
				}
			}
		}
	}
	least := 1500
	if *fullMatrix {
		least = 15_000
	}
	if m.calls < least {
		t.Errorf("only %d calls were made, want %d", m.calls, least)
	}
	t.Logf("%d calls, %d bytes of logs", m.calls, len(log.String()))
	for _, secret := range secrets {
		if text := log.String(); strings.Contains(text, secret) {
			at := strings.Index(text, secret)
			t.Errorf("the logs tell a secret: %.400s", text[max(0, at-300):])
		}
	}
	trailsHold(t, c, owner)
	nothingOutlivesAProject(t, c)
	if after := v.state(owner); !slices.Equal(before, after) {
		t.Errorf("what the owner sees has changed: %v, was %v", after, before)
	}
	if after := foreign.state(other); !slices.Equal(beforeOther, after) {
		t.Errorf("what the other project sees has changed: %v, was %v", after, beforeOther)
	}
}

// trailsHold expects the trails of the project and of the service to be whole, and the
// project's to tell once of each of its changes, whichever node is asked.
func trailsHold(t *testing.T, c *deploytest.Cluster, owner customer) {
	t.Helper()
	operator := c.Token(t, tenancy.ProjectID(owner.project.ID), tenancy.Operator)
	for node := range deploytest.Size {
		client := NewClient(c.URL(t, node), owner.project.Token, Transport{Base: http.DefaultTransport, Description: description})
		for path, token := range map[string]string{owner.base + "/audit/verify": owner.project.Token, "/admin/v1/audit/verify": operator} {
			a, err := client.Do(t.Context(), "GET", path, "", "X-Auth-Token", token)
			if err != nil || a.Status != http.StatusOK || !strings.Contains(string(a.Body), `"intact":true`) {
				t.Errorf("%s through node %d: %v, %v", path, node, a, err)
			}
		}
		a, err := client.Do(t.Context(), "GET", owner.base+"/audit?action=createQueue&actor=test&order=oldest", "")
		if err != nil {
			t.Fatal(err)
		}
		var list struct {
			Records []struct {
				Kind   string
				Status int
			}
		}
		if err := json.Unmarshal(a.Body, &list); err != nil {
			t.Fatal(err)
		}
		made := 0
		for _, r := range list.Records {
			if r.Kind == "change" && r.Status == http.StatusCreated {
				made++
			}
		}
		if made != 2 {
			t.Errorf("through node %d the trail tells of %d queues, want 2: %v", node, made, a)
		}
	}
}

// nothingOutlivesAProject makes a project, deletes it as an operator and makes it again:
// the access keys and alarms of the first are not those of the second.
func nothingOutlivesAProject(t *testing.T, c *deploytest.Cluster) {
	t.Helper()
	project := accesskey.Key{Project: tenancy.ProjectID(strings.Repeat("d", 32))}
	tenant := tenantOf(t, c, project)
	operator := []string{"X-Auth-Token", c.Token(t, c.AccessKey(0).Project, tenancy.Operator)}
	expect := func(want int, method, path, body string) {
		t.Helper()
		if a := tenant.at(method, path, body, operator...); a.Status != want {
			t.Fatalf("%s %s: %v, want %d", method, path, a, want)
		}
	}
	body := fmt.Sprintf(`{"id":%q}`, project.Project)
	expect(http.StatusCreated, "POST", "/admin/v1/projects", body)
	key := tenant.accessKey(`"roles":["manager"]`)
	alarm := tenant.alarm("of the first")
	signed := func() Answer {
		r, err := http.NewRequestWithContext(t.Context(), "GET", c.URL(t, 0)+tenant.base+"/access-keys", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := accesskey.Sign(r, nil, key.AccessKey, accesskey.Secret(key.SecretKey), time.Now()); err != nil {
			t.Fatal(err)
		}
		a, err := NewClient("", "", Transport{Base: http.DefaultTransport, Description: description}).Send(r)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := signed(); a.Status != http.StatusOK || !strings.Contains(string(a.Body), key.AccessKey) {
		t.Fatalf("with a new key: %v", a)
	}
	expect(http.StatusNoContent, "DELETE", "/admin/v1/projects/"+string(project.Project), "")
	expect(http.StatusCreated, "POST", "/admin/v1/projects", body)
	if a := signed(); a.Status != http.StatusUnauthorized || errorCode(a) != "APIGW.0301" {
		t.Errorf("with a key of the deleted project: %v", a)
	}
	if a := tenant.call("GET", "/access-keys", ""); a.Status != http.StatusOK || strings.Contains(string(a.Body), key.AccessKey) {
		t.Errorf("keys of the new project: %v", a)
	}
	if a := tenant.call("GET", "/alarms", ""); a.Status != http.StatusOK || strings.Contains(string(a.Body), alarm) {
		t.Errorf("alarms of the new project: %v", a)
	}
}

// tenantOf is a customer of the cluster, with the rights of a manager.
func tenantOf(t *testing.T, c *deploytest.Cluster, k accesskey.Key) customer {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	token := c.Token(t, k.Project, tenancy.Manager)
	return customer{
		t: t, project: Project{ID: string(k.Project), Name: k.ProjectName, Token: token}, base: "/v2/" + string(k.Project),
		client: NewClient(c.URL(t, 0), token, Transport{Base: transport, Description: description}),
	}
}

func strangers(t *testing.T, c *deploytest.Cluster, ended string) []stranger {
	one, two := c.AccessKey(0), c.AccessKey(1)
	token := func(token string) func(*testing.T, *http.Request, string) {
		return func(_ *testing.T, r *http.Request, _ string) { r.Header.Set("X-Auth-Token", token) }
	}
	sign := func(id string, secret accesskey.Secret, at time.Duration) func(*testing.T, *http.Request, string) {
		return func(t *testing.T, r *http.Request, body string) {
			t.Helper()
			if err := accesskey.Sign(r, []byte(body), id, secret, time.Now().Add(at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	manager := c.Token(t, one.Project, tenancy.Manager)
	return []stranger{
		{name: "no token", prepare: token("")},
		{name: "a token that is none", prepare: token("token")},
		{name: "a changed token", more: true, prepare: token(manager[:len(manager)-8] + "AAAAAAAA")},
		{name: "an ended token", prepare: token(ended)},
		{name: "the other project's manager", other: true, prepare: token(c.Token(t, two.Project, tenancy.Manager))},
		{name: "the other project's key", other: true, more: true, prepare: sign(two.ID, two.Secret, 0)},
		{name: "a key with another's secret", prepare: sign(one.ID, two.Secret, 0)},
		{name: "an unknown key", more: true, prepare: sign("UNKNOWNKEY", one.Secret, 0)},
		{name: "an old signature", prepare: sign(one.ID, one.Secret, -16*time.Minute)},
		{name: "nobody's role", prepare: token(c.Token(t, one.Project)), roles: []tenancy.Role{"nobody"}},
		{name: "viewer", prepare: token(c.Token(t, one.Project, tenancy.Viewer)), roles: []tenancy.Role{tenancy.Viewer}},
		{name: "producer", more: true, prepare: token(c.Token(t, one.Project, tenancy.Producer)), roles: []tenancy.Role{tenancy.Producer}},
		{name: "consumer", prepare: token(c.Token(t, one.Project, tenancy.Consumer)), roles: []tenancy.Role{tenancy.Consumer}},
		{name: "manager", prepare: token(manager), roles: []tenancy.Role{tenancy.Manager}},
	}
}

func targetsOf(one, two tenancy.ProjectID, v, foreign victim, deleted, deletedGroup, deletedKey string) []target {
	p := string(one)
	all := []target{
		{name: "own", project: p, queue: v.queue, group: v.group, key: v.key, accessKey: v.accessKey, alarm: v.alarm, job: v.job, own: true},
		{name: "foreign queue", project: p, queue: foreign.queue, group: foreign.group, key: foreign.key, accessKey: foreign.accessKey, alarm: foreign.alarm, job: foreign.job, missing: true},
		{name: "deleted queue", project: p, queue: deleted, group: deletedGroup, key: "k", accessKey: deletedKey, alarm: noAlarm, job: noQueue, missing: true},
		{name: "unknown queue", project: p, queue: noQueue, group: noGroup, key: "k", accessKey: noKey, alarm: noAlarm, job: noQueue, missing: true},
		{name: "foreign project", project: string(two), queue: foreign.queue, group: foreign.group, key: foreign.key, accessKey: foreign.accessKey, alarm: foreign.alarm, job: foreign.job},
		{name: "unknown project", project: strings.Repeat("7", 32), queue: v.queue, group: v.group, key: v.key, accessKey: v.accessKey, alarm: v.alarm, job: v.job},
		{name: "malformed project", project: strings.ToUpper(p), queue: v.queue, group: v.group, key: v.key, accessKey: v.accessKey, alarm: v.alarm, job: v.job, malformed: true},
		{name: "the service's own", project: "control", queue: v.queue, group: v.group, key: v.key, accessKey: v.accessKey, alarm: v.alarm, job: v.job, malformed: true},
	}
	tricks := []string{"..%2f..%2f" + string(two) + "%2fqueues"}
	if *fullMatrix {
		tricks = append(tricks, "%2e%2e", v.queue+"%00", "*", ">", "%3e", "$JS.API.%3E", v.queue+";x", v.queue+"%20", "%20"+v.queue, strings.ToUpper(v.queue)+"x",
			strings.ReplaceAll(v.queue, "-", ""), "{"+v.queue+"}", strings.Repeat("a", 5000), "%c3%28", v.queue+"%0d%0aX-Auth-Token:%20x", "..;", "%252e%252e")
	}
	for i, trick := range tricks {
		all = append(all,
			target{name: fmt.Sprintf("trick %d as project", i), project: trick, queue: v.queue, group: v.group, key: v.key, accessKey: v.accessKey, alarm: v.alarm, job: v.job, malformed: true},
			target{name: fmt.Sprintf("trick %d as queue", i), project: p, queue: trick, group: v.group, key: v.key, accessKey: trick, alarm: trick, job: trick, malformed: true},
		)
	}
	return all
}

// allowed reports whether one of the roles carries the operation, as the method and the
// path show to a customer.
func allowed(op Operation, roles []tenancy.Role) bool {
	needs := tenancy.Manage
	switch {
	case op.Operators():
		needs = tenancy.Operate
	case strings.Contains(op.Path, "/access-keys"):
	case strings.HasSuffix(op.Path, "/audit") || strings.HasSuffix(op.Path, "/verify"):
	case strings.HasSuffix(op.Path, "/messages") && op.Method == http.MethodPost:
		needs = tenancy.Produce
	case strings.HasSuffix(op.Path, "/queues/{queue_id}/messages") || strings.HasSuffix(op.Path, "/{sequence}"):
		needs = tenancy.Inspect
	case strings.HasSuffix(op.Path, "/messages") || strings.Contains(op.Path, "/deadletters") || strings.HasSuffix(op.Path, "/ack") || strings.HasSuffix(op.Path, "/extend"):
		needs = tenancy.Consume
	case op.Method == http.MethodGet || op.ID == "findQueues":
		needs = tenancy.Observe
	}
	return slices.ContainsFunc(roles, func(r tenancy.Role) bool { return r.Allows(needs) })
}

// try makes one call, unless the caller may do just that, and judges the answer.
func (m *matrix) try(op Operation, prefix string, s stranger, at target, v victim) {
	m.t.Helper()
	row := reaches()[op.ID]
	if row.caller && !at.own {
		return // the URL names nothing
	}
	may := allowed(op, s.roles) && !row.caller
	named := strings.Contains(op.Path, "{queue_id}") || strings.Contains(op.Path, "{access_key_id}") || strings.Contains(op.Path, "{alarm_id}") || strings.Contains(op.Path, "{job_id}")
	if may && (at.own || !named && at.project == v.project) {
		return
	}
	path := prefix + strings.NewReplacer("{project_id}", at.project, "{queue_id}", at.queue, "{group_id}", at.group, "{key}", at.key, "{access_key_id}", at.accessKey, "{alarm_id}", at.alarm, "{job_id}", at.job, "{sequence}", "1").Replace(op.Path)
	body := ""
	if row.body != nil {
		body = row.body(v)
	}
	req, err := http.NewRequestWithContext(m.t.Context(), op.Method, m.base+path+row.query, strings.NewReader(body))
	if err != nil {
		m.t.Fatalf("%s %s: %v", op.Method, path, err)
	}
	for i := 0; i < len(row.header); i += 2 {
		req.Header.Set(row.header[i], row.header[i+1])
	}
	s.prepare(m.t, req, body)
	a, err := m.client.Send(req)
	if err != nil {
		m.t.Errorf("%s, %s as %s: %v", op.ID, at.name, s.name, err)
		return
	}
	m.calls++
	what := fmt.Sprintf("%s %s, %s as %s", op.Method, path, at.name, s.name)
	switch {
	case row.caller && a.Status < 300 && (s.other || len(s.roles) > 0):
		// Whoever is known is told of themselves.
		if s.other && strings.Contains(string(a.Body), v.project) {
			m.t.Errorf("%.300s tells of another project: %v", what, a)
		}
	case a.Status == 401 || a.Status == 403 || a.Status == 404:
	case a.Status == 400 && (at.malformed || may && op.ID == "deleteTagWithoutKey"):
	default:
		m.t.Errorf("%.300s: %v", what, a)
	}
	if len(s.roles) == 0 && !(row.caller && s.other) && (a.Status == 403 && !op.Operators() || a.Status == 404 && !at.malformed) {
		m.t.Errorf("%.300s: %v, want 401", what, a)
	}
	for _, secret := range []string{`"secret"`, v.name} {
		if strings.Contains(string(a.Body), secret) {
			m.t.Errorf("%.300s tells %s: %v", what, secret, a)
		}
	}
	if !at.missing || !may {
		return
	}
	key := op.ID + " " + s.name
	if before, known := m.missing[key]; known && before != told(a) {
		m.t.Errorf("%.300s: %s, while of others it says %s", what, told(a), before)
	}
	m.missing[key] = told(a)
}
