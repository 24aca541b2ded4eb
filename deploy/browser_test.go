package deploy_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"
)

// browser follows no redirects by itself. Cookies do not mind ports, so that all nodes
// are one host to it.
type browser struct {
	t      *testing.T
	s      *signInCluster
	jar    *cookiejar.Jar
	client *http.Client
}

func newBrowser(t *testing.T, s *signInCluster) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t, s, jar, &http.Client{Jar: jar, Transport: transport, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}}
}

// page is what came back.
type page struct {
	status   int
	header   http.Header
	location string
	body     string
}

func (b *browser) do(method, target, body string, headers ...string) page {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	p := page{status: res.StatusCode, header: res.Header, body: string(text)}
	if l, err := res.Location(); err == nil {
		p.location = l.String()
	}
	return p
}

func (b *browser) get(target string, headers ...string) page {
	b.t.Helper()
	return b.do(http.MethodGet, target, "", headers...)
}

// at is get, and fails the test unless the status is the wanted one.
func (b *browser) at(status int, target string) page {
	b.t.Helper()
	p := b.get(target)
	if p.status != status {
		b.t.Fatalf("%s answers %d, want %d: %s", target, p.status, status, p.body)
	}
	return p
}

// begin starts to sign in at a node and returns where the provider sends the browser back
// to. change may alter the request to the provider.
func (b *browser) begin(node int, user, path string, change func(url.Values)) (callback string) {
	b.t.Helper()
	p := b.at(http.StatusFound, b.s.URL(b.t, node)+"/console/login?"+url.Values{"provider": {"people"}, "return": {path}}.Encode())
	asked, err := url.Parse(p.location)
	if err != nil {
		b.t.Fatal(err)
	}
	query := asked.Query()
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if len(query.Get(name)) < 20 {
			b.t.Errorf("%s is %q", name, query.Get(name))
		}
	}
	if query.Get("code_challenge_method") != "S256" || !strings.HasPrefix(p.location, b.s.issuer+"/authorize?") {
		b.t.Errorf("sent to %s", p.location)
	}
	if change != nil {
		change(query)
		asked.RawQuery = query.Encode()
	}
	login := b.at(http.StatusFound, asked.String()).location
	id, err := url.Parse(login)
	if err != nil {
		b.t.Fatal(err)
	}
	if form := b.at(http.StatusOK, login); !strings.Contains(form.body, "Password") {
		b.t.Fatalf("no form: %s", form.body)
	}
	p = b.do(http.MethodPost, b.s.issuer+"/login", url.Values{
		"request": {id.Query().Get("request")}, "username": {user}, "password": {"secret of " + user},
	}.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	if p.status != http.StatusSeeOther {
		b.t.Fatalf("sign in: %d: %s", p.status, p.body)
	}
	callback = b.at(http.StatusFound, p.location).location
	if !strings.HasPrefix(callback, b.s.URL(b.t, node)+"/console/callback?") {
		b.t.Fatalf("sent back to %s", callback)
	}
	return callback
}

// via moves a URL to a node.
func (b *browser) via(node int, target string) string {
	b.t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.s.URL(b.t, node) + u.RequestURI()
}

// signIn is the whole way, begun at one node and finished at another.
func (b *browser) signIn(from, to int) {
	b.t.Helper()
	b.at(http.StatusSeeOther, b.via(to, b.begin(from, "alice", "/console/", nil)))
}

func (b *browser) cookie(name string) string {
	b.t.Helper()
	u, err := url.Parse(b.s.URL(b.t, 0))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, k := range b.jar.Cookies(u) {
		if k.Name == name {
			return k.Value
		}
	}
	return ""
}

func (b *browser) setCookie(name, value string) {
	b.t.Helper()
	u, err := url.Parse(b.s.URL(b.t, 0))
	if err != nil {
		b.t.Fatal(err)
	}
	b.jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}

// refused fails the test unless the callback is refused without a session.
func (b *browser) refused(status int, callback string) {
	b.t.Helper()
	p := b.get(callback)
	if p.status != status || !strings.Contains(p.body, "not signed in") {
		b.t.Errorf("%s answers %d, want %d: %s", callback, p.status, status, p.body)
	}
	if k := b.cookie("dms-session"); k != "" {
		b.t.Error("there is a session all the same")
	}
	if !strings.Contains(p.header.Get("Content-Security-Policy"), "default-src 'none'") || p.header.Get("X-Request-Id") == "" {
		b.t.Errorf("headers %v", p.header)
	}
}

// poll waits until a condition answers "".
func (b *browser) poll(what string, f func() string) {
	b.t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		state := f()
		if state == "" {
			return
		}
		select {
		case <-tick.C:
		case <-limit.C:
			b.t.Fatalf("%s: not within a minute; last: %s", what, state)
		}
	}
}
