package tenancy

import (
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// Limits of access keys.
const (
	MaxAccessKeys     = 100 // made over the API, of one project
	MaxKeyQueues      = 50  // that one key can be limited to; they must fit into a token
	MaxKeyDescription = 160 // characters
)

// AccessKey describes an access key. It does not hold the secret.
type AccessKey struct {
	ID          string
	Project     ProjectID
	Description string
	KeyScope
	Created    time.Time // zero for a configured key
	CreatedBy  string    // subject that made it; empty for a configured key
	Expires    time.Time // zero means that it does not end
	LastUsed   time.Time // to about ten minutes, best effort; zero means not known
	Rotated    time.Time // when it got the secret it has now; zero means never since
	OverlapEnd time.Time // until when the secret before is accepted as well
	// Configured keys are in the configuration of the nodes. They can be neither changed
	// nor deleted over the API.
	Configured bool
}

// KeyScope is what a key permits: roles in the whole project, or permissions on single
// queues.
type KeyScope struct {
	Roles  []Role
	Queues map[string][]Permission
}

// Validate reports the first thing that is wrong with the scope. Queues are not looked
// up: a queue that does not exist permits nothing.
func (s KeyScope) Validate() error {
	switch {
	case len(s.Roles) > 0 && len(s.Queues) > 0:
		return fmt.Errorf("a key has roles or queues, not both")
	case len(s.Roles) == 0 && len(s.Queues) == 0:
		return fmt.Errorf("a key needs roles or queues")
	case len(s.Queues) > MaxKeyQueues:
		return fmt.Errorf("a key can be limited to at most %d queues", MaxKeyQueues)
	}
	for i, r := range s.Roles {
		if _, err := ParseRole(string(r)); err != nil {
			return err
		}
		if slices.Contains(s.Roles[:i], r) {
			return fmt.Errorf("role %s is given twice", r)
		}
	}
	for id, permissions := range s.Queues {
		if len(permissions) == 0 {
			return fmt.Errorf("queue %.64s has no permissions", id)
		}
		for i, p := range permissions {
			if p < Observe || p > Manage {
				return fmt.Errorf("queue %.64s: %s cannot be permitted on a queue", id, p)
			}
			if slices.Contains(permissions[:i], p) {
				return fmt.Errorf("queue %.64s: %s is given twice", id, p)
			}
		}
	}
	return nil
}

// Within reports whether the identity holds everything in the project that the scope
// permits, so that it gives nothing away that is not its own.
func (s KeyScope) Within(id Identity, project ProjectID) bool {
	for _, r := range s.Roles {
		for p := Observe; p <= Operate; p++ {
			if r.Allows(p) && !id.Can(p, project) {
				return false
			}
		}
	}
	for queue, permissions := range s.Queues {
		for _, p := range permissions {
			if !id.CanOn(p, project, queue) {
				return false
			}
		}
	}
	return true
}

// Grant is the scope as a grant in a project of the given name.
func (s KeyScope) Grant(name string) Grant {
	return Grant{Name: name, Roles: s.Roles, Queues: s.Queues}
}

// NewAccessKey is what is asked for when a key is made.
type NewAccessKey struct {
	Description string
	KeyScope
	Expires time.Time // zero means that it does not end
}

// Validate reports the first thing that is wrong with the request.
func (k NewAccessKey) Validate(now time.Time) error {
	if err := ValidateKeyDescription(k.Description); err != nil {
		return err
	}
	if !k.Expires.IsZero() && !k.Expires.After(now) {
		return fmt.Errorf("the key would have expired already")
	}
	return k.KeyScope.Validate()
}

// ValidateKeyDescription bounds the text for people.
func ValidateKeyDescription(s string) error {
	if utf8.RuneCountInString(s) > MaxKeyDescription {
		return fmt.Errorf("the description must have at most %d characters", MaxKeyDescription)
	}
	return nil
}

// KeyChange is what is to be changed of a key; nil leaves it as it is.
type KeyChange struct {
	Description *string
	Scope       *KeyScope
	Expires     *time.Time // of the zero time: the key does not end any more
}
