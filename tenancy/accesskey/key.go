package accesskey

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"dms/tenancy"
)

// Issuer is what identities of signed requests carry as their issuer.
const Issuer = "access-key"

// Secret is the private half of an access key. It does not print itself: logs and
// formatted strings show a placeholder. string(s) gives the real value.
type Secret string

const hidden = "[hidden]"

// LogValue keeps the secret out of structured logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// String keeps the secret out of formatted text.
func (Secret) String() string { return hidden }

// GoString keeps the secret out of %#v.
func (Secret) GoString() string { return hidden }

// Key is one access key. It belongs to one project and acts there with its roles, or on
// single queues with the permissions given for them.
type Key struct {
	ID          string // 1 to 64 letters, digits, "-" and "_"; not secret
	Secret      Secret // at least 16 bytes
	Project     tenancy.ProjectID
	ProjectName string // may be empty
	Roles       []tenancy.Role
	Queues      map[string][]tenancy.Permission // in place of roles

	Expires time.Time // zero means that it does not end
	// Former is the secret before the last rotation, accepted until FormerUntil.
	Former      Secret
	FormerUntil time.Time
	Generation  int // how often the key was rotated
}

// Validate reports the first thing that is wrong with the key, without its secret.
func (k Key) Validate() error {
	if !isKeyID(k.ID) {
		return fmt.Errorf("access key id %q: want 1 to 64 letters, digits, - and _", k.ID)
	}
	if len(k.Secret) < 16 {
		return fmt.Errorf("access key %s: the secret has %d bytes, want at least 16", k.ID, len(k.Secret))
	}
	if _, err := tenancy.ParseProjectID(string(k.Project)); err != nil {
		return fmt.Errorf("access key %s: %w", k.ID, err)
	}
	if err := (tenancy.KeyScope{Roles: k.Roles, Queues: k.Queues}).Validate(); err != nil {
		return fmt.Errorf("access key %s: %w", k.ID, err)
	}
	return nil
}

// Grant is what the key permits in its project.
func (k Key) Grant() tenancy.Grant {
	return tenancy.Grant{Name: k.ProjectName, Roles: slices.Clone(k.Roles), Queues: k.Queues}
}

// Until is when the secret of the generation ends: zero means that it does not, and a
// false ok that it has ended. Anything that was obtained with the secret ends then, too.
func (k Key) Until(generation int, now time.Time) (until time.Time, ok bool) {
	until = k.Expires
	switch generation {
	case k.Generation:
	case k.Generation - 1:
		if k.FormerUntil.IsZero() {
			return time.Time{}, false
		}
		if until.IsZero() || k.FormerUntil.Before(until) {
			until = k.FormerUntil
		}
	default:
		return time.Time{}, false
	}
	return until, until.IsZero() || now.Before(until)
}

// identity is the key's holder, who presented the secret of the generation.
func (k Key) identity(generation int) tenancy.Identity {
	return tenancy.Identity{
		Issuer: Issuer, Subject: k.ID, KeyID: k.ID, KeyGeneration: generation,
		Grants: map[tenancy.ProjectID]tenancy.Grant{k.Project: k.Grant()},
	}
}

func isKeyID(s string) bool {
	if len(s) < 1 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if !isWordByte(s[i]) {
			return false
		}
	}
	return true
}

// isWordByte accepts letters, digits, "-" and "_": the bytes of key ids and of the
// region and service of a credential.
func isWordByte(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// Keys finds keys by their id.
type Keys interface {
	AccessKey(id string) (Key, bool)
}

// Set is a fixed set of keys by id. It implements Keys.
type Set map[string]Key

// NewSet makes a set of keys, each of which must be valid and its id unique.
func NewSet(keys []Key) (Set, error) {
	set := make(Set, len(keys))
	var errs []error
	for _, k := range keys {
		if err := k.Validate(); err != nil {
			errs = append(errs, err)
			continue
		}
		if _, ok := set[k.ID]; ok {
			errs = append(errs, fmt.Errorf("access key %s: occurs twice", k.ID))
			continue
		}
		set[k.ID] = k
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return set, nil
}

// AccessKey implements Keys.
func (s Set) AccessKey(id string) (Key, bool) {
	k, ok := s[id]
	return k, ok
}
