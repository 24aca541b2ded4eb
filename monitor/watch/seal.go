package watch

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"dms/monitor/alarm"
	"dms/tenancy"
	"dms/tenancy/seal"
)

// sealer seals the secrets of webhooks where they are stored.
type sealer struct{ *seal.Sealer }

// seal binds a secret to its project and alarm, so that a record that was copied
// elsewhere is of no use.
func (s sealer) seal(project tenancy.ProjectID, id alarm.ID, secret alarm.Secret) alarm.Secret {
	return alarm.Secret(base64.RawStdEncoding.EncodeToString(s.Append(nil, []byte(secret), place(project, id))))
}

func (s sealer) open(project tenancy.ProjectID, id alarm.ID, sealed alarm.Secret) ([]byte, error) {
	box, err := base64.RawStdEncoding.DecodeString(string(sealed))
	if err != nil {
		return nil, fmt.Errorf("the secret of a webhook: %w", err)
	}
	secret, err := s.Open(box, place(project, id))
	if err != nil {
		return nil, fmt.Errorf("the secret of a webhook: %w", err)
	}
	return secret, nil
}

func place(project tenancy.ProjectID, id alarm.ID) []byte {
	return []byte(string(project) + "." + string(id))
}

// token is randomness for ids.
func token() string { return rand.Text() }
