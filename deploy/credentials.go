package deploy

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"dms/deploy/keys"
	"dms/tenancy"
	"dms/tenancy/accesskey"
	"dms/tenancy/oidc"
	"dms/tenancy/token"
)

// credentials verifies whatever a caller may present as a token: those of identity
// providers and our own.
type credentials struct {
	providers *oidc.Set
	sealer    *token.Sealer
}

// VerifyToken implements facade.Tokens.
func (c *credentials) VerifyToken(ctx context.Context, raw string) (tenancy.Identity, time.Time, error) {
	if token.Is(raw) {
		return c.sealer.Open(raw)
	}
	return c.providers.Verify(ctx, raw)
}

// VerifyIDToken implements facade.Exchange.
func (c *credentials) VerifyIDToken(ctx context.Context, provider, raw string) (tenancy.Identity, time.Time, error) {
	return c.providers.VerifyIDToken(ctx, provider, raw)
}

// Issue implements facade.Exchange.
func (c *credentials) Issue(id tenancy.Identity, notAfter time.Time) (string, time.Time, error) {
	return c.sealer.Seal(id, notAfter)
}

// NewSealer returns what seals and opens the service's own tokens.
func NewSealer(set *keys.Set) (*token.Sealer, error) {
	sealing, err := set.Sealing("token")
	if err != nil {
		return nil, err
	}
	secrets := make([]token.Key, len(sealing))
	for i, k := range sealing {
		secrets[i] = token.Key{ID: k.ID, Secret: k.Key}
	}
	sealer, err := token.New(secrets, nil)
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	return sealer, nil
}

// newCredentials asks no provider anything: each is asked when its first token comes.
// The caller closes the providers.
func newCredentials(set *keys.Set, providers []IdentityProvider, log *slog.Logger) (*credentials, error) {
	sealer, err := NewSealer(set)
	if err != nil {
		return nil, err
	}
	verifiers, err := newProviders(providers, log)
	if err != nil {
		return nil, err
	}
	return &credentials{providers: verifiers, sealer: sealer}, nil
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
