package deploy_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dms/deploy"
	"dms/deploy/deploytest"
	"dms/deploy/devidp"
	"dms/tenancy"

	"github.com/google/go-cmp/cmp"
)

const shopProject tenancy.ProjectID = "8f14e45fceea167a5a36dedd4bea2543"

// signInCluster is three nodes and an identity provider beside them. The third node ends
// sessions after a second without use.
type signInCluster struct {
	*deploytest.Cluster
	issuer string
}

func startSignIn(t *testing.T) *signInCluster {
	t.Helper()
	s := &signInCluster{}
	var provider atomic.Pointer[devidp.Provider]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := provider.Load(); p != nil {
			p.ServeHTTP(w, r)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	s.issuer = server.URL + "/accounts"
	nodes := 0
	s.Cluster = deploytest.Start(t, func(c *deploy.Config) {
		c.IdentityProviders = []deploy.IdentityProvider{{
			ID: "people", Issuer: s.issuer, Audience: []string{devidp.Audience}, RequireAccessType: true,
			Console: &deploy.ConsoleClient{Name: "People", ClientID: devidp.ConsoleClient},
		}}
		if nodes++; nodes%deploytest.Size == 0 {
			c.Console.SessionIdle = time.Second
		}
	})
	var redirects, leaving []string
	for i := range deploytest.Size {
		redirects, leaving = append(redirects, s.URL(t, i)+"/console/callback"), append(leaving, s.URL(t, i)+"/console/")
	}
	p, err := devidp.New(devidp.Options{
		Development: true, Issuer: s.issuer, Redirects: redirects, LogoutRedirects: leaving,
		Users: []devidp.User{
			{Name: "alice", Password: "secret of alice", FullName: "Alice", Projects: []devidp.Membership{{Project: shopProject, Name: "shop", Roles: []tenancy.Role{tenancy.Manager}}}},
			{Name: "mallory", Password: "secret of mallory"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	provider.Store(p)
	return s
}

func TestPeopleSignInToTheConsole(t *testing.T) {
	s := startSignIn(t)
	t.Run("through two nodes", func(t *testing.T) { signsInThroughTwoNodes(t, s) })
	t.Run("refusals", func(t *testing.T) { refusesForgedSignIns(t, s) })
	t.Run("other sites", func(t *testing.T) { refusesOtherSites(t, s) })
	t.Run("end", func(t *testing.T) { endsSessions(t, s) })
	t.Run("browsers", func(t *testing.T) { tellsBrowsersFromClients(t, s) })
}

func signsInThroughTwoNodes(t *testing.T, s *signInCluster) {
	b := newBrowser(t, s)
	none := b.at(http.StatusUnauthorized, s.URL(t, 0)+"/console/session")
	if !strings.Contains(none.body, `"providers":[{"id":"people","name":"People"}]`) || !strings.Contains(none.body, `"code":"signed_out"`) {
		t.Errorf("nobody has signed in: %s", none.body)
	}
	p := b.at(http.StatusSeeOther, b.via(1, b.begin(0, "alice", "/console/queues?q=a", nil)))
	if p.location != s.URL(t, 1)+"/console/queues?q=a" {
		t.Errorf("sent to %s", p.location)
	}
	set := strings.Join(p.header.Values("Set-Cookie"), "\n")
	if !regexp.MustCompile(`(?m)^dms-session=[A-Z2-7]{52}; Path=/; Max-Age=\d+; HttpOnly; SameSite=Strict$`).MatchString(set) || !strings.Contains(set, "dms-sign-in=; Path=/; Max-Age=0") {
		t.Errorf("cookies:\n%s", set)
	}
	var got struct {
		Subject, Name, Provider, Words string
		Projects                       []struct {
			ID, Name string
			Roles    []string
		}
		Expires time.Time `json:"expires_at"`
		Ends    time.Time `json:"ends_at"`
	}
	if err := json.Unmarshal([]byte(b.at(http.StatusOK, s.URL(t, 0)+"/console/session").body), &got); err != nil {
		t.Fatal(err)
	}
	if got.Subject != "alice" || got.Name != "Alice" || got.Provider != "people" || len(got.Projects) != 1 || got.Words == "" ||
		got.Projects[0].ID != string(shopProject) || got.Projects[0].Name != "shop" || cmp.Diff([]string{"manager"}, got.Projects[0].Roles) != "" {
		t.Errorf("the session is %+v", got)
	}
	if left := time.Until(got.Expires); left <= 0 || left > 30*time.Minute {
		t.Errorf("it ends in %s", left)
	}
	if left := time.Until(got.Ends); left <= 30*time.Minute || left > 12*time.Hour {
		t.Errorf("it ends in %s in any case", left)
	}
	// The API takes the cookie at every node, and other credentials before it.
	for i := range 2 {
		queues := s.URL(t, i) + "/v2/" + string(shopProject) + "/queues"
		b.at(http.StatusOK, queues)
		if p := b.get(queues, "X-Auth-Token", "nonsense"); p.status != http.StatusUnauthorized {
			t.Errorf("with a bad token beside the cookie: %d", p.status)
		}
		b.at(http.StatusUnauthorized, s.URL(t, i)+"/v2/"+string(s.AccessKey(0).Project)+"/queues")
	}
	// Signing in again makes another session and ends the first.
	first := b.cookie("dms-session")
	b.signIn(1, 0)
	if second := b.cookie("dms-session"); second == first || second == "" {
		t.Fatalf("the second session is %q", second)
	}
	b.setCookie("dms-session", first)
	b.poll("the first session ends", func() string {
		if p := b.get(s.URL(t, 1) + "/console/session"); p.status != http.StatusUnauthorized {
			return p.body
		}
		return ""
	})
}

func refusesForgedSignIns(t *testing.T, s *signInCluster) {
	change := func(callback, name, value string) string {
		u, err := url.Parse(callback)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		q.Set(name, value)
		u.RawQuery = q.Encode()
		return u.String()
	}
	for name, tt := range map[string]struct {
		status  int
		user    string
		request func(url.Values) // to the provider
		back    func(b *browser, callback string) string
	}{
		"another state":          {status: 400, back: func(_ *browser, c string) string { return change(c, "state", "another") }},
		"a state too many":       {status: 400, back: func(_ *browser, c string) string { return c + "&state=x" }},
		"another code":           {status: 403, back: func(_ *browser, c string) string { return change(c, "code", "another") }},
		"no code":                {status: 403, back: func(_ *browser, c string) string { return change(c, "code", "") }},
		"another nonce":          {status: 403, request: func(q url.Values) { q.Set("nonce", "another") }},
		"another challenge":      {status: 403, request: func(q url.Values) { q.Set("code_challenge", strings.Repeat("x", 43)) }},
		"another issuer":         {status: 400, back: func(_ *browser, c string) string { return change(c, "iss", "https://evil.example") }},
		"the provider's refusal": {status: 403, back: func(_ *browser, c string) string { return change(c, "error", "access_denied") }},
		"nobody's project":       {status: 403, user: "mallory"},
		"no cookie":              {status: 400, back: func(b *browser, c string) string { b.setCookie("dms-sign-in", ""); return c }},
		"the cookie of another": {status: 400, back: func(b *browser, c string) string {
			other := newBrowser(t, s)
			other.begin(0, "alice", "/console/", nil)
			b.setCookie("dms-sign-in", other.cookie("dms-sign-in"))
			return c
		}},
		"a tampered cookie": {status: 400, back: func(b *browser, c string) string {
			k := []byte(b.cookie("dms-sign-in"))
			k[len(k)/2] ^= 1
			b.setCookie("dms-sign-in", string(k))
			return c
		}},
		"the code of another sign-in": {status: 403, back: func(_ *browser, c string) string {
			u, err := url.Parse(newBrowser(t, s).begin(0, "alice", "/console/", nil))
			if err != nil {
				t.Fatal(err)
			}
			return change(c, "code", u.Query().Get("code"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBrowser(t, s)
			user := tt.user
			if user == "" {
				user = "alice"
			}
			callback := b.begin(0, user, "/console/", tt.request)
			if tt.back != nil {
				callback = tt.back(b, callback)
			}
			b.refused(tt.status, b.via(1, callback))
		})
	}
	t.Run("used again", func(t *testing.T) {
		b := newBrowser(t, s)
		callback := b.begin(0, "alice", "/console/", nil)
		cookie := b.cookie("dms-sign-in")
		b.at(http.StatusSeeOther, callback)
		for node := range 2 {
			again := newBrowser(t, s)
			again.setCookie("dms-sign-in", cookie)
			again.refused(http.StatusForbidden, again.via(node, callback))
		}
	})
	t.Run("an unknown provider", func(t *testing.T) {
		newBrowser(t, s).at(http.StatusBadRequest, s.URL(t, 0)+"/console/login?provider=other")
	})
	t.Run("a wrong state leaves a sign-in alone", func(t *testing.T) {
		b := newBrowser(t, s)
		callback := b.begin(0, "alice", "/console/", nil)
		b.refused(http.StatusBadRequest, change(callback, "state", "another"))
		b.at(http.StatusSeeOther, callback)
	})
}

func refusesOtherSites(t *testing.T, s *signInCluster) {
	b := newBrowser(t, s)
	b.signIn(0, 1)
	queues := s.URL(t, 0) + "/v2/" + string(shopProject) + "/queues"
	host, err := url.Parse(s.URL(t, 0))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, tt := range []struct {
		method string
		want   int
		header []string
	}{
		{"POST", 403, []string{"Sec-Fetch-Site", "cross-site"}},
		{"POST", 403, []string{"Sec-Fetch-Site", "same-site"}},
		{"POST", 403, []string{"Origin", "https://evil.example"}},
		{"POST", 403, []string{"Origin", "null"}},
		{"POST", 201, []string{"Sec-Fetch-Site", "same-origin", "Origin", s.URL(t, 0)}},
		{"POST", 201, []string{"Origin", "http://" + host.Host}},
		{"GET", 403, []string{"Sec-Fetch-Site", "cross-site"}},
		{"GET", 403, []string{"Sec-Fetch-Site", "same-site"}},
		{"GET", 200, []string{"Sec-Fetch-Site", "same-origin"}},
		{"GET", 200, []string{"Sec-Fetch-Site", "none"}},
		{"GET", 200, nil},
	} {
		n++
		body := ""
		if tt.method == "POST" {
			body = fmt.Sprintf(`{"name":"q%d"}`, n)
		}
		if p := b.do(tt.method, queues, body, tt.header...); p.status != tt.want {
			t.Errorf("%s with %v: %d, want %d: %s", tt.method, tt.header, p.status, tt.want, p.body)
		}
	}
	if p := b.do(http.MethodDelete, s.URL(t, 0)+"/console/session", "", "Sec-Fetch-Site", "cross-site"); p.status != http.StatusForbidden {
		t.Errorf("another site signs out: %d", p.status)
	}
	b.at(http.StatusOK, s.URL(t, 0)+"/console/session")
	// Who has another credential is nobody's browser.
	token := s.Token(t, shopProject, tenancy.Manager)
	if p := newBrowser(t, s).do(http.MethodPost, queues, `{"name":"by-token"}`, "Sec-Fetch-Site", "cross-site", "X-Auth-Token", token); p.status != http.StatusCreated {
		t.Errorf("with a token: %d", p.status)
	}
	changed := newBrowser(t, s)
	cookie := []byte(b.cookie("dms-session"))
	cookie[3] = 'A' + (cookie[3]-'A'+1)%26
	changed.setCookie("dms-session", string(cookie))
	if p := changed.at(http.StatusUnauthorized, queues); !strings.Contains(p.body, "the session has ended") {
		t.Errorf("a tampered cookie: %s", p.body)
	}
	changed.at(http.StatusUnauthorized, s.URL(t, 0)+"/console/session")
	if changed.cookie("dms-session") != "" {
		t.Error("a cookie that is worth nothing stays")
	}
}

func endsSessions(t *testing.T, s *signInCluster) {
	b := newBrowser(t, s)
	b.signIn(0, 1)
	secret := b.cookie("dms-session")
	// To the third node nobody has done anything for longer than it waits.
	b.poll("the session ends without use", func() string {
		b.setCookie("dms-session", secret)
		p := b.get(s.URL(t, 2) + "/console/session")
		if p.status != http.StatusUnauthorized || !strings.Contains(p.body, `"code":"session_ended"`) {
			return p.body
		}
		return ""
	})
	b.setCookie("dms-session", secret)
	if p := b.at(http.StatusUnauthorized, s.URL(t, 2)+"/v2/"+string(shopProject)+"/queues"); !strings.Contains(p.body, `"error_code":"DMS.10240102"`) {
		t.Errorf("the API says %s", p.body)
	}
	b.at(http.StatusOK, s.URL(t, 0)+"/console/session")
	out := b.do(http.MethodDelete, s.URL(t, 1)+"/console/session", "", "Sec-Fetch-Site", "same-origin")
	var said struct {
		LogoutURL string `json:"logout_url"`
	}
	if err := json.Unmarshal([]byte(out.body), &said); err != nil || out.status != http.StatusOK || b.cookie("dms-session") != "" {
		t.Fatalf("signing out: %d, %s", out.status, out.body)
	}
	if p := b.at(http.StatusFound, said.LogoutURL); p.location != s.URL(t, 1)+"/console/" {
		t.Errorf("the provider sends the browser to %s", p.location)
	}
	for i := range 2 {
		b.poll("the session ends everywhere", func() string {
			b.setCookie("dms-session", secret)
			if p := b.get(s.URL(t, i) + "/console/session"); p.status != http.StatusUnauthorized {
				return p.body
			}
			return ""
		})
	}
}

func tellsBrowsersFromClients(t *testing.T, s *signInCluster) {
	b := newBrowser(t, s)
	if p := b.get(s.URL(t, 0)+"/", "Accept", "text/html,application/xhtml+xml,*/*;q=0.8"); p.status != http.StatusFound || p.location != s.URL(t, 0)+"/console/" || p.header.Get("Vary") != "Accept" {
		t.Errorf("a browser gets %d to %s", p.status, p.location)
	}
	for _, accept := range []string{"", "*/*", "application/json"} {
		if p := b.get(s.URL(t, 0)+"/", "Accept", accept); p.status != http.StatusMultipleChoices || !strings.Contains(p.body, `"versions"`) {
			t.Errorf("a client that takes %q gets %d", accept, p.status)
		}
	}
	if p := b.at(http.StatusMovedPermanently, s.URL(t, 0)+"/console"); p.location != s.URL(t, 0)+"/console/" {
		t.Errorf("sent to %s", p.location)
	}
	if p := b.at(http.StatusOK, s.URL(t, 0)+"/console/queues"); !strings.Contains(p.header.Get("Content-Type"), "text/html") || p.header.Get("X-Request-Id") == "" {
		t.Errorf("the console: %v", p.header)
	}
}

// A newcomer signs in at the development identity provider's page, by whatever name the
// browser knows the machine.
func TestDevLetsPeopleIntoTheConsole(t *testing.T) {
	folder := t.TempDir()
	runDev(t, folder)
	env, err := os.ReadFile(filepath.Join(folder, "dev.env"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^DMS_ENDPOINT=(.*)$`).FindSubmatch(env)
	if found == nil {
		t.Fatalf("no address in %s", env)
	}
	base := string(found[1])
	b := newBrowser(t, nil)
	moved := b.at(http.StatusFound, strings.Replace(base, "127.0.0.1", "localhost", 1)+"/console/login?return=/console/usage")
	if !strings.HasPrefix(moved.location, base+"/console/login?") {
		t.Fatalf("sent to %s", moved.location)
	}
	login := b.at(http.StatusFound, b.at(http.StatusFound, moved.location).location).location
	form := b.at(http.StatusOK, login)
	if !strings.Contains(form.body, "Try demo, operator or viewer") {
		t.Errorf("the form: %s", form.body)
	}
	u, err := url.Parse(login)
	if err != nil {
		t.Fatal(err)
	}
	p := b.do(http.MethodPost, base+"/idp/login", url.Values{
		"request": {u.Query().Get("request")}, "username": {"operator"}, "password": {"operator"},
	}.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	callback := b.at(http.StatusFound, p.location).location
	if p := b.at(http.StatusSeeOther, callback); p.location != base+"/console/usage" {
		t.Errorf("sent to %s", p.location)
	}
	session := b.at(http.StatusOK, base+"/console/session").body
	for _, part := range []string{`"operator":true`, `"name":"Demo Operator"`, `"name":"demo"`, `"name":"other"`, `"provider":"dev"`} {
		if !strings.Contains(session, part) {
			t.Errorf("the session lacks %s: %s", part, session)
		}
	}
	b.at(http.StatusOK, base+"/admin/v1/projects")
}
