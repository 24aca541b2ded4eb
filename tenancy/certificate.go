package tenancy

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"
)

// Thumbprint is the SHA-256 of a certificate's DER form. RFC 8705, section 3.1, names a
// certificate like this in tokens that only its holder may use. The zero value stands
// for no certificate.
type Thumbprint [sha256.Size]byte

// ThumbprintOf returns the thumbprint of a certificate in DER form.
func ThumbprintOf(der []byte) Thumbprint { return sha256.Sum256(der) }

// ParseThumbprint reads the form that tokens carry: base64url without padding. Bits of
// the last letter that stand for nothing are passed over, because the example of the RFC
// itself has some.
func ParseThumbprint(s string) (Thumbprint, error) {
	// The decoder passes over line breaks.
	if strings.ContainsAny(s, "\r\n") {
		return Thumbprint{}, errBadThumbprint
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != sha256.Size {
		return Thumbprint{}, errBadThumbprint
	}
	t := Thumbprint(b)
	if t.IsZero() {
		return Thumbprint{}, errBadThumbprint
	}
	return t, nil
}

var errBadThumbprint = errors.New("malformed thumbprint: want the SHA-256 of a certificate in base64url")

// IsZero reports whether the thumbprint stands for no certificate.
func (t Thumbprint) IsZero() bool { return t == Thumbprint{} }

// Equal compares in constant time.
func (t Thumbprint) Equal(other Thumbprint) bool {
	return subtle.ConstantTimeCompare(t[:], other[:]) == 1
}

// String is the form that ParseThumbprint reads, "" for no certificate.
func (t Thumbprint) String() string {
	if t.IsZero() {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(t[:])
}
