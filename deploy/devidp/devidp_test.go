package devidp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"dms/tenancy"
	"dms/tenancy/oidc"
)

const (
	project1 tenancy.ProjectID = "0123456789abcdef0123456789abcdef"
	project2 tenancy.ProjectID = "fedcba9876543210fedcba9876543210"
	callback                   = "http://127.0.0.1:1/console/callback"
	verifier                   = "a-verifier-of-at-least-43-characters-0123456789"
)

func alice() User {
	return User{Name: "alice", Password: "wonderland", FullName: "Alice <A>", Projects: []Membership{
		{Project: project1, Name: "one", Roles: []tenancy.Role{tenancy.Manager}},
		{Project: project2, Name: "two", Roles: []tenancy.Role{tenancy.Viewer, tenancy.Consumer}},
	}}
}

// start serves a provider the way the service does: below Path of its own listener.
func start(t *testing.T, change func(*Options)) *Provider {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Development: true, Issuer: "http://" + l.Addr().String() + Path,
		Users: []User{alice(), {Name: "bob", Password: "builder"}}, Redirects: []string{callback},
		LogoutRedirects: []string{callback},
	}
	if change != nil {
		change(&o)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(Path+"/", p)
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: mux}}
	s.Start()
	t.Cleanup(s.Close)
	return p
}

