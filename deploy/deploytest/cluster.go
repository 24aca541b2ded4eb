package deploytest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"dms/deploy"
	"dms/deploy/engine"
	"dms/deploy/keys"
	"dms/tenancy"
	"dms/tenancy/accesskey"
	"dms/tenancy/token"
)

// Size is the number of nodes.
const Size = 3

const (
	startLimit = 90 * time.Second
	stopLimit  = 30 * time.Second
	// diskLimit is per member. The files are sparse, so it costs no disk.
	diskLimit = 1 << 30
	// portAttempts bounds how often a start is repeated because another process took
	// one of the ports that the nodes were to use between themselves.
	portAttempts = 5
)

// Cluster is three nodes over one set of keys, and two projects with an access key each.
type Cluster struct {
	keys   *keys.Set
	dir    string
	access []accesskey.Key
	log    *slog.Logger

	mu      sync.Mutex
	configs [Size]deploy.Config
	nodes   [Size]*deploy.Node // nil while one is stopped
}

// Start runs three nodes below t.TempDir and stops them when the test ends. Options may
// change the configuration of each node before it starts.
func Start(t testing.TB, options ...func(*deploy.Config)) *Cluster {
	t.Helper()
	return StartLogged(t, slog.New(slog.DiscardHandler), options...)
}

// StartLogged is Start with a log for all three nodes.
func StartLogged(t testing.TB, log *slog.Logger, options ...func(*deploy.Config)) *Cluster {
	t.Helper()
	c := &Cluster{dir: t.TempDir(), log: log}
	keysFolder := filepath.Join(c.dir, "keys")
	if err := keys.Init(keysFolder); err != nil {
		t.Fatal(err)
	}
	var err error
	if c.keys, err = keys.Load(keysFolder); err != nil {
		t.Fatal(err)
	}
	for attempt := 1; ; attempt++ {
		if err = c.configure(keysFolder, options); err == nil {
			err = c.startAll(t)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, engine.ErrPortTaken) || attempt == portAttempts {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := c.stopAll(); err != nil {
			t.Errorf("stop the nodes: %v", err)
		}
	})
	return c
}

// configure makes the configuration of every node, on ports that are free at the moment.
func (c *Cluster) configure(keysFolder string, options []func(*deploy.Config)) error {
	addresses, err := freeAddresses(Size)
	if err != nil {
		return err
	}
	var peers []deploy.Peer
	for i, a := range addresses {
		peers = append(peers, deploy.Peer{Name: fmt.Sprintf("n%d", i+1), Address: a})
	}
	configured, err := c.accessKeys()
	if err != nil {
		return err
	}
	for i, p := range peers {
		o := deploy.Default()
		o.Node = p.Name
		o.DataFolder = filepath.Join(c.dir, p.Name)
		o.KeysFolder = keysFolder
		o.API.Listen, o.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0"
		o.Cluster = deploy.ClusterOptions{Listen: p.Address, Peers: peers}
		o.Disk.Limit, o.Disk.KeepFree, o.Disk.Reserve = diskLimit, 64<<20, 1<<20
		o.Tenants.AutoProvision = true
		o.AccessKeys = configured
		for _, change := range options {
			change(&o)
		}
		c.configs[i] = o
	}
	return nil
}

// accessKeys makes two projects with a manager's access key each.
func (c *Cluster) accessKeys() ([]deploy.AccessKey, error) {
	c.access = nil
	var out []deploy.AccessKey
	for i := range 2 {
		k := accesskey.Key{
			ID: fmt.Sprintf("TESTKEY%d", i+1), Secret: accesskey.Secret(randomHex(32)),
			Project: tenancy.ProjectID(randomHex(16)), ProjectName: fmt.Sprintf("project-%d", i+1),
			Roles: []tenancy.Role{tenancy.Manager},
		}
		path := filepath.Join(c.dir, k.ID)
		if err := os.WriteFile(path, []byte(string(k.Secret)+"\n"), 0o600); err != nil {
			return nil, err
		}
		c.access = append(c.access, k)
		out = append(out, deploy.AccessKey{ID: k.ID, SecretFile: path, Project: k.Project, ProjectName: k.ProjectName, Roles: k.Roles})
	}
	return out, nil
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b)
}

