package scrub

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestADamagedSequenceEndsItsFile(t *testing.T) {
	store := damagedStore(t) // with another damage, which the server survives
	dir := filepath.Join(StreamFolder(store, ours), "msgs")
	first, second := filepath.Join(dir, "1.blk"), filepath.Join(dir, "2.blk")
	defuse := func() (one, two []byte) {
		t.Helper()
		if err := Defuse(store, time.Minute, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		var err error
		if one, err = os.ReadFile(first); err != nil {
			t.Fatal(err)
		}
		if two, err = os.ReadFile(second); err != nil {
			t.Fatal(err)
		}
		return one, two
	}
	before1, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	before2, err := os.ReadFile(second)
	if err != nil {
		t.Fatal(err)
	}
	if one, two := defuse(); !bytes.Equal(one, before1) || !bytes.Equal(two, before2) {
		t.Fatal("files without a damaged sequence were changed")
	}
	// The third record of the second file is far ahead.
	at := 0
	for range 2 {
		r, err := recordAt(before2, at, nil)
		if err != nil {
			t.Fatal(err)
		}
		at = r.next
	}
	damaged := bytes.Clone(before2)
	damaged[at+11] ^= 1
	if err := os.WriteFile(second, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	one, two := defuse()
	if end, cut := lastRecord(two, nil); end != at || cut == nil || !bytes.Equal(one, before1) {
		t.Errorf("the records end at %d (%v), want %d, which is the damaged one", end, cut, at)
	}
	if again, same := defuse(); !bytes.Equal(same, two) || !bytes.Equal(again, one) {
		t.Error("what was done is done again")
	}
}

func TestSequencesThatAreFarByRightStay(t *testing.T) {
	store := t.TempDir()
	dir := filepath.Join(StreamFolder(store, ours), "msgs")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "1.blk")
	block := appendRecord(appendRecord(nil, 1, 1, "a", "", "x"), 1, 1<<40, "a", "", "y")
	if err := os.WriteFile(path, block, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Defuse(store, time.Minute, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, block) {
		t.Errorf("a record with its own checksum was changed: %v", err)
	}
	if err := Defuse(filepath.Join(store, "nothing"), time.Minute, slog.New(slog.DiscardHandler)); err != nil {
		t.Errorf("a store that is not there yet: %v", err)
	}
}
