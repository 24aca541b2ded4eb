package keystore

import (
	"crypto/rand"
	"fmt"

	"dms/tenancy"
	"dms/tenancy/accesskey"
	"dms/tenancy/seal"
)

// bound ties a sealed secret to its place, so that no record's secret can be put in
// another's. Neither part can hold the separator.
func bound(project tenancy.ProjectID, id string, generation int) []byte {
	return fmt.Appendf(nil, "dms access key 1\x00%s\x00%s\x00%d", project, id, generation)
}

// openSecret opens what a record holds. A secret has to be recovered, because it is what
// verifies a signature; a digest would not do.
func openSecret(s *seal.Sealer, box, place []byte) (accesskey.Secret, error) {
	plain, err := s.Open(box, place)
	if err != nil {
		return "", fmt.Errorf("the secret: %w", err)
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
