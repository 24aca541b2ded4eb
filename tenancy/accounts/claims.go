package accounts

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"dms/tenancy"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

const (
	connsPerNode = 24 // far above need: it stops a leak, not a load
	// serviceStreams are what a project has besides its queues: control records, dead
	// letters, delayed messages and the audit trail.
	serviceStreams = 4
	// consumersPerStream covers the groups of a queue and their passing readers.
	consumersPerStream = 320
	maxAckPending      = 20_000
	maxPayload         = 1<<20 + 64<<10
)

// accountKeys are derived, never stored: whoever holds the master secret can open every
// account, on any node, without asking.
type accountKeys struct {
	public  string
	signing nkeys.KeyPair // signs users with the permissions in the account
}

func (a *Accounts) derive(id tenancy.ProjectID) (accountKeys, error) {
	if id != Control {
		if _, err := tenancy.ParseProjectID(string(id)); err != nil {
			return accountKeys{}, err
		}
	}
	identity, err := a.pair("dms account " + string(id))
	if err != nil {
		return accountKeys{}, err
	}
	defer identity.Wipe()
	public, err := identity.PublicKey()
	if err != nil {
		return accountKeys{}, fmt.Errorf("derive account key: %w", err)
	}
	signing, err := a.pair("dms account signing " + string(id))
	if err != nil {
		return accountKeys{}, err
	}
	return accountKeys{public: public, signing: signing}, nil
}

func (a *Accounts) pair(info string) (nkeys.KeyPair, error) {
	raw, err := hkdf.Key(sha256.New, a.opts.Master, nil, info, 32)
	if err != nil {
		return nil, fmt.Errorf("derive account key: %w", err)
	}
	seed, err := nkeys.EncodeSeed(nkeys.PrefixByteAccount, raw)
	if err != nil {
		return nil, fmt.Errorf("derive account key: %w", err)
	}
	pair, err := nkeys.FromSeed(seed)
	if err != nil {
		return nil, fmt.Errorf("derive account key: %w", err)
	}
	return pair, nil
}

// Token returns the account of the project, by the name under which the cluster knows it,
// as Provision makes it. It asks nobody, so it is for who has lost the account; of the
// options it needs the keys and the number of nodes.
func Token(o Options, p tenancy.Project) (public, token string, err error) {
	a := &Accounts{opts: o}
	k, err := a.derive(p.ID)
	if err != nil {
		return "", "", err
	}
	c, err := a.claims(p, k)
	if err != nil {
		return "", "", err
	}
	if token, err = c.Encode(o.Signing); err != nil {
		return "", "", fmt.Errorf("sign account: %w", err)
	}
	return k.public, token, nil
}

func (a *Accounts) claims(p tenancy.Project, k accountKeys) (*jwt.AccountClaims, error) {
	signing, err := k.signing.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("read account signing key: %w", err)
	}
	c := jwt.NewAccountClaims(k.public)
	c.Name = string(p.ID)
	c.Limits = jwt.OperatorLimits{
		NatsLimits: jwt.NatsLimits{Subs: jwt.NoLimit, Data: jwt.NoLimit, Payload: maxPayload},
		AccountLimits: jwt.AccountLimits{
			Conn: int64(connsPerNode * a.opts.Nodes), LeafNodeConn: 0, Imports: 0, Exports: 0, DisallowBearer: true,
		},
		JetStreamTieredLimits: jwt.JetStreamTieredLimits{
			"R3": {
				DiskStorage: p.Limits.Footprint(),
				Streams:     int64(p.Limits.Queues + serviceStreams),
				Consumer:    consumersPerStream, MaxAckPending: maxAckPending,
			},
			// No bytes, so no stream: this tier is only for the passing readers (watches,
			// ordered consumers) of replicated streams, which have one replica by nature.
			"R1": {Streams: 1, Consumer: consumersPerStream, MaxAckPending: maxAckPending, MaxBytesRequired: true},
		},
	}
	scope := jwt.NewUserScope()
	scope.Key, scope.Role = signing, "dms"
	scope.Template.Permissions = permissions(p.ID)
	c.SigningKeys.AddScopedSigner(scope)
	return c, nil
}

// permissions are those of every connection into a project's account. In the service's own
// the nodes also talk to each other and keep logs.
func permissions(id tenancy.ProjectID) jwt.Permissions {
	p := jwt.Permissions{
		Pub: jwt.Permission{Allow: jwt.StringList{
			"q.>", "n.>", "dly.>", "due.>", "dead.>", // messages
			"audit", // the audit trail
			"$JS.API.>", "$JS.ACK.>", "$JS.FC.>", "$KV.>",
		}},
		Sub: jwt.Permission{Allow: jwt.StringList{
			"_INBOX.>", "wake.>",
			"$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>", // deliveries that the log settles by itself
		}},
	}
	if id == Control {
		p.Pub.Allow = append(p.Pub.Allow, "node.>", "log.>")
		p.Sub.Allow = append(p.Sub.Allow, "node.>")
	}
	return p
}
