package devidp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	jose "github.com/go-jose/go-jose/v4"
)

// keyFile holds the signing key in PKCS #8, readable by its owner only.
const keyFile = "idp-signing-key.pem"

// signingKey is op's SigningKey. Its name is the key's thumbprint, so that a new key
// never has the name of an old one.
type signingKey struct {
	id      string
	private *ecdsa.PrivateKey
}

func (k signingKey) ID() string                                  { return k.id }
func (k signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (k signingKey) Key() any                                    { return k.private }

// publicKey is op's Key.
type publicKey struct{ signingKey }

func (k publicKey) Algorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (k publicKey) Use() string                        { return "sig" }
func (k publicKey) Key() any                           { return &k.private.PublicKey }

// loadKey reads the key in the folder, or makes one there. Without a folder it makes a
// key that is kept nowhere.
func loadKey(dir string) (signingKey, error) {
	if dir == "" {
		return newKey()
	}
	path := filepath.Join(dir, keyFile)
	b, err := os.ReadFile(path)
	if err == nil {
		return parseKey(path, b)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return signingKey{}, err
	}
	key, err := newKey()
	if err != nil {
		return signingKey{}, err
	}
	return key, writeKey(dir, path, key)
}

func parseKey(path string, b []byte) (signingKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return signingKey{}, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return signingKey{}, fmt.Errorf("%s has mode %#o: others can read it, want 0600", path, mode)
	}
	block, rest := pem.Decode(b)
	if block == nil || len(rest) != 0 {
		return signingKey{}, fmt.Errorf("%s is not one PEM block", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return signingKey{}, fmt.Errorf("%s: %w", path, err)
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return signingKey{}, fmt.Errorf("%s is not a P-256 key", path)
	}
	return nameKey(private)
}

// writeKey puts the key in place whole or not at all.
func writeKey(dir, path string, key signingKey) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key.private)
	if err != nil {
		return err
	}
	// CreateTemp makes the file with mode 0600.
	f, err := os.CreateTemp(dir, keyFile+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func newKey() (signingKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return signingKey{}, err
	}
	return nameKey(private)
}

func nameKey(private *ecdsa.PrivateKey) (signingKey, error) {
	jwk := jose.JSONWebKey{Key: &private.PublicKey}
	thumbprint, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return signingKey{}, err
	}
	return signingKey{id: base64.RawURLEncoding.EncodeToString(thumbprint), private: private}, nil
}
