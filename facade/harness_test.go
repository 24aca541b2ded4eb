package facade_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dms/facade"
	"dms/facade/openapitest"
	"dms/mapping/dms"
	"dms/tenancy"
	"dms/tenancy/accesskey"
	"dms/tenancy/audit"
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

// fake is the rest of the service. A call of a function that is not set answers that
// the queue does not exist; the name of every call is noted.
type fake struct {
	createQueue  func(context.Context, tenancy.ProjectID, dms.NewQueue) (dms.Queue, error)
	queues       func(context.Context, tenancy.ProjectID) ([]dms.Queue, error)
	queue        func(context.Context, dms.QueueRef) (dms.Queue, error)
	deleteQueue  func(context.Context, dms.QueueRef) error
	createGroups func(context.Context, dms.QueueRef, []string) ([]dms.Group, error)
	groups       func(context.Context, dms.QueueRef, dms.GroupView) (dms.Queue, []dms.Group, error)
	deleteGroup  func(context.Context, dms.GroupRef) error
	send         func(context.Context, dms.QueueRef, dms.Send) ([]dms.Sent, error)
	receive      func(context.Context, dms.GroupRef, dms.Receive) (dms.Batch, error)
	acknowledge  func(context.Context, dms.GroupRef, dms.Kind, []dms.Ack) (int, error)
	queueTags    func(context.Context, dms.QueueRef) ([]dms.Tag, error)
	putTags      func(context.Context, dms.QueueRef, []dms.Tag) error
	removeTags   func(context.Context, dms.QueueRef, []dms.TagRemoval) (int, error)
	projectTags  func(context.Context, tenancy.ProjectID) ([]dms.TagValues, error)
	findQueues   func(context.Context, tenancy.ProjectID, dms.TagQuery) ([]dms.TaggedQueue, error)
	admit        func(context.Context, tenancy.ProjectID, string) (tenancy.Project, error)
	signature    func(*http.Request, []byte) (tenancy.Identity, error)
	tenants      []tenancy.Project
	unrecorded   func() error // of Ready and Write
	unread       func() error // of Page and Verify
	idToken      func(ctx context.Context, provider, token string) (tenancy.Identity, time.Time, error)
	issue        func(tenancy.Identity, time.Time) (string, time.Time, error)
	inspect      func(context.Context, string) (tenancy.Token, error)
	revoke       func(context.Context, tenancy.Token, tenancy.Identity) error
	secret       func(keyID, secret, source string) (tenancy.Identity, time.Time, error)
	listKeys     func(context.Context, tenancy.ProjectID) ([]tenancy.AccessKey, error)
	createKey    func(context.Context, tenancy.Project, tenancy.Identity, tenancy.NewAccessKey) (tenancy.AccessKey, accesskey.Secret, error)
	changeKey    func(context.Context, tenancy.ProjectID, string, tenancy.Identity, tenancy.KeyChange) (tenancy.AccessKey, error)
	rotateKey    func(context.Context, tenancy.ProjectID, string, tenancy.Identity, time.Duration) (tenancy.AccessKey, accesskey.Secret, error)
	deleteKey    func(context.Context, tenancy.ProjectID, string) error
	workbench    fakeWorkbench

	mu      sync.Mutex
	calls   []string
	records []recorded
}

// recorded is one record or count, and the trail that it went to.
type recorded struct {
	trail  tenancy.ProjectID
	record audit.Record
}

func (f *fake) note(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, name)
	return &dms.Error{Code: dms.QueueNotFound}
}

// called returns the names of the calls so far.
func (f *fake) called() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.calls, " ")
}

func (f *fake) CreateQueue(ctx context.Context, p tenancy.ProjectID, q dms.NewQueue) (dms.Queue, error) {
	if err := f.note("CreateQueue"); f.createQueue == nil {
		return dms.Queue{}, err
	}
	return f.createQueue(ctx, p, q)
}

func (f *fake) Queues(ctx context.Context, p tenancy.ProjectID) ([]dms.Queue, error) {
	if err := f.note("Queues"); f.queues == nil {
		return nil, err
	}
	return f.queues(ctx, p)
}

