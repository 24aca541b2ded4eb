package accounts

import (
	"dms/tenancy"

	"github.com/nats-io/nats.go"
)

// Forged returns credentials for the account of one project, signed with the keys of
// another.
func (a *Accounts) Forged(account, signer tenancy.ProjectID) ([]nats.Option, error) {
	k, err := a.derive(account)
	if err != nil {
		return nil, err
	}
	s, err := a.derive(signer)
	if err != nil {
		return nil, err
	}
	return a.userOptions(account, accountKeys{public: k.public, signing: s.signing})
}
