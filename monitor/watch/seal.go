package watch

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"

	"dms/monitor/alarm"
	"dms/tenancy"
)

// SealingKey seals the secrets of webhooks where they are stored. The id travels in the
// sealed text, so that what was sealed before a rotation can be opened.
type SealingKey struct {
	ID  byte
	Key [32]byte
}

// LogValue shows the id only.
func (k SealingKey) LogValue() slog.Value { return slog.GroupValue(slog.Int("id", int(k.ID))) }

// String shows the id only.
func (k SealingKey) String() string { return fmt.Sprintf("sealing key %d", k.ID) }

// GoString shows the id only.
func (k SealingKey) GoString() string { return k.String() }

type sealer struct {
	newest byte
	aeads  map[byte]cipher.AEAD
}

func newSealer(keys []SealingKey) (*sealer, error) {
	if len(keys) == 0 {
		return nil, errors.New("watch: a sealing key is required")
	}
	s := &sealer{newest: keys[0].ID, aeads: make(map[byte]cipher.AEAD)}
	for _, k := range keys {
		block, err := aes.NewCipher(k.Key[:])
		if err != nil {
			return nil, fmt.Errorf("watch: %w", err)
		}
		if s.aeads[k.ID], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, fmt.Errorf("watch: %w", err)
		}
	}
	return s, nil
}

// seal binds a secret to its project and alarm, so that a record that was copied
// elsewhere is of no use.
func (s *sealer) seal(project tenancy.ProjectID, id alarm.ID, secret alarm.Secret) alarm.Secret {
	text := s.aeads[s.newest].Seal([]byte{s.newest}, nil, []byte(secret), []byte(string(project)+"."+string(id)))
	return alarm.Secret(base64.RawStdEncoding.EncodeToString(text))
}

func (s *sealer) open(project tenancy.ProjectID, id alarm.ID, sealed alarm.Secret) ([]byte, error) {
	text, err := base64.RawStdEncoding.DecodeString(string(sealed))
	if err != nil || len(text) == 0 || s.aeads[text[0]] == nil {
		return nil, errors.New("the secret of a webhook was sealed with a key that is gone")
	}
	secret, err := s.aeads[text[0]].Open(nil, nil, text[1:], []byte(string(project)+"."+string(id)))
	if err != nil {
		return nil, fmt.Errorf("open the secret of a webhook: %w", err)
	}
	return secret, nil
}

// token is randomness for ids.
func token() string { return rand.Text() }
