package facade_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"dms/facade"
	"dms/facade/openapitest"
	"dms/mapping/dms"
	"dms/tenancy"
)

const (
	project = "0123456789abcdef0123456789abcdef"
	foreign = "ffffffffffffffffffffffffffffffff"
	queueID = "9bf46390-38a2-462d-b392-4d5b2d519c55"
	groupID = "g-5ec247fd-d4a2-4d4f-9876-e4ff3280c461"

	base      = "/v2/" + project
	queuePath = base + "/queues/" + queueID
	groupPath = queuePath + "/groups/" + groupID
	tagsPath  = base + "/queue/" + queueID + "/tags"
)

func aQueue() dms.QueueRef { return dms.QueueRef{Project: project, Queue: queueID} }
func aGroup() dms.GroupRef { return dms.GroupRef{QueueRef: aQueue(), Group: groupID} }

func identity(p tenancy.ProjectID, roles ...tenancy.Role) tenancy.Identity {
	return tenancy.Identity{
		Issuer: "https://idp.test", Subject: "alice", Name: "Alice",
		Grants: map[tenancy.ProjectID]tenancy.Grant{p: {Name: "shop", Roles: roles}},
	}
}

// service is a running API.
type service struct {
	t      *testing.T
	api    *facade.API
	server *httptest.Server
	client *http.Client // checks answers against the description
	plain  *http.Client // does not
	log    *lockedBuffer
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func options(f *fake) facade.Options {
	return facade.Options{
		Queues: f, Groups: f, Messages: f, Tags: f, Workbench: &f.workbench, Projects: f, Tokens: f, Signatures: f, Exchange: f,
		Audit: f, Trail: f, Tenants: fakeTenants{f}, ProjectLimits: tenancy.DefaultLimits(),
		Sessions: f, AccessKeys: f, Cluster: fakeCluster{},
		Log: slog.New(slog.DiscardHandler),
	}
}

// serve runs the API over f; change may alter the options and the server.
func serve(t *testing.T, f *fake, change func(*facade.Options, *http.Server)) *service {
	t.Helper()
	s := &service{t: t, log: &lockedBuffer{}}
	o := options(f)
	o.Log = slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	config := &http.Server{}
	if change != nil {
		change(&o, config)
	}
	api, err := facade.New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.api = api
	t.Cleanup(api.Close)
	s.server = httptest.NewUnstartedServer(nil)
	s.server.Config = facade.NewServer(api.Handler(), o.Log)
	if config.ReadTimeout != 0 {
		s.server.Config.ReadTimeout = config.ReadTimeout
	}
	s.server.Start()
	t.Cleanup(s.server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	checked, err := openapitest.NewTransport(transport)
	if err != nil {
		t.Fatal(err)
	}
	s.client = &http.Client{Transport: checked}
	s.plain = &http.Client{Transport: transport}
	return s
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// code is the published error code of the answer.
func (a answer) code() string {
	var e struct {
		Code string `json:"error_code"`
	}
	if json.Unmarshal([]byte(a.body), &e) != nil {
		return ""
	}
	return e.Code
}

// do sends a request as a manager, unless the headers, given in pairs, say otherwise.
func (s *service) do(method, path, body string, headers ...string) answer {
	s.t.Helper()
	return s.with(s.client, method, path, body, headers...)
}

func (s *service) with(client *http.Client, method, path, body string, headers ...string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.server.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	setHeaders(req, "manager", headers)
	res, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(got)}
}

// setHeaders sets the token, and then headers given in pairs; an empty value takes one away.
func setHeaders(req *http.Request, token string, headers []string) {
	req.Header.Set("X-Auth-Token", token)
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
}

// eventually polls until done reports success, and fails with its last words after
// ten seconds.
func eventually(t *testing.T, done func() (state string, ok bool)) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		state, ok := done()
		if ok {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("it did not happen in time; last: %s", state)
		case <-tick.C:
		}
	}
}
