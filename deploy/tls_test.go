package deploy

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dms/facade"
	"dms/tenancy/certtest"
)

// tlsService is a server whose certificate follows its files. It answers with the name
// of the client's certificate.
type tlsService struct {
	t         *testing.T
	authority *certtest.Authority
	files     APIListener
	tls       *listenerTLS
	url       string
}

func serveTLS(t *testing.T, log *slog.Logger, askClients bool) *tlsService {
	t.Helper()
	dir := t.TempDir()
	s := &tlsService{t: t, authority: certtest.NewAuthority(t), files: APIListener{
		TLSCertFile: filepath.Join(dir, "crt"), TLSKeyFile: filepath.Join(dir, "key"),
	}}
	s.write("first")
	if askClients {
		s.files.ClientCAFile = filepath.Join(dir, "ca")
		certtest.WriteFile(t, s.files.ClientCAFile, s.authority.PEM())
	}
	var err error
	if s.tls, err = newListenerTLS(s.files, log); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := facade.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if certs := r.TLS.PeerCertificates; len(certs) > 0 {
			io.WriteString(w, certs[0].Subject.CommonName) //nolint:errcheck // the client notices
		}
	}), log)
	server.TLSConfig = s.tls.config()
	done := make(chan error, 1)
	go func() { done <- server.ServeTLS(l, "", "") }() // ends with Close, below
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	s.url = "https://" + l.Addr().String()
	return s
}

// serveHTTPS serves a handler with a certificate of the authority.
func serveHTTPS(t *testing.T, authority *certtest.Authority, h http.Handler) (url string) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{authority.Issue(t, "server")}}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

// write replaces the server's certificate by a new one.
func (s *tlsService) write(name string) {
	s.t.Helper()
	certtest.Write(s.t, s.authority.Issue(s.t, name), s.files.TLSCertFile, s.files.TLSKeyFile)
}

func (s *tlsService) client(certs ...tls.Certificate) *http.Client {
	s.t.Helper()
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
		RootCAs: s.authority.Pool(), ClientSessionCache: tls.NewLRUClientSessionCache(0),
		// Presented whatever the server says it takes.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(certs) > 0 {
				return &certs[0], nil
			}
			return new(tls.Certificate), nil
		},
	}}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// get returns what the server sees of the client, what the client sees of the server,
// and whether the connection was an old one.
func (s *tlsService) get(client *http.Client) (seen, server string, reused bool, err error) {
	s.t.Helper()
	ctx := httptrace.WithClientTrace(s.t.Context(), &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return "", "", false, err
	}
	res, err := client.Do(req)
	if err != nil {
		return "", "", false, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), res.TLS.PeerCertificates[0].Subject.CommonName, reused, err
}

// until asks over new connections until the server presents the certificate.
func (s *tlsService) until(name string) {
	s.t.Helper()
	deadline := time.Now().Add(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, server, _, err := s.get(s.client())
		if err == nil && server == name {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the server presents %q, %v, want %q", server, err, name)
		}
		<-tick.C
	}
}

// lockedLog is a log that can be read while it is written.
type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestACertificateIsReplacedWithoutDroppingConnections(t *testing.T) {
	s := serveTLS(t, slog.New(slog.DiscardHandler), false)
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() { s.tls.follow(ctx) })
	old := s.client()
	if _, server, _, err := s.get(old); err != nil || server != "first" {
		t.Fatalf("got %q, %v", server, err)
	}
	// Clients that come and go all the time notice nothing.
	var asked, failed atomic.Int64
	for range 2 {
		work.Go(func() {
			for ctx.Err() == nil {
				asked.Add(1)
				if _, _, _, err := s.get(s.client()); err != nil {
					failed.Add(1)
					t.Errorf("a request during the change: %v", err)
					return
				}
			}
		})
	}
	for _, name := range []string{"second", "third"} {
		s.write(name)
		s.until(name)
		if _, server, reused, err := s.get(old); err != nil || !reused || server != "first" {
			t.Errorf("a connection from before: got %q, reused %t, %v", server, reused, err)
		}
	}
	cancel()
	work.Wait()
	if asked.Load() == 0 || failed.Load() != 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), asked.Load())
	}
}

