package console

import (
	"encoding/base64"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"
)

func TestPeopleAreSentBackIntoTheConsoleOnly(t *testing.T) {
	for given, want := range map[string]string{
		"":                                      Path,
		"/console/":                             Path,
		"/console/queues":                       "/console/queues",
		"/console/queues/1?tab=test#x":          "/console/queues/1?tab=test#x",
		"/console/queues?q=%2F%2Fevil":          "/console/queues?q=%2F%2Fevil",
		"/console":                              Path,
		"/":                                     Path,
		"/v2/p/queues":                          Path,
		"//evil.example/console/":               Path,
		"///evil.example/console/":              Path,
		"https://evil.example/console/":         Path,
		"https:/console/":                       Path,
		"javascript:alert(1)":                   Path,
		`/console/\evil.example`:                Path,
		`\\evil.example/console/`:               Path,
		"/console/../v2":                        Path,
		"/console/..//evil.example":             Path,
		"/console/%2e%2e/v2":                    Path,
		"/console/x\r\nSet-Cookie: a=b":         Path,
		"/console/login?return=/console/":       Path,
		"/console/callback":                     Path,
		"/console/session":                      Path,
		"user@evil.example/console/":            Path,
		"/console/" + strings.Repeat("x", 2000): Path,
	} {
		if got := returnTo(given); got != want {
			t.Errorf("%q: %q, want %q", given, got, want)
		}
	}
}

func FuzzReturnTo(f *testing.F) {
	for _, s := range []string{"/console/queues", "//evil/console/", "/console/..//evil", "/console/%2f..", "https://x/console/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := returnTo(s)
		u, err := url.Parse(got)
		if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(got, Path) || strings.ContainsAny(got, "\\\r\n") ||
			!strings.HasPrefix(path.Clean(u.Path)+"/", Path) {
			t.Errorf("%q leads to %q", s, got)
		}
		if again := returnTo(got); again != got {
			t.Errorf("%q leads to %q, and that to %q", s, got, again)
		}
	})
}

func TestTripsAreWhatThisServiceSealed(t *testing.T) {
	now := time.Now()
	c := newConsole(t, func(o *Options) { o.Now = func() time.Time { return now } })
	want := trip{Provider: "dev", State: "s", Nonce: "n", Verifier: "v", Redirect: "u", Return: "/console/", At: now.UTC().Round(0)}
	sealed, err := c.sealTrip(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := c.openTrip(sealed); !ok || got != want {
		t.Fatalf("opened %+v, %v, want %+v", got, ok, want)
	}
	now = now.Add(tripLife)
	if _, ok := c.openTrip(sealed); ok {
		t.Error("it is good for ever")
	}
	now = now.Add(-tripLife - 2*time.Minute)
	if _, ok := c.openTrip(sealed); ok {
		t.Error("it is good before it was made")
	}
}

func FuzzOpenTrip(f *testing.F) {
	o := options()
	now := time.Now()
	o.Now = func() time.Time { return now }
	c, err := New(o)
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := c.sealTrip(trip{Provider: "dev", State: "s", At: now})
	if err != nil {
		f.Fatal(err)
	}
	box, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(sealed + "=")
	f.Add(sealed[:len(sealed)-1])
	f.Add("")
	f.Add(base64.RawURLEncoding.EncodeToString(box[:len(box)-1]))
	f.Fuzz(func(t *testing.T, s string) {
		if _, ok := c.openTrip(s); ok && s != sealed {
			t.Errorf("%q opens", s)
		}
	})
}

func TestCookiesAreBoundToTheHostWhereTheyCanBe(t *testing.T) {
	for _, secure := range []bool{true, false} {
		c := newConsole(t, func(o *Options) { o.Secure = secure })
		r := ask(c, "DELETE", sessionPath)
		cookies := r.Cookies()
		if len(cookies) != 1 {
			t.Fatalf("%d cookies", len(cookies))
		}
		k := cookies[0]
		if k.Secure != secure || strings.HasPrefix(k.Name, "__Host-") != secure || !k.HttpOnly || k.Path != "/" || k.Domain != "" || k.MaxAge >= 0 {
			t.Errorf("secure %v: %v", secure, k)
		}
	}
}
