package engine

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"dms/deploy/keys"
)

const within = 60 * time.Second

func newKeys(t *testing.T) *keys.Set {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	if err := keys.Init(dir); err != nil {
		t.Fatalf("make keys: %v", err)
	}
	set, err := keys.Load(dir)
	if err != nil {
		t.Fatalf("load keys: %v", err)
	}
	return set
}

// start runs three members, which are stopped at the test's end.
func start(t *testing.T) *Trio {
	t.Helper()
	return startIn(t, t.TempDir(), newKeys(t))
}

func startIn(t *testing.T, dir string, set *keys.Set) *Trio {
	t.Helper()
	trio, err := StartThree(TrioOptions{Dir: dir, Keys: set, MaxStore: 1 << 30})
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(trio.Abort)
	return trio
}

func waitReady(t *testing.T, trio *Trio) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if err := trio.Ready(ctx); err != nil {
		t.Fatalf("wait until ready: %v", err)
	}
}

// wait polls the condition until it returns "", and fails with what it returned last.
func wait(t *testing.T, condition func() string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(within); ; <-tick.C {
		problem := condition()
		if problem == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after %v still: %s", within, problem)
		}
	}
}

// lone returns options of a member whose peers do not run.
func lone(t *testing.T) Options {
	t.Helper()
	var addrs []string
	for range replicas {
		addr, err := freeAddr(addrs)
		if err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, addr)
	}
	return Options{
		Name: "dms-1", Dir: filepath.Join(t.TempDir(), "data"), Keys: newKeys(t),
		RouteAddr: addrs[0], Routes: addrs, MaxStore: 1 << 30,
	}
}
