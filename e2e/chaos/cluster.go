package chaos

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"dms/e2e"
)

// projects is how many tenants there are.
const projects = 2

// cluster is three nodes and two projects with an access key each.
type cluster struct {
	net     network
	nodes   [size]*node
	leaders *leaders
	logs    string // folder
	dir     string // of secrets and configurations
	keys    [projects]accessKey
	// operator may remove members.
	operator accessKey
	replaced int // nodes that were lost for good
}

type accessKey struct{ id, secret, project string }

// clusterOptions say what differs between clusters.
type clusterOptions struct {
	number int    // of the cluster among those of this process, from 1
	build  string // that all nodes run
	disk   int64  // bytes of each node
	logs   string // folder for what the nodes log
}

// newCluster makes disks and networks and starts three nodes. They end with the test.
func newCluster(t testing.TB, o clusterOptions) (*cluster, error) {
	dir := t.TempDir()
	c := &cluster{net: network{o.number}, leaders: newLeaders(), logs: o.logs, dir: dir}
	if err := c.net.make(); err != nil {
		return nil, err
	}
	if err := run(binary(o.build), "keys", "init", "--dir", c.secrets()); err != nil {
		return nil, err
	}
	for i := range c.keys {
		c.keys[i] = accessKey{fmt.Sprintf("CHAOSKEY%d", i+1), randomHex(32), randomHex(16)}
	}
	c.operator = accessKey{"CHAOSOPERATOR", randomHex(32), c.keys[0].project}
	for _, k := range append(c.keys[:], c.operator) {
		if err := os.WriteFile(filepath.Join(dir, k.id), []byte(k.secret+"\n"), 0o600); err != nil {
			return nil, err
		}
	}
	for i := range size {
		name := fmt.Sprintf("n%d", i+1)
		log, err := os.Create(filepath.Join(o.logs, fmt.Sprintf("cluster%d-%s.log", o.number, name)))
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { log.Close() }) // after the node has ended
		n := &node{index: i, name: name, build: o.build, net: c.net, log: c.leaders.follow(i, log), config: filepath.Join(dir, name+".yaml")}
		if n.disk, err = newDisk(dir, name, o.disk); err != nil {
			return nil, err
		}
		t.Cleanup(func() {
			if err := errors.Join(n.resume(), n.kill(), n.disk.detach()); err != nil {
				t.Error(err)
			}
		})
		c.nodes[i] = n
		if err := c.configure(n); err != nil {
			return nil, err
		}
		if err := n.start(); err != nil {
			return nil, err
		}
	}
	return c, c.awaitReady(t.Context())
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b)
}

func (c *cluster) secrets() string { return filepath.Join(c.dir, "keys") }

// configure writes the configuration of a node. JSON is YAML.
func (c *cluster) configure(n *node) error {
	type object = map[string]any
	var peers, access []object
	for i := range size {
		name := fmt.Sprintf("n%d", i+1)
		if there := c.nodes[i]; there != nil {
			name = there.name
		}
		peers = append(peers, object{"name": name, "address": net.JoinHostPort(c.net.address(i), routePort)})
	}
	grant := func(k accessKey, project int, role string) {
		access = append(access, object{"id": k.id, "secret_file": filepath.Join(c.dir, k.id), "project": k.project,
			"project_name": fmt.Sprintf("project-%d", project), "roles": []string{role}})
	}
	for i, k := range c.keys {
		grant(k, i+1, "manager")
	}
	grant(c.operator, 1, "operator")
	at := func(port string) string { return net.JoinHostPort(c.net.address(n.index), port) }
	text, err := json.Marshal(object{
		"node": n.name, "data_folder": n.data(), "keys_folder": c.secrets(),
		"api":     object{"listen": at(apiPort), "insecure_plaintext": true},
		"admin":   object{"listen": at(adminPort)},
		"cluster": object{"listen": at(routePort), "peers": peers},
		// The clients are one address, and call what is not theirs on purpose.
		"limits":      object{"failures_per_second": 0},
		"access_keys": access,
		"log":         object{"level": "info"}, // tells who leads
	})
	if err != nil {
		return err
	}
	return os.WriteFile(n.config, text, 0o600)
}

// awaitReady waits until all nodes serve.
func (c *cluster) awaitReady(ctx context.Context) error {
	errs := make([]error, size)
	c.each(func(n *node) { errs[n.index] = n.awaitReady(ctx) })
	return errors.Join(errs...)
}

// each does something with all nodes at once.
func (c *cluster) each(what func(*node)) {
	var wg sync.WaitGroup
	for _, n := range c.nodes {
		wg.Go(func() { what(n) })
	}
	wg.Wait()
}

// all is each, with errors.
func (c *cluster) all(what func(*node) error) error {
	errs := make([]error, size)
	c.each(func(n *node) { errs[n.index] = what(n) })
	return errors.Join(errs...)
}

// token signs in with the access key of a project.
func (c *cluster) token(ctx context.Context, project int) (string, error) {
	return c.signIn(ctx, c.keys[project])
}

func (c *cluster) signIn(ctx context.Context, k accessKey) (string, error) {
	body := fmt.Sprintf(`{"auth":{"identity":{"methods":["application_credential"],"application_credential":{"id":%q,"secret":%q}}}}`, k.id, k.secret)
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	token := ""
	i := 0
	err := await(ctx, "a token", func() error {
		i++
		a, err := e2e.NewClient(c.nodes[i%size].url(), "", probes).Do(ctx, http.MethodPost, "/v3/auth/tokens", body)
		if err == nil && a.Status != http.StatusCreated {
			err = fmt.Errorf("sign in: %v", a)
		}
		token = a.Header.Get("X-Subject-Token")
		return err
	})
	return token, err
}
