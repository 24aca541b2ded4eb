package deploy

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"dms/deploy/disk"
	"dms/deploy/engine"
)

func TestAnElectionIsNoTroubleAndLostStorageIsAtOnce(t *testing.T) {
	start := time.Now()
	at := func(s time.Duration) time.Time { return start.Add(s * time.Second) }
	leaderless := errors.New("no leader")
	lost := fmt.Errorf("%w: disk full", engine.ErrStorageLost)
	var h health
	for _, step := range []struct {
		second time.Duration
		why    error
		want   bool
	}{
		{0, nil, false}, {1, leaderless, false}, {9, leaderless, false}, {10, nil, false},
		{20, leaderless, false}, {31, leaderless, false}, {32, leaderless, true}, {60, leaderless, true}, {61, nil, false},
		{70, lost, true}, {71, leaderless, false}, {82, leaderless, true}, {83, nil, false},
	} {
		h.look(step.why, at(step.second))
		if err := h.trouble(at(step.second)); (err != nil) != step.want {
			t.Errorf("second %d, %v: trouble %v, want %v", step.second, step.why, err, step.want)
		}
	}
}

func TestSendsAreRefusedWhenTheRestWouldBeNoQuorum(t *testing.T) {
	now := time.Now()
	said := func(full ...bool) map[string]heard {
		m := make(map[string]heard)
		for i, f := range full {
			m[fmt.Sprint("n", i)] = heard{at: now.Add(-time.Second), full: f}
		}
		return m
	}
	for _, c := range []struct {
		heard map[string]heard
		full  bool
	}{
		{nil, false},
		{said(false), false},
		{said(false, false, false), false},
		{said(true, false, false), false},
		{said(true, false), true}, // the third is silent
		{said(true, true, false), true},
		{said(true, true, true), true},
	} {
		p := &peers{nodes: 3, quorum: 2, heard: c.heard}
		if err := p.others(now); (err != nil) != c.full {
			t.Errorf("%+v: %v, want full %v", c.heard, err, c.full)
		}
		if err := p.others(now.Add(2 * recently)); err != nil {
			t.Errorf("what was said long ago is believed: %v", err)
		}
	}
}

func TestOneProcessAsksItsOwnDisk(t *testing.T) {
	w, err := disk.Open(disk.Options{
		Dir: t.TempDir(), KeepFree: 100, Reserve: -1, Every: time.Hour,
		Look: func() (disk.Space, error) { return disk.Space{Total: 1000, Free: 1}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	p := &peers{nodes: 1, disk: w}
	if err := p.room(); !errors.Is(err, disk.ErrFull) {
		t.Errorf("a full disk has room: %v", err)
	}
}

func TestANodeWithABrokenDiskIsNotReadyAndSaysWhy(t *testing.T) {
	w, err := disk.Open(disk.Options{
		Dir: t.TempDir(), KeepFree: 1, Reserve: -1, Every: time.Hour, TryEvery: time.Millisecond,
		Look: func() (disk.Space, error) { return disk.Space{Total: 1000, Free: 500}, nil },
		Try:  func() error { return syscall.EIO },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	n := &Node{disk: w}
	serving := http.NotFoundHandler()
	n.handler.Store(&serving)
	for end := time.Now().Add(time.Minute); ; {
		why := n.notReady()
		if strings.Contains(why, disk.ErrBroken.Error()) && strings.Contains(why, syscall.EIO.Error()) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the node says %q", why)
		}
		runtime.Gosched()
	}
}
