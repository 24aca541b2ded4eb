package tenancy

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Permission is one kind of action on a project's objects.
type Permission uint8

const (
	Observe Permission = iota + 1 // read queues, groups, counters, tags, quotas
	Produce                       // send messages
	Consume                       // receive and acknowledge messages
	Manage                        // create, change and delete queues, groups and tags
	Operate                       // act on the whole service, not on one project
	Inspect                       // look at messages without consuming them
)

// String is the permission's name as access keys and routes carry it.
func (p Permission) String() string {
	switch p {
	case Observe:
		return "observe"
	case Produce:
		return "produce"
	case Consume:
		return "consume"
	case Manage:
		return "manage"
	case Operate:
		return "operate"
	case Inspect:
		return "inspect"
	}
	return fmt.Sprintf("permission %d", uint8(p))
}

// ParseQueuePermission accepts the names of what can be permitted on a single queue:
// all but operate.
func ParseQueuePermission(s string) (Permission, error) {
	for _, p := range []Permission{Observe, Produce, Consume, Manage, Inspect} {
		if s == p.String() {
			return p, nil
		}
	}
	return 0, fmt.Errorf("unknown permission %.32q: want observe, produce, consume, manage or inspect", s)
}

// Role is a named set of permissions, as identity providers and access keys carry it.
type Role string

const (
	Viewer   Role = "viewer"
	Producer Role = "producer"
	Consumer Role = "consumer"
	Manager  Role = "manager"
	Operator Role = "operator"
)

// ParseRole accepts the five role names.
func ParseRole(s string) (Role, error) {
	switch r := Role(s); r {
	case Viewer, Producer, Consumer, Manager, Operator:
		return r, nil
	}
	return "", fmt.Errorf("unknown role %q: want viewer, producer, consumer, manager or operator", s)
}

// Allows reports whether the role includes the permission. A manager may do
// everything inside the project; an operator role gives no access to messages.
func (r Role) Allows(p Permission) bool {
	switch r {
	case Viewer:
		return p == Observe
	case Producer:
		return p == Observe || p == Produce
	case Consumer:
		return p == Observe || p == Consume || p == Inspect
	case Manager:
		return p == Observe || p == Produce || p == Consume || p == Manage || p == Inspect
	case Operator:
		return p == Operate
	}
	return false
}

// Grant is what an identity may do in one project.
type Grant struct {
	Name  string // the project's name, where the credential carries one
	Roles []Role
	// Queues, by queue id, are permissions on single queues. They come in place of
	// roles: what they permit is permitted on these queues and nowhere else.
	Queues map[string][]Permission
}

// Identity is a verified caller. The zero value may do nothing.
type Identity struct {
	Issuer  string // who vouches for the subject; "access-key" for signed requests
	Subject string // stable name of the caller at its issuer
	Name    string // for people; may be empty
	KeyID   string // access key that signed the request, if one did
	Client  string // program that the token was issued to, where the token tells
	Grants  map[ProjectID]Grant
	// Certificate is the client certificate that the credential is bound to, if it is
	// (RFC 8705): without it on the connection the caller is somebody else.
	Certificate Thumbprint

	// KeyGeneration counts how often the key had been rotated when it was used.
	KeyGeneration int
	// TokenID names the token that was presented, for audit and revocation; it is not
	// secret. Origins name those that it was exchanged for, one for the other, the first first.
	TokenID string
	Origins []string
	// Offers are the projects that a token without a project can be exchanged for. They
	// permit nothing. Nil means that the identity is not of such a token.
	Offers map[ProjectID]Grant
}

// Bound reports whether the caller's credential is bound to a certificate, so that it is
// of no use to whoever steals it.
func (id Identity) Bound() bool { return !id.Certificate.IsZero() }

// Can reports whether the identity holds the permission in the whole project.
func (id Identity) Can(p Permission, project ProjectID) bool {
	for _, r := range id.Grants[project].Roles {
		if r.Allows(p) {
			return true
		}
	}
	return false
}

// Operates reports whether the identity may act on the whole service: it is an operator
// in any of its projects.
func (id Identity) Operates() bool {
	for p := range id.Grants {
		if id.Can(Operate, p) {
			return true
		}
	}
	return false
}

// CanOn reports whether the identity holds the permission on the queue: through its
// roles, or because the permission was given for this queue. Whatever is permitted on a
// queue, observing it is too.
func (id Identity) CanOn(p Permission, project ProjectID, queue string) bool {
	if id.Can(p, project) {
		return true
	}
	given := id.Grants[project].Queues[queue]
	return slices.Contains(given, p) || p == Observe && len(given) > 0
}

// Limited reports whether the identity may do nothing in the project but what it was
// permitted on single queues.
func (id Identity) Limited(project ProjectID) bool {
	g := id.Grants[project]
	return len(g.Roles) == 0 && len(g.Queues) > 0
}

// Member reports whether the identity belongs to the project at all.
func (id Identity) Member(project ProjectID) bool {
	_, ok := id.Grants[project]
	return ok
}

// Scoped returns the identity reduced to one project, and whether it is a member.
func (id Identity) Scoped(project ProjectID) (Identity, bool) {
	g, ok := id.Grants[project]
	if !ok {
		return Identity{}, false
	}
	id.Grants = map[ProjectID]Grant{project: g}
	return id, true
}

// Token is a verified bearer token.
type Token struct {
	Identity Identity
	Issued   time.Time // zero if it does not say
	Expires  time.Time
}

type identityKey struct{}

// NewContext returns a context that carries the caller.
func NewContext(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

// FromContext returns the caller that NewContext stored.
func FromContext(ctx context.Context) (Identity, bool) {
	id, ok := ctx.Value(identityKey{}).(Identity)
	return id, ok
}
