package limit

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"dms/tenancy"
)

const (
	projectA = tenancy.ProjectID("0123456789abcdef0123456789abcdef")
	projectB = tenancy.ProjectID("f123456789abcdef0123456789abcdef")
)

func at(d time.Duration) time.Time { return time.Unix(1_000_000, 0).Add(d) }

func TestAProjectHasASecondsWorthOfRequestsAtOnce(t *testing.T) {
	p := NewProjects(100, 0)
	for i := range 100 {
		if v := p.Admit(projectA, at(0)); !v.OK || v.Remaining != 99-i {
			t.Fatalf("request %d: %+v", i, v)
		}
	}
	v := p.Admit(projectA, at(0))
	if v.OK || v.Wait <= 0 || v.Wait > 11*time.Millisecond {
		t.Errorf("request 101: %+v, want to wait 10 ms", v)
	}
	if v := p.Admit(projectB, at(0)); !v.OK {
		t.Errorf("another project: %+v", v)
	}
	if v := p.Admit(projectA, at(20*time.Millisecond)); !v.OK {
		t.Errorf("after 20 ms: %+v", v)
	}
}

func TestAProjectPaysForItsBytesBeforeItGoesOn(t *testing.T) {
	p := NewProjects(0, 1000)
	if v := p.Admit(projectA, at(0)); !v.OK {
		t.Fatalf("first: %+v", v)
	}
	p.Charge(projectA, 3000, at(0)) // 2000 more than there were
	if v := p.Admit(projectA, at(0)); v.OK || v.Wait < 1990*time.Millisecond || v.Wait > 2010*time.Millisecond {
		t.Errorf("in debt: %+v, want to wait 2 s", v)
	}
	if v := p.Admit(projectB, at(0)); !v.OK {
		t.Errorf("another project: %+v", v)
	}
	if v := p.Admit(projectA, at(2100*time.Millisecond)); !v.OK {
		t.Errorf("after the debt is paid: %+v", v)
	}
}

func TestWithoutLimitsEverythingPasses(t *testing.T) {
	p, f, c := NewProjects(0, 0), NewFailures(0), NewCounts(0)
	source := Source(netip.MustParseAddr("192.0.2.1"))
	for range 10_000 {
		p.Charge(projectA, 1<<40, at(0))
		f.Failed(source, at(0))
		_, ok := f.Allowed(source, at(0))
		if v := p.Admit(projectA, at(0)); !v.OK || !ok || !c.Enter(source) {
			t.Fatal("refused without a limit")
		}
	}
	if p.Policy() != "" || p.Field(Verdict{}) != "" {
		t.Error("fields tell of a limit")
	}
}

func TestFieldsAreThoseOfTheDraft(t *testing.T) {
	p := NewProjects(1000, 0)
	if got, want := p.Policy(), `"project";q=1000;w=1`; got != want {
		t.Errorf("policy %s, want %s", got, want)
	}
	if got, want := p.Field(p.Admit(projectA, at(0))), `"project";r=999;t=1`; got != want {
		t.Errorf("field %s, want %s", got, want)
	}
	if got, want := p.Field(Verdict{Wait: 1500 * time.Millisecond}), `"project";r=0;t=2`; got != want {
		t.Errorf("field %s, want %s", got, want)
	}
}

func TestProjectsAreForgotten(t *testing.T) {
	p := NewProjects(10, 10)
	for i := range 3 * maxProjects {
		id := tenancy.ProjectID(fmt.Sprintf("%032x", i))
		p.Admit(id, at(time.Duration(i)*time.Millisecond))
		p.Charge(id, 5, at(time.Duration(i)*time.Millisecond))
	}
	if n := len(p.buckets); n > maxProjects+1 {
		t.Errorf("%d projects are remembered", n)
	}
}

func TestFailuresAreCountedByAddress(t *testing.T) {
	f := NewFailures(10)
	bad, good := Source(netip.MustParseAddr("192.0.2.1")), Source(netip.MustParseAddr("192.0.2.2"))
	allowed := 0
	for i := range 10_000 { // 100 s of 100 tries a second
		now := at(time.Duration(i) * 10 * time.Millisecond)
		if _, ok := f.Allowed(bad, now); ok {
			allowed++
			f.Failed(bad, now)
		}
	}
	if allowed < 1000 || allowed > 1051 {
		t.Errorf("%d failures in 100 s, want 10 a second and 50 at once", allowed)
	}
	now := at(100 * time.Second)
	f.Failed(bad, now)
	f.Failed(bad, now)
	if wait, ok := f.Allowed(bad, now); ok || wait <= 0 || wait > 200*time.Millisecond {
		t.Errorf("the bad address: %s, %t", wait, ok)
	}
	if _, ok := f.Allowed(good, now); !ok {
		t.Error("an address is refused for what another did")
	}
	if _, ok := f.Allowed(bad, now.Add(time.Second)); !ok {
		t.Error("the bad address is refused for ever")
	}
}

func TestManyBadAddressesDoNotShutOutAGoodOne(t *testing.T) {
	f := NewFailures(10)
	for i := range 3 * maxSources {
		f.Failed(Source(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})), at(0))
	}
	if n := len(f.sources); n > maxSources {
		t.Errorf("%d addresses are remembered", n)
	}
	good := Source(netip.MustParseAddr("192.0.2.2"))
	f.Failed(good, at(0))
	if _, ok := f.Allowed(good, at(0)); !ok {
		t.Error("an address is refused for what others did")
	}
	// Those that stopped make room.
	later := at(10 * time.Second)
	for range 100 {
		f.Failed(good, later)
	}
	if _, ok := f.Allowed(good, later); ok {
		t.Error("nothing is counted any more")
	}
}

