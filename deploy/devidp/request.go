package devidp

import (
	"log/slog"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// session is one signing-in: op's AuthRequest until the code is exchanged, and its
// RefreshTokenRequest after that, if the client asked for one. It is never changed once
// it is shared; see store.
type session struct {
	id        string
	client    string
	redirect  string
	state     string
	nonce     string
	mode      oidc.ResponseMode
	kind      oidc.ResponseType
	scopes    []string
	challenge *oidc.CodeChallenge
	user      string    // empty until signed in
	signedIn  time.Time // zero until signed in
	ends      time.Time // of the request or of the refresh token
}

var (
	_ op.AuthRequest         = (*session)(nil)
	_ op.RefreshTokenRequest = (*session)(nil)
)

// LogValue keeps state, nonce and challenge out of what op logs.
func (s *session) LogValue() slog.Value {
	return slog.GroupValue(slog.String("client", s.client), slog.String("user", s.user))
}

func (s *session) GetID() string                         { return s.id }
func (s *session) GetACR() string                        { return "" }
func (s *session) GetAMR() []string                      { return []string{"pwd"} }
func (s *session) GetAudience() []string                 { return []string{Audience} }
func (s *session) GetAuthTime() time.Time                { return s.signedIn }
func (s *session) GetClientID() string                   { return s.client }
func (s *session) GetCodeChallenge() *oidc.CodeChallenge { return s.challenge }
func (s *session) GetNonce() string                      { return s.nonce }
func (s *session) GetRedirectURI() string                { return s.redirect }
func (s *session) GetResponseType() oidc.ResponseType    { return s.kind }
func (s *session) GetResponseMode() oidc.ResponseMode    { return s.mode }
func (s *session) GetScopes() []string                   { return s.scopes }
func (s *session) GetState() string                      { return s.state }
func (s *session) GetSubject() string                    { return s.user }
func (s *session) Done() bool                            { return s.user != "" }
func (s *session) SetCurrentScopes(scopes []string)      { s.scopes = scopes }

// client is the console, the only client. It implements op's Client.
type client struct {
	path            string // of the issuer
	redirects       []string
	logoutRedirects []string
}

var _ op.Client = client{}

func (client) GetID() string                       { return ConsoleClient }
func (c client) RedirectURIs() []string            { return c.redirects }
func (c client) PostLogoutRedirectURIs() []string  { return c.logoutRedirects }
func (client) ApplicationType() op.ApplicationType { return op.ApplicationTypeUserAgent }
func (client) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethodNone }
func (client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}
func (client) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken}
}
func (c client) LoginURL(id string) string { return c.path + "/login?request=" + id }

// AccessTokenType is the opaque one, whose form is ours to choose: see store.Encrypt.
func (client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeBearer }
func (client) IDTokenLifetime() time.Duration      { return tokenLife }

// DevMode allows redirects to plain http.
func (client) DevMode() bool { return true }
func (client) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}
func (client) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}
func (client) IsScopeAllowed(string) bool           { return false }
func (client) IDTokenUserinfoClaimsAssertion() bool { return true }
func (client) ClockSkew() time.Duration             { return 0 }
