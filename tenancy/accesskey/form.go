package accesskey

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const (
	sdkAlgorithm     = "SDK-HMAC-SHA256"
	derivedAlgorithm = "V11-HMAC-SHA256"
)

// form is one way to sign. The canonical request is common to all but for the quirks
// of the scoped form, which its clients share.
type form struct {
	algorithm string
	parameter string // that carries the key id
	scoped    bool   // the key id is followed by date, region and service
	end       string // last part of the scope, if it has a fixed one
	quirks    bool   // query and header rules of the scoped form, see canonical.go
	key       func(id string, secret Secret, scope string) []byte
}

// forms lists the ways to sign:
//
//	access   official SDKs and the published guide
//	scoped   clients that follow java-sdk-core 3.0.1; region and service usually empty
//	derived  official SDKs with a derived predicate
func forms() [3]form {
	return [3]form{
		{algorithm: sdkAlgorithm, parameter: "Access", key: plainKey},
		{algorithm: sdkAlgorithm, parameter: "Credential", scoped: true, end: "sdk_request", quirks: true, key: chainedKey},
		{algorithm: derivedAlgorithm, parameter: "Credential", scoped: true, key: derivedKey},
	}
}

func formOf(algorithm, parameter string) (form, bool) {
	for _, f := range forms() {
		if f.algorithm == algorithm && f.parameter == parameter {
			return f, true
		}
	}
	return form{}, false
}

// sign returns the signature of a canonical request in hex.
func (f form) sign(id string, secret Secret, scope, date, canonical string) string {
	lines := []string{f.algorithm, date}
	if f.scoped {
		lines = append(lines, scope)
	}
	lines = append(lines, hashHex([]byte(canonical)))
	return hex.EncodeToString(mac(f.key(id, secret, scope), strings.Join(lines, "\n")))
}

func plainKey(_ string, secret Secret, _ string) []byte { return []byte(secret) }

// chainedKey hashes its way down the scope: date, region, service, end.
func chainedKey(_ string, secret Secret, scope string) []byte {
	key := []byte("SDK" + string(secret))
	for _, part := range strings.Split(scope, "/") {
		key = mac(key, part)
	}
	return key
}

// derivedKey is the hexadecimal text of the derived bytes, not the bytes.
func derivedKey(id string, secret Secret, scope string) []byte {
	// The length is far below the limit of the function, its only error.
	key, err := hkdf.Key(sha256.New, []byte(secret), []byte(id), scope, sha256.Size)
	if err != nil {
		return nil
	}
	return []byte(hex.EncodeToString(key))
}

func mac(key []byte, data string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(data))
	return h.Sum(nil)
}

func hashHex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
