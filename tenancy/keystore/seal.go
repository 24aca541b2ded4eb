package keystore

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/crypto/chacha20poly1305"

	"dms/tenancy"
	"dms/tenancy/accesskey"
)

// SealingKey seals secrets at rest. All nodes of a service hold the same keys.
type SealingKey struct {
	ID     byte // unique among the keys in use
	Secret [32]byte
}

// LogValue keeps the secret out of logs.
func (k SealingKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// String names the key without its secret.
func (k SealingKey) String() string { return fmt.Sprintf("sealing key %d", k.ID) }

// GoString names the key without its secret.
func (k SealingKey) GoString() string { return k.String() }

// sealer seals secrets of access keys. A secret has to be recovered, because it is what
// verifies a signature; a digest would not do.
type sealer struct {
	newest byte
	aeads  map[byte]cipher.AEAD
}

func newSealer(keys []SealingKey) (*sealer, error) {
	if len(keys) == 0 {
		return nil, errors.New("no sealing key")
	}
	s := &sealer{newest: keys[0].ID, aeads: make(map[byte]cipher.AEAD, len(keys))}
	for _, k := range keys {
		if _, ok := s.aeads[k.ID]; ok {
			return nil, fmt.Errorf("%s occurs twice", k)
		}
		aead, err := chacha20poly1305.NewX(k.Secret[:])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
		s.aeads[k.ID] = aead
	}
	return s, nil
}

// bound ties a sealed secret to its place, so that no record's secret can be put in
// another's. Neither part can hold the separator.
func bound(project tenancy.ProjectID, id string, generation int) []byte {
	return fmt.Appendf(nil, "dms access key 1\x00%s\x00%s\x00%d", project, id, generation)
}

// seal returns: id of the sealing key (1 byte) | nonce (24) | XChaCha20-Poly1305.
func (s *sealer) seal(secret accesskey.Secret, ad []byte) []byte {
	box := make([]byte, 1+chacha20poly1305.NonceSizeX, 1+chacha20poly1305.NonceSizeX+len(secret)+chacha20poly1305.Overhead)
	box[0] = s.newest
	rand.Read(box[1:]) // never fails: crypto/rand ends the process instead
	return s.aeads[s.newest].Seal(box, box[1:], []byte(secret), ad)
}

func (s *sealer) open(box, ad []byte) (accesskey.Secret, error) {
	if len(box) < 1+chacha20poly1305.NonceSizeX+chacha20poly1305.Overhead {
		return "", errors.New("the sealed secret is too short")
	}
	aead, ok := s.aeads[box[0]]
	if !ok {
		return "", fmt.Errorf("the secret is sealed with key %d, which is not in use", box[0])
	}
	plain, err := aead.Open(nil, box[1:1+chacha20poly1305.NonceSizeX], box[1+chacha20poly1305.NonceSizeX:], ad)
	if err != nil {
		return "", errors.New("the sealed secret is not authentic")
	}
	return accesskey.Secret(plain), nil
}

// Alphabets of what is made for an access key: 103 and 238 bits.
const (
	idLetters     = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	idLength      = 20
	secretLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	secretLength  = 40
)

// random makes a text of letters that are equally likely.
func random(letters string, n int) string {
	out := make([]byte, 0, n)
	var b [64]byte
	fair := byte(256 / len(letters) * len(letters) % 256) // bytes from here on are passed over
	for len(out) < n {
		rand.Read(b[:])
		for _, c := range b {
			if (fair == 0 || c < fair) && len(out) < n {
				out = append(out, letters[int(c)%len(letters)])
			}
		}
	}
	return string(out)
}
