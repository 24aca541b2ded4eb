package limit

import (
	"net"
	"net/netip"
	"sync"
)

// Counts bounds how many things of one source there are at a time. It is safe for
// concurrent use, and forgets sources that have none.
type Counts struct {
	most int

	mu   sync.Mutex
	held map[netip.Prefix]int
}

// NewCounts allows so many of each source; 0 means no limit.
func NewCounts(most int) *Counts {
	return &Counts{most: most, held: make(map[netip.Prefix]int)}
}

// Enter counts one more and reports whether there may be. The caller leaves again.
func (c *Counts) Enter(source netip.Prefix) bool {
	if c.most == 0 {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[source] >= c.most {
		return false
	}
	c.held[source]++
	return true
}

// Leave undoes one Enter that succeeded.
func (c *Counts) Leave(source netip.Prefix) {
	if c.most == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[source]--; c.held[source] <= 0 {
		delete(c.held, source)
	}
}

// Listen returns a listener that closes the connections of a source beyond those that it
// may have. Those of trusted proxies are not counted.
func Listen(l net.Listener, most int, proxies Proxies) net.Listener {
	if most == 0 {
		return l
	}
	return &listener{Listener: l, counts: NewCounts(most), proxies: proxies}
}

type listener struct {
	net.Listener
	counts  *Counts
	proxies Proxies
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer := Peer(c.RemoteAddr().String())
		if l.proxies.Trusted(peer) {
			return c, nil
		}
		source := Source(peer)
		if l.counts.Enter(source) {
			return &counted{Conn: c, leave: func() { l.counts.Leave(source) }}, nil
		}
		_ = c.Close() // a stranger's connection that nobody has used
	}
}

// counted is a connection that is counted until it is closed.
type counted struct {
	net.Conn
	once  sync.Once
	leave func()
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.once.Do(c.leave)
	return c.Conn.Close()
}
