package modeltest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestTheServiceFollowsTheReference compares -model.n operations. A deviation prints
// the shortest sequence that shows it, and the seed to run it again.
func TestTheServiceFollowsTheReference(t *testing.T) {
	share := int64((*operations + *worlds - 1) / *worlds)
	var total, sequences, undecided atomic.Int64
	t.Run("worlds", func(t *testing.T) {
		for i := range *worlds {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				var done atomic.Int64
				failed := false
				rapid.Check(t, func(rt *rapid.T) {
					if done.Load() >= share && !failed {
						return
					}
					w := newWorld(t, rt, "", &done)
					defer w.close()
					w.run(rt, false)
					sequences.Add(1)
					if errors.Is(w.err, errUndecided) {
						undecided.Add(1)
						t.Logf("%v", w.err)
						return
					}
					if w.err != nil {
						failed = true
						rt.Fatalf("%v\n%s", w.err, w.story())
					}
				})
				total.Add(done.Load())
			})
		}
	})
	t.Logf("%d operations compared in %d sequences", total.Load(), sequences.Load())
	if n := undecided.Load(); 10*n > sequences.Load() {
		t.Errorf("%d of %d sequences ended undecided", n, sequences.Load())
	}
	if n := total.Load(); n < int64(*operations) && !t.Failed() {
		t.Errorf("%d operations were compared, want %d", n, *operations)
	}
}

// TestTheServiceFollowsTheReferenceWhileMembersRestart has the cluster for itself.
func TestTheServiceFollowsTheReferenceWhileMembersRestart(t *testing.T) {
	share := int64(max(*operations/40, 1))
	var done atomic.Int64
	failed, undecided := false, 0
	rapid.Check(t, func(rt *rapid.T) {
		if done.Load() >= share && !failed {
			return
		}
		before := done.Load()
		w := newWorld(t, rt, "", &done)
		defer w.close()
		defer w.revive()
		// A leader that dies forgets that a message was failed, and the message comes when
		// the ack_wait is over that was told before.
		w.shaky, w.long = true, 2*time.Minute+lostFor
		w.run(rt, true)
		if errors.Is(w.err, errUndecided) {
			t.Logf("%v", w.err)
			if undecided++; undecided > 5 {
				rt.Fatalf("the sixth sequence ends undecided\n%s", w.story())
			}
			done.Store(before) // it counts for nothing
			return
		}
		if w.err != nil {
			failed = true
			rt.Fatalf("%v\n%s", w.err, w.story())
		}
	})
}

// TestAWrongReferenceIsFound shows that the comparison can fail: each deliberate
// mistake of the reference is a deviation within the given number of operations.
func TestAWrongReferenceIsFound(t *testing.T) {
	const within = 1500
	for _, mistake := range []wrong{
		"loses a message",
		"forgets keys",
		"dies late",
		"dies early",
		"turns the order",
		"ignores labels",
		"leases for ever",
		"takes used handles",
		"takes foreign handles",
		"allows gaps",
		"settles behind a failure",
		"charges the innocent",
		"takes settled for waiting",
		"forgets dead letters",
		"keeps names",
	} {
		t.Run(string(mistake), func(t *testing.T) {
			t.Parallel()
			var done atomic.Int64
			for seed := 1; done.Load() < within; seed++ {
				found := rapid.Custom(func(rt *rapid.T) error {
					w := newWorld(t, rt, mistake, &done)
					defer w.close()
					w.long = 5 * time.Second
					w.run(rt, false)
					if errors.Is(w.err, errUndecided) {
						return nil
					}
					return w.err
				}).Example(seed)
				if found != nil {
					t.Logf("found after %d operations: %v", done.Load(), found)
					return
				}
			}
			t.Errorf("not found within %d operations", within)
		})
	}
}
