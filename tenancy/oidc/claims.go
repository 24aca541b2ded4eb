package oidc

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"

	"dms/tenancy"
)

// readClaims reads the claims of a token whose signature is right.
func readClaims(token *gooidc.IDToken) (object, error) {
	var raw json.RawMessage
	if err := token.Claims(&raw); err != nil {
		return nil, err
	}
	o, err := readObject(raw)
	if err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	return o, nil
}

// isIDToken goes by the claims that only ID tokens have.
func (o object) isIDToken() bool {
	for _, name := range []string{"nonce", "at_hash", "c_hash", "s_hash"} {
		if _, ok := o[name]; ok {
			return true
		}
	}
	return false
}

// identity judges the claims and turns them into an identity.
func (v *Verifier) identity(o object) (tenancy.Identity, time.Time, error) {
	fail := func(err error) (tenancy.Identity, time.Time, error) {
		return tenancy.Identity{}, time.Time{}, err
	}
	var issuer, subject, name string
	if err := errors.Join(o.text("iss", &issuer), o.text("sub", &subject), o.text("name", &name)); err != nil {
		return fail(err)
	}
	if name == "" {
		if err := o.text("preferred_username", &name); err != nil {
			return fail(err)
		}
	}
	// go-oidc makes an exception for one issuer; here there is none.
	if issuer != v.issuer {
		return fail(errors.New("issuer is another"))
	}
	if subject == "" {
		return fail(errors.New("no subject"))
	}
	audience, err := o.texts("aud")
	if err != nil {
		return fail(err)
	}
	if !slices.ContainsFunc(audience, func(a string) bool { return slices.Contains(v.audience, a) }) {
		return fail(errors.New("audience is another"))
	}
	// A token that is bound to a certificate or a key must not pass as a bearer token,
	// and nothing here can see what it is bound to.
	if _, ok := o["cnf"]; ok {
		return fail(errors.New("token is bound to a key of its holder"))
	}
	grants, err := readGrants(o[v.claim])
	if err != nil {
		return fail(fmt.Errorf("claim %s: %w", v.claim, err))
	}
	// The times come last, so that "expired" is said of tokens only that were good.
	expires, err := o.checkTimes(v.now())
	if err != nil {
		return fail(err)
	}
	// For the audit trail: what is missing or of another type is left out.
	client := o.told("client_id")
	if client == "" {
		client = o.told("azp")
	}
	return tenancy.Identity{
		Issuer: issuer, Subject: subject, Name: name, Client: client, TokenID: o.told("jti"), Grants: grants,
	}, expires, nil
}

// told returns a text that nothing depends on, "" unless it is a fit one.
func (o object) told(name string) string {
	var s string
	if o.text(name, &s) != nil {
		return ""
	}
	return s
}

// checkTimes holds a token to its end exactly, and to its beginning with some leeway
// for clocks that differ.
func (o object) checkTimes(now time.Time) (time.Time, error) {
	expires, ok, err := o.date("exp")
	if err != nil {
		return time.Time{}, err
	}
	if !ok {
		return time.Time{}, errors.New("no exp")
	}
	issued, hasIssued, err := o.date("iat")
	if err != nil {
		return time.Time{}, err
	}
	start, hasStart, err := o.date("nbf")
	if err != nil {
		return time.Time{}, err
	}
	switch {
	case hasIssued && issued.After(now.Add(skew)):
		return time.Time{}, errors.New("iat is in the future")
	case hasStart && start.After(now.Add(skew)):
		return time.Time{}, errors.New("nbf is in the future")
	case hasIssued && expires.Sub(issued) > maxLife:
		return time.Time{}, fmt.Errorf("life of %s is longer than %s", expires.Sub(issued), maxLife)
	case !hasIssued && expires.Sub(now) > maxLife:
		return time.Time{}, fmt.Errorf("end is more than %s away and there is no iat", maxLife)
	case !now.Before(expires):
		return time.Time{}, fmt.Errorf("%w at %s", tenancy.ErrExpired, expires.Format(time.RFC3339))
	}
	return expires, nil
}