// freeAddresses picks ports below the range from which the system takes ports for
// outgoing connections, so that a node that restarts finds its port free.
func freeAddresses(n int) ([]string, error) {
	var out []string
	var last error
	for range 100 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(12_000+mathrand.IntN(20_000)))
		l, err := net.Listen("tcp", address)
		if err != nil {
			last = err
			continue
		}
		defer l.Close() // only at the end, so that no port is given twice
		if out = append(out, address); len(out) == n {
			return out, nil
		}
	}
	return nil, fmt.Errorf("find free ports: %w", last)
}

// startAll starts all nodes at once, since none is ready without another.
func (c *Cluster) startAll(t testing.TB) error {
	for i := range Size {
		n, err := deploy.New(t.Context(), c.configs[i], c.log)
		if err != nil {
			return errors.Join(err, c.stopAll())
		}
		c.mu.Lock()
		c.nodes[i] = n
		c.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, Size)
	for i := range Size {
		n := c.Node(t, i)
		wg.Go(func() { errs[i] = n.Start(ctx) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return errors.Join(err, c.stopAll())
	}
	return nil
}

func (c *Cluster) stopAll() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	var wg sync.WaitGroup
	errs := make([]error, Size)
	for i, n := range c.nodes {
		if n != nil {
			wg.Go(func() { errs[i] = n.Stop(ctx) })
		}
		c.nodes[i] = nil
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Node returns the node i, from 0. It is an error while the node is stopped.
func (c *Cluster) Node(t testing.TB, i int) *deploy.Node {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nodes[i] == nil {
		t.Fatalf("node %d is stopped", i)
	}
	return c.nodes[i]
}

// URL returns the base URL of the API of node i.
func (c *Cluster) URL(t testing.TB, i int) string { t.Helper(); return c.Node(t, i).URL() }

// Member returns the storage member of node i.
func (c *Cluster) Member(t testing.TB, i int) *engine.Member {
	t.Helper()
	return c.Node(t, i).Members()[0]
}

// DataFolder is where node i keeps its data, whether it runs or not.
func (c *Cluster) DataFolder(i int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.configs[i].DataFolder
}

// AccessKey returns the access key of one of the two projects, i from 0.
func (c *Cluster) AccessKey(i int) accesskey.Key { return c.access[i] }

// Token seals a token that every node accepts for an hour.
func (c *Cluster) Token(t testing.TB, project tenancy.ProjectID, roles ...tenancy.Role) string {
	t.Helper()
	return c.TokenUntil(t, time.Now().Add(time.Hour), project, roles...)
}

// TokenUntil seals a token that every node accepts until the end, in whole seconds.
func (c *Cluster) TokenUntil(t testing.TB, end time.Time, project tenancy.ProjectID, roles ...tenancy.Role) string {
	t.Helper()
	sealer, err := deploy.NewSealer(c.keys)
	if err != nil {
		t.Fatal(err)
	}
	return seal(t, sealer, end, project, roles)
}

func seal(t testing.TB, s *token.Sealer, end time.Time, project tenancy.ProjectID, roles []tenancy.Role) string {
	t.Helper()
	sealed, _, err := s.Seal(tenancy.Identity{
		Issuer: "test", Subject: "test", Grants: map[tenancy.ProjectID]tenancy.Grant{project: {Roles: roles}},
	}, end)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// Stop stops the node i in order.
func (c *Cluster) Stop(t testing.TB, i int) {
	t.Helper()
	n := c.Node(t, i)
	ctx, cancel := context.WithTimeout(t.Context(), stopLimit)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Errorf("stop node %d: %v", i, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[i] = nil
}

// Restart runs the node i again on its data. The API may listen on another port.
func (c *Cluster) Restart(t testing.TB, i int) {
	t.Helper()
	n, err := deploy.New(t.Context(), c.configs[i], c.log)
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.nodes[i] = n
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	if err := n.Start(ctx); err != nil {
		t.Fatalf("start node %d again: %v", i, err)
	}
}

// StopAll stops all nodes.
func (c *Cluster) StopAll(t testing.TB) {
	t.Helper()
	if err := c.stopAll(); err != nil {
		t.Errorf("stop the nodes: %v", err)
	}
}

// StartAll runs all nodes again on their data, at once.
func (c *Cluster) StartAll(t testing.TB) {
	t.Helper()
	if err := c.startAll(t); err != nil {
		t.Fatalf("start the nodes again: %v", err)
	}
}
