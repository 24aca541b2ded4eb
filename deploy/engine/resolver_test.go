package engine

import (
	"os"
	"path/filepath"
	"testing"
)

// A file system that knows synced folders has new accounts on disk when they are
// confirmed. Another one is told of in the log, and the start restores what was lost.
func TestNewAccountsAreSyncedWhereTheDiskCan(t *testing.T) {
	trial := t.TempDir()
	can := setFlags(trial, flagSync) == nil
	o := lone(t)
	o.Log = discard()
	r, had, err := openResolver(o, o.MaxStore)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if len(had) != 1 {
		t.Errorf("a new member has %d accounts, want that of the system", len(had))
	}
	got, err := synced(filepath.Join(o.Dir, "accounts"))
	if got != can {
		t.Errorf("new accounts are synced: %t, %v; the disk can: %t", got, err, can)
	}
	for public := range had {
		file := filepath.Join(o.Dir, "accounts", public+tokenFile)
		if got, err := synced(file); got != can {
			t.Errorf("the account's file is synced: %t, %v; the disk can: %t", got, err, can)
		}
	}
}

func TestADamagedAccountIsPutAside(t *testing.T) {
	o := lone(t)
	o.Log = discard()
	r, had, err := openResolver(o, o.MaxStore)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	for public := range had {
		path := filepath.Join(o.Dir, "accounts", public+tokenFile)
		for _, damaged := range []string{"", "eyJ0", string(make([]byte, 700))} {
			if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
				t.Fatal(err)
			}
			r, had, err := openResolver(o, o.MaxStore)
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
			token, err := os.ReadFile(path)
			if err != nil || !had[public] || !readable(public, string(token)) {
				t.Errorf("after %q the account of the system is %q, %v", damaged, token, err)
			}
			if aside, err := os.ReadFile(path + ".damaged"); err != nil || string(aside) != damaged {
				t.Errorf("what was damaged is kept as %q, %v; want %q", aside, err, damaged)
			}
		}
	}
}
