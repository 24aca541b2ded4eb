package accesskey

import (
	"errors"
	"fmt"
	"log/slog"
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

// Key is one access key. It belongs to one project and acts there with its roles.
type Key struct {
	ID          string // 1 to 64 letters, digits, "-" and "_"; not secret
	Secret      Secret // at least 16 bytes
	Project     tenancy.ProjectID
	ProjectName string // may be empty
	Roles       []tenancy.Role
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
	if len(k.Roles) == 0 {
		return fmt.Errorf("access key %s: has no roles", k.ID)
	}
	for _, r := range k.Roles {
		if _, err := tenancy.ParseRole(string(r)); err != nil {
			return fmt.Errorf("access key %s: %w", k.ID, err)
		}
	}
	return nil
}

func (k Key) identity() tenancy.Identity {
	roles := append([]tenancy.Role(nil), k.Roles...)
	return tenancy.Identity{
		Issuer:  Issuer,
		Subject: k.ID,
		KeyID:   k.ID,
		Grants:  map[tenancy.ProjectID]tenancy.Grant{k.Project: {Name: k.ProjectName, Roles: roles}},
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

// Verifier verifies signed requests. It is safe for concurrent use.
type Verifier struct {
	keys map[string]Key
	now  func() time.Time
}

// New makes a verifier of the keys. Every key must be valid and its id unique; no keys
// at all is allowed and refuses every request. A nil now means time.Now.
func New(keys []Key, now func() time.Time) (*Verifier, error) {
	if now == nil {
		now = time.Now
	}
	v := &Verifier{keys: make(map[string]Key, len(keys)), now: now}
	var errs []error
	for _, k := range keys {
		if err := k.Validate(); err != nil {
			errs = append(errs, err)
			continue
		}
		if _, ok := v.keys[k.ID]; ok {
			errs = append(errs, fmt.Errorf("access key %s: occurs twice", k.ID))
			continue
		}
		v.keys[k.ID] = k
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return v, nil
}
