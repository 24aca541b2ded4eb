package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// hook is a receiver on loopback that counts what reaches it.
type hook struct {
	*httptest.Server
	calls atomic.Int64
	last  atomic.Pointer[http.Request]
	body  atomic.Pointer[string]
}

func newHook(t *testing.T, secure bool, answer http.HandlerFunc) *hook {
	t.Helper()
	h := &hook{}
	f := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.calls.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		text := string(body)
		h.body.Store(&text)
		h.last.Store(r)
		if answer != nil {
			answer(w, r)
		}
	})
	if secure {
		h.Server = httptest.NewTLSServer(f)
	} else {
		h.Server = httptest.NewServer(f)
	}
	t.Cleanup(h.Close)
	return h
}

func (h *hook) roots() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(h.Certificate())
	return &tls.Config{RootCAs: pool, ServerName: "example.com"}
}

func loopback(t *testing.T, text string) []Allowed {
	t.Helper()
	a, err := ParseAllowed(text)
	if err != nil {
		t.Fatal(err)
	}
	return []Allowed{a}
}

func TestNotificationsAreSigned(t *testing.T) {
	h := newHook(t, true, nil)
	s := New(Options{Allowed: loopback(t, "127.0.0.0/8"), TLS: h.roots(), Now: func() time.Time { return time.Unix(1_800_000_000, 0) }})
	m := Message{ID: "one.two", URL: h.URL + "/hook?x=1", Secret: []byte("the secret of it"), Body: []byte(`{"specversion":"1.0"}`)}
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got := h.last.Load()
	// Made with: printf 'one.two.1800000000.{"specversion":"1.0"}' | openssl dgst -sha256 -hmac 'the secret of it' -binary | base64
	const signature = "v1,dS81FaF3UytdTm/XBryJVeQOrsiSFLh3+APgJHktZic="
	for name, want := range map[string]string{
		"Content-Type": "application/cloudevents+json", "Webhook-Id": "one.two", "Webhook-Timestamp": "1800000000", "Webhook-Signature": signature,
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Header.Get(name), want)
		}
	}
	if *h.body.Load() != string(m.Body) || got.URL.RequestURI() != "/hook?x=1" || got.Method != http.MethodPost {
		t.Errorf("%s %s got %s", got.Method, got.URL, *h.body.Load())
	}
}

func TestOnlyAnAnswerOfSuccessCounts(t *testing.T) {
	for _, status := range []int{301, 302, 307, 400, 404, 429, 500, 503} {
		elsewhere := newHook(t, false, nil)
		h := newHook(t, false, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(status)
		})
		s := New(Options{Allowed: loopback(t, "http://127.0.0.1")})
		err := s.Send(t.Context(), Message{URL: h.URL, Body: []byte("{}")})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprint(status)) {
			t.Errorf("status %d gives %v", status, err)
		}
		if n := elsewhere.calls.Load(); n != 0 {
			t.Errorf("status %d is followed to another address", status)
		}
	}
}

func TestAnEndlessAnswerIsCut(t *testing.T) {
	h := newHook(t, false, func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 32<<10)
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	s := New(Options{Allowed: loopback(t, "http://127.0.0.1")})
	if err := s.Send(t.Context(), Message{URL: h.URL, Body: []byte("{}")}); err != nil {
		t.Error(err)
	}
}

// forbidden are hosts that a tenant must not reach, in every way of writing them.
func forbidden() (hosts []string) {
	for _, ip := range []string{
		"127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
		"100.64.0.1", "100.127.255.255", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1",
		"239.255.255.255", "240.0.0.1", "255.255.255.255", "192.88.99.1",
	} {
		a := netip.MustParseAddr(ip).As4()
		n := uint32(a[0])<<24 | uint32(a[1])<<16 | uint32(a[2])<<8 | uint32(a[3])
		hosts = append(hosts, ip, fmt.Sprint(n), fmt.Sprintf("0x%x", n), fmt.Sprintf("0%o", n),
			fmt.Sprintf("%#x.%#x.%#x.%#x", a[0], a[1], a[2], a[3]), fmt.Sprintf("%#o.%#o.%#o.%#o", a[0], a[1], a[2], a[3]),
			fmt.Sprintf("%d.%d", a[0], n&0xffffff), fmt.Sprintf("[::ffff:%s]", ip), fmt.Sprintf("[64:ff9b::%s]", ip),
			fmt.Sprintf("[2002:%02x%02x:%02x%02x::1]", a[0], a[1], a[2], a[3]), ip+".")
	}
	return append(hosts, "[::1]", "[::]", "[fe80::1]", "[fe80::1%25lo]", "[fe80::1%25eth0]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[100::1]",
		"[2001:db8::1]", "[fec0::1]", "[::127.0.0.1]", "[2001::1]", "[3fff::1]", "[4000::1]", "localhost", "LOCALHOST", "localhost.",
		"ip6-localhost", "ⓛocalhost", "127。0。0。1", "１２７.0.0.1")
}

