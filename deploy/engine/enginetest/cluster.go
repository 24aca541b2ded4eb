package enginetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dms/deploy/engine"
	"dms/deploy/keys"
	"dms/tenancy"
	"dms/tenancy/accounts"

	"github.com/nats-io/nats.go"
)

const (
	maxStore = 1 << 30 // bytes per member; files are sparse
	within   = 60 * time.Second
)

// Cluster is three members in this process, and the accounts in them.
type Cluster struct {
	trio     *engine.Trio
	systems  [3]*nats.Conn
	accounts [3]*accounts.Accounts
	keys     *keys.Set
	dir      string
	remove   bool
}

// Start runs a cluster for one test and stops it at the test's end.
func Start(t testing.TB) *Cluster {
	t.Helper()
	c, err := open(t.TempDir(), maxStore, false)
	if err != nil {
		t.Fatalf("start cluster: %v", err)
	}
	t.Cleanup(c.Stop)
	return c
}

// Open runs a cluster for all tests of a package, in a folder of its own. Call it in
// TestMain, and Stop before the process exits:
//
//	func TestMain(m *testing.M) {
//		c, err := enginetest.Open()
//		if err != nil {
//			fmt.Fprintln(os.Stderr, err)
//			os.Exit(1)
//		}
//		cluster = c
//		code := m.Run()
//		c.Stop()
//		os.Exit(code)
//	}
//
// Tests keep apart by using a project each: see NewProject.
func Open() (*Cluster, error) { return OpenSized(maxStore, false) }

// OpenSized is Open with room for that many bytes on each member, encrypted or not.
func OpenSized(bytes int64, encrypted bool) (*Cluster, error) {
	dir, err := os.MkdirTemp("", "dms-cluster-")
	if err != nil {
		return nil, fmt.Errorf("make folder of the cluster: %w", err)
	}
	c, err := open(dir, bytes, encrypted)
	if err != nil {
		return nil, fmt.Errorf("%w (remove folder: %w)", err, os.RemoveAll(dir))
	}
	c.remove = true
	return c, nil
}

func open(dir string, bytes int64, encrypted bool) (*Cluster, error) {
	secrets := filepath.Join(dir, "keys")
	if err := keys.Init(secrets); err != nil {
		return nil, err
	}
	set, err := keys.Load(secrets)
	if err != nil {
		return nil, err
	}
	trio, err := engine.StartThree(engine.TrioOptions{Dir: dir, Keys: set, MaxStore: bytes, Encrypted: encrypted})
	if err != nil {
		return nil, err
	}
	c := &Cluster{trio: trio, dir: dir, keys: set}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := trio.Ready(ctx); err != nil {
		c.Stop()
		return nil, err
	}
	for i := range c.accounts {
		if c.systems[i], err = trio.SystemConn(i); err != nil {
			c.Stop()
			return nil, err
		}
		c.accounts[i], err = accounts.New(accounts.Options{
			System: c.systems[i], Signing: set.OperatorSigning(), Master: set.Master(),
			Nodes: trio.Size(), Node: fmt.Sprintf("n%d", i+1),
			Dial: func(o ...nats.Option) (*nats.Conn, error) { return trio.Conn(i, o...) },
		})
		if err != nil {
			c.Stop()
			return nil, err
		}
	}
	return c, nil
}

// Stop stops the cluster and removes its folder if Open made it.
func (c *Cluster) Stop() {
	for i := range c.accounts {
		if c.accounts[i] != nil {
			c.accounts[i].Close()
		}
		if c.systems[i] != nil {
			c.systems[i].Close()
		}
	}
	c.trio.Abort()
	if c.remove {
		os.RemoveAll(c.dir) //nolint:errcheck // a left-over temporary folder harms no test
	}
}

// NewProject returns a project that nobody else uses, with limits that fit the cluster.
func NewProject() tenancy.Project {
	var b [16]byte
	rand.Read(b[:])
	limits := tenancy.DefaultLimits()
	limits.StoredBytes = 64 << 20
	return tenancy.Project{ID: tenancy.ProjectID(hex.EncodeToString(b[:])), Name: "test", Limits: limits}
}

// Trio returns the members.
func (c *Cluster) Trio() *engine.Trio { return c.trio }

// Members returns the members that run.
func (c *Cluster) Members() []*engine.Member { return c.trio.Members() }

// Accounts returns the accounts as the node of the first member sees them.
func (c *Cluster) Accounts() *accounts.Accounts { return c.accounts[0] }

// AccountsVia returns the accounts as the node of the member i, from 0, sees them.
func (c *Cluster) AccountsVia(i int) *accounts.Accounts { return c.accounts[i] }

// ConnTCP connects to the project's account through the first member's listener on
// loopback, as a client in another process would. The caller closes the connection.
func (c *Cluster) ConnTCP(ctx context.Context, id tenancy.ProjectID) (*nats.Conn, error) {
	about, err := c.trio.Member(0).Varz()
	if err != nil {
		return nil, fmt.Errorf("find the listener: %w", err)
	}
	url := fmt.Sprintf("nats://127.0.0.1:%d", about.Port)
	outside, err := accounts.New(accounts.Options{
		System: c.systems[0], Signing: c.keys.OperatorSigning(), Master: c.keys.Master(), Nodes: c.trio.Size(), Node: "outside",
		Dial: func(o ...nats.Option) (*nats.Conn, error) { return nats.Connect(url, o...) },
	})
	if err != nil {
		return nil, err
	}
	return outside.Connect(ctx, id)
}

// Conn provisions the project with the limits of NewProject and connects to its account
// through the first member. The connection is closed at the test's end.
func (c *Cluster) Conn(t testing.TB, id tenancy.ProjectID) *nats.Conn {
	t.Helper()
	return c.ConnVia(t, 0, id)
}

// ConnVia is Conn through the member i.
func (c *Cluster) ConnVia(t testing.TB, i int, id tenancy.ProjectID) *nats.Conn {
	t.Helper()
	p := NewProject()
	p.ID = id
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if err := c.accounts[i].Provision(ctx, p); err != nil {
		t.Fatalf("provision project: %v", err)
	}
	nc, err := c.accounts[i].Connect(ctx, id)
	if err != nil {
		t.Fatalf("connect to project: %v", err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Kill stops the member i as if its process had died.
func (c *Cluster) Kill(i int) { c.trio.Kill(i) }

// Restart runs the member i again on its data and waits until it is ready.
func (c *Cluster) Restart(t testing.TB, i int) {
	t.Helper()
	if err := c.trio.Restart(i); err != nil {
		t.Fatalf("restart member %d: %v", i, err)
	}
	c.WaitReady(t)
}

// WaitReady waits until the members that run are ready.
func (c *Cluster) WaitReady(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if err := c.trio.Ready(ctx); err != nil {
		t.Fatalf("wait for cluster: %v", err)
	}
}
