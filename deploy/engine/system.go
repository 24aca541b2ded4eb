package engine

import (
	"fmt"

	"dms/deploy/keys"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// SystemConn returns a connection inside the process to the system account, in which
// accounts are administered. The caller closes it.
func (m *Member) SystemConn(opts ...nats.Option) (*nats.Conn, error) {
	return dialSystem(provider{m}, m.opts.Keys, opts)
}

func dialSystem(p nats.InProcessConnProvider, set *keys.Set, opts []nats.Option) (*nats.Conn, error) {
	user, err := nkeys.CreateUser()
	if err != nil {
		return nil, fmt.Errorf("make system user: %w", err)
	}
	pub, err := user.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("make system user: %w", err)
	}
	mint := func() (string, error) {
		claims := jwt.NewUserClaims(pub)
		claims.Name = "dms"
		return claims.Encode(set.System())
	}
	return dial(p, append([]nats.Option{nats.UserJWT(mint, user.Sign), nats.Name("system")}, opts...))
}

// Jsz describes what the member stores.
func (m *Member) Jsz(o *server.JSzOptions) (*server.JSInfo, error) {
	if err := m.storage(); err != nil {
		return nil, err
	}
	return m.server.Jsz(o)
}

// Varz describes the member.
func (m *Member) Varz() (*server.Varz, error) {
	if err := m.storage(); err != nil {
		return nil, err
	}
	return m.server.Varz(nil)
}

// Raftz describes the replication groups of the account (public key) that the member
// takes part in, by account and name.
func (m *Member) Raftz(account string) (server.RaftzStatus, error) {
	if err := m.storage(); err != nil {
		return nil, err
	}
	if status := m.server.Raftz(&server.RaftzOptions{AccountFilter: account}); status != nil {
		return *status, nil
	}
	return nil, nil
}

// IsClusterLeader reports whether the member decides where streams are placed.
func (m *Member) IsClusterLeader() bool { return m.storage() == nil && m.server.JetStreamIsLeader() }

// LeadsStream reports whether the member leads the stream of the account (public key).
func (m *Member) LeadsStream(account, stream string) bool {
	return m.storage() == nil && m.server.JetStreamIsStreamLeader(account, stream)
}

// LeadsConsumer reports whether the member leads the consumer.
func (m *Member) LeadsConsumer(account, stream, consumer string) bool {
	return m.storage() == nil && m.server.JetStreamIsConsumerLeader(account, stream, consumer)
}

// StepDown makes the member give up the lead of the stream. It is an error when the
// member does not lead it.
func (m *Member) StepDown(account, stream string) error {
	if err := m.storage(); err != nil {
		return err
	}
	if err := m.server.JetStreamStepdownStream(account, stream); err != nil {
		return fmt.Errorf("step down from stream %s: %w", stream, err)
	}
	return nil
}

// StepDownConsumer is StepDown for a consumer of the stream.
func (m *Member) StepDownConsumer(account, stream, consumer string) error {
	if err := m.storage(); err != nil {
		return err
	}
	if err := m.server.JetStreamStepdownConsumer(account, stream, consumer); err != nil {
		return fmt.Errorf("step down from consumer %s of stream %s: %w", consumer, stream, err)
	}
	return nil
}
