package engine

import (
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Conn returns a connection inside the process. Options must carry the credentials.
func (m *Member) Conn(opts ...nats.Option) (*nats.Conn, error) {
	return dial(provider{m}, opts)
}

// provider connects to one member for as long as it runs.
type provider struct{ member *Member }

func (p provider) InProcessConn() (net.Conn, error) { return openPipe(p.member.server) }

// dial connects through the provider for as long as the connection is not closed.
func dial(p nats.InProcessConnProvider, opts []nats.Option) (*nats.Conn, error) {
	return nats.Connect("", append([]nats.Option{
		nats.InProcessServer(p), nats.IgnoreDiscoveredServers(), nats.MaxReconnects(-1),
		nats.ReconnectWait(50 * time.Millisecond), nats.ReconnectJitter(20*time.Millisecond, 20*time.Millisecond),
	}, opts...)...)
}

// handshakeWrites is how many writes a client makes before it first reads an answer.
const handshakeWrites = 2

// pipe is the client's end of a connection inside the process. A pipe has no buffer: a
// server that refuses a credential writes the reason while the client still writes its
// greeting, and both would wait for each other until the server gives up after ten
// seconds, without the reason. So the greeting is written in the background.
type pipe struct {
	net.Conn
	mu    sync.Mutex
	early int           // writes still to be made in the background
	last  chan struct{} // closed when the latest background write has ended
}

func openPipe(s *server.Server) (net.Conn, error) {
	c, err := s.InProcessConn()
	if err != nil {
		return nil, refuse(ErrStopped, "%v", err)
	}
	return &pipe{Conn: c, early: handshakeWrites}, nil
}

func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	before := p.last
	if p.early == 0 {
		p.last = nil
		p.mu.Unlock()
		if before != nil {
			<-before
		}
		return p.Conn.Write(b)
	}
	defer p.mu.Unlock()
	p.early--
	done := make(chan struct{})
	p.last = done
	data := append([]byte(nil), b...)
	go func() { // ends when the server reads or either end closes; awaited by Close
		defer close(done)
		if before != nil {
			<-before
		}
		p.Conn.Write(data) //nolint:errcheck // a broken pipe shows in the next read
	}()
	return len(b), nil
}

func (p *pipe) Close() error {
	err := p.Conn.Close()
	p.mu.Lock()
	last := p.last
	p.mu.Unlock()
	if last != nil {
		<-last
	}
	return err
}
