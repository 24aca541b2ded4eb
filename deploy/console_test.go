package deploy_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
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
	suffix string // of the names of its cookies
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
	t.Run("trail", func(t *testing.T) { recordsWhoComesAndGoes(t, s) })
}

// recordsWhoComesAndGoes comes last: the others have signed in and out.
func recordsWhoComesAndGoes(t *testing.T, s *signInCluster) {
	b := newBrowser(t, s)
	b.signIn(1, 0)
	trail := s.URL(t, 1) + "/v2/" + string(shopProject) + "/audit?action="
	for _, action := range []string{"signIn", "signOut"} {
		p := b.at(http.StatusOK, trail+action)
		if !strings.Contains(p.body, `"action":"`+action+`"`) || !strings.Contains(p.body, `"subject":"alice"`) ||
			!strings.Contains(p.body, `"source":"127.0.0.1"`) || !regexp.MustCompile(`"request_id":"[^"]+"`).MatchString(p.body) {
			t.Errorf("the trail says of %s: %s", action, p.body)
		}
	}
}

func signsInThroughTwoNodes(t *testing.T, s *signInCluster) {
	b := newBrowser(t, s)
	named := regexp.MustCompile(`^dms-sign-in(-[0-9a-f]{8})=`).FindStringSubmatch(b.at(http.StatusFound, s.URL(t, 0)+"/console/login").header.Get("Set-Cookie"))
	if named == nil {
		t.Fatal("a cookie of this cluster could be that of another on this host")
	}
	s.suffix = named[1]
	none := b.at(http.StatusUnauthorized, s.URL(t, 0)+"/console/session")
	if !strings.Contains(none.body, `"providers":[{"id":"people","name":"People"}]`) || !strings.Contains(none.body, `"code":"signed_out"`) {
		t.Errorf("nobody has signed in: %s", none.body)
	}
	p := b.at(http.StatusSeeOther, b.via(1, b.begin(0, "alice", "/console/queues?q=a", nil)))
	if p.location != s.URL(t, 1)+"/console/queues?q=a" {
		t.Errorf("sent to %s", p.location)
	}
	set := strings.Join(p.header.Values("Set-Cookie"), "\n")
	if !regexp.MustCompile(`(?m)^dms-session`+s.suffix+`=[A-Z2-7]{52}; Path=/; Max-Age=\d+; HttpOnly; SameSite=Strict$`).MatchString(set) || !strings.Contains(set, "dms-sign-in"+s.suffix+"=; Path=/; Max-Age=0") {
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
