package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"dms/tenancy"
	"dms/tenancy/seal"

	"github.com/google/go-cmp/cmp"
)

// nothing is the rest of the service where it is not asked anything.
type nothing struct{ Sessions }

func (nothing) Find(context.Context, string) (tenancy.Session, error) {
	return tenancy.Session{}, tenancy.ErrNoSession
}

func (nothing) VerifyToken(context.Context, string) (tenancy.Identity, time.Time, error) {
	return tenancy.Identity{}, time.Time{}, errors.New("not asked here")
}

func (nothing) VerifyIDToken(context.Context, string, string) (tenancy.Identity, time.Time, error) {
	return tenancy.Identity{}, time.Time{}, errors.New("not asked here")
}

func options() Options {
	return Options{
		Sessions: nothing{}, Tokens: nothing{}, Sealing: []seal.Key{{ID: 1, Secret: [32]byte{1}}}, Log: slog.New(slog.DiscardHandler),
		Files: fstest.MapFS{
			".gitkeep":                    {},
			"index.html":                  {Data: []byte(`<!doctype html><meta name="nonce" content="__CSP_NONCE__"><script src="/console/assets/index-B7xK2_q9.js" nonce="__CSP_NONCE__"></script>`)},
			"favicon.svg":                 {Data: []byte(`<svg/>`)},
			"assets/index-B7xK2_q9.js":    {Data: []byte("plain")},
			"assets/index-B7xK2_q9.js.br": {Data: []byte("brotli")},
			"assets/index-B7xK2_q9.js.gz": {Data: []byte("gzip")},
			"assets/style-0a1b2c3d.css":   {Data: []byte("a{}")},
		},
	}
}

func newConsole(t *testing.T, change func(*Options)) *Console {
	t.Helper()
	o := options()
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func ask(c *Console, method, path string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(b.String(), "\r\n\r\n")
	return text
}

func TestPathsFindTheirFile(t *testing.T) {
	c := newConsole(t, nil)
	page := kindOf(index)
	for path, want := range map[string][2]string{
		"/console/":                                {"200", page},
		"/console/index.html":                      {"200", page},
		"/console/queues":                          {"200", page},
		"/console/queues/9bf46390/messages/17":     {"200", page},
		"/console/favicon.svg":                     {"200", "image/svg+xml"},
		"/console/assets/index-B7xK2_q9.js":        {"200", "text/javascript; charset=utf-8"},
		"/console/assets/style-0a1b2c3d.css":       {"200", "text/css; charset=utf-8"},
		"/console/assets/index-old.js":             {"404", "application/problem+json"},
		"/console/assets/":                         {"404", "application/problem+json"},
		"/console/assets/index-B7xK2_q9.js.br":     {"404", "application/problem+json"},
		"/console/robots.txt":                      {"404", "application/problem+json"},
		"/console/.gitkeep":                        {"404", "application/problem+json"},
		"/console/assets/../../../etc/passwd":      {"404", "application/problem+json"},
		"/console/queues/../assets/style-0a1b.css": {"404", "application/problem+json"},
	} {
		got := ask(c, http.MethodGet, path)
		if d := cmp.Diff(want, [2]string{got.Status[:3], got.Header.Get("Content-Type")}); d != "" {
			t.Errorf("%s (-want +got):\n%s", path, d)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions} {
		if got := ask(c, method, "/console/queues"); got.StatusCode != 405 || got.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d, allowed are %q", method, got.StatusCode, got.Header.Get("Allow"))
		}
	}
	if got := ask(c, http.MethodHead, "/console/"); got.StatusCode != 200 {
		t.Errorf("HEAD: %d", got.StatusCode)
	}
}

func TestFilesAreSentAsTheClientCanTakeThem(t *testing.T) {
	c := newConsole(t, nil)
	for accept, want := range map[string]string{
		"":                              "plain",
		"identity":                      "plain",
		"gzip, deflate, br, zstd":       "brotli",
		"gzip, deflate":                 "gzip",
		"br;q=0, gzip":                  "gzip",
		"br;q=0, gzip;q=0, *":           "plain",
		"*":                             "brotli",
		"*;q=0":                         "plain",
		"GZIP;q=0.5":                    "gzip",
		"br;q=nonsense":                 "plain",
		"brotli, gzipped":               "plain",
		"gzip;q=1.0, br;q=0.001, *;q=0": "brotli",
	} {
		got := ask(c, http.MethodGet, "/console/assets/index-B7xK2_q9.js", "Accept-Encoding", accept)
		if b := body(t, got); b != want {
			t.Errorf("%q: %s, want %s", accept, b, want)
		}
		encoding := map[string]string{"plain": "", "brotli": "br", "gzip": "gzip"}[want]
		if got.Header.Get("Content-Encoding") != encoding || got.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: encoding %q, vary %q", accept, got.Header.Get("Content-Encoding"), got.Header.Get("Vary"))
		}
		again := ask(c, http.MethodGet, "/console/assets/index-B7xK2_q9.js", "Accept-Encoding", accept, "If-None-Match", got.Header.Get("ETag"))
		if again.StatusCode != http.StatusNotModified {
			t.Errorf("%q: asked again %d, want 304", accept, again.StatusCode)
		}
	}
}

