package devidp

import (
	"context"
	"errors"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

var errNotServed = errors.New("not served by the development identity provider")

// SetUserinfoFromRequest puts the user into an ID token.
func (s *store) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, r op.IDTokenRequest, _ []string) error {
	return s.describe(info, r.GetSubject())
}

// SetUserinfoFromToken answers the userinfo endpoint.
func (s *store) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, _, subject, _ string) error {
	return s.describe(info, subject)
}

func (s *store) describe(info *oidc.UserInfo, subject string) error {
	u, ok := s.users[subject]
	if !ok {
		return errUnknown
	}
	info.Subject = u.Name
	info.Name = u.FullName
	info.PreferredUsername = u.Name
	info.AppendClaims(ProjectsClaim, projectsOf(u))
	return nil
}

// SetUserinfoFromScopes is superseded by SetUserinfoFromRequest.
func (s *store) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}

// GetPrivateClaimsFromScopes is for JWTs that op signs; ours are signed in mint.go.
func (s *store) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, nil
}

func (s *store) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	if id != ConsoleClient {
		return nil, errUnknown
	}
	return s.client, nil
}

// TerminateSession ends what a user could refresh at the client.
func (s *store) TerminateSession(_ context.Context, user, client string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for token, r := range s.refreshes {
		if r.user == user && r.client == client {
			delete(s.refreshes, token)
		}
	}
	return nil
}

// RevokeToken takes back a refresh token. Access tokens are checked without asking, so
// that there is nothing to take back.
func (s *store) RevokeToken(_ context.Context, token, _, client string) *oidc.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.refreshes[token]
	if !ok {
		return nil
	}
	if r.client != client {
		return oidc.ErrInvalidClient().WithDescription("token was not issued for this client")
	}
	delete(s.refreshes, token)
	return nil
}

func (s *store) GetRefreshTokenInfo(_ context.Context, _, token string) (user, id string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.live(s.refreshes, token)
	if !ok {
		return "", "", op.ErrInvalidRefreshToken
	}
	return r.user, token, nil
}

// The rest of op's Storage serves clients with secrets or keys, of which there are none.

func (s *store) AuthorizeClientIDSecret(context.Context, string, string) error { return errNotServed }

func (s *store) SetIntrospectionFromToken(context.Context, *oidc.IntrospectionResponse, string, string, string) error {
	return errNotServed
}

func (s *store) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, errNotServed
}

func (s *store) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errNotServed
}
