package e2e

import (
	"context"
	"testing"
	"time"
)

// waitLimit is how long a test waits for what has to come about.
const waitLimit = 60 * time.Second

// waitFor asks again and again until the answer is yes. It fails the test with the last
// state when that takes too long.
func waitFor(t *testing.T, ask func() (done bool, state string)) {
	t.Helper()
	deadline := time.NewTimer(waitLimit)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		done, state := ask()
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("still after %v: %s", waitLimit, state)
		}
	}
}

// detached returns a context for cleaning up, which happens after the test's own has
// ended. Every call has a limit of its own.
func detached(t *testing.T) context.Context { return context.WithoutCancel(t.Context()) }
