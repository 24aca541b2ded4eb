package devidp

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"dms/tenancy"
)

// accessType is the type of access tokens by RFC 9068.
const accessType = "at+jwt"

// MintAccess makes an access token for a user without anyone signing in, for scripts.
// It names one project of the user, or all of them if the project is empty, and lives
// for ttl, up to 24 hours.
func (p *Provider) MintAccess(user string, project tenancy.ProjectID, ttl time.Duration) (string, error) {
	return p.store.mint(accessType, user, project, ttl)
}

// MintID makes an ID token of the console's client for a user, on the same terms. It has
// no nonce: it is for the exchange, not for signing in.
func (p *Provider) MintID(user string, project tenancy.ProjectID, ttl time.Duration) (string, error) {
	return p.store.mint("JWT", user, project, ttl)
}

func (s *store) mint(kind, name string, project tenancy.ProjectID, ttl time.Duration) (string, error) {
	if ttl <= 0 || ttl > maxTokenLife {
		return "", fmt.Errorf("mint token: life of %s is out of range, want up to %s", ttl, maxTokenLife)
	}
	u, ok := s.users[name]
	if !ok {
		return "", fmt.Errorf("mint token: no user %q", name)
	}
	if project != "" {
		i := slices.IndexFunc(u.Projects, func(m Membership) bool { return m.Project == project })
		if i < 0 {
			return "", fmt.Errorf("mint token: user %s is not in project %s", name, project)
		}
		u.Projects = u.Projects[i : i+1]
	}
	audience := []string{Audience}
	if kind != accessType {
		audience = append(audience, ConsoleClient)
	}
	return s.sign(kind, u, rand.Text(), audience, nil, s.now().Add(ttl))
}

// claims is what our own tokens carry. ID tokens of the code flow are op's, which adds
// the projects through userinfo.go.
type claims struct {
	Issuer   string       `json:"iss"`
	Subject  string       `json:"sub"`
	Audience []string     `json:"aud"`
	Client   string       `json:"client_id"`
	Issued   int64        `json:"iat"`
	Expires  int64        `json:"exp"`
	ID       string       `json:"jti"`
	Scope    string       `json:"scope,omitempty"`
	Name     string       `json:"name,omitempty"`
	Projects []Membership `json:"dms_projects"`
}

func (s *store) sign(kind string, u User, id string, audience, scopes []string, expires time.Time) (string, error) {
	payload, err := json.Marshal(claims{
		Issuer: s.issuer, Subject: u.Name, Audience: audience, Client: ConsoleClient,
		Issued: s.now().Unix(), Expires: expires.Unix(), ID: id,
		Scope: strings.Join(scopes, " "), Name: u.FullName, Projects: projectsOf(u),
	})
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: s.key.private, KeyID: s.key.id}},
		(&jose.SignerOptions{}).WithType(jose.ContentType(kind)))
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return jws.CompactSerialize()
}

// verify reads a token that sign made.
func (s *store) verify(token string) (claims, error) {
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return claims{}, err
	}
	payload, err := jws.Verify(&s.key.private.PublicKey)
	if err != nil {
		return claims{}, err
	}
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return claims{}, err
	}
	if !s.now().Before(time.Unix(c.Expires, 0)) {
		return claims{}, fmt.Errorf("token %w", tenancy.ErrExpired)
	}
	return c, nil
}

// projectsOf never returns nil: the claim is an empty array for a user in no project.
func projectsOf(u User) []Membership {
	all := make([]Membership, len(u.Projects))
	for i, m := range u.Projects {
		m.Roles = append([]tenancy.Role{}, m.Roles...)
		all[i] = m
	}
	return all
}