func TestSourcesOfIPv6AreNetworks(t *testing.T) {
	a := Source(netip.MustParseAddr("2001:db8:1:2::1"))
	if b := Source(netip.MustParseAddr("2001:db8:1:2:ffff::9")); a != b {
		t.Errorf("%s and %s are two", a, b)
	}
	if b := Source(netip.MustParseAddr("2001:db8:1:3::1")); a == b {
		t.Errorf("%s and %s are one", a, b)
	}
	if a, b := Source(Peer("[::ffff:192.0.2.1]:80")), Source(Peer("192.0.2.1:81")); a != b || a.Bits() != 32 {
		t.Errorf("%s and %s are two", a, b)
	}
	if a, b := Source(Peer("[fe80::1%eth0]:80")), Source(Peer("[fe80::1]:80")); a != b {
		t.Errorf("%s and %s are two", a, b)
	}
}

func TestOnlyTrustedProxiesSayWhomTheySpeakFor(t *testing.T) {
	proxies := Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for name, row := range map[string]struct {
		remote string
		said   []string
		want   string
	}{
		"no proxy":                      {"192.0.2.1:80", []string{"198.51.100.1"}, "192.0.2.1"},
		"one proxy":                     {"10.0.0.1:80", []string{"198.51.100.1"}, "198.51.100.1"},
		"a proxy in IPv6 form":          {"[::ffff:10.0.0.1]:80", []string{"198.51.100.1"}, "198.51.100.1"},
		"two proxies":                   {"10.0.0.1:80", []string{"198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		"two fields":                    {"10.0.0.1:80", []string{"198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
		"the client's own invention":    {"10.0.0.1:80", []string{"203.0.113.9, 198.51.100.1"}, "198.51.100.1"},
		"an invented trusted address":   {"10.0.0.1:80", []string{"10.9.9.9, 198.51.100.1"}, "198.51.100.1"},
		"nothing said":                  {"10.0.0.1:80", nil, "10.0.0.1"},
		"nothing but proxies":           {"10.0.0.1:80", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"with a port":                   {"10.0.0.1:80", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		"IPv6":                          {"10.0.0.1:80", []string{"2001:db8::1"}, "2001:db8::1"},
		"IPv6 in brackets":              {"10.0.0.1:80", []string{"[2001:db8::1]"}, "2001:db8::1"},
		"IPv6 with a port":              {"[fd00::1]:80", []string{"[2001:db8::1]:80"}, "2001:db8::1"},
		"rubbish":                       {"10.0.0.1:80", []string{"unknown"}, "10.0.0.1"},
		"rubbish before a good one":     {"10.0.0.1:80", []string{"<script>, 198.51.100.1"}, "198.51.100.1"},
		"rubbish before trusted":        {"10.0.0.1:80", []string{"198.51.100.1, , 10.0.0.2"}, "10.0.0.2"},
		"a connection without address":  {"@", []string{"198.51.100.1"}, "invalid IP"},
		"line breaks do not get so far": {"10.0.0.1:80", []string{"198.51.100.1\r\nX: y"}, "10.0.0.1"},
	} {
		r := &http.Request{RemoteAddr: row.remote, Header: http.Header{"X-Forwarded-For": row.said}}
		if got := proxies.Client(r).String(); got != row.want {
			t.Errorf("%s: got %s, want %s", name, got, row.want)
		}
		if got, want := Proxies(nil).Client(r), Peer(row.remote); got != want {
			t.Errorf("%s, without proxies: got %s, want %s", name, got, want)
		}
	}
}

func FuzzForwardedAddresses(f *testing.F) {
	f.Add("198.51.100.1, 10.0.0.2")
	f.Add("[2001:db8::1%eth0]:80,,")
	proxies := Proxies{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, said string) {
		r := &http.Request{RemoteAddr: "10.0.0.1:80", Header: http.Header{"X-Forwarded-For": {said}}}
		a := proxies.Client(r)
		if !a.IsValid() || a.Zone() != "" || a.Is4In6() {
			t.Errorf("%q gives %s", said, a)
		}
		if !proxies.Trusted(a) && !strings.Contains(said, ":") && !strings.Contains(said, a.String()) {
			t.Errorf("%q gives %s", said, a)
		}
	})
}

func TestConnectionsOfOneSourceAreBounded(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Listen(inner, 2, nil)
	t.Cleanup(func() { _ = l.Close() })
	accepted := make(chan net.Conn)
	go func() { // ends when the listener is closed
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	dial()
	dial()
	first, second := <-accepted, <-accepted
	defer second.Close()
	third := dial()
	// It is closed without having been accepted.
	if err := third.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := third.Read(make([]byte, 1)); err == nil {
		t.Error("a third connection is served")
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Error("a third connection stays open")
	}
	// Closed twice, a connection makes room once.
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	_ = first.Close()
	dial()
	c, ok := <-accepted
	if !ok {
		t.Fatal("the listener ended")
	}
	defer c.Close()
	counts := l.(*listener).counts
	if got := counts.held[Source(Peer("127.0.0.1:1"))]; got != 2 {
		t.Errorf("%d connections are counted, want 2", got)
	}
}

func BenchmarkAdmit(b *testing.B) {
	p, f := NewProjects(1_000_000_000, 1<<40), NewFailures(10)
	proxies := Proxies{netip.MustParsePrefix("10.0.0.0/8")}
	r := &http.Request{RemoteAddr: "192.0.2.1:4711", Header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		now := time.Now()
		source := Source(proxies.Client(r))
		if _, ok := f.Allowed(source, now); !ok {
			b.Fatal("refused")
		}
		v := p.Admit(projectA, now)
		if !v.OK || p.Field(v) == "" {
			b.Fatal("refused")
		}
		p.Charge(projectA, 100, now)
	}
}
