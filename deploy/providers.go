package deploy

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"

	"dms/tenancy/claims"
	"dms/tenancy/oidc"
)

// maxCAFile bounds a file of certificate authorities.
const maxCAFile = 4 << 20

// newProviders makes the verifiers of all identity providers. It asks none of them
// anything.
func newProviders(providers []IdentityProvider, log *slog.Logger) (*oidc.Set, error) {
	var verifiers []*oidc.Verifier
	undo := func() {
		for _, v := range verifiers {
			v.Close()
		}
	}
	for _, p := range providers {
		v, err := p.verifier(log)
		if err != nil {
			undo()
			return nil, err
		}
		verifiers = append(verifiers, v)
	}
	set, err := oidc.NewSet(verifiers...)
	if err != nil {
		undo()
		return nil, fmt.Errorf("identity providers: %w", err)
	}
	return set, nil
}

func (p IdentityProvider) verifier(log *slog.Logger) (*oidc.Verifier, error) {
	o := p.options()
	o.Log = log
	if p.CAFile != "" {
		roots, err := readAuthorities(p.CAFile)
		if err != nil {
			return nil, fmt.Errorf("identity provider %s: ca_file: %w", p.ID, err)
		}
		o.Client = &http.Client{Transport: oidc.NewTransport(roots)}
	}
	return oidc.New(o)
}

// options are the verifier's options, but for what the files say.
func (p IdentityProvider) options() oidc.Options {
	e := claims.Expressions{Subject: p.Claims.Subject, Name: p.Claims.Name, Projects: p.Claims.Projects, Roles: p.Claims.Roles}
	for _, r := range p.Claims.Rules {
		e.Rules = append(e.Rules, claims.Rule(r))
	}
	return oidc.Options{
		ID: p.ID, Issuer: p.Issuer, Audience: p.Audience, RequireAccessType: p.RequireAccessType,
		Claims: e, Skew: p.ClockSkew, Life: p.MaxLifetime, StaleKeys: p.StaleKeys,
	}
}

// readAuthorities reads certificates in PEM.
func readAuthorities(path string) (*x509.CertPool, error) {
	b, err := readBounded(path, maxCAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return pool, nil
}

// readBounded reads a file that has at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return b, nil
}
