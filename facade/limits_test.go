package facade_test

import (
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dms/facade"
	"dms/facade/limit"
	"dms/tenancy"
)

// clock stands still unless it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func limited(t *testing.T, f *fake, l facade.Limits) (*service, *clock) {
	t.Helper()
	c := &clock{now: time.Unix(1_000_000, 0)}
	return serve(t, f, func(o *facade.Options, _ *http.Server) {
		o.Limits, o.Now = l, c.Now
		o.Proxies = limit.Proxies{netip.MustParsePrefix("127.0.0.1/32")}
	}), c
}

func TestAProjectIsHeldToItsRate(t *testing.T) {
	s, clock := limited(t, stocked(), facade.Limits{RequestsPerSecond: 3})
	for i := range 3 {
		got := s.do("GET", base+"/queues", "")
		if want := `"project";r=` + strconv.Itoa(2-i) + `;t=1`; got.status != 200 || got.header.Get("RateLimit") != want || got.header.Get("RateLimit-Policy") != `"project";q=3;w=1` {
			t.Errorf("request %d: %d, RateLimit %s, policy %s", i, got.status, got.header.Get("RateLimit"), got.header.Get("RateLimit-Policy"))
		}
	}
	got := s.do("GET", base+"/queues", "")
	if got.status != 429 || got.code() != "DMS.10240407" || got.header.Get("Retry-After") != "1" || got.header.Get("RateLimit") != `"project";r=0;t=1` {
		t.Errorf("too many: %d %s %v", got.status, got.body, got.header)
	}
	onlyStrings(t, got.body)
	if got := s.do("GET", "/v3/projects", ""); got.status != 429 {
		t.Errorf("too many, on a route of no project: %d %s", got.status, got.body)
	}
	other := strings.Replace(base, project, foreign, 1) + "/queues"
	if got := s.do("GET", other, "", "X-Auth-Token", "stranger"); got.status != 200 {
		t.Errorf("another project: %d %s", got.status, got.body)
	}
	clock.advance(time.Second)
	if got := s.do("GET", base+"/queues", ""); got.status != 200 {
		t.Errorf("a second later: %d %s", got.status, got.body)
	}
}

func TestAProjectIsHeldToItsBytes(t *testing.T) {
	s, clock := limited(t, stocked(), facade.Limits{BytesPerSecond: 1000})
	body := `{"messages":[{"body":"` + strings.Repeat("x", 10_000) + `"}]}`
	if got := s.do("POST", queuePath+"/messages", body); got.status != 201 {
		t.Fatalf("first: %d %s", got.status, got.body)
	}
	var got answer
	eventually(t, func() (string, bool) { // bytes are charged after the answer
		got = s.do("GET", base+"/quotas", "")
		return strconv.Itoa(got.status), got.status == 429
	})
	if wait, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || wait < 8 || wait > 15 {
		t.Errorf("in debt of 9000 bytes: Retry-After %q", got.header.Get("Retry-After"))
	}
	clock.advance(20 * time.Second)
	if got := s.do("GET", base+"/quotas", ""); got.status != 200 {
		t.Errorf("later: %d %s", got.status, got.body)
	}
}

func TestWrongCredentialsAreSlowedDownByAddress(t *testing.T) {
	s, clock := limited(t, stocked(), facade.Limits{FailuresPerSecond: 10})
	const bad, good = "192.0.2.1", "192.0.2.2"
	from := func(address, token string) answer {
		t.Helper()
		return s.do("GET", base+"/queues", "", "X-Auth-Token", token, "X-Forwarded-For", address)
	}
	refused := 0
	for range 200 {
		// Every sort of wrong credential counts, also at the exchange.
		got := from(bad, []string{"nonsense", "expired", "stranger"}[refused%3])
		switch got.status {
		case 401:
			refused++
		case 429:
		default:
			t.Fatalf("got %d %s", got.status, got.body)
		}
	}
	if refused < 50 || refused > 55 { // a failure counts when it has been answered
		t.Errorf("%d failures were looked at, want 50", refused)
	}
	got := from(bad, "manager")
	if got.status != 429 || got.code() != "DMS.10240407" || got.header.Get("Retry-After") == "" {
		t.Errorf("the bad address with a good token: %d %s", got.status, got.body)
	}
	exchange := s.do("POST", "/v3.0/OS-AUTH/id-token/tokens", `{"auth":{"id_token":{"id":"x"}}}`, "X-Auth-Token", "", "X-Forwarded-For", bad)
	if exchange.status != 429 {
		t.Errorf("the exchange: %d %s", exchange.status, exchange.body)
	}
	for method, path := range map[string]string{"POST": tokensPath, "GET": federationPath, "DELETE": tokensPath} {
		got := s.do(method, path, "", "X-Forwarded-For", bad)
		if got.status != 429 || got.header.Get("Retry-After") == "" {
			t.Errorf("%s %s: %d %s", method, path, got.status, got.body)
		}
		keystoneError(t, got)
	}
	for _, address := range []string{good, "2001:db8::1", "nonsense"} {
		if got := from(address, "manager"); got.status != 200 {
			t.Errorf("from %s: %d %s", address, got.status, got.body)
		}
	}
	clock.advance(time.Second)
	if got := from(bad, "manager"); got.status != 200 {
		t.Errorf("a second later: %d %s", got.status, got.body)
	}
}

