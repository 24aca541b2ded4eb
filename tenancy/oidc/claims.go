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
func readClaims(token *gooidc.IDToken) (payload []byte, o object, err error) {
	var raw json.RawMessage
	if err := token.Claims(&raw); err != nil {
		return nil, nil, err
	}
	if o, err = readObject(raw); err != nil {
		return nil, nil, fmt.Errorf("claims: %w", err)
	}
	return raw, o, nil
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
func (v *Verifier) identity(payload []byte, o object) (tenancy.Identity, time.Time, error) {
	fail := func(err error) (tenancy.Identity, time.Time, error) {
		return tenancy.Identity{}, time.Time{}, err
	}
	var issuer string
	if err := o.text("iss", &issuer); err != nil {
		return fail(err)
	}
	// go-oidc makes an exception for one issuer; here there is none.
	if issuer != v.issuer {
		return fail(errors.New("issuer is another"))
	}
	audience, err := o.texts("aud")
	if err != nil {
		return fail(err)
	}
	if !slices.ContainsFunc(audience, func(a string) bool { return slices.Contains(v.audience, a) }) {
		return fail(errors.New("audience is another"))
	}
	certificate, err := readConfirmation(o["cnf"])
	if err != nil {
		return fail(err)
	}
	id, err := v.mapping.Identity(payload)
	if err != nil {
		return fail(fmt.Errorf("claims: %w", err))
	}
	id.Issuer, id.Certificate = issuer, certificate
	// For the audit trail: what is missing or of another type is left out.
	if id.Client = o.told("client_id"); id.Client == "" {
		id.Client = o.told("azp")
	}
	// The times come last, so that "expired" is said of tokens only that were good.
	expires, err := v.checkTimes(o, v.now())
	if err != nil {
		return fail(err)
	}
	return id, expires, nil
}

// told returns a text that nothing depends on, "" unless it is a fit one.
func (o object) told(name string) string {
	var s string
	if o.text(name, &s) != nil {
		return ""
	}
	return s
}

// readConfirmation reads what the token is bound to: a certificate (RFC 8705), or
// nothing at all. A token that is bound to anything else, or to more, is refused: nothing
// here can see whether the caller holds that.
func readConfirmation(raw json.RawMessage) (tenancy.Thumbprint, error) {
	if raw == nil {
		return tenancy.Thumbprint{}, nil
	}
	fail := errors.New("token is bound to something other than a certificate")
	var methods object
	if raw[0] != '{' || json.Unmarshal(raw, &methods) != nil || len(methods) != 1 {
		return tenancy.Thumbprint{}, fail
	}
	var text string
	if methods.text("x5t#S256", &text) != nil || text == "" {
		return tenancy.Thumbprint{}, fail
	}
	return tenancy.ParseThumbprint(text)
}

// checkTimes returns when the token will no longer be taken. Clocks may differ by the
// skew, at the beginning and at the end.
func (v *Verifier) checkTimes(o object, now time.Time) (time.Time, error) {
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
	end := expires.Add(v.skew)
	switch {
	case hasIssued && issued.After(now.Add(v.skew)):
		return time.Time{}, errors.New("iat is in the future")
	case hasStart && start.After(now.Add(v.skew)):
		return time.Time{}, errors.New("nbf is in the future")
	case hasIssued && expires.Sub(issued) > v.life:
		return time.Time{}, fmt.Errorf("life of %s is longer than %s", expires.Sub(issued), v.life)
	case !hasIssued && expires.Sub(now) > v.life:
		return time.Time{}, fmt.Errorf("end is more than %s away and there is no iat", v.life)
	case !now.Before(end):
		return time.Time{}, fmt.Errorf("%w at %s", tenancy.ErrExpired, expires.Format(time.RFC3339))
	}
	return end, nil
}
