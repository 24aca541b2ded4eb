package keystore

import (
	"time"

	"dms/tenancy/records"
)

const (
	// maxBytes keeps this bucket from starving the others of the account.
	maxBytes = 32 << 20
	// markLife is how long the mark of a deleted key and a revocation last: longer than
	// any token.
	markLife = 25 * time.Hour
)

// Kinds of records, by the start of their key.
const (
	kindKey     = "k."
	kindRevoked = "r."
	kindUsed    = "u."
)

// bucket is where the records are, by kind and id.
func bucket() records.Config {
	return records.Config{
		Name: "credentials", Description: "access keys and revoked tokens of the service",
		MaxBytes: maxBytes, Lives: true,
	}
}
