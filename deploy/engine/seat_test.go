package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// seats runs three members that are kept running, until the test's end.
func seats(t *testing.T) [replicas]*Seat {
	t.Helper()
	set, dir := newKeys(t), t.TempDir()
	var last error
	for range portAttempts {
		var all [replicas]*Seat
		var addrs []string
		for range replicas {
			addr, err := freeAddr(addrs)
			if err != nil {
				t.Fatal(err)
			}
			addrs = append(addrs, addr)
		}
		last = nil
		for i := range all {
			all[i], last = TakeSeat(Options{
				Name: TrioName(i), Dir: filepath.Join(dir, TrioName(i)), Keys: set,
				RouteAddr: addrs[i], Routes: addrs, MaxStore: 1 << 30,
			})
			if last != nil {
				break
			}
		}
		stop := func() {
			ctx, cancel := context.WithTimeout(context.Background(), within)
			defer cancel()
			for _, s := range all {
				if s != nil {
					if err := s.Stop(ctx); err != nil {
						t.Errorf("stop: %v", err)
					}
				}
			}
		}
		if last == nil {
			t.Cleanup(stop)
			return all
		}
		stop()
		if !errors.Is(last, ErrPortTaken) {
			break
		}
	}
	t.Fatal(last)
	return [replicas]*Seat{}
}

func waitSeat(t *testing.T, s *Seat) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if err := s.Ready(ctx); err != nil {
		t.Fatalf("wait until ready: %v", err)
	}
}

func TestAMemberThatLostItsStorageRunsAgainOnceItCan(t *testing.T) {
	all := seats(t)
	s := all[0]
	waitSeat(t, s)
	if err := s.Serving(); err != nil {
		t.Errorf("before the failure: %v", err)
	}
	conn, err := s.SystemConn(nats.Name("test"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	first := s.Member()
	// The disk fails, and cannot be read for a while.
	mark := filepath.Join(s.opts.Dir, identityFile)
	if err := os.Rename(mark, mark+".away"); err != nil {
		t.Fatal(err)
	}
	if err := first.server.DisableJetStream(); err != nil {
		t.Fatal(err)
	}
	wait(t, func() string {
		if err := s.Down(); !errors.Is(err, ErrForeignData) {
			return fmt.Sprintf("the seat says %v", err)
		}
		return ""
	})
	if err := s.Serving(); !errors.Is(err, ErrStopped) {
		t.Errorf("while it is down it serves: %v", err)
	}
	if s.Member() != nil || s.Restarts() != 0 {
		t.Errorf("a member runs on a folder without its mark, after %d restarts", s.Restarts())
	}
	if _, err := s.InProcessConn(); !errors.Is(err, ErrStopped) {
		t.Errorf("while it is down it takes connections: %v", err)
	}
	if err := os.Rename(mark+".away", mark); err != nil {
		t.Fatal(err)
	}
	wait(t, func() string {
		if m := s.Member(); m == nil || m == first {
			return fmt.Sprintf("no other member runs: %v", s.Down())
		}
		return ""
	})
	waitSeat(t, s)
	if s.Restarts() != 1 || s.Down() != nil {
		t.Errorf("after %d restarts: %v", s.Restarts(), s.Down())
	}
	// What was connected is connected again.
	wait(t, func() string {
		if err := conn.FlushTimeout(time.Second); err != nil {
			return err.Error()
		}
		return ""
	})
}

func TestAFolderIsWorkedOnWhileNobodyUsesIt(t *testing.T) {
	all := seats(t)
	for _, s := range all {
		waitSeat(t, s)
	}
	s := all[1]
	first := s.Member()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	broken := errors.New("broken")
	err := s.Work(ctx, func(store string) error {
		if first.server.Running() || s.Member() != nil {
			t.Error("the member runs while its folder is worked on")
		}
		if _, err := os.Stat(filepath.Join(store, "jetstream")); err != nil {
			t.Error(err)
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("the work ends with %v", err)
	}
	waitSeat(t, s)
	if s.Member() == first {
		t.Error("the member is the one from before")
	}
}

func TestAFolderWithoutItsMarkIsNotRunOn(t *testing.T) {
	o := lone(t)
	m, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	m.Abort()
	if err := o.fit(); err != nil {
		t.Errorf("a folder that was used cannot be: %v", err)
	}
	if err := os.Remove(filepath.Join(o.Dir, identityFile)); err != nil {
		t.Fatal(err)
	}
	if err := o.fit(); !errors.Is(err, ErrForeignData) {
		t.Errorf("without its mark the folder is fit: %v", err)
	}
}

// A server that waits for itself cannot be ended, nor another one run beside it: the seat
// says so, once another process could have the place.
func TestASeatFailsWhenItsMemberDoesNotEnd(t *testing.T) {
	for name, begin := range map[string]func(*testing.T, *Seat) error{
		"after a failure": func(_ *testing.T, s *Seat) error { return s.Member().server.DisableJetStream() },
		"for work on its folder": func(t *testing.T, s *Seat) error {
			err := s.Work(t.Context(), func(string) error {
				t.Error("the folder was worked on although the member still has it")
				return nil
			})
			if !errors.Is(err, ErrStuck) {
				return fmt.Errorf("the work ended with %v, want %v", err, ErrStuck)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := seats(t)[0]
			waitSeat(t, s)
			m, free := s.Member(), make(chan struct{})
			t.Cleanup(func() {
				close(free)
				m.server.WaitForShutdown()
			})
			m.opts.onShut, m.opts.shutWithin = func() { <-free }, 50*time.Millisecond
			mark := filepath.Join(s.opts.Dir, identityFile)
			if err := os.Rename(mark, mark+".away"); err != nil {
				t.Fatal(err)
			}
			if err := begin(t, s); err != nil {
				t.Fatal(err)
			}
			wait(t, func() string {
				if err := s.Down(); !errors.Is(err, ErrStuck) {
					return fmt.Sprintf("the seat says %v", err)
				}
				return ""
			})
			select {
			case err := <-s.Failed():
				t.Errorf("it failed before another process could start: %v", err)
			default:
			}
			if err := os.Rename(mark+".away", mark); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-s.Failed():
				if !errors.Is(err, ErrStuck) {
					t.Errorf("it failed with %v, want %v", err, ErrStuck)
				}
			case <-time.After(within):
				t.Error("it did not fail")
			}
			if s.Member() != nil || s.Restarts() != 0 {
				t.Errorf("another member runs beside it, after %d restarts", s.Restarts())
			}
		})
	}
}
