package facade_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"dms/mapping/dms"
	"dms/tenancy"
	"dms/tenancy/accesskey"
	"dms/tenancy/audit"
)

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
