package engine

import (
	"context"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dms/tenancy/seal"
)

func TestStartRefusesWithAReason(t *testing.T) {
	write := func(o *Options, name, text string) error {
		if err := os.MkdirAll(o.Dir, 0o700); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(o.Dir, name), []byte(text), 0o600)
	}
	mark := func(o *Options, cluster, name string) error {
		return write(o, identityFile, `{"cluster":"`+cluster+`","name":"`+name+`"}`)
	}
	for _, row := range []struct {
		name  string
		spoil func(*Options) error
		want  error
	}{
		{"no name", func(o *Options) error { o.Name = ""; return nil }, ErrOptions},
		{"name of two words", func(o *Options) error { o.Name = "a b"; return nil }, ErrOptions},
		{"no folder", func(o *Options) error { o.Dir = ""; return nil }, ErrOptions},
		{"no keys", func(o *Options) error { o.Keys = nil; return nil }, ErrOptions},
		{"random port", func(o *Options) error { o.RouteAddr = "127.0.0.1:0"; return nil }, ErrOptions},
		{"route without port", func(o *Options) error { o.Routes[1] = "127.0.0.1"; return nil }, ErrOptions},
		{"no peers", func(o *Options) error { o.Routes = nil; return nil }, ErrTooFewReplicas},
		{"two members", func(o *Options) error { o.Routes = o.Routes[:2]; return nil }, ErrTooFewReplicas},
		{"one member listed twice", func(o *Options) error { o.Routes[2] = o.Routes[1]; return nil }, ErrTooFewReplicas},
		{"small store", func(o *Options) error { o.MaxStore = defaultMinStore - 1; return nil }, ErrDiskTooSmall},
		{"small disk", func(o *Options) error { o.MaxStore, o.MinStore = 0, 1<<62; return nil }, ErrDiskTooSmall},
		{"another cluster", func(o *Options) error { return mark(o, "other", o.Name) }, ErrForeignData},
		{"another member", func(o *Options) error { return mark(o, o.Keys.ClusterID().String(), "dms-2") }, ErrForeignData},
		{"damaged mark", func(o *Options) error { return write(o, identityFile, "{") }, ErrForeignData},
		{"data that is not encrypted", func(o *Options) error { o.Encrypted = true; return mark(o, o.Keys.ClusterID().String(), o.Name) }, ErrEncrypted},
		{"encrypted data", func(o *Options) error {
			return write(o, identityFile, `{"cluster":"`+o.Keys.ClusterID().String()+`","name":"`+o.Name+`","encrypted":true}`)
		}, ErrEncrypted},
		{"foreign files", func(o *Options) error { return write(o, "diary.txt", "x") }, ErrForeignData},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := lone(t)
			if err := row.spoil(&o); err != nil {
				t.Fatal(err)
			}
			m, err := Start(o)
			if err == nil {
				m.Abort()
			}
			if !errors.Is(err, row.want) {
				t.Errorf("got error %v, want %v", err, row.want)
			}
		})
	}
}

func TestStartRefusesATakenPort(t *testing.T) {
	o := lone(t)
	l, err := net.Listen("tcp", o.RouteAddr)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Start(o)
	if err == nil {
		m.Abort()
	}
	if !errors.Is(err, ErrPortTaken) {
		t.Errorf("got error %v, want %v", err, ErrPortTaken)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if m, err = Start(o); err != nil {
		t.Fatalf("start when the port is free again: %v", err)
	}
	m.Abort()
}

// spoiled builds a member from options that Start never produces.
func spoiled(t *testing.T, o Options) (*Member, error) {
	t.Helper()
	o.Log = discard()
	resolver, _, err := openResolver(o, o.MaxStore)
	if err != nil {
		t.Fatal(err)
	}
	so, err := o.serverOptions(o.MaxStore, resolver, "")
	if err != nil {
		t.Fatal(err)
	}
	so.SyncAlways = false
	m := &Member{opts: o, failed: make(chan error, 1), log: discard()}
	return m, m.run(so)
}

func TestAServerThatDoesNotSyncIsRefused(t *testing.T) {
	m, err := spoiled(t, lone(t))
	if err == nil {
		m.Abort()
	}
	if !errors.Is(err, ErrNotSynced) {
		t.Errorf("got error %v, want %v", err, ErrNotSynced)
	}
}

func TestAPortTakenAfterTheProbeIsRefused(t *testing.T) {
	o := lone(t)
	l, err := net.Listen("tcp", o.RouteAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // the test has ended
	m, err := spoiled(t, o)
	if err == nil {
		m.Abort()
	}
	if !errors.Is(err, ErrPortTaken) {
		t.Errorf("got error %v, want %v", err, ErrPortTaken)
	}
}

func TestALoneMemberIsNotReadyAndSaysWhy(t *testing.T) {
	m, err := Start(lone(t))
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	defer m.Abort()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err = m.Ready(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v, want %v", err, context.DeadlineExceeded)
	}
	if m.IsClusterLeader() {
		t.Error("a lone member leads the cluster")
	}
}

func TestTheDiskIsSharedAmongItsMembers(t *testing.T) {
	for _, row := range []struct {
		disk    int64
		members int
		want    int64
	}{{1000, 0, 650}, {1000, 1, 650}, {3000, 3, 650}, {1 << 50, 3, (1 << 50) / 100 * 65 / 3}} {
		if got := share(row.disk, row.members); got != row.want {
			t.Errorf("share of %d among %d: got %d, want %d", row.disk, row.members, got, row.want)
		}
	}
}

func TestAFolderMarkedByACutShortStartIsUsable(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, identityFile+".new"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	id := identity{Cluster: "c", Name: "n"}
	for range 2 {
		if _, err := id.claim(dir); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := (identity{Cluster: "c", Name: "m"}).claim(dir); !errors.Is(err, ErrForeignData) {
		t.Errorf("got error %v, want %v", err, ErrForeignData)
	}
}

func TestAnEncryptedFolderKeepsItsKey(t *testing.T) {
	dir := t.TempDir()
	first := identity{Cluster: "c", Name: "n", Encrypted: true}
	newer := first
	newer.Key = 1
	all := []seal.Key{{ID: 1, Secret: [32]byte{1}}, {ID: 0, Secret: [32]byte{2}}}
	var keys []string
	for _, want := range []identity{first, newer} {
		have, err := want.claim(dir)
		if err != nil {
			t.Fatal(err)
		}
		key, err := have.storeKey(dir, all)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	if want := hex.EncodeToString(all[1].Secret[:]); keys[0] != want || keys[1] != want {
		t.Errorf("the folder is read under %q, want %q both times", keys, want)
	}
	if _, err := first.storeKey(dir, all[:1]); !errors.Is(err, ErrEncrypted) {
		t.Errorf("a folder whose key is gone gives %v, want %v", err, ErrEncrypted)
	}
	if have, err := newer.claim(t.TempDir()); err != nil || have.Key != 1 {
		t.Errorf("a new folder gets the key %d: %v", have.Key, err)
	}
	if key, err := (identity{}).storeKey(dir, all); key != "" || err != nil {
		t.Errorf("a folder that is not encrypted gets a key, %v", err)
	}
}
