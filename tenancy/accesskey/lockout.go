package accesskey

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

const (
	lockAfter = 5               // wrong signatures in a row
	lockFor   = 5 * time.Minute // from the last of them
	// maxSuspects bounds what is remembered, about 200 bytes each. Only wrong signatures
	// with ids of keys that exist are remembered, so that made-up ids crowd out nobody.
	maxSuspects = 16_384
)

// suspect is one key as it is tried from one source. Locking the pair means that nobody
// can lock a key for those who hold its secret and call from elsewhere.
type suspect struct{ key, source string }

// tries is how often a suspect was wrong in a row.
type tries struct {
	suspect suspect
	wrong   int
	last    time.Time
}

// lockout counts wrong signatures. It is safe for concurrent use.
type lockout struct {
	mu     sync.Mutex
	known  map[suspect]*list.Element
	recent *list.List // of *tries, the last one wrong first
}

func newLockout() *lockout {
	return &lockout{known: make(map[suspect]*list.Element), recent: list.New()}
}

// allow says whether a request may pass that was right or not. While the suspect is
// locked none may, and none counts. A right one ends the row of wrong ones.
func (l *lockout) allow(s suspect, right bool, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.known[s]
	if ok {
		t := e.Value.(*tries)
		if now.Sub(t.last) >= lockFor {
			l.forget(e)
			ok = false
		} else if t.wrong >= lockAfter {
			return false
		}
	}
	switch {
	case right && ok:
		l.forget(e)
	case right:
	case ok:
		t := e.Value.(*tries)
		t.wrong, t.last = t.wrong+1, now
		l.recent.MoveToFront(e)
	default:
		if l.recent.Len() >= maxSuspects {
			l.forget(l.recent.Back())
		}
		l.known[s] = l.recent.PushFront(&tries{s, 1, now})
	}
	return right
}

func (l *lockout) forget(e *list.Element) {
	delete(l.known, e.Value.(*tries).suspect)
	l.recent.Remove(e)
}

// sourceOf is what one caller cannot change at will of an address: all of IPv4, and the
// network of IPv6. The port is dropped.
func sourceOf(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		port, err := netip.ParseAddrPort(address)
		if err != nil {
			return address
		}
		ip = port.Addr()
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		if network, err := ip.Prefix(64); err == nil {
			return network.String()
		}
	}
	return ip.String()
}
