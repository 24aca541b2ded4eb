package oidc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
)

const (
	maxResponse = 1 << 20  // bytes of a discovery document or a key set
	maxHeader   = 64 << 10 // bytes of the header of an answer
)

// fetchKeys asks the provider where its keys are, and for them.
func fetchKeys(ctx context.Context, client *http.Client, issuer string) ([]providerKey, error) {
	provider, err := gooidc.NewProvider(gooidc.ClientContext(ctx, client), issuer)
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	var metadata struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&metadata); err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	if err := checkURL(metadata.Keys); err != nil {
		return nil, fmt.Errorf("discovery: keys: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, metadata.Keys, nil)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("keys: status %d", resp.StatusCode)
	}
	return readKeys(body)
}

// NewClient returns a client for whatever else is asked of a provider: no redirects, an
// end to every request, and a bound on what the answers make us read. Nil roots are the
// system's.
func NewClient(roots *x509.CertPool) *http.Client {
	return guardedClient(&http.Client{Transport: NewTransport(roots)})
}

// guardedClient is the client with redirects off, an end to every request, and a bound
// on what a provider can make us read.
func guardedClient(base *http.Client) *http.Client {
	client := http.Client{}
	if base != nil {
		client = *base
	}
	client.Jar = nil
	client.Timeout = fetchTimeout
	client.CheckRedirect = func(*http.Request, []*http.Request) error {
		return errors.New("identity provider redirects, which is not followed")
	}
	if client.Transport == nil {
		client.Transport = NewTransport(nil)
	}
	client.Transport = bounded{client.Transport}
	return &client
}

// NewTransport returns a transport to reach a provider by, with bounds on what a server
// can make us read and hold. Nil roots are the system's.
func NewTransport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    fetchTimeout,
		ResponseHeaderTimeout:  fetchTimeout,
		MaxResponseHeaderBytes: maxHeader,
		MaxConnsPerHost:        4,
		IdleConnTimeout:        time.Minute,
		ForceAttemptHTTP2:      true,
	}
}

// bounded ends responses of the transport below it at maxResponse.
type bounded struct{ transport http.RoundTripper }

// CloseIdleConnections is found by http.Client.
func (b bounded) CloseIdleConnections() {
	if c, ok := b.transport.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxResponse)
	return resp, nil
}
