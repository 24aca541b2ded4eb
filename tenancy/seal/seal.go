package seal

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/crypto/chacha20poly1305"
)

// Key is one sealing key. All nodes of a service hold the same keys.
type Key struct {
	ID     byte // unique among the keys in use; it travels in every box
	Secret [32]byte
}

// LogValue names the key without its secret.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// String names the key without its secret.
func (k Key) String() string { return fmt.Sprintf("sealing key %d", k.ID) }

// GoString names the key without its secret.
func (k Key) GoString() string { return k.String() }

// Sealer seals with its first key and opens with all, so that a key can be replaced while
// what it has sealed is still in use. It is safe for concurrent use.
type Sealer struct {
	newest byte
	aeads  map[byte]cipher.AEAD
}

// New makes a sealer. Keys must be given, not be all zeros, and have IDs of their own.
func New(keys []Key) (*Sealer, error) {
	if len(keys) == 0 {
		return nil, errors.New("no sealing key")
	}
	s := &Sealer{newest: keys[0].ID, aeads: make(map[byte]cipher.AEAD, len(keys))}
	for _, k := range keys {
		if k.Secret == [32]byte{} {
			return nil, fmt.Errorf("%s is all zeros", k)
		}
		if s.aeads[k.ID] != nil {
			return nil, fmt.Errorf("%s is given twice", k)
		}
		aead, err := chacha20poly1305.NewX(k.Secret[:])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
		s.aeads[k.ID] = aead
	}
	return s, nil
}

const head = 1 + chacha20poly1305.NonceSizeX

// Overhead is how many bytes longer a box is than what it holds.
const Overhead = head + chacha20poly1305.Overhead

// Append seals plain into a box at the end of dst and returns the extended slice. A box
// opens only with the same associated data, which ties it to its place.
//
//	key id 1 | nonce 24 | XChaCha20-Poly1305 over plain, with associated and key id
func (s *Sealer) Append(dst, plain, associated []byte) []byte {
	at := len(dst)
	dst = append(dst, s.newest)
	dst = append(dst, make([]byte, chacha20poly1305.NonceSizeX)...)
	nonce := dst[at+1:]
	rand.Read(nonce) // never fails: crypto/rand ends the process instead
	return s.aeads[s.newest].Seal(dst, nonce, plain, named(associated, s.newest))
}

// named binds a box to the name of its key, too.
func named(associated []byte, id byte) []byte {
	return append(associated[:len(associated):len(associated)], id)
}

// Why a box does not open. Neither error tells anything that a stranger may not know.
var (
	ErrKey    = errors.New("sealed with a key that is not in use")
	ErrForged = errors.New("not authentic")
)

// Open returns what a box holds: ErrKey if its key is gone, ErrForged for anything that
// Append did not make with this associated data.
func (s *Sealer) Open(box, associated []byte) ([]byte, error) {
	if len(box) < Overhead {
		return nil, ErrForged
	}
	aead := s.aeads[box[0]]
	if aead == nil {
		return nil, ErrKey
	}
	plain, err := aead.Open(nil, box[1:head], box[head:], named(associated, box[0]))
	if err != nil {
		return nil, ErrForged
	}
	return plain, nil
}