func TestABrokenCertificateChangesNothing(t *testing.T) {
	var log lockedLog
	s := serveTLS(t, slog.New(slog.NewTextHandler(&log, nil)), true)
	other := filepath.Join(t.TempDir(), "other")
	certtest.Write(t, s.authority.Issue(t, "half"), s.files.TLSCertFile, other) // the key is still the old one
	for _, broken := range []struct {
		name   string
		change func()
	}{
		{"half a pair", func() {}},
		{"no certificate", func() { certtest.WriteFile(t, s.files.TLSCertFile, []byte("x")) }},
		{"no authority", func() { s.write("second"); certtest.WriteFile(t, s.files.ClientCAFile, []byte("x")) }},
		{"too large", func() { certtest.WriteFile(t, s.files.TLSKeyFile, make([]byte, maxTLSFile+1)) }},
	} {
		broken.change()
		if changed, err := s.tls.load(); err == nil || changed {
			t.Errorf("%s: changed %t, %v", broken.name, changed, err)
		}
		if _, server, _, err := s.get(s.client()); err != nil || server != "first" {
			t.Errorf("%s: got %q, %v", broken.name, server, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() { s.tls.follow(ctx) })
	deadline, tick := time.Now().Add(time.Minute), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(log.String(), "could not be read again") && time.Now().Before(deadline) {
		<-tick.C
	}
	certtest.WriteFile(t, s.files.ClientCAFile, s.authority.PEM())
	s.write("good")
	s.until("good")
	cancel()
	work.Wait()
	if got := log.String(); strings.Count(got, "could not be read again") != 1 || !strings.Contains(got, "was read again") || strings.Contains(got, "PRIVATE") {
		t.Errorf("log: %s", got)
	}
}

func TestClientCertificates(t *testing.T) {
	s := serveTLS(t, slog.New(slog.DiscardHandler), true)
	mine, foreign := s.authority.Issue(t, "mine"), certtest.NewAuthority(t).Issue(t, "foreign")
	for _, c := range []struct {
		name string
		cert []tls.Certificate
		seen string
		good bool
	}{
		{"none", nil, "", true},
		{"of the authority", []tls.Certificate{mine}, "mine", true},
		{"of another authority", []tls.Certificate{foreign}, "", false},
		{"ended", []tls.Certificate{s.authority.Ended(t, "ended")}, "", false},
	} {
		seen, _, _, err := s.get(s.client(c.cert...))
		if (err == nil) != c.good || seen != c.seen {
			t.Errorf("%s: seen %q, %v", c.name, seen, err)
		}
	}
}

// A client that was let in must not come back on an old session once its authority is gone.
func TestAnAuthorityThatIsTakenAwayLetsNobodyBackIn(t *testing.T) {
	s := serveTLS(t, slog.New(slog.DiscardHandler), true)
	mine := s.authority.Issue(t, "mine")
	client := s.client(mine)
	if seen, _, _, err := s.get(client); err != nil || seen != "mine" {
		t.Fatalf("seen %q, %v", seen, err)
	}
	client.CloseIdleConnections()
	certtest.WriteFile(t, s.files.ClientCAFile, certtest.NewAuthority(t).PEM())
	if changed, err := s.tls.load(); err != nil || !changed {
		t.Fatalf("changed %t, %v", changed, err)
	}
	if seen, _, _, err := s.get(client); err == nil {
		t.Errorf("the client is back as %q", seen)
	}
}

func TestHTTP2IsSpokenOverTLS(t *testing.T) {
	s := serveTLS(t, slog.New(slog.DiscardHandler), true)
	res, err := s.client(s.authority.Issue(t, "mine")).Get(s.url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || res.ProtoMajor != 2 || string(b) != "mine" {
		t.Errorf("got %s %q, %v", res.Proto, b, err)
	}
}

func TestListenerTLSNeedsItsFiles(t *testing.T) {
	dir := t.TempDir()
	good := APIListener{TLSCertFile: filepath.Join(dir, "crt"), TLSKeyFile: filepath.Join(dir, "key")}
	certtest.Write(t, certtest.NewAuthority(t).Issue(t, "x"), good.TLSCertFile, good.TLSKeyFile)
	for name, change := range map[string]func(*APIListener){
		"no certificate":     func(l *APIListener) { l.TLSCertFile += "x" },
		"no key":             func(l *APIListener) { l.TLSKeyFile += "x" },
		"no authorities":     func(l *APIListener) { l.ClientCAFile = filepath.Join(dir, "none") },
		"key as authorities": func(l *APIListener) { l.ClientCAFile = l.TLSKeyFile },
	} {
		l := good
		change(&l)
		if _, err := newListenerTLS(l, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
