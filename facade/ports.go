package facade

import (
	"context"
	"net/http"
	"time"

	"dms/mapping/dms"
	"dms/monitor/alarm"
	"dms/monitor/history"
	"dms/monitor/watch"
	"dms/tenancy"
	"dms/tenancy/accesskey"
	"dms/tenancy/audit"
)

// The interfaces below are what the API needs of the rest of the service. They are
// declared here so that nothing of the storage engine can be reached from a handler.

// Queues keeps the queues of projects.
type Queues interface {
	// CreateQueue returns when the queue can be used through every node.
	CreateQueue(context.Context, tenancy.ProjectID, dms.NewQueue) (dms.Queue, error)
	// Queues lists all queues of the project, newest first.
	Queues(context.Context, tenancy.ProjectID) ([]dms.Queue, error)
	Queue(context.Context, dms.QueueRef) (dms.Queue, error)
	DeleteQueue(context.Context, dms.QueueRef) error
}

// Groups keeps the consumer groups of queues.
type Groups interface {
	// CreateGroups makes all the groups or none, and returns them in request order.
	CreateGroups(context.Context, dms.QueueRef, []string) ([]dms.Group, error)
	Groups(context.Context, dms.QueueRef, dms.GroupView) (dms.Queue, []dms.Group, error)
	DeleteGroup(context.Context, dms.GroupRef) error
}

// Messages moves messages. A nil error of one Sent, and the settled count, mean that
// the effect is on disk on a quorum of replicas.
type Messages interface {
	Send(context.Context, dms.QueueRef, dms.Send) ([]dms.Sent, error)
	Receive(context.Context, dms.GroupRef, dms.Receive) (dms.Batch, error)
	// Acknowledge settles the deliveries up to the first failed one.
	Acknowledge(context.Context, dms.GroupRef, dms.Kind, []dms.Ack) (settled int, err error)
}

// Tags keeps the resource tags of queues.
type Tags interface {
	QueueTags(context.Context, dms.QueueRef) ([]dms.Tag, error)
	PutTags(context.Context, dms.QueueRef, []dms.Tag) error
	RemoveTags(context.Context, dms.QueueRef, []dms.TagRemoval) (removed int, err error)
	ProjectTags(context.Context, tenancy.ProjectID) ([]dms.TagValues, error)
	FindQueues(context.Context, tenancy.ProjectID, dms.TagQuery) ([]dms.TaggedQueue, error)
}

// Metrics answers what figures of queues and groups were.
type Metrics interface {
	Query(ctx context.Context, project tenancy.ProjectID, q history.Query, now time.Time) ([]history.Series, error)
}

// Figures tells the state of a project's queues and groups as it is now, from what all
// nodes have in memory. What cannot be learned at the moment is left out and marked.
type Figures interface {
	Figures(context.Context, tenancy.ProjectID) ([]dms.QueueFigures, error)
}

// Console is the web console: pages for browsers, and the callers that have signed in.
type Console interface {
	http.Handler // of everything below /console/
	// Route is the pattern that a path belongs to.
	Route(path string) string
	// Caller returns who has signed in with the session of the request's cookie, and false
	// if it has none. Errors are those of Tokens.
	Caller(*http.Request) (tenancy.Identity, bool, error)
	// Presented reports whether the request has such a cookie, good or bad.
	Presented(*http.Request) bool
	// UsedBy notes that a person does something with that session.
	UsedBy(*http.Request)
}

// Alarms keeps the alarms of projects. Secrets of webhooks are never returned.
type Alarms interface {
	// Alarms lists rules, oldest first, each with its state.
	Alarms(context.Context, tenancy.ProjectID) ([]alarm.Rule, []alarm.State, error)
	Alarm(context.Context, tenancy.ProjectID, alarm.ID) (alarm.Rule, alarm.State, error)
	CreateAlarm(context.Context, tenancy.ProjectID, alarm.Rule) (alarm.Rule, error)
	// ReplaceAlarm keeps the secret of a webhook that is given without one.
	ReplaceAlarm(context.Context, tenancy.ProjectID, alarm.ID, alarm.Rule) (alarm.Rule, error)
	DeleteAlarm(context.Context, tenancy.ProjectID, alarm.ID) error
	// MuteAlarm tells nobody until the time.
	MuteAlarm(ctx context.Context, project tenancy.ProjectID, id alarm.ID, until time.Time) (alarm.Rule, error)
	TestAlarm(context.Context, tenancy.ProjectID, alarm.ID) ([]watch.Delivery, error)
	History(context.Context, tenancy.ProjectID, alarm.ID) ([]watch.Happening, error)
}

