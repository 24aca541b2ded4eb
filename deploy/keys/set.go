package keys

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"log/slog"
	"slices"

	"dms/tenancy/seal"

	"github.com/google/uuid"
	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

const (
	secretLen    = 32 // bytes of the master secret and of every sealing key
	operatorName = "dms"
)

// Set is the key material of one cluster. Every node of the cluster holds the same set.
type Set struct {
	clusterID uuid.UUID
	operator  nkeys.KeyPair
	signing   nkeys.KeyPair
	system    nkeys.KeyPair
	master    []byte
	sealing   []seal.Key
	store     []seal.Key // without the derived one
	routeTLS  *tls.Config
	routePin  string
}

// ClusterID tells one cluster from another. It is not secret.
func (s *Set) ClusterID() uuid.UUID { return s.clusterID }

// OperatorSigning signs accounts and deletes them.
func (s *Set) OperatorSigning() nkeys.KeyPair { return s.signing }

// System is the account in which the cluster is administered.
func (s *Set) System() nkeys.KeyPair { return s.system }

// Master returns a copy of the secret from which account keys are derived.
func (s *Set) Master() []byte { return append([]byte(nil), s.master...) }

// Store returns the secrets under which members encrypt what they store, newest first: a
// new data folder takes the first, another one that whose id it bears. The last one, 0, is
// derived and always there.
func (s *Set) Store() ([]seal.Key, error) {
	first, err := hkdf.Key(sha256.New, s.master, nil, "dms store", secretLen)
	if err != nil {
		return nil, fmt.Errorf("derive the key of the store: %w", err)
	}
	return append(slices.Clone(s.store), seal.Key{Secret: [32]byte(first)}), nil
}

// Sealing returns the keys for one purpose, newest first: seal with the first, open
// with the one whose id the text carries. Keys of different purposes are unrelated, so
// a text sealed for one is never accepted for another.
func (s *Set) Sealing(purpose string) ([]seal.Key, error) {
	out := make([]seal.Key, len(s.sealing))
	for i, k := range s.sealing {
		sub, err := hkdf.Key(sha256.New, k.Secret[:], nil, "dms sealing "+purpose, secretLen)
		if err != nil {
			return nil, fmt.Errorf("derive sealing key for %s: %w", purpose, err)
		}
		out[i].ID = k.ID
		copy(out[i].Secret[:], sub)
	}
	return out, nil
}

// Operator returns the claims that every node trusts.
func (s *Set) Operator() (*jwt.OperatorClaims, error) {
	pub, err := s.operator.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("read operator key: %w", err)
	}
	signing, err := s.signing.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("read operator signing key: %w", err)
	}
	system, err := s.system.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("read system account key: %w", err)
	}
	claims := jwt.NewOperatorClaims(pub)
	claims.Name = operatorName
	claims.SigningKeys.Add(signing)
	claims.SystemAccount = system
	// Not strict about signing keys: the system account signs its users by itself.
	token, err := claims.Encode(s.operator)
	if err != nil {
		return nil, fmt.Errorf("sign operator claims: %w", err)
	}
	return jwt.DecodeOperatorClaims(token)
}

// RouteTLS returns the mutual TLS configuration of the connections between nodes, and
// the pin (hexadecimal SHA-256 of the public key) of the one certificate they accept.
func (s *Set) RouteTLS() (*tls.Config, string) { return s.routeTLS.Clone(), s.routePin }

// LogValue shows the cluster and nothing else.
func (s *Set) LogValue() slog.Value {
	if s == nil {
		return slog.AnyValue(nil)
	}
	return slog.GroupValue(slog.String("cluster", s.clusterID.String()))
}

// String shows the cluster and nothing else, whatever the verb.
func (s *Set) String() string { return "keys of cluster " + s.clusterID.String() }

// GoString shows the cluster and nothing else.
func (s *Set) GoString() string { return s.String() }
