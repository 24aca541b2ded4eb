package oidctest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"sync"
	"testing"

	jose "github.com/go-jose/go-jose/v4"
)

// PrivateKeys are keys to sign with. RSA keys are slow to make, so there is one set of
// them in a process.
type PrivateKeys struct {
	RSA, OtherRSA, WeakRSA *rsa.PrivateKey
	EC, OtherEC            *ecdsa.PrivateKey
	Ed                     ed25519.PrivateKey
}

var keys = sync.OnceValues(func() (PrivateKeys, error) {
	var k PrivateKeys
	var errs [6]error
	k.RSA, errs[0] = rsa.GenerateKey(rand.Reader, 2048)
	k.OtherRSA, errs[1] = rsa.GenerateKey(rand.Reader, 2048)
	k.WeakRSA, errs[2] = rsa.GenerateKey(rand.Reader, 1024)
	k.EC, errs[3] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.OtherEC, errs[4] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, k.Ed, errs[5] = ed25519.GenerateKey(rand.Reader)
	return k, errors.Join(errs[:]...)
})

// Keys returns the keys of this process.
func Keys(t testing.TB) PrivateKeys {
	t.Helper()
	k, err := keys()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Public describes a signing key as providers publish it.
func Public(id, algorithm string, key any) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key, KeyID: id, Algorithm: algorithm, Use: "sig"}
}