func (f *fake) Queue(ctx context.Context, ref dms.QueueRef) (dms.Queue, error) {
	if err := f.note("Queue"); f.queue == nil {
		return dms.Queue{}, err
	}
	return f.queue(ctx, ref)
}

func (f *fake) DeleteQueue(ctx context.Context, ref dms.QueueRef) error {
	if err := f.note("DeleteQueue"); f.deleteQueue == nil {
		return err
	}
	return f.deleteQueue(ctx, ref)
}

func (f *fake) CreateGroups(ctx context.Context, ref dms.QueueRef, names []string) ([]dms.Group, error) {
	if err := f.note("CreateGroups"); f.createGroups == nil {
		return nil, err
	}
	return f.createGroups(ctx, ref, names)
}

func (f *fake) Groups(ctx context.Context, ref dms.QueueRef, v dms.GroupView) (dms.Queue, []dms.Group, error) {
	if err := f.note("Groups"); f.groups == nil {
		return dms.Queue{}, nil, err
	}
	return f.groups(ctx, ref, v)
}

func (f *fake) DeleteGroup(ctx context.Context, ref dms.GroupRef) error {
	if err := f.note("DeleteGroup"); f.deleteGroup == nil {
		return err
	}
	return f.deleteGroup(ctx, ref)
}

func (f *fake) Send(ctx context.Context, ref dms.QueueRef, s dms.Send) ([]dms.Sent, error) {
	if err := f.note("Send"); f.send == nil {
		return nil, err
	}
	return f.send(ctx, ref, s)
}

func (f *fake) Receive(ctx context.Context, ref dms.GroupRef, r dms.Receive) (dms.Batch, error) {
	if err := f.note("Receive"); f.receive == nil {
		return dms.Batch{}, err
	}
	return f.receive(ctx, ref, r)
}

func (f *fake) Acknowledge(ctx context.Context, ref dms.GroupRef, k dms.Kind, acks []dms.Ack) (int, error) {
	if err := f.note("Acknowledge"); f.acknowledge == nil {
		return 0, err
	}
	return f.acknowledge(ctx, ref, k, acks)
}

func (f *fake) QueueTags(ctx context.Context, ref dms.QueueRef) ([]dms.Tag, error) {
	if err := f.note("QueueTags"); f.queueTags == nil {
		return nil, err
	}
	return f.queueTags(ctx, ref)
}

func (f *fake) PutTags(ctx context.Context, ref dms.QueueRef, tags []dms.Tag) error {
	if err := f.note("PutTags"); f.putTags == nil {
		return err
	}
	return f.putTags(ctx, ref, tags)
}

func (f *fake) RemoveTags(ctx context.Context, ref dms.QueueRef, tags []dms.TagRemoval) (int, error) {
	if err := f.note("RemoveTags"); f.removeTags == nil {
		return 0, err
	}
	return f.removeTags(ctx, ref, tags)
}

func (f *fake) ProjectTags(ctx context.Context, p tenancy.ProjectID) ([]dms.TagValues, error) {
	if err := f.note("ProjectTags"); f.projectTags == nil {
		return nil, err
	}
	return f.projectTags(ctx, p)
}

func (f *fake) FindQueues(ctx context.Context, p tenancy.ProjectID, q dms.TagQuery) ([]dms.TaggedQueue, error) {
	if err := f.note("FindQueues"); f.findQueues == nil {
		return nil, err
	}
	return f.findQueues(ctx, p, q)
}

func (f *fake) Admit(ctx context.Context, id tenancy.ProjectID, name string) (tenancy.Project, error) {
	if f.admit == nil {
		return tenancy.Project{ID: id, Name: name, Limits: tenancy.DefaultLimits()}, nil
	}
	return f.admit(ctx, id, name)
}

