package limit

import (
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the networks of trusted proxies: only they may say whom they speak for.
type Proxies []netip.Prefix

// Trusted reports whether the address is that of a trusted proxy.
func (p Proxies) Trusted(a netip.Addr) bool {
	for _, network := range p {
		if network.Contains(a) {
			return true
		}
	}
	return false
}

// Client returns the address that a request comes from: that of the connection or, if
// that is a trusted proxy, the last one in X-Forwarded-For that is not. It is the zero
// address for a connection that has none.
func (p Proxies) Client(r *http.Request) netip.Addr {
	peer := Peer(r.RemoteAddr)
	if len(p) == 0 || !p.Trusted(peer) {
		return peer
	}
	// Each proxy adds at the end whom it heard from, so what trusted proxies added is read
	// from there. What stands before the first stranger is the stranger's invention.
	said := r.Header.Values("X-Forwarded-For")
	for i := len(said) - 1; i >= 0; i-- {
		for rest := said[i]; ; {
			comma := strings.LastIndexByte(rest, ',')
			a, ok := parseForwarded(strings.TrimSpace(rest[comma+1:]))
			if !ok {
				return peer // whatever it is, it is not an address; the last good one is
			}
			if peer = a; !p.Trusted(a) {
				return a
			}
			if comma < 0 {
				break
			}
			rest = rest[:comma]
		}
	}
	return peer
}

// parseForwarded reads an address as proxies write it, with or without a port.
func parseForwarded(s string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		return plain(a), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return plain(ap.Addr()), true
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if a, err := netip.ParseAddr(strings.TrimSuffix(inner, "]")); err == nil && strings.HasSuffix(inner, "]") {
			return plain(a), true
		}
	}
	return netip.Addr{}, false
}

// Peer reads the address of a connection, as host:port.
func Peer(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return plain(ap.Addr())
}

// plain makes one form of the forms of an address.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// Source is what is counted together: an IPv4 address, or the /64 of an IPv6 address,
// which is what one customer of a provider has at least.
func Source(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 32
	}
	network, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}
