package keystore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"dms/mapping/dms"
	"dms/tenancy"
	"dms/tenancy/accesskey"
	"dms/tenancy/records"
)

// maxRevoked bounds the revocations of one caller's issuer and subject that are in force
// at a time, so that nobody can fill the bucket by asking for tokens and revoking them.
const maxRevoked = 1_000

// revocation is a revoked token.
type revocation struct {
	until time.Time // the end of the token
	by    string    // who revoked it
}

// revoked is the stored form of a revocation.
type revoked struct {
	Until time.Time `json:"until"`
	By    string    `json:"by"`
}

// revocationOf reads a record. One that cannot be read revokes for as long as any token
// lives.
func revocationOf(i records.Item) revocation {
	var r revoked
	if i.Data == nil || json.Unmarshal(i.Data, &r) != nil {
		return revocation{until: i.Written.Add(markLife)}
	}
	return revocation{until: r.Until, by: r.By}
}

// Revoke makes the token, and all that it was exchanged for, worthless on every node
// within seconds. The id has at most 64 letters, digits and hyphens. A token that has
// ended needs no revocation.
func (s *Store) Revoke(ctx context.Context, tokenID string, until time.Time, by tenancy.Identity) error {
	if !isTokenID(tokenID) {
		return fmt.Errorf("revoke token: malformed id %.80q", tokenID)
	}
	if !until.After(s.opts.Now()) {
		return nil
	}
	who := by.Issuer + " " + by.Subject
	if n, already := s.countRevoked(tokenID, who); already {
		return nil
	} else if n >= maxRevoked {
		return dms.Errorf(dms.TooManyRequests, "too many tokens were revoked: they end by themselves")
	}
	data, err := json.Marshal(revoked{Until: until.UTC(), By: who})
	if err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	i, err := s.bucket.Put(ctx, kindRevoked+tokenID, data, markLife)
	if err != nil {
		return explain(fmt.Errorf("revoke token: %w", err))
	}
	s.learn(i)
	return nil
}

func (s *Store) countRevoked(tokenID, who string) (n int, already bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, r := range s.mirror.revoked {
		if r.by == who {
			n++
		}
	}
	_, already = s.mirror.revoked[tokenID]
	return n, already
}

// Revoked reports whether one of the tokens was revoked. It does no I/O.
func (s *Store) Revoked(tokenIDs ...string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, id := range tokenIDs {
		if _, ok := s.mirror.revoked[id]; ok {
			return true
		}
	}
	return false
}

// Current returns the identity of a token as it is now. A token that an access key was
// exchanged for permits what the key permits now, and nothing once the key, or the secret
// that was presented, has ended. The error wraps tenancy.ErrUnauthenticated.
func (s *Store) Current(id tenancy.Identity) (tenancy.Identity, error) {
	if s.Revoked(append(id.Origins[:len(id.Origins):len(id.Origins)], id.TokenID)...) {
		return tenancy.Identity{}, fmt.Errorf("%w: the token was revoked", tenancy.ErrUnauthenticated)
	}
	if id.KeyID == "" {
		return id, nil
	}
	k, err := s.keyOf(id)
	if err != nil {
		s.Fresh() // the key may have been made or rotated a moment ago, on another node
		k, err = s.keyOf(id)
	}
	if err != nil {
		return tenancy.Identity{}, fmt.Errorf("%w: %w", tenancy.ErrUnauthenticated, err)
	}
	now := map[tenancy.ProjectID]tenancy.Grant{k.Project: k.Grant()}
	if id.Offers != nil {
		id.Offers = now
		return id, nil
	}
	if !id.Member(k.Project) {
		return tenancy.Identity{}, fmt.Errorf("%w: the token is not for the project of its access key", tenancy.ErrUnauthenticated)
	}
	id.Grants = now
	return id, nil
}

// keyOf returns the key that a token came from, if what was presented is still valid.
func (s *Store) keyOf(id tenancy.Identity) (accesskey.Key, error) {
	k, ok := s.AccessKey(id.KeyID)
	if !ok {
		return accesskey.Key{}, fmt.Errorf("the token's access key %s is gone", id.KeyID)
	}
	if _, ok := k.Until(id.KeyGeneration, s.opts.Now()); !ok {
		return accesskey.Key{}, fmt.Errorf("the token's access key %s, or its secret, has ended", id.KeyID)
	}
	return k, nil
}

func isTokenID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