func trust(t *testing.T, p *Provider) *oidc.Verifier {
	t.Helper()
	v, err := oidc.New(oidc.Options{ID: "dev", Issuer: p.Issuer(), Audience: []string{Audience}, RequireAccessType: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// anyTokenID leaves out the names of tokens, which are random.
func anyTokenID() cmp.Option { return cmpopts.IgnoreFields(tenancy.Identity{}, "TokenID") }

func identityOf(p *Provider, u User) tenancy.Identity {
	id := tenancy.Identity{Issuer: p.Issuer(), Subject: u.Name, Name: u.FullName, Client: ConsoleClient, Grants: map[tenancy.ProjectID]tenancy.Grant{}}
	for _, m := range u.Projects {
		id.Grants[m.Project] = tenancy.Grant{Name: m.Name, Roles: m.Roles}
	}
	return id
}

func TestSigningIn(t *testing.T) {
	p := start(t, nil)
	v := trust(t, p)
	got, a := exchange(t, p, codeForm(signIn(t, p, "alice", "wonderland")))
	if a.status != http.StatusOK || got.Type != "Bearer" || got.Expires < 3500 || got.Expires > 3600 {
		t.Fatalf("exchange of the code: got %d: %s", a.status, a.body)
	}
	want := identityOf(p, alice())
	id, _, err := v.Verify(t.Context(), got.Access)
	if err != nil {
		t.Fatalf("access token: %v", err)
	}
	if diff := cmp.Diff(want, id, anyTokenID()); diff != "" {
		t.Errorf("access token (-want +got):\n%s", diff)
	}
	if id, _, err = v.VerifyIDToken(t.Context(), got.ID); err != nil {
		t.Fatalf("ID token: %v", err)
	}
	if diff := cmp.Diff(want, id, anyTokenID()); diff != "" {
		t.Errorf("ID token (-want +got):\n%s", diff)
	}
	if _, _, err := v.Verify(t.Context(), got.ID); !errors.Is(err, tenancy.ErrUnauthenticated) {
		t.Errorf("ID token as access token: got %v, want ErrUnauthenticated", err)
	}
	if typ := part(t, got.Access, 0)["typ"]; typ != "at+jwt" {
		t.Errorf("type of the access token is %v", typ)
	}
	claims := part(t, got.ID, 1)
	if claims["nonce"] != "the-nonce" || claims["preferred_username"] != "alice" {
		t.Errorf("claims of the ID token are %v", claims)
	}
	if diff := cmp.Diff([]any{"dms", "dms-console"}, claims["aud"]); diff != "" {
		t.Errorf("audience of the ID token (-want +got):\n%s", diff)
	}
	info := send(t, browser(t), http.MethodGet, p.Issuer()+"/userinfo", nil, http.Header{"Authorization": {"Bearer " + got.Access}})
	if info.status != http.StatusOK || !strings.Contains(info.body, string(project2)) {
		t.Errorf("userinfo: got %d: %s", info.status, info.body)
	}
	info = send(t, browser(t), http.MethodGet, p.Issuer()+"/userinfo", nil, http.Header{"Authorization": {"Bearer " + got.Access + "x"}})
	if info.status != http.StatusUnauthorized {
		t.Errorf("userinfo with a broken token: got %d: %s", info.status, info.body)
	}
}

func TestUserWithoutProjects(t *testing.T) {
	p := start(t, nil)
	got, _ := exchange(t, p, codeForm(signIn(t, p, "bob", "builder")))
	id, _, err := trust(t, p).Verify(t.Context(), got.Access)
	if err != nil || id.Subject != "bob" || len(id.Grants) != 0 {
		t.Errorf("got %+v, %v, want bob without projects", id, err)
	}
}

func TestCodeIsGoodOnceAndWithItsVerifierOnly(t *testing.T) {
	p := start(t, nil)
	code := signIn(t, p, "alice", "wonderland")
	for name, change := range map[string]func(url.Values){
		"other verifier": func(f url.Values) { f.Set("code_verifier", strings.Repeat("b", 43)) },
		"no verifier":    func(f url.Values) { f.Del("code_verifier") },
		"other redirect": func(f url.Values) { f.Set("redirect_uri", callback+"x") },
		"other code":     func(f url.Values) { f.Set("code", code+"x") },
	} {
		form := codeForm(code)
		change(form)
		if _, a := exchange(t, p, form); a.status == http.StatusOK {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, a := exchange(t, p, codeForm(code)); a.status != http.StatusOK {
		t.Fatalf("the code itself: got %d: %s", a.status, a.body)
	}
	if _, a := exchange(t, p, codeForm(code)); a.status == http.StatusOK {
		t.Error("the code was good twice")
	}
}

func TestRefreshTokenIsGoodOnce(t *testing.T) {
	p := start(t, nil)
	first, _ := exchange(t, p, codeForm(signIn(t, p, "alice", "wonderland")))
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.Refresh}}
	second, a := exchange(t, p, form)
	if a.status != http.StatusOK || second.Refresh == first.Refresh || second.Access == first.Access {
		t.Fatalf("refresh: got %d: %s", a.status, a.body)
	}
	if _, _, err := trust(t, p).Verify(t.Context(), second.Access); err != nil {
		t.Errorf("refreshed access token: %v", err)
	}
	if _, a := exchange(t, p, form); a.status == http.StatusOK {
		t.Error("the refresh token was good twice")
	}
	form.Set("refresh_token", second.Refresh)
	if _, a := exchange(t, p, form); a.status != http.StatusOK {
		t.Errorf("refresh token of a refresh: got %d: %s", a.status, a.body)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	p := start(t, nil)
	for name, change := range map[string]func(url.Values){
		"without PKCE":       func(q url.Values) { q.Del("code_challenge"); q.Del("code_challenge_method") },
		"with plain PKCE":    func(q url.Values) { q.Set("code_challenge_method", "plain") },
		"other redirect":     func(q url.Values) { q.Set("redirect_uri", "http://127.0.0.1:1/elsewhere") },
		"other client":       func(q url.Values) { q.Set("client_id", "other") },
		"implicit":           func(q url.Values) { q.Set("response_type", "id_token token") },
		"silent":             func(q url.Values) { q.Set("prompt", "none") },
		"redirect to others": func(q url.Values) { q.Set("redirect_uri", "https://example.com/") },
	} {
		q := authorizeQuery()
		change(q)
		a := send(t, browser(t), http.MethodGet, p.Issuer()+"/authorize?"+q.Encode(), nil, nil)
		if a.location != nil && (a.location.Path == Path+"/login" || a.location.Query().Get("code") != "") {
			t.Errorf("%s: got %d to %v", name, a.status, a.location)
		}
		if a.location != nil && !strings.HasPrefix(a.location.String(), callback) {
			t.Errorf("%s: sent to %v", name, a.location)
		}
	}
}

func TestWrongPasswordsAreRefused(t *testing.T) {
	p := start(t, nil)
	c := browser(t)
	a := send(t, c, http.MethodGet, p.Issuer()+"/authorize?"+authorizeQuery().Encode(), nil, nil)
	request := a.location.Query().Get("request")
	for _, tt := range [][3]string{
		{request, "alice", ""}, {request, "alice", "Wonderland"}, {request, "", ""}, {request, "nobody", ""}, {request, "bob", "wonderland"},
		{"other", "alice", "wonderland"}, {"", "alice", "wonderland"},
	} {
		a := send(t, c, http.MethodPost, p.Issuer()+"/login", url.Values{"request": {tt[0]}, "username": {tt[1]}, "password": {tt[2]}}, nil)
		if a.status != http.StatusUnauthorized {
			t.Errorf("%v: got %d", tt, a.status)
		}
	}
	// The callback of a request that nobody signed in for gives no code.
	a = send(t, c, http.MethodGet, p.Issuer()+"/authorize/callback?id="+request, nil, nil)
	if a.location != nil && a.location.Query().Get("code") != "" {
		t.Errorf("a code without signing in: %v", a.location)
	}
}

func TestSignInPageShowsNothingUnescaped(t *testing.T) {
	p := start(t, nil)
	a := send(t, browser(t), http.MethodGet, p.Issuer()+"/login?request="+url.QueryEscape(`"><script>alert(1)</script>`), nil, nil)
	if strings.Contains(a.body, "<script") {
		t.Errorf("page: %s", a.body)
	}
	for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Cache-Control"} {
		if a.header.Get(name) == "" {
			t.Errorf("the page has no %s", name)
		}
	}
}

func TestRequestsAreForgotten(t *testing.T) {
	now := time.Now()
	p := start(t, func(o *Options) { o.Now = func() time.Time { return now } })
	a := send(t, browser(t), http.MethodGet, p.Issuer()+"/authorize?"+authorizeQuery().Encode(), nil, nil)
	request := a.location.Query().Get("request")
	now = now.Add(signInLife)
	if err := p.store.signIn(request, "alice", "wonderland"); err == nil {
		t.Error("a request of ten minutes ago can still be signed in for")
	}
	for range maxSessions {
		a = send(t, browser(t), http.MethodGet, p.Issuer()+"/authorize?"+authorizeQuery().Encode(), nil, nil)
	}
	if a.location == nil || a.location.Path != Path+"/login" {
		t.Errorf("request %d: got %d to %v", maxSessions, a.status, a.location)
	}
	a = send(t, browser(t), http.MethodGet, p.Issuer()+"/authorize?"+authorizeQuery().Encode(), nil, nil)
	if a.location != nil && a.location.Path == Path+"/login" {
		t.Errorf("there are more than %d requests", maxSessions)
	}
}

func TestDiscovery(t *testing.T) {
	p := start(t, nil)
	a := send(t, browser(t), http.MethodGet, p.Issuer()+"/.well-known/openid-configuration", nil, nil)
	var got map[string]any
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	for name, want := range map[string]any{
		"issuer": p.Issuer(), "authorization_endpoint": p.Issuer() + "/authorize", "token_endpoint": p.Issuer() + "/oauth/token",
		"jwks_uri": p.Issuer() + "/keys", "userinfo_endpoint": p.Issuer() + "/userinfo", "end_session_endpoint": p.Issuer() + "/end_session",
		"code_challenge_methods_supported": []any{"S256"}, "id_token_signing_alg_values_supported": []any{"ES256"},
	} {
		if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(got[name])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for _, path := range []string{"/oauth/introspect", "/device_authorization"} {
		if a := send(t, browser(t), http.MethodPost, p.Issuer()+path, url.Values{"token": {"x"}, "client_id": {ConsoleClient}}, nil); a.status == http.StatusOK {
			t.Errorf("%s answers: %s", path, a.body)
		}
	}
}

func TestSigningOutGoesBackToTheConsole(t *testing.T) {
	p := start(t, nil)
	got, _ := exchange(t, p, codeForm(signIn(t, p, "alice", "wonderland")))
	q := url.Values{"id_token_hint": {got.ID}, "post_logout_redirect_uri": {callback}, "state": {"s"}}
	a := send(t, browser(t), http.MethodGet, p.Issuer()+"/end_session?"+q.Encode(), nil, nil)
	if a.location == nil || !strings.HasPrefix(a.location.String(), callback) {
		t.Errorf("got %d to %v: %s", a.status, a.location, a.body)
	}
	if _, a := exchange(t, p, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.Refresh}}); a.status == http.StatusOK {
		t.Error("the refresh token is good after signing out")
	}
}