// No address of ours is reached, whatever way it is written in.
func TestTenantsReachNothingInside(t *testing.T) {
	h := newHook(t, false, nil)
	at, err := url.Parse(h.URL)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, host := range forbidden() {
		for _, address := range []string{"https://" + host + "/", "http://" + host + ":" + at.Port() + "/"} {
			n++
			s := New(Options{Allowed: []Allowed{}})
			// A real resolver may answer slowly or not at all; names that it knows
			// nothing of are as good as refused.
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			err := s.Send(ctx, Message{URL: address, Body: []byte("{}")})
			cancel()
			if err == nil {
				t.Errorf("%s was reached", address)
			}
			if err != nil && strings.Contains(err.Error(), "refused") {
				t.Errorf("%s: the error tells what is behind the address: %v", address, err)
			}
		}
	}
	if got := h.calls.Load(); got != 0 || n < 250 {
		t.Errorf("%d of %d requests came through, want none of at least 250", got, n)
	}
}

func TestAddressesAreJudgedAsTheyAreConnectedTo(t *testing.T) {
	for _, c := range []struct {
		allowed, address string
		plain, ok        bool
	}{
		{"", "93.184.215.14:443", false, true},
		{"", "[2606:4700::1111]:443", false, true},
		{"", "93.184.215.14:443", true, false},
		{"", "93.184.215.14:8443", false, false},
		{"", "[::ffff:127.0.0.1]:443", false, false},
		{"", "[fe80::1%lo]:443", false, false},
		{"", "127.0.0.1", false, false},
		{"10.0.0.0/8", "10.1.2.3:9000", false, true},
		{"10.0.0.0/8", "10.1.2.3:9000", true, false},
		{"10.0.0.0/8", "11.1.2.3:9000", false, false},
		{"http://10.1.2.3:9000", "10.1.2.3:9000", true, true},
		{"http://10.1.2.3:9000", "10.1.2.3:9001", true, false},
		{"10.1.2.3", "[::ffff:10.1.2.3]:8443", false, true},
		{"fd00::/8", "[fd00::1]:8443", false, true},
	} {
		var g guard
		if c.allowed != "" {
			g.allowed = loopback(t, c.allowed)
		}
		err := g.control(c.plain)("tcp", c.address, nil)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrForbidden) {
			t.Errorf("%s with %q, plain %v: %v, want allowed %v", c.address, c.allowed, c.plain, err, c.ok)
		}
	}
	for address, ok := range map[string]bool{
		"https://example.com/": true, "https://93.184.215.14/": true, "http://example.com/": false, "https://10.0.0.1/": false,
		"https://[::1]/": false, "https://93.184.215.14:444/": false, "https://a:b@example.com/": false, "/x": false,
	} {
		if err := New(Options{}).Check(address); (err == nil) != ok {
			t.Errorf("%s: %v, want accepted %v", address, err, ok)
		}
	}
	for _, s := range []string{"", "all", "10.0.0.0/33", "10.0.0.1:0", "10.0.0.1:x", "https://10.0.0.1", "example.com:443", "10.0.0.1:99999"} {
		if a, err := ParseAllowed(s); err == nil {
			t.Errorf("%q is taken for %+v", s, a)
		}
	}
}

// A name that resolves to a public address when it is looked at and to one of ours when
// it is connected to gains nothing: only the latter counts.
func TestRebindingGainsNothing(t *testing.T) {
	h := newHook(t, false, nil)
	g := guard{}
	dialer := &net.Dialer{Control: g.control(true)}
	conn, err := dialer.DialContext(t.Context(), "tcp", h.Listener.Addr().String())
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, ErrForbidden) {
		t.Errorf("the connection ended with %v, want it forbidden", err)
	}
}

func FuzzGuard(f *testing.F) {
	for _, s := range []string{"127.0.0.1:443", "[::1]:443", "93.184.215.14:443", "[fe80::1%lo]:443", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, address string) {
		if (guard{}).control(false)("tcp", address, nil) != nil {
			return
		}
		at := netip.MustParseAddrPort(address)
		ip := at.Addr().Unmap()
		if at.Port() != 443 || ip.IsPrivate() || ip.IsLoopback() || !ip.IsGlobalUnicast() || ip.Zone() != "" {
			t.Errorf("%s may be connected to", address)
		}
	})
}
