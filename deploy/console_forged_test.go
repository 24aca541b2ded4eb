package deploy_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"dms/tenancy"
)

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