func TestOnlyFilesWithHashedNamesAreKeptForEver(t *testing.T) {
	c := newConsole(t, nil)
	for path, want := range map[string]string{
		"/console/":                         "no-cache",
		"/console/queues":                   "no-cache",
		"/console/favicon.svg":              "no-cache",
		"/console/assets/index-B7xK2_q9.js": "public, max-age=31536000, immutable",
		"/console/assets/gone-B7xK2_q9.js":  "no-store",
		"/console/session":                  "no-store",
	} {
		if got := ask(c, http.MethodGet, path).Header.Get("Cache-Control"); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestEveryAnswerHasItsHeaders(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"built":     nil,
		"secure":    func(o *Options) { o.Secure = true },
		"not built": func(o *Options) { o.Files = fstest.MapFS{".gitkeep": {}} },
	} {
		c := newConsole(t, change)
		for _, request := range [][2]string{
			{"GET", "/console/"}, {"GET", "/console/queues"}, {"GET", "/console/favicon.svg"}, {"GET", "/console/assets/none.js"}, {"POST", "/console/"},
			{"GET", "/console/login"}, {"GET", "/console/login?provider=none"}, {"POST", "/console/login"}, {"GET", "/console/callback"}, {"GET", "/console/callback?state=x&code=y"},
			{"GET", "/console/session"}, {"DELETE", "/console/session"}, {"POST", "/console/session"},
		} {
			h := ask(c, request[0], request[1]).Header
			policy := h.Get("Content-Security-Policy")
			for _, want := range []string{"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "form-action"} {
				if !strings.Contains(policy, want) {
					t.Errorf("%s: %v: the policy %q lacks %s", name, request, policy, want)
				}
			}
			for _, never := range []string{"unsafe", "http:", "https:", "*"} {
				if strings.Contains(policy, never) {
					t.Errorf("%s: %v: the policy %q has %s", name, request, policy, never)
				}
			}
			want := map[string]string{
				"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
				"Cross-Origin-Resource-Policy": "same-origin", "Strict-Transport-Security": "",
			}
			if name == "secure" {
				want["Strict-Transport-Security"] = "max-age=31536000"
			}
			for header, value := range want {
				if got := h.Get(header); got != value {
					t.Errorf("%s: %v: %s is %q, want %q", name, request, header, got, value)
				}
			}
		}
	}
}

func TestEachPageHasANonceOfItsOwn(t *testing.T) {
	c := newConsole(t, nil)
	seen := make(map[string]bool)
	for range 20 {
		r := ask(c, http.MethodGet, "/console/")
		_, rest, _ := strings.Cut(r.Header.Get("Content-Security-Policy"), "'nonce-")
		nonce, _, ok := strings.Cut(rest, "'")
		if !ok || len(nonce) < 26 || seen[nonce] {
			t.Fatalf("nonce %q", nonce)
		}
		seen[nonce] = true
		if b := body(t, r); strings.Count(b, nonce) != 2 || strings.Contains(b, noncePlace) {
			t.Errorf("the page does not carry its nonce twice: %s", b)
		}
	}
}

func TestWithoutTheApplicationAPageSaysHowToGetIt(t *testing.T) {
	built, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newApplication(built); err != nil {
		t.Errorf("what is built in cannot be read: %v", err)
	}
	r := ask(newConsole(t, func(o *Options) { o.Files = fstest.MapFS{".gitkeep": {}} }), http.MethodGet, "/console/queues")
	if b := body(t, r); r.StatusCode != 200 || !strings.Contains(b, "make console") {
		t.Errorf("%d: %s", r.StatusCode, b)
	}
}
