package chaos

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// smallDisk is a disk of its own until the test ends.
func smallDisk(t *testing.T) *disk {
	t.Helper()
	d, err := newDisk(t.TempDir(), "disk", 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.detach(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestAPowerCutKeepsOnlyWhatWasSynced(t *testing.T) {
	if notRun(t) {
		return
	}
	d := smallDisk(t)
	for _, name := range []string{"synced", "not synced"} {
		f, err := os.Create(filepath.Join(d.mount, name))
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteString(strings.Repeat("x", 100_000))
		if name == "synced" {
			err = errors.Join(err, f.Sync())
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(d.cut(), d.again()); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(d.mount, "synced")); err != nil || len(text) != 100_000 {
		t.Errorf("of the synced file %d bytes are left, want 100,000: %v", len(text), err)
	}
	if text, err := os.ReadFile(filepath.Join(d.mount, "not synced")); err == nil && len(text) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of the file that was not synced %d bytes are left, want none: %v", len(text), err)
	}
}

func TestAFullDiskTakesNothingUntilThereIsSpace(t *testing.T) {
	if notRun(t) {
		return
	}
	d := smallDisk(t)
	write := func() error { return os.WriteFile(filepath.Join(d.mount, "file"), make([]byte, 1<<20), 0o600) }
	if err := d.fill(true); err != nil {
		t.Fatal(err)
	}
	if err := write(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("writing to the full disk gives %v, want no space", err)
	}
	if err := errors.Join(d.empty(), write()); err != nil {
		t.Errorf("writing when there is space: %v", err)
	}
}

func TestACutNetworkIsSilentUntilItHeals(t *testing.T) {
	if notRun(t) {
		return
	}
	n := network{3}
	if err := n.make(); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(n.address(clients), "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	connect := func(within time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		return exec.CommandContext(ctx, "nsenter", "--net="+n.path(0), "bash", "-c", ": </dev/tcp/"+host+"/"+port).Run()
	}
	const long, short = time.Minute, 2 * time.Second
	if err := connect(long); err != nil {
		t.Errorf("a node does not reach the clients: %v", err)
	}
	for _, w := range both(clients, 0) {
		if err := n.cut(w); err != nil {
			t.Fatal(err)
		}
		// A refusal would come at once, and be an exit code; silence ends by a signal.
		if failed, ok := errors.AsType[*exec.ExitError](connect(short)); !ok || failed.Exited() {
			t.Errorf("with the way %v cut a connection ends with %v, want silence", w, failed)
		}
		if err := n.heal(); err != nil {
			t.Fatal(err)
		}
		if err := connect(long); err != nil {
			t.Errorf("after the way %v healed a node does not reach the clients: %v", w, err)
		}
	}
}

func TestChangedBuildsDifferFromTheProduct(t *testing.T) {
	for _, name := range []string{unsynced, skewed, crashing, stuck} {
		dir := t.TempDir()
		flags, err := overlay(t.Context(), name, dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(flags) != 2 || flags[0] != "-overlay" {
			t.Errorf("flags of the %s build are %q", name, flags)
		}
		for _, c := range changes(name) {
			text, err := os.ReadFile(filepath.Join(dir, filepath.Base(c.file)))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), c.new) {
				t.Errorf("%s is not changed", c.file)
			}
		}
	}
	if flags, err := overlay(t.Context(), shipped, t.TempDir()); len(flags) > 0 || err != nil {
		t.Errorf("the product is built with %q, %v", flags, err)
	}
}
