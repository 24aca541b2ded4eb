package accesskey

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Limits of the Authorization header. Real clients need a tenth of them.
const (
	maxAuthorization = 4 << 10
	maxSignedHeaders = 64
)

// authorization is a parsed Authorization header of one of the forms.
type authorization struct {
	form      form
	keyID     string
	scope     string   // credential without the key id; empty in the access form
	date      string   // first part of the scope, yyyymmdd
	headers   []string // lower case, strictly ascending
	signature string   // 64 lower-case hexadecimal digits
}

// Is reports whether an Authorization header value is meant for this package, by its
// algorithm alone. It says nothing about whether the signature is right.
func Is(header string) bool {
	name, _, _ := strings.Cut(header, " ")
	return name == sdkAlgorithm || name == derivedAlgorithm
}

// parseAuthorization reads one Authorization header value:
//
//	<algorithm> <credential>=..., SignedHeaders=a;b, Signature=<hex>
func parseAuthorization(s string) (authorization, error) {
	if len(s) > maxAuthorization {
		return authorization{}, fmt.Errorf("authorization has %d bytes, more than %d", len(s), maxAuthorization)
	}
	algorithm, rest, ok := strings.Cut(s, " ")
	if !ok {
		return authorization{}, errors.New("authorization has no parameters")
	}
	params := strings.Split(rest, ",")
	if len(params) != 3 {
		return authorization{}, fmt.Errorf("authorization has %d parameters, want 3", len(params))
	}
	name, credential, ok := strings.Cut(strings.Trim(params[0], " "), "=")
	if !ok {
		return authorization{}, errors.New("authorization has no credential")
	}
	a := authorization{}
	if a.form, ok = formOf(algorithm, name); !ok {
		return authorization{}, fmt.Errorf("no signature form %.32q with %.32q", algorithm, name)
	}
	if err := a.readCredential(credential); err != nil {
		return authorization{}, err
	}
	headers, ok := strings.CutPrefix(strings.Trim(params[1], " "), "SignedHeaders=")
	if !ok {
		return authorization{}, errors.New("authorization has no signed headers")
	}
	if err := a.readHeaders(headers); err != nil {
		return authorization{}, err
	}
	a.signature, ok = strings.CutPrefix(strings.Trim(params[2], " "), "Signature=")
	if !ok || !isLowerHex(a.signature, 64) {
		return authorization{}, errors.New("signature is not 64 lower-case hexadecimal digits")
	}
	return a, nil
}

// readCredential reads "<key id>" or "<key id>/<date>/<region>/<service>[/<end>]".
// Region and service are empty in what several clients send.
func (a *authorization) readCredential(s string) error {
	id, scope, scoped := strings.Cut(s, "/")
	if !isKeyID(id) {
		return errors.New("access key id is malformed")
	}
	if scoped != a.form.scoped {
		return errors.New("credential has the wrong number of parts")
	}
	a.keyID, a.scope = id, scope
	if !scoped {
		return nil
	}
	parts := strings.Split(scope, "/")
	if a.form.end != "" {
		if len(parts) != 4 || parts[3] != a.form.end {
			return fmt.Errorf("credential does not end in %s", a.form.end)
		}
	} else if len(parts) != 3 {
		return errors.New("credential has the wrong number of parts")
	}
	for _, part := range parts[:3] {
		for i := range len(part) {
			if !isWordByte(part[i]) {
				return errors.New("credential has a character out of place")
			}
		}
	}
	a.date = parts[0]
	return nil
}

// readHeaders reads the names of the signed headers. They must be sorted, which also
// keeps a name from being signed twice, and must include the date.
func (a *authorization) readHeaders(s string) error {
	a.headers = strings.Split(s, ";")
	if len(a.headers) > maxSignedHeaders {
		return fmt.Errorf("%d headers are signed, more than %d", len(a.headers), maxSignedHeaders)
	}
	for i, h := range a.headers {
		if !isHeaderName(h) {
			return errors.New("name of a signed header is not a lower-case header name")
		}
		if i > 0 && a.headers[i-1] >= h {
			return errors.New("signed headers are not sorted or occur twice")
		}
	}
	if !slices.Contains(a.headers, dateHeader) {
		return errors.New("the date is not signed")
	}
	return nil
}

// isHeaderName accepts tokens of RFC 9110 in lower case.
func isHeaderName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 {
			continue
		}
		return false
	}
	return s != ""
}

func isLowerHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
