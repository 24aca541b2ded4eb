package oidc

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
)

// algorithms are the ones we accept, whatever a provider advertises.
func algorithms() []string {
	return []string{gooidc.RS256, gooidc.PS256, gooidc.ES256, gooidc.EdDSA}
}

// header is the part of a token's header that we go by.
type header struct {
	Algorithm string
	KeyID     string
	Type      string // lower case, without "application/"
}

// readHeader reads the header of a compact signed token before anything else looks at
// it. It refuses encrypted tokens, spellings that are not canonical, and headers that
// would have the token choose its own key or rules.
func readHeader(raw string) (header, error) {
	if len(raw) > maxToken {
		return header{}, fmt.Errorf("token has %d bytes, more than %d", len(raw), maxToken)
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return header{}, fmt.Errorf("token has %d parts, want 3", len(parts))
	}
	decoded := make([][]byte, len(parts))
	for i, part := range parts {
		var err error
		// The decoder passes over line breaks, even when strict.
		if strings.ContainsAny(part, "\r\n") {
			return header{}, errors.New("token has a line break")
		}
		if decoded[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return header{}, fmt.Errorf("part %d of the token is not base64url", i+1)
		}
		if len(decoded[i]) == 0 {
			return header{}, fmt.Errorf("part %d of the token is empty", i+1)
		}
	}
	object, err := readObject(decoded[0])
	if err != nil {
		return header{}, fmt.Errorf("header: %w", err)
	}
	for _, name := range []string{"jwk", "jku", "x5u", "x5c", "crit", "zip", "enc", "b64"} {
		if _, ok := object[name]; ok {
			return header{}, fmt.Errorf("header has %s", name)
		}
	}
	var h header
	for name, to := range map[string]*string{"alg": &h.Algorithm, "kid": &h.KeyID, "typ": &h.Type} {
		if err := object.text(name, to); err != nil {
			return header{}, fmt.Errorf("header: %w", err)
		}
	}
	if !slices.Contains(algorithms(), h.Algorithm) {
		return header{}, fmt.Errorf("algorithm %.16q is not accepted", h.Algorithm)
	}
	h.Type = strings.ToLower(h.Type)
	if short, ok := strings.CutPrefix(h.Type, "application/"); ok && short != "" {
		h.Type = short
	}
	return h, nil
}

// isAccess reports whether the token calls itself an access token.
func (h header) isAccess() bool { return h.Type == "at+jwt" }

// checkType refuses tokens that were made for something else, such as logout tokens,
// which are signed with the same keys.
func (h header) checkType(accessOnly bool) error {
	if h.isAccess() {
		return nil
	}
	if accessOnly {
		return fmt.Errorf("type %.32q is not at+jwt", h.Type)
	}
	if h.Type != "" && h.Type != "jwt" {
		return fmt.Errorf("type %.32q is not accepted", h.Type)
	}
	return nil
}