// Projects admits a caller's project, preparing it at its first use.
type Projects interface {
	Admit(ctx context.Context, id tenancy.ProjectID, name string) (tenancy.Project, error)
}

// Tenants is the list of projects, as operators see and change it.
type Tenants interface {
	// All and Project tell what this node knows: changes of other nodes within seconds.
	All() []tenancy.Project
	Project(tenancy.ProjectID) (tenancy.Project, error)
	// Create makes a project that is not there; the error wraps tenancy.ErrExists if it is.
	Create(context.Context, tenancy.Project) error
	// Change changes one that is there by a function that may be called repeatedly.
	Change(context.Context, tenancy.ProjectID, func(tenancy.Project) (tenancy.Project, error)) (tenancy.Project, error)
	// Delete removes a project with all that it holds. It may be called again.
	Delete(context.Context, tenancy.ProjectID) error
}

// Audit keeps the record of who did what.
type Audit interface {
	// Ready returns an error while no record could be written to the project's trail.
	Ready(context.Context, tenancy.ProjectID) error
	// Write returns when the record is on disk on a quorum of replicas. One that could not
	// be written in time is written later.
	Write(context.Context, tenancy.ProjectID, audit.Record) error
	// Note counts a call and never waits.
	Note(tenancy.ProjectID, audit.Kind, audit.Count)
}

// Trail reads that record.
type Trail interface {
	Page(context.Context, tenancy.ProjectID, audit.Query) (audit.Page, error)
	Verify(context.Context, tenancy.ProjectID) (audit.Report, error)
}

// Tokens verifies bearer tokens: those of identity providers and our own. An identity
// that is bound to a certificate is the caller's only once checkHolder has agreed.
type Tokens interface {
	VerifyToken(ctx context.Context, token string) (tenancy.Identity, time.Time, error)
}

// Exchange turns an identity provider's token into one of ours, bound to a project.
type Exchange interface {
	// VerifyIDToken checks an ID token of the named identity provider. Like Tokens it leaves
	// the certificate to checkHolder.
	VerifyIDToken(ctx context.Context, provider, token string) (tenancy.Identity, time.Time, error)
	// Issue seals a token for the identity that ends no later than the given time, and is
	// bound to the certificate that the identity is bound to. An identity without a project
	// but with offers gets a token for no project.
	Issue(id tenancy.Identity, notAfter time.Time) (token string, expires time.Time, err error)
}

// Sessions are the life of tokens beside their verification.
type Sessions interface {
	// InspectToken is VerifyToken and tells all that the token says.
	InspectToken(ctx context.Context, token string) (tenancy.Token, error)
	// RevokeToken makes the token, and what it was exchanged for, worthless everywhere.
	RevokeToken(ctx context.Context, t tenancy.Token, by tenancy.Identity) error
	// VerifySecret checks the secret of an access key; the source is the caller's address.
	// It returns when the key ends; the zero time means that it does not.
	VerifySecret(keyID, secret, source string) (tenancy.Identity, time.Time, error)
}

// AccessKeys keeps the access keys of projects. Secrets are returned once.
type AccessKeys interface {
	List(context.Context, tenancy.ProjectID) ([]tenancy.AccessKey, error)
	Create(ctx context.Context, p tenancy.Project, by tenancy.Identity, k tenancy.NewAccessKey) (tenancy.AccessKey, accesskey.Secret, error)
	Change(ctx context.Context, p tenancy.ProjectID, id string, by tenancy.Identity, c tenancy.KeyChange) (tenancy.AccessKey, error)
	Rotate(ctx context.Context, p tenancy.ProjectID, id string, by tenancy.Identity, overlap time.Duration) (tenancy.AccessKey, accesskey.Secret, error)
	Delete(ctx context.Context, p tenancy.ProjectID, id string) error
}

// Signatures verifies requests signed with an access key.
type Signatures interface {
	// VerifySignature returns tenancy.ErrUnauthenticated, wrapped, for whatever is wrong.
	VerifySignature(r *http.Request, body []byte) (tenancy.Identity, error)
}
