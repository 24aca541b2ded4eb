package deploy

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dms/deploy/keys"
	"dms/tenancy"

	"go.uber.org/goleak"
)

// Whatever a test started must have ended.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testLimit = time.Minute

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// loneNode configures one node whose two peers never come.
func loneNode(t *testing.T) Config {
	t.Helper()
	dir := t.TempDir()
	c := Default()
	c.Node = "n1"
	c.DataFolder, c.KeysFolder = filepath.Join(dir, "data"), filepath.Join(dir, "keys")
	c.API.Listen, c.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0"
	c.Disk.Limit = 1 << 30
	for _, name := range []string{"n1", "n2", "n3"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c.Cluster.Peers = append(c.Cluster.Peers, Peer{Name: name, Address: l.Addr().String()})
	}
	c.Cluster.Listen = c.Cluster.Peers[0].Address
	if err := keys.Init(c.KeysFolder); err != nil {
		t.Fatal(err)
	}
	return c
}

func get(t *testing.T, url string) (status int, body string, header http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data), resp.Header
}

func TestNodeWithoutPeersIsAliveButNotReady(t *testing.T) {
	n, err := New(t.Context(), loneNode(t), quiet())
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	go func() { started <- n.Start(t.Context()) }() // ends through Stop, below
	if status, body, _ := get(t, n.AdminURL()+"/livez"); status != http.StatusOK {
		t.Errorf("/livez answers %d %q, want 200", status, body)
	}
	if status, body, _ := get(t, n.AdminURL()+"/readyz"); status != http.StatusServiceUnavailable || body != "starting\n" {
		t.Errorf("/readyz answers %d %q, want 503 starting", status, body)
	}
	status, body, header := get(t, n.URL()+"/v2/d3500000000000000000000000000001/queues")
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("the API answers %d %q %v, want 503 with Retry-After", status, body, header)
	}
	if status, _, _ := get(t, n.AdminURL()+"/v2/d3500000000000000000000000000001/queues"); status != http.StatusNotFound {
		t.Errorf("the admin listener answers an API call with %d, want 404", status)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := <-started; !errors.Is(err, errStopped) {
		t.Errorf("Start answers %v, want that it was stopped", err)
	}
	if err := n.Stop(ctx); err != nil {
		t.Errorf("stop again: %v", err)
	}
	if err := n.Start(ctx); !errors.Is(err, errStarted) {
		t.Errorf("a start after the end answers %v", err)
	}
}

func TestNodeThatNeverStartedCanBeStopped(t *testing.T) {
	c := loneNode(t)
	for range 2 { // the second time proves that the first left nothing behind
		n, err := New(t.Context(), c, quiet())
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNewUndoesWhatItBegan(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	good := loneNode(t)
	notAFolder := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notAFolder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, breakIt := range map[string]func(*Config){
		"the API address is taken":     func(c *Config) { c.API.Listen = taken.Addr().String() },
		"the admin address is taken":   func(c *Config) { c.Admin.Listen = taken.Addr().String() },
		"the cluster address is taken": func(c *Config) { c.Cluster.Listen = taken.Addr().String() },
		"the certificate is missing": func(c *Config) {
			c.API.TLSCertFile, c.API.TLSKeyFile = notAFolder+".crt", notAFolder+".key"
		},
		"the keys are missing": func(c *Config) { c.KeysFolder = notAFolder },
		"a secret is missing": func(c *Config) {
			c.AccessKeys = []AccessKey{{ID: "K", SecretFile: notAFolder, Project: devProjects()[0].ID, Roles: []tenancy.Role{tenancy.Viewer}}}
		},
		"the configuration is not valid": func(c *Config) { c.Node = "n4" },
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			breakIt(&c)
			if n, err := New(t.Context(), c, quiet()); err == nil {
				t.Fatalf("made a node: %v", n.Stop(t.Context()))
			}
			unlock, err := lockFolder(good.DataFolder)
			if err != nil {
				t.Fatalf("the data folder is still taken: %v", err)
			}
			if err := unlock(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
	n, err := New(t.Context(), good, quiet())
	if err != nil {
		t.Fatalf("after all failures: %v", err)
	}
	if err := n.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTwoNodesCannotShareAFolder(t *testing.T) {
	c := loneNode(t)
	n, err := New(t.Context(), c, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if second, err := New(t.Context(), c, quiet()); !errors.Is(err, ErrFolderInUse) {
		t.Errorf("a second node got %v, %v, want ErrFolderInUse", second, err)
	}
	if err := n.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestRunEndsWhenAskedWhileStarting(t *testing.T) {
	n, err := New(t.Context(), loneNode(t), quiet())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { // ends through cancel, below
		done <- n.Run(ctx, func() error { return errors.New("a lone node said that it is ready") })
	}()
	get(t, n.AdminURL()+"/livez") // the node is starting now
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Run answers %v, want nil: it was asked to stop", err)
		}
	case <-time.After(testLimit):
		t.Fatal("Run did not end")
	}
}

func TestAPISpeaksTLSWhenItHasACertificate(t *testing.T) {
	c := loneNode(t)
	pool := selfSigned(t, &c)
	n, err := New(t.Context(), c, quiet())
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	go func() { started <- n.Start(t.Context()) }() // ends through Stop, below
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.URL()+"/openapi.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("over TLS the starting node answers %d, %v, want 503", resp.StatusCode, err)
	}
	if status, _, _ := get(t, "http://"+n.Addr()+"/openapi.yaml"); status != http.StatusBadRequest {
		t.Errorf("without TLS the node answers %d, want 400", status)
	}
	if err := n.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	<-started
}

// selfSigned gives the API a certificate of its own and returns who vouches for it.
func selfSigned(t *testing.T, c *Config) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c.API.TLSCertFile, c.API.TLSKeyFile = filepath.Join(dir, "crt"), filepath.Join(dir, "key")
	for path, block := range map[string]*pem.Block{
		c.API.TLSCertFile: {Type: "CERTIFICATE", Bytes: der}, c.API.TLSKeyFile: {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool
}
