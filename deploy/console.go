package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"dms/facade/console"
	"dms/tenancy/oidc"
	"dms/tenancy/session"

	"github.com/nats-io/nats.go"
)

// ConsoleOptions say how long somebody stays signed in to the console.
type ConsoleOptions struct {
	SessionIdle time.Duration `yaml:"session_idle"` // without doing anything; 1s to 24h
	SessionLife time.Duration `yaml:"session_life"` // at most; up to 168h
}

// ConsoleClient is the console as a client of an identity provider, where its redirect
// URL is <the service>/console/callback.
type ConsoleClient struct {
	Name     string `yaml:"name"` // of the provider, for people; its id if empty
	ClientID string `yaml:"client_id"`
	// ClientSecretFile is empty for a public client, which PKCE alone protects.
	ClientSecretFile string   `yaml:"client_secret_file"`
	Scopes           []string `yaml:"scopes"` // beside openid; profile and offline_access if left out
}

func defaultConsole() ConsoleOptions {
	return ConsoleOptions{SessionIdle: session.DefaultIdle, SessionLife: session.DefaultLife}
}

func (c Config) validateConsole() error {
	var errs []error
	if d := c.Console.SessionIdle; d < time.Second || d > 24*time.Hour {
		errs = append(errs, fmt.Errorf("console.session_idle: %s, want 1s to 24h", d))
	}
	if d := c.Console.SessionLife; d < c.Console.SessionIdle || d > 168*time.Hour {
		errs = append(errs, fmt.Errorf("console.session_life: %s, want session_idle to 168h", d))
	}
	for i, p := range c.IdentityProviders {
		if p.Console == nil {
			continue
		}
		at := fmt.Sprintf("identity_providers[%d].console", i)
		if p.Console.ClientID == "" {
			errs = append(errs, fmt.Errorf("%s.client_id: missing", at))
		}
		for _, s := range p.Console.Scopes {
			if s == "" || strings.ContainsAny(s, " \t\r\n") {
				errs = append(errs, fmt.Errorf("%s.scopes: %q is not one scope", at, s))
			}
		}
		if !c.secureBrowsers() && !isLoopback(c.API.Listen) {
			errs = append(errs, fmt.Errorf("%s: browsers would send their session in plain text: give tls_cert_file and tls_key_file, or the https URL of what protects the traffic as api.public_url", at))
		}
	}
	return errors.Join(errs...)
}

// secureBrowsers reports whether browsers reach the service by TLS.
func (c Config) secureBrowsers() bool {
	return c.API.TLSCertFile != "" || strings.HasPrefix(c.API.PublicURL, "https://")
}

// openSessions opens the store of who has signed in.
func (n *Node) openSessions(ctx context.Context, conn *nats.Conn) (*session.Store, error) {
	sealing, err := n.keys.Sealing("console session")
	if err != nil {
		return nil, err
	}
	return session.Open(ctx, session.Options{
		Conn: conn, Sealing: sealing, Idle: n.config.Console.SessionIdle, Life: n.config.Console.SessionLife,
	})
}

// newConsole makes the console. It asks no provider anything.
func (n *Node) newConsole(projects *tenants, creds *credentials) (*console.Console, error) {
	sealing, err := n.keys.Sealing("console sign-in")
	if err != nil {
		return nil, err
	}
	base := n.config.API.PublicURL
	if n.mounted != nil {
		base = n.URL() // where the development identity provider sends browsers back to
	}
	o := console.Options{
		Sessions: projects.sessions, Tokens: creds, Sealing: sealing, BaseURL: base,
		Secure: n.config.secureBrowsers(), ProjectName: projects.name, Log: n.log,
	}
	for _, p := range n.providers {
		if p.Console == nil {
			continue
		}
		one, err := p.console()
		if err != nil {
			return nil, fmt.Errorf("identity provider %s: console: %w", p.ID, err)
		}
		o.Providers = append(o.Providers, one)
	}
	return console.New(o)
}

func (p IdentityProvider) console() (one console.Provider, err error) {
	one = console.Provider{ID: p.ID, Name: p.Console.Name, Issuer: p.Issuer, ClientID: p.Console.ClientID, Scopes: p.Console.Scopes, Client: oidc.NewClient(nil)}
	if p.CAFile != "" {
		roots, err := readAuthorities(p.CAFile)
		if err != nil {
			return one, fmt.Errorf("ca_file: %w", err)
		}
		one.Client = oidc.NewClient(roots)
	}
	if p.Console.ClientSecretFile != "" {
		secret, err := readSecret(p.Console.ClientSecretFile)
		if err != nil {
			return one, fmt.Errorf("client_secret_file: %w", err)
		}
		one.Secret = console.Secret(secret)
	}
	return one, nil
}
