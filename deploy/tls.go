package deploy

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// reloadEvery is how soon changed files are noticed. They are small, and reading them
	// is surer than their times: a certificate may be replaced twice within a second.
	reloadEvery = 2 * time.Second
	maxTLSFile  = 1 << 20
)

// listenerTLS is the TLS of a listener, which follows its files. Connections that are
// open keep what they were made with.
type listenerTLS struct {
	certFile, keyFile string
	clientCAFile      string // empty asks clients for no certificate
	log               *slog.Logger

	sum     [sha256.Size]byte // of what current was made of; owned by follow
	current atomic.Pointer[tls.Config]
}

// newListenerTLS reads the files. Afterwards the caller runs follow.
func newListenerTLS(l APIListener, log *slog.Logger) (*listenerTLS, error) {
	t := &listenerTLS{certFile: l.TLSCertFile, keyFile: l.TLSKeyFile, clientCAFile: l.ClientCAFile, log: log}
	if _, err := t.load(); err != nil {
		return nil, err
	}
	return t, nil
}

// config is the server's configuration. Each handshake takes what is current.
func (t *listenerTLS) config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return t.current.Load(), nil },
	}
}

// load reads the files and, if they differ from what was read last, makes them current.
// If it fails, what was current stays so.
func (t *listenerTLS) load() (changed bool, err error) {
	files := []string{t.certFile, t.keyFile}
	if t.clientCAFile != "" {
		files = append(files, t.clientCAFile)
	}
	content := make([][]byte, len(files))
	h := sha256.New()
	for i, path := range files {
		if content[i], err = readBounded(path, maxTLSFile); err != nil {
			return false, fmt.Errorf("api certificate: %w", err)
		}
		fmt.Fprintf(h, "%d\n", len(content[i]))
		h.Write(content[i])
	}
	sum := [sha256.Size]byte(h.Sum(nil))
	if t.current.Load() != nil && sum == t.sum {
		return false, nil
	}
	pair, err := tls.X509KeyPair(content[0], content[1])
	if err != nil {
		return false, fmt.Errorf("api certificate: %w", err)
	}
	c := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair},
		// The server adds these to a configuration of its own, but not to this one.
		NextProtos: []string{"h2", "http/1.1"},
	}
	if t.clientCAFile != "" {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(content[2]) {
			return false, errors.New("api client authorities: the file holds no certificate in PEM")
		}
		c.ClientAuth, c.ClientCAs = tls.VerifyClientCertIfGiven, pool
		// A resumed session would bring back a client certificate from before a change
		// of authorities.
		c.SessionTicketsDisabled = true
	}
	t.current.Store(c)
	t.sum = sum
	return true, nil
}

// follow reads the files again and again until ctx ends.
func (t *listenerTLS) follow(ctx context.Context) {
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		changed, err := t.load()
		switch {
		case err != nil && err.Error() != said: // said once
			t.log.LogAttrs(ctx, slog.LevelWarn, "certificate of the API could not be read again; the old one stays", slog.Any("error", err))
			said = err.Error()
		case changed:
			t.log.LogAttrs(ctx, slog.LevelInfo, "certificate of the API was read again", slog.Time("ends", t.current.Load().Certificates[0].Leaf.NotAfter))
		}
		if err == nil {
			said = ""
		}
	}
}
