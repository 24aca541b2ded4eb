package devidp

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"
)

// browser follows no redirects by itself.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

type answer struct {
	status   int
	location *url.URL
	header   http.Header
	body     string
}

func send(t *testing.T, c *http.Client, method, target string, form url.Values, header http.Header) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(body)}
	if resp.Header.Get("Location") != "" {
		if a.location, err = resp.Location(); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func authorizeQuery() url.Values {
	sum := sha256.Sum256([]byte(verifier))
	return url.Values{
		"client_id": {ConsoleClient}, "redirect_uri": {callback}, "response_type": {"code"},
		"scope": {"openid profile offline_access"}, "state": {"the-state"}, "nonce": {"the-nonce"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
}

// signIn goes from the authorization request to the code.
func signIn(t *testing.T, p *Provider, name, password string) (code string) {
	t.Helper()
	c := browser(t)
	a := send(t, c, http.MethodGet, p.Issuer()+"/authorize?"+authorizeQuery().Encode(), nil, nil)
	if a.status != http.StatusFound || a.location.Path != Path+"/login" {
		t.Fatalf("authorization request: got %d to %v: %s", a.status, a.location, a.body)
	}
	page := send(t, c, http.MethodGet, a.location.String(), nil, nil)
	if page.status != http.StatusOK || !strings.Contains(page.body, "Password") {
		t.Fatalf("sign-in page: got %d: %s", page.status, page.body)
	}
	a = send(t, c, http.MethodPost, p.Issuer()+"/login", url.Values{
		"request": {a.location.Query().Get("request")}, "username": {name}, "password": {password},
	}, nil)
	if a.status != http.StatusSeeOther {
		t.Fatalf("sign in: got %d: %s", a.status, a.body)
	}
	a = send(t, c, http.MethodGet, a.location.String(), nil, nil)
	if a.status != http.StatusFound || !strings.HasPrefix(a.location.String(), callback+"?") {
		t.Fatalf("back to the console: got %d to %v: %s", a.status, a.location, a.body)
	}
	if got := a.location.Query().Get("state"); got != "the-state" {
		t.Errorf("state is %q", got)
	}
	return a.location.Query().Get("code")
}

type tokens struct {
	Access  string `json:"access_token"`
	ID      string `json:"id_token"`
	Refresh string `json:"refresh_token"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"`
}

func exchange(t *testing.T, p *Provider, form url.Values) (tokens, answer) {
	t.Helper()
	form.Set("client_id", ConsoleClient)
	a := send(t, browser(t), http.MethodPost, p.Issuer()+"/oauth/token", form, nil)
	var got tokens
	if a.status == http.StatusOK {
		if err := json.Unmarshal([]byte(a.body), &got); err != nil {
			t.Fatalf("%v: %s", err, a.body)
		}
	}
	return got, a
}

func codeForm(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
}

func part(t *testing.T, token string, i int) map[string]any {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[i])
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
