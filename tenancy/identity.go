package tenancy

import (
	"context"
	"fmt"
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
}

// Identity is a verified caller. The zero value may do nothing.
type Identity struct {
	Issuer  string // who vouches for the subject; "access-key" for signed requests
	Subject string // stable name of the caller at its issuer
	Name    string // for people; may be empty
	KeyID   string // access key that signed the request, if one did
	Grants  map[ProjectID]Grant
}

// Can reports whether the identity holds the permission in the project.
func (id Identity) Can(p Permission, project ProjectID) bool {
	for _, r := range id.Grants[project].Roles {
		if r.Allows(p) {
			return true
		}
	}
	return false
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
