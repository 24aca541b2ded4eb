package deploy_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

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
