package chaos

import (
	"errors"
	"fmt"
)

const (
	size    = 3  // nodes
	clients = -1 // where the clients are, beside the nodes from 0
)

// network joins the clients, who are in this process's own network, and the nodes, each
// in one of its own, by a bridge. Who is whose neighbour is not asked but told, so a way
// is cut by telling an address that nobody has: what is sent there is lost in silence.
type network struct{ number int }

func (n network) bridge() string       { return fmt.Sprintf("chaos%d", n.number) }
func (n network) space(at int) string  { return fmt.Sprintf("chaos%d-n%d", n.number, at+1) }
func (n network) link(at int) string   { return fmt.Sprintf("c%dn%d", n.number, at+1) }
func (n network) path(at int) string   { return "/run/netns/" + n.space(at) }
func (n network) mac(at int) string    { return fmt.Sprintf("02:77:00:00:%02x:%02x", n.number, at+2) }
func (n network) nobody(at int) string { return fmt.Sprintf("02:dd:00:00:%02x:%02x", n.number, at+2) }

// address is where the clients (1) or a node (11 and up) are.
func (n network) address(at int) string {
	if at == clients {
		return fmt.Sprintf("10.77.%d.1", n.number)
	}
	return fmt.Sprintf("10.77.%d.%d", n.number, at+11)
}

const inside = "e0" // how a node calls its link

// make makes the networks. They end with the sandbox.
func (n network) make() error {
	steps := [][]string{
		{"link", "add", n.bridge(), "address", n.mac(clients), "type", "bridge"},
		{"addr", "add", n.address(clients) + "/24", "dev", n.bridge()},
		{"link", "set", n.bridge(), "up"},
	}
	for i := range size {
		steps = append(steps,
			[]string{"netns", "add", n.space(i)},
			[]string{"link", "add", n.link(i), "type", "veth", "peer", "name", inside, "address", n.mac(i), "netns", n.space(i)},
			[]string{"link", "set", n.link(i), "master", n.bridge()},
			[]string{"link", "set", n.link(i), "up"},
			[]string{"-n", n.space(i), "link", "set", "lo", "up"},
			[]string{"-n", n.space(i), "addr", "add", n.address(i) + "/24", "dev", inside},
			[]string{"-n", n.space(i), "link", "set", inside, "up"},
		)
	}
	for _, s := range steps {
		if err := run("ip", s...); err != nil {
			return err
		}
	}
	return n.heal()
}

// tell says in one network which hardware address another one's address has.
func (n network) tell(in, of int, mac string) error {
	args := []string{"neigh", "replace", n.address(of), "lladdr", mac, "nud", "permanent", "dev"}
	if in == clients {
		return run("ip", append(args, n.bridge())...)
	}
	return run("ip", append([]string{"-n", n.space(in)}, append(args, inside)...)...)
}

// way is one direction between two places.
type way struct{ from, to int }

// both is both directions between places.
func both(a, b int) []way { return []way{{a, b}, {b, a}} }

// cut loses what is sent on the ways, until heal.
func (n network) cut(ways ...way) error {
	var errs []error
	for _, w := range ways {
		errs = append(errs, n.tell(w.from, w.to, n.nobody(w.to)))
	}
	return errors.Join(errs...)
}

// heal opens all ways.
func (n network) heal() error {
	var errs []error
	for from := clients; from < size; from++ {
		for to := clients; to < size; to++ {
			if from != to {
				errs = append(errs, n.tell(from, to, n.mac(to)))
			}
		}
	}
	return errors.Join(errs...)
}