// VerifyToken knows tokens named like roles, and some that are wrong.
func (f *fake) VerifyToken(_ context.Context, token string) (tenancy.Identity, time.Time, error) {
	if role, err := tenancy.ParseRole(token); err == nil {
		return identity(project, role), time.Time{}, nil
	}
	switch token {
	case "limited": // to producing into and observing the one queue
		id := identity(project)
		id.Grants[project] = tenancy.Grant{Name: "shop", Queues: map[string][]tenancy.Permission{queueID: {tenancy.Produce}}}
		return id, time.Time{}, nil
	case "nameless": // its projects have no names in the token
		id := identity(project, tenancy.Viewer)
		id.Grants = map[tenancy.ProjectID]tenancy.Grant{project: {}, foreign: {}}
		return id, time.Time{}, nil
	case "unscoped":
		id := identity(project, tenancy.Manager)
		id.Offers, id.Grants = id.Grants, nil
		return id, time.Time{}, nil
	case "stranger":
		return identity(foreign, tenancy.Manager), time.Time{}, nil
	case "nobody":
		return tenancy.Identity{}, time.Time{}, nil
	case "expired":
		return tenancy.Identity{}, time.Time{}, fmt.Errorf("secret detail: %w", tenancy.ErrExpired)
	case "provider-down":
		return tenancy.Identity{}, time.Time{}, fmt.Errorf("secret detail: %w", context.DeadlineExceeded)
	}
	return tenancy.Identity{}, time.Time{}, fmt.Errorf("secret detail: %w", tenancy.ErrUnauthenticated)
}

func (f *fake) VerifySignature(r *http.Request, body []byte) (tenancy.Identity, error) {
	if f.signature == nil {
		return tenancy.Identity{}, fmt.Errorf("secret detail: %w", tenancy.ErrUnauthenticated)
	}
	return f.signature(r, body)
}

func (f *fake) VerifyIDToken(ctx context.Context, provider, token string) (tenancy.Identity, time.Time, error) {
	if f.idToken == nil {
		return tenancy.Identity{}, time.Time{}, tenancy.ErrUnauthenticated
	}
	return f.idToken(ctx, provider, token)
}

func (f *fake) Issue(id tenancy.Identity, notAfter time.Time) (string, time.Time, error) {
	if f.issue == nil {
		return "issued", notAfter, nil
	}
	return f.issue(id, notAfter)
}

func (f *fake) Ready(context.Context, tenancy.ProjectID) error {
	if f.unrecorded == nil {
		return nil
	}
	return f.unrecorded()
}

func (f *fake) Write(ctx context.Context, p tenancy.ProjectID, r audit.Record) error {
	if f.unrecorded != nil {
		if err := f.unrecorded(); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records = append(f.records, recorded{p, r})
	return nil
}

// Note keeps every count as a record of its own.
func (f *fake) Note(p tenancy.ProjectID, k audit.Kind, c audit.Count) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c.Calls = 1
	f.records = append(f.records, recorded{p, audit.Record{Kind: k, Node: "n", Counts: []audit.Count{c}}})
}

// recorded returns what was recorded since the last call.
func (f *fake) recorded() []recorded {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.records
	f.records = nil
	return all
}

func (f *fake) Page(_ context.Context, p tenancy.ProjectID, q audit.Query) (audit.Page, error) {
	if f.unread != nil {
		return audit.Page{}, f.unread()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var page audit.Page
	for i, r := range f.records {
		if n := uint64(i + 1); r.trail == p && n > q.After && r.record.Matches(q.Action, q.Actor) {
			if len(page.Entries) == q.Limit {
				page.Next = page.Entries[q.Limit-1].Sequence
				break
			}
			page.Entries = append(page.Entries, audit.Entry{Sequence: n, Record: r.record, Hash: []byte("hash")})
		}
	}
	return page, nil
}

func (f *fake) Verify(_ context.Context, p tenancy.ProjectID) (audit.Report, error) {
	if f.unread != nil {
		return audit.Report{}, f.unread()
	}
	if p == audit.Service {
		return audit.Report{}, nil
	}
	return audit.Report{First: 1, Last: 3, Records: 2, From: time.Unix(1, 0).UTC(), To: time.Unix(2, 0).UTC(), Head: []byte("head"),
		Broken: &audit.Break{Sequence: 3, Reason: "the record is missing"}}, nil
}

func (f *fake) All() []tenancy.Project {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.tenants)
}

