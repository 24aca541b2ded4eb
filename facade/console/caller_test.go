package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dms/tenancy"
)

// desk is a provider and the rest of the service, in so far as tokens are renewed. A
// refresh token is good for one use. Access tokens name when they end.
type desk struct {
	Sessions // what is not needed here
	t        *testing.T
	server   *httptest.Server
	down     atomic.Bool
	asked    atomic.Int64

	mu      sync.Mutex
	now     time.Time
	session *tenancy.Session
	refresh string // the one that is good
}

func newDesk(t *testing.T) (*desk, *Console) {
	d := &desk{t: t, now: time.Now().UTC().Truncate(time.Second), refresh: "r0"}
	d.server = httptest.NewServer(d)
	t.Cleanup(d.server.Close)
	c := newConsole(t, func(o *Options) {
		o.Sessions, o.Tokens, o.Now = d, d, d.clock
		o.Providers = []Provider{{ID: "dev", Issuer: d.server.URL, ClientID: "console", Client: d.server.Client()}}
	})
	d.session = &tenancy.Session{Provider: "dev", Access: d.access(time.Hour), Refresh: "r0", Started: d.now, Used: d.now, Expires: d.now.Add(time.Hour)}
	return d, c
}

func (d *desk) clock() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

func (d *desk) pass(life time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(life)
}

// access makes an access token. The caller holds mu, or is alone.
func (d *desk) access(life time.Duration) string { return d.now.Add(life).Format(time.RFC3339) }

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.down.Load() {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if strings.HasSuffix(r.URL.Path, "/openid-configuration") {
		fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":%q,"jwks_uri":%q}`, d.server.URL, d.server.URL+"/auth", d.server.URL+"/token", d.server.URL+"/keys")
		return
	}
	d.asked.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.PostFormValue("grant_type") != "refresh_token" || r.PostFormValue("client_id") != "console" || r.PostFormValue("refresh_token") != d.refresh {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant"}`)
		return
	}
	d.refresh = fmt.Sprintf("r%d", d.asked.Load())
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": d.access(time.Hour), "refresh_token": d.refresh, "token_type": "Bearer"})
}

func (d *desk) VerifyToken(_ context.Context, token string) (tenancy.Identity, time.Time, error) {
	end, err := time.Parse(time.RFC3339, token)
	if err != nil {
		return tenancy.Identity{}, time.Time{}, tenancy.ErrUnauthenticated
	}
	if !d.clock().Before(end) {
		return tenancy.Identity{}, time.Time{}, tenancy.ErrExpired
	}
	return tenancy.Identity{Subject: "alice"}, end, nil
}

func (d *desk) VerifyIDToken(context.Context, string, string) (tenancy.Identity, time.Time, error) {
	return tenancy.Identity{}, time.Time{}, tenancy.ErrUnauthenticated
}

func (d *desk) Find(context.Context, string) (tenancy.Session, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.session == nil {
		return tenancy.Session{}, tenancy.ErrNoSession
	}
	return *d.session, nil
}

func (d *desk) Change(_ context.Context, _ string, f func(tenancy.Session) (tenancy.Session, error)) (tenancy.Session, error) {
	for {
		d.mu.Lock()
		if d.session == nil {
			d.mu.Unlock()
			return tenancy.Session{}, tenancy.ErrNoSession
		}
		there := d.session
		d.mu.Unlock()
		next, err := f(*there) // it looks at the clock
		if err != nil {
			return next, err
		}
		d.mu.Lock()
		if d.session == there {
			d.session = &next
			d.mu.Unlock()
			return next, nil
		}
		d.mu.Unlock()
	}
}

func (d *desk) Stop(context.Context, string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.session = nil
	return nil
}

// caller asks the way a request with the cookie does.
func caller(t *testing.T, c *Console) (tenancy.Identity, error) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/v2/p/queues", nil)
	r.AddCookie(&http.Cookie{Name: sessionCookie, Value: "secret"})
	id, found, err := c.Caller(r)
	if !found {
		t.Fatal("the cookie is not seen")
	}
	return id, err
}

