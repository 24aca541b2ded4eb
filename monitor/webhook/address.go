package webhook

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// ErrForbidden means that an address is not one that notifications may go to.
var ErrForbidden = errors.New("the address is not one that notifications may be sent to")

// Allowed is a range of addresses, beside the public ones on port 443, that notifications
// may go to.
type Allowed struct {
	Network netip.Prefix
	Port    uint16 // 0 is any
	// Plain allows http without TLS.
	Plain bool
}

// ParseAllowed reads "10.0.0.0/8", "10.1.2.3:8443", "[fd00::]/8", each perhaps with
// "http://" in front, which also allows plain HTTP.
func ParseAllowed(s string) (a Allowed, err error) {
	rest := s
	if cut, ok := strings.CutPrefix(rest, "http://"); ok {
		a.Plain, rest = true, cut
	}
	if network, err := netip.ParsePrefix(strings.NewReplacer("[", "", "]", "").Replace(rest)); err == nil {
		a.Network = network.Masked()
		return a, nil
	}
	if ip, err := netip.ParseAddr(rest); err == nil {
		a.Network = netip.PrefixFrom(ip, ip.BitLen())
		return a, nil
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		return a, fmt.Errorf("%q is not a network, an address or address:port", s)
	}
	ip, err := netip.ParseAddr(host)
	n, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || n == 0 {
		return a, fmt.Errorf("%q is not a network, an address or address:port", s)
	}
	a.Network, a.Port = netip.PrefixFrom(ip, ip.BitLen()), uint16(n)
	return a, nil
}

// guard decides which addresses may be connected to.
type guard struct{ allowed []Allowed }

// control is called with the address that is about to be connected to, after names have
// been resolved: what a name resolved to at any other moment does not count.
func (g guard) control(plain bool) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: %q", ErrForbidden, address)
		}
		return g.check(at, plain)
	}
}

func (g guard) check(at netip.AddrPort, plain bool) error {
	ip := at.Addr().WithZone("").Unmap()
	for _, a := range g.allowed {
		if a.Network.Contains(ip) && (a.Port == 0 || a.Port == at.Port()) && (a.Plain || !plain) {
			return nil
		}
	}
	if plain || at.Port() != 443 || at.Addr().Zone() != "" || !public(ip) {
		return ErrForbidden
	}
	return nil
}

// special are the networks that are not the public Internet although they look so to
// netip, from the registries of special-purpose addresses (RFC 6890 and its successors).
func special() []netip.Prefix {
	var all []netip.Prefix
	for _, s := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24",
		"192.88.99.0/24", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
	} {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

// public reports whether the address is one of the public Internet.
func public(ip netip.Addr) bool {
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.Is4In6() {
		return false
	}
	for _, p := range special() {
		if p.Contains(ip) {
			return false
		}
	}
	// What is neither IPv4 nor 2000::/3 has not been given out.
	return ip.Is4() || netip.MustParsePrefix("2000::/3").Contains(ip)
}

// parse accepts the URL of a webhook. Whether it may be connected to is decided later.
func parse(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.Opaque != "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, ErrForbidden
	}
	return u, nil
}

// Check refuses early what could never be sent to: plain HTTP where none is allowed, and
// addresses written as numbers that are forbidden. What names resolve to is checked when
// connecting.
func (s *Sender) Check(raw string) error {
	u, err := parse(raw)
	if err != nil {
		return err
	}
	plain := u.Scheme == "http"
	if plain && !slices.ContainsFunc(s.guard.allowed, func(a Allowed) bool { return a.Plain }) {
		return errors.New("it must be https")
	}
	port := uint64(443)
	if plain {
		port = 80
	}
	if p := u.Port(); p != "" {
		if port, err = strconv.ParseUint(p, 10, 16); err != nil {
			return ErrForbidden
		}
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		return s.guard.check(netip.AddrPortFrom(ip, uint16(port)), plain)
	}
	return nil
}
