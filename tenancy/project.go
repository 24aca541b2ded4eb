package tenancy

import (
	"errors"
	"fmt"
)

// ProjectID names a tenant: 32 lower-case hexadecimal digits. Everything a tenant
// owns is looked up below its project, so an id alone never reaches another's data.
type ProjectID string

// ParseProjectID accepts exactly 32 lower-case hexadecimal digits.
func ParseProjectID(s string) (ProjectID, error) {
	if len(s) != 32 {
		return "", fmt.Errorf("%w: want 32 hexadecimal digits, got %d characters", ErrBadProjectID, len(s))
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", fmt.Errorf("%w: character %d is not a lower-case hexadecimal digit", ErrBadProjectID, i+1)
		}
	}
	return ProjectID(s), nil
}

// Control names the service's own account. It is no project's id, so that no caller can
// be admitted to it.
const Control ProjectID = "control"

// Layout is the version of what a project's storage is made of. Whoever changes that
// raises it: nodes then provision the projects of earlier versions again when they start.
const Layout = 1

// Project is a tenant and what it may use.
type Project struct {
	ID     ProjectID
	Name   string // as the identity provider or the operator names it; may be empty
	Limits Limits
	// BoundOnly admits only callers whose credential is bound to a certificate.
	BoundOnly bool
}

// Limits bound one project. They are enforced before anything is stored.
type Limits struct {
	Queues         int   // queues at one time, 0 to 500
	GroupsPerQueue int   // consumer groups of one queue, 1 to 100
	StoredBytes    int64 // payload and headers of all stored messages, counted once, not per replica
}

// DefaultLimits are the published defaults of the service: 30 queues, 3 groups per
// queue, 10 GiB. The node lowers StoredBytes where its disk is small.
func DefaultLimits() Limits {
	return Limits{Queues: 30, GroupsPerQueue: 3, StoredBytes: 10 << 30}
}

// AuditBytes is what the record of who did what may hold in one project. It is no part
// of the project's quota.
const AuditBytes = 64 << 20

// Footprint is what the project's account may hold in all: the quota, a reserve so that
// control records, dead letters and acknowledgements are still written when the quota is
// used up, and the audit trail. Counted once, not per replica.
func (l Limits) Footprint() int64 {
	return l.StoredBytes + max(l.StoredBytes/10, 64<<20) + AuditBytes
}

// Validate reports the first limit that is out of its range.
func (l Limits) Validate() error {
	switch {
	case l.Queues < 0 || l.Queues > 500:
		return fmt.Errorf("limit of queues is %d, want 0 to 500", l.Queues)
	case l.GroupsPerQueue < 1 || l.GroupsPerQueue > 100:
		return fmt.Errorf("limit of groups per queue is %d, want 1 to 100", l.GroupsPerQueue)
	case l.StoredBytes < 1<<20:
		return fmt.Errorf("limit of stored bytes is %d, want at least %d", l.StoredBytes, 1<<20)
	}
	return nil
}

// Errors about projects and callers. Verifiers and registries wrap them.
var (
	ErrBadProjectID    = errors.New("malformed project id")
	ErrNoProject       = errors.New("no such project")
	ErrExists          = errors.New("the project exists")
	ErrNoRoom          = errors.New("no room for the project's quota")
	ErrUnauthenticated = errors.New("not authenticated")
	ErrExpired         = errors.New("credential expired")
	// ErrUnavailable says nothing about the credential: what is needed to judge it, or to
	// prepare the project, cannot be had at the moment, and trying again makes sense.
	ErrUnavailable = errors.New("cannot be decided at the moment")
)