func TestOfManyRequestsOneRenewsTheTokens(t *testing.T) {
	for name, after := range map[string]time.Duration{"before they end": 59 * time.Minute, "after they ended": 61 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			d, c := newDesk(t)
			d.pass(after)
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					if id, err := caller(t, c); err != nil || id.Subject != "alice" {
						t.Errorf("caller %v, %v", id, err)
					}
				})
			}
			wg.Wait()
			if n := d.asked.Load(); n != 1 {
				t.Errorf("the provider was asked %d times", n)
			}
			if left := d.session.Expires.Sub(d.now); left != time.Hour || d.session.Refresh != "r1" {
				t.Errorf("the session has tokens for %s and the refresh token %s", left, d.session.Refresh)
			}
		})
	}
}

func TestTokensAreNotRenewedBeforeTheirEndIsNear(t *testing.T) {
	d, c := newDesk(t)
	d.pass(57 * time.Minute)
	if _, err := caller(t, c); err != nil || d.asked.Load() != 0 {
		t.Errorf("%v, asked %d times", err, d.asked.Load())
	}
}

func TestARefusedRenewalEndsTheSession(t *testing.T) {
	d, c := newDesk(t)
	d.refresh = "taken back"
	d.pass(59 * time.Minute)
	for range 3 { // what there is lasts for another minute
		if _, err := caller(t, c); err != nil {
			t.Errorf("a minute before the end: %v", err)
		}
	}
	if n := d.asked.Load(); n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
	d.pass(time.Minute)
	if _, err := caller(t, c); !errors.Is(err, tenancy.ErrExpired) {
		t.Errorf("after the end: %v, want expired", err)
	}
}

func TestAProviderThatIsAwayEndsNoSessionEarly(t *testing.T) {
	d, c := newDesk(t)
	if _, err := c.providers[0].discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.down.Store(true)
	d.pass(59 * time.Minute)
	if _, err := caller(t, c); err != nil {
		t.Errorf("a minute before the end: %v", err)
	}
	d.pass(time.Minute)
	if _, err := caller(t, c); !errors.Is(err, tenancy.ErrUnavailable) {
		t.Errorf("after the end: %v, want unavailable", err)
	}
	d.down.Store(false)
	d.pass(time.Minute)
	if id, err := caller(t, c); err != nil || id.Subject != "alice" {
		t.Errorf("with the provider back: %v, %v", id, err)
	}
}

func TestASessionWithoutARefreshTokenEndsWithItsTokens(t *testing.T) {
	d, c := newDesk(t)
	d.session.Refresh = ""
	d.pass(59 * time.Minute)
	if _, err := caller(t, c); err != nil {
		t.Error(err)
	}
	d.pass(time.Minute)
	if _, err := caller(t, c); !errors.Is(err, tenancy.ErrExpired) {
		t.Errorf("%v, want expired", err)
	}
}

func TestTheSessionEndsInWords(t *testing.T) {
	c := newConsole(t, func(o *Options) { o.Sessions = ends{} })
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	info := c.info(tenancy.Session{Started: at, Used: at, Refresh: "r", Expires: at.Add(time.Hour)}, tenancy.Identity{})
	if want := "The session ends at 12:30 UTC unless you do something before then, and at 00:00 UTC whatever you do."; info.Words != want {
		t.Errorf("%q, want %q", info.Words, want)
	}
	info = c.info(tenancy.Session{Started: at, Used: at, Expires: at.Add(10 * time.Minute)}, tenancy.Identity{})
	if want := "The session ends at 12:10 UTC."; info.Words != want || !info.Expires.Equal(at.Add(10*time.Minute)) {
		t.Errorf("%q at %s, want %q", info.Words, info.Expires, want)
	}
}

// ends are those of sessions.
type ends struct{ Sessions }

func (ends) Idle(one tenancy.Session) time.Time { return one.Used.Add(30 * time.Minute) }
func (ends) End(one tenancy.Session) time.Time  { return one.Started.Add(12 * time.Hour) }

func TestACookieThatIsThereTwiceCountsForNothing(t *testing.T) {
	c := newConsole(t, nil)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(&http.Cookie{Name: sessionCookie, Value: "a"})
	r.AddCookie(&http.Cookie{Name: sessionCookie, Value: "b"})
	if _, found, err := c.Caller(r); found || err != nil {
		t.Errorf("found %v, %v", found, err)
	}
}
