package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	jose "github.com/go-jose/go-jose/v4"
)

const maxKeys = 64 // of one provider

// keyName tells one key of a provider from every other: by the name that the provider
// gives it, by what it is for, and by the key itself.
type keyName string

// providerKey is a key that we could use.
type providerKey struct {
	jose.JSONWebKey
	name  keyName
	print string // of the key itself, whatever it is called
}

// readKeys reads a key set and keeps the keys that we could use: providers list others
// as well, for encryption or for algorithms that we do not accept.
func readKeys(body []byte) ([]providerKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("keys: there are %d, more than %d", len(set.Keys), maxKeys)
	}
	var keys []providerKey
	seen := make(map[keyName]bool)
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if err := json.Unmarshal(raw, &key); err != nil || !usable(key) {
			continue
		}
		sum, err := key.Thumbprint(crypto.SHA256)
		if err != nil {
			continue
		}
		name := keyName(fmt.Sprintf("%q %q %x", key.KeyID, key.Algorithm, sum))
		if !seen[name] {
			keys = append(keys, providerKey{key, name, string(sum)})
		}
		seen[name] = true
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("keys: none of %d is usable", len(set.Keys))
	}
	return keys, nil
}

func usable(key jose.JSONWebKey) bool {
	if key.Use != "" && key.Use != "sig" {
		return false
	}
	switch k := key.Key.(type) {
	case *rsa.PublicKey:
		// A large exponent makes every verification dear.
		return k.N.BitLen() >= 2048 && k.N.BitLen() <= 8192 && k.E >= 3 && k.E <= 1<<31-1
	case *ecdsa.PublicKey:
		return k.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return len(k) == ed25519.PublicKeySize
	}
	return false
}

// fits reports whether the key is for the algorithm: by its kind, and by what the
// provider says it is for.
func fits(key jose.JSONWebKey, algorithm string) bool {
	if key.Algorithm != "" && key.Algorithm != algorithm {
		return false
	}
	switch key.Key.(type) {
	case *rsa.PublicKey:
		return algorithm == gooidc.RS256 || algorithm == gooidc.PS256
	case *ecdsa.PublicKey:
		return algorithm == gooidc.ES256
	case ed25519.PublicKey:
		return algorithm == gooidc.EdDSA
	}
	return false
}

// choose returns the key with the name and for the algorithm of the header. A token
// without a key name is taken only where there is no choice, and a name that stands for
// two keys names none.
func choose(keys []providerKey, h header) (providerKey, error) {
	if h.KeyID == "" {
		if len(keys) == 1 && fits(keys[0].JSONWebKey, h.Algorithm) {
			return keys[0], nil
		}
		return providerKey{}, errors.New("no key is named and there is not exactly one")
	}
	var found providerKey
	for _, key := range keys {
		if key.KeyID != h.KeyID || !fits(key.JSONWebKey, h.Algorithm) {
			continue
		}
		if found.print != "" && found.print != key.print {
			return providerKey{}, errors.New("the key's name stands for more than one")
		}
		found = key
	}
	if found.print == "" {
		return providerKey{}, errors.New("the key is unknown")
	}
	return found, nil
}