func (f *fake) Project(id tenancy.ProjectID) (tenancy.Project, error) {
	for _, p := range f.All() {
		if p.ID == id {
			return p, nil
		}
	}
	return tenancy.Project{}, tenancy.ErrNoProject
}

// fakeTenants is the fake as the list of projects: access keys have methods of the same
// names.
type fakeTenants struct{ *fake }

func (f fakeTenants) Create(_ context.Context, p tenancy.Project) error {
	if _, err := f.Project(p.ID); err == nil {
		return fmt.Errorf("secret detail: %w", tenancy.ErrExists)
	}
	if p.Limits.StoredBytes > 1<<40 {
		return fmt.Errorf("secret detail: %w", tenancy.ErrNoRoom)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tenants = append(f.tenants, p)
	slices.SortFunc(f.tenants, func(a, b tenancy.Project) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return nil
}

func (f fakeTenants) Change(_ context.Context, id tenancy.ProjectID, change func(tenancy.Project) (tenancy.Project, error)) (tenancy.Project, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, p := range f.tenants {
		if p.ID == id {
			p, err := change(p)
			if err == nil {
				f.tenants[i] = p
			}
			return p, err
		}
	}
	return tenancy.Project{}, tenancy.ErrNoProject
}

func (f fakeTenants) Delete(_ context.Context, id tenancy.ProjectID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tenants = slices.DeleteFunc(f.tenants, func(p tenancy.Project) bool { return p.ID == id })
	return nil
}

func (f *fake) InspectToken(ctx context.Context, token string) (tenancy.Token, error) {
	if f.inspect == nil {
		id, expires, err := f.VerifyToken(ctx, token)
		return tenancy.Token{Identity: id, Expires: expires}, err
	}
	return f.inspect(ctx, token)
}

func (f *fake) RevokeToken(ctx context.Context, t tenancy.Token, by tenancy.Identity) error {
	if err := f.note("RevokeToken"); f.revoke == nil {
		return err
	}
	return f.revoke(ctx, t, by)
}

func (f *fake) VerifySecret(keyID, secret, source string) (tenancy.Identity, time.Time, error) {
	if f.secret == nil {
		return tenancy.Identity{}, time.Time{}, fmt.Errorf("secret detail: %w", tenancy.ErrUnauthenticated)
	}
	return f.secret(keyID, secret, source)
}

func (f *fake) noteKey(name string) error {
	_ = f.note(name) // its error is about queues
	return &dms.Error{Code: dms.AccessKeyNotFound}
}

func (f *fake) List(ctx context.Context, p tenancy.ProjectID) ([]tenancy.AccessKey, error) {
	if err := f.noteKey("ListKeys"); f.listKeys == nil {
		return nil, err
	}
	return f.listKeys(ctx, p)
}

func (f *fake) Create(ctx context.Context, p tenancy.Project, by tenancy.Identity, k tenancy.NewAccessKey) (tenancy.AccessKey, accesskey.Secret, error) {
	if err := f.noteKey("CreateKey"); f.createKey == nil {
		return tenancy.AccessKey{}, "", err
	}
	return f.createKey(ctx, p, by, k)
}

func (f *fake) Change(ctx context.Context, p tenancy.ProjectID, id string, by tenancy.Identity, c tenancy.KeyChange) (tenancy.AccessKey, error) {
	if err := f.noteKey("ChangeKey"); f.changeKey == nil {
		return tenancy.AccessKey{}, err
	}
	return f.changeKey(ctx, p, id, by, c)
}

func (f *fake) Rotate(ctx context.Context, p tenancy.ProjectID, id string, by tenancy.Identity, overlap time.Duration) (tenancy.AccessKey, accesskey.Secret, error) {
	if err := f.noteKey("RotateKey"); f.rotateKey == nil {
		return tenancy.AccessKey{}, "", err
	}
	return f.rotateKey(ctx, p, id, by, overlap)
}

func (f *fake) Delete(ctx context.Context, p tenancy.ProjectID, id string) error {
	if err := f.noteKey("DeleteKey"); f.deleteKey == nil {
		return err
	}
	return f.deleteKey(ctx, p, id)
}

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
		Sessions: f, AccessKeys: f,
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
	req.Header.Set("X-Auth-Token", "manager")
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
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
