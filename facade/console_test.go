package facade_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"dms/facade"
	"dms/tenancy"
)

// signedIn is a console in which somebody has signed in with the cookie "session=ok".
type signedIn struct {
	mu   sync.Mutex
	err  error
	used int
}

func (c *signedIn) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusTeapot)
}
func (c *signedIn) Route(string) string { return "/console/*" }

func (c *signedIn) Caller(r *http.Request) (tenancy.Identity, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := r.Cookie("session"); err != nil {
		return tenancy.Identity{}, false, nil
	}
	return identity(project, tenancy.Viewer), true, c.err
}

func (c *signedIn) Presented(r *http.Request) bool { return r.Header.Get("Cookie") != "" }

func (c *signedIn) UsedBy(*http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used++
}

func (c *signedIn) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

func TestStreamsEndWithTheSessionThatOpenedThem(t *testing.T) {
	console := &signedIn{}
	s, _ := live(t, func(o *facade.Options) { o.Console, o.Heartbeat = console, 20*time.Millisecond })
	e, a := s.follow("", "X-Auth-Token", "", "Cookie", "session=ok")
	if a.status != 200 {
		t.Fatalf("status %d", a.status)
	}
	for got := (eventRead{}); got.comment != "heartbeat"; {
		if got = e.next(); got == (eventRead{}) {
			t.Fatal("the stream ends without a heartbeat")
		}
	}
	console.end(fmt.Errorf("storage: %w", tenancy.ErrUnavailable))
	for got := (eventRead{}); got.comment != "heartbeat"; { // what is not known ends nothing
		if got = e.next(); got.name == "bye" || got == (eventRead{}) {
			t.Fatalf("while nobody knows it ends with %s", got.data)
		}
	}
	console.end(tenancy.ErrExpired)
	if got, _ := e.until("bye", ""); got.data != `{"reason":"signed_out","detail":"the session has ended: sign in again"}` {
		t.Errorf("after the session: %s", got.data)
	}
}

func TestTheConsoleIsServedBesideTheAPI(t *testing.T) {
	console := &signedIn{}
	s := serve(t, &fake{}, func(o *facade.Options, _ *http.Server) {
		o.Console = console
		o.Limits.FailuresPerSecond = 1
	})
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if a := s.with(s.plain, "GET", "/console/queues", ""); a.status != http.StatusTeapot || a.header.Get("X-Request-Id") == "" {
		t.Errorf("the console: %d, %v", a.status, a.header)
	}
	if a := s.do("GET", "/", "", "Accept", "text/html,*/*"); a.status != 302 || a.header.Get("Location") != "/console/" || a.header.Get("Vary") != "Accept" {
		t.Errorf("a browser: %d %v", a.status, a.header)
	}
	if a := s.do("GET", "/", "", "Accept", "*/*"); a.status != 300 {
		t.Errorf("a client: %d", a.status)
	}
	queues := base + "/queues"
	for _, tt := range []struct {
		method string
		want   int
		header []string
	}{
		{"GET", 404, nil}, // as the fake answers
		{"GET", 404, []string{"Sec-Fetch-Site", "same-origin"}},
		{"GET", 403, []string{"Sec-Fetch-Site", "cross-site"}},
		{"POST", 403, []string{"Origin", "https://evil.example"}},
		{"POST", 403, nil}, // a viewer
		{"GET", 401, []string{"Authorization", "Basic eA=="}},
	} {
		header := append([]string{"X-Auth-Token", "", "Cookie", "session=ok"}, tt.header...)
		if a := s.do(tt.method, queues, `{"name":"q"}`, header...); a.status != tt.want {
			t.Errorf("%s with %v: %d, want %d: %s", tt.method, tt.header, a.status, tt.want, a.body)
		}
	}
	if console.used != 3 {
		t.Errorf("the session was used %d times, want 3: what is refused is no use", console.used)
	}
}
