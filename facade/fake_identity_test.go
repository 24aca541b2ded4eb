package facade_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"dms/mapping/dms"
	"dms/tenancy"
	"dms/tenancy/accesskey"
	"dms/tenancy/audit"
)

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