// TestKeysAreLockedForWhoeverTriesNotForTheProxy expects verifiers to be told of the
// client that the proxy tells of.
func TestKeysAreLockedForWhoeverTriesNotForTheProxy(t *testing.T) {
	f := stocked()
	var sources []string
	note := func(source string) {
		sources = append(sources, limit.Peer(source).String())
	}
	f.secret = func(_, _, source string) (tenancy.Identity, time.Time, error) {
		note(source)
		return tenancy.Identity{}, time.Time{}, tenancy.ErrUnauthenticated
	}
	f.signature = func(r *http.Request, _ []byte) (tenancy.Identity, error) {
		note(r.RemoteAddr)
		return tenancy.Identity{}, tenancy.ErrUnauthenticated
	}
	s, _ := limited(t, f, facade.Limits{})
	password := `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"A","password":"wrong"}}}}}`
	var want []string
	for from, address := range map[string]string{"192.0.2.1": "192.0.2.1", "192.0.2.9, 2001:db8::1": "2001:db8::1", "": "127.0.0.1"} {
		for _, got := range []answer{
			s.do("POST", tokensPath, password, "X-Forwarded-For", from),
			s.do("GET", base+"/queues", "", "X-Auth-Token", "", "Authorization", "SDK-HMAC-SHA256 Access=a", "X-Forwarded-For", from),
		} {
			if got.status != 401 {
				t.Errorf("from %q: %d %s", from, got.status, got.body)
			}
			want = append(want, address)
		}
	}
	if !slices.Equal(sources, want) {
		t.Errorf("verifiers were told of %v, want %v", sources, want)
	}
}

func TestNobodyWaitsForMoreMessagesThanHeMay(t *testing.T) {
	for what, l := range map[string]facade.Limits{"a source": {PollsPerSource: 2}, "a project": {PollsPerProject: 2}} {
		var parked atomic.Int64
		f := stocked()
		f.receive = waiting(&parked)
		s, _ := limited(t, f, l)
		answers := make(chan answer, 2)
		for range 2 {
			go func() { // received below
				answers <- s.do("GET", groupPath+"/messages?time_wait=60", "", "X-Forwarded-For", "192.0.2.1")
			}()
		}
		eventually(t, func() (string, bool) { return "they are not waiting", parked.Load() == 2 })
		got := s.do("GET", groupPath+"/messages", "", "X-Forwarded-For", "192.0.2.1")
		if got.status != 429 || got.code() != "DMS.10240407" {
			t.Errorf("%s: got %d %s", what, got.status, got.body)
		}
		if got := s.do("GET", base+"/queues", ""); got.status != 200 {
			t.Errorf("%s: what does not wait: %d %s", what, got.status, got.body)
		}
		s.api.Drain()
		for range 2 {
			if got := <-answers; got.status != 200 {
				t.Errorf("%s: a waiting poll: %d %s", what, got.status, got.body)
			}
		}
	}
}

// TestABusyNodeIsSharedEvenly lets one project take three quarters of the node before
// another comes.
func TestABusyNodeIsSharedEvenly(t *testing.T) {
	var parked atomic.Int64
	f := stocked()
	f.receive = waiting(&parked)
	s := serve(t, f, func(o *facade.Options, _ *http.Server) { o.Capacity.Polls = 8 })
	answers := make(chan answer, 8)
	poll := func(p tenancy.ProjectID, token string) {
		go func() { // received below
			answers <- s.do("GET", strings.Replace(groupPath, project, string(p), 1)+"/messages?time_wait=60", "", "X-Auth-Token", token)
		}()
	}
	for range 6 {
		poll(project, "manager")
	}
	eventually(t, func() (string, bool) { return "they are not waiting", parked.Load() == 6 })
	poll(foreign, "stranger")
	eventually(t, func() (string, bool) { return "the other is not waiting", parked.Load() == 7 })
	if got := s.do("GET", groupPath+"/messages", ""); got.status != 429 {
		t.Errorf("who has more than half: %d %s", got.status, got.body)
	}
	poll(foreign, "stranger")
	eventually(t, func() (string, bool) { return "the other's second is not waiting", parked.Load() == 8 })
	s.api.Drain()
	for range 8 {
		if got := <-answers; got.status != 200 {
			t.Errorf("a waiting poll: %d %s", got.status, got.body)
		}
	}
}

func TestNegativeLimitsAreRefused(t *testing.T) {
	o := options(&fake{})
	o.Limits.BytesPerSecond = -1
	if _, err := facade.New(o); err == nil {
		t.Error("accepted")
	}
}
