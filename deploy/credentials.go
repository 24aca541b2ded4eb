package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"dms/deploy/keys"
	"dms/tenancy"
	"dms/tenancy/accesskey"
	"dms/tenancy/keystore"
	"dms/tenancy/oidc"
	"dms/tenancy/token"
)

// credentials verifies whatever a caller may present: tokens of identity providers, our
// own, and access keys.
type credentials struct {
	providers *oidc.Set
	sealer    *token.Sealer
	store     *keystore.Store
	keys      *accesskey.Verifier
}

// VerifyToken implements facade.Tokens.
func (c *credentials) VerifyToken(ctx context.Context, raw string) (tenancy.Identity, time.Time, error) {
	t, err := c.InspectToken(ctx, raw)
	return t.Identity, t.Expires, err
}

// InspectToken implements facade.Sessions.
func (c *credentials) InspectToken(ctx context.Context, raw string) (tenancy.Token, error) {
	if !token.Is(raw) {
		id, expires, err := c.providers.Verify(ctx, raw)
		if err != nil {
			return tenancy.Token{}, err
		}
		id, err = c.current(id, foreignTokenID(raw))
		return tenancy.Token{Identity: id, Expires: expires}, err
	}
	o, err := c.sealer.Open(raw)
	if err != nil {
		return tenancy.Token{}, err
	}
	id, err := c.current(o.Identity, o.ID)
	return tenancy.Token{Identity: id, Issued: o.Issued, Expires: o.Expires}, err
}

// current names the token and applies what happened since it was issued.
func (c *credentials) current(id tenancy.Identity, tokenID string) (tenancy.Identity, error) {
	id.TokenID = tokenID
	return c.store.Current(id)
}

// foreignTokenID names a token of an identity provider by what its signature covers. The
// signature itself is left out: for some algorithms a holder can make another valid one
// of it, and the token would not be the revoked one any more.
func foreignTokenID(raw string) string {
	signed := raw
	if i := strings.LastIndexByte(raw, '.'); i >= 0 {
		signed = raw[:i]
	}
	sum := sha256.Sum256([]byte(signed))
	return "jwt-" + hex.EncodeToString(sum[:30])
}

// RevokeToken implements facade.Sessions.
func (c *credentials) RevokeToken(ctx context.Context, t tenancy.Token, by tenancy.Identity) error {
	return c.store.Revoke(ctx, t.Identity.TokenID, t.Expires, by)
}

// VerifySecret implements facade.Sessions.
func (c *credentials) VerifySecret(keyID, secret, source string) (tenancy.Identity, time.Time, error) {
	return c.keys.VerifySecret(keyID, secret, source)
}

// VerifyIDToken implements facade.Exchange.
func (c *credentials) VerifyIDToken(ctx context.Context, provider, raw string) (tenancy.Identity, time.Time, error) {
	id, expires, err := c.providers.VerifyIDToken(ctx, provider, raw)
	if err != nil {
		return tenancy.Identity{}, time.Time{}, err
	}
	id, err = c.current(id, foreignTokenID(raw))
	return id, expires, err
}

// Issue implements facade.Exchange.
func (c *credentials) Issue(id tenancy.Identity, notAfter time.Time) (string, time.Time, error) {
	if id.TokenID != "" {
		id.Origins = append(slices.Clone(id.Origins), id.TokenID)
	}
	return c.sealer.Seal(id, notAfter)
}

// NewSealer returns what seals and opens the service's own tokens.
func NewSealer(set *keys.Set) (*token.Sealer, error) {
	sealing, err := set.Sealing("token")
	if err != nil {
		return nil, err
	}
	return token.New(sealing, nil)
}

// newCredentials asks no provider anything: each is asked when its first token comes.
// The caller closes the providers, and the store.
func newCredentials(set *keys.Set, providers []IdentityProvider, store *keystore.Store, log *slog.Logger) (*credentials, error) {
	sealer, err := NewSealer(set)
	if err != nil {
		return nil, err
	}
	verifier, err := accesskey.NewVerifier(accesskey.Options{Keys: store, Used: store.Used, Fresh: store.Fresh})
	if err != nil {
		return nil, err
	}
	verifiers, err := newProviders(providers, log)
	if err != nil {
		return nil, err
	}
	return &credentials{providers: verifiers, sealer: sealer, store: store, keys: verifier}, nil
}

// readAccessKeys reads the secrets of the configured access keys.
func readAccessKeys(configured []AccessKey) ([]accesskey.Key, error) {
	out := make([]accesskey.Key, 0, len(configured))
	for _, k := range configured {
		secret, err := readSecret(k.SecretFile)
		if err != nil {
			return nil, fmt.Errorf("access key %s: secret: %w", k.ID, err)
		}
		key := accesskey.Key{
			ID: k.ID, Secret: accesskey.Secret(secret),
			Project: k.Project, ProjectName: k.ProjectName, Roles: k.Roles,
		}
		if err := key.Validate(); err != nil {
			return nil, fmt.Errorf("access key %s: %w", k.ID, err)
		}
		out = append(out, key)
	}
	return out, nil
}
