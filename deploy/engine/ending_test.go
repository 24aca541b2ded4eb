package engine

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A stream that could not store is held up until the shutdown has taken the first account
// away: after that the server deletes no log.
func TestAStreamOnAFullDiskWaitsForTheShutdown(t *testing.T) {
	var open atomic.Int64
	open.Store(2)
	b := bridge{log: discard(), ending: newEnding(func() int { return int(open.Load()) })}
	apply := func() <-chan struct{} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.Errorf("Error applying stream entries to '%s > %s': %v", "tenant", "q_1", errors.New("last sequence mismatch"))
		}()
		return done
	}
	returns := func(what string, done <-chan struct{}) {
		t.Helper()
		select {
		case <-done:
		case <-time.After(within):
			t.Fatalf("%s: the stream is held up", what)
		}
	}
	waits := func(what string, done <-chan struct{}) {
		t.Helper()
		select {
		case <-done:
			t.Errorf("%s: the stream goes on", what)
		case <-time.After(50 * time.Millisecond): // what must not happen has no sign of its own
		}
	}
	returns("while the disk has room", apply())
	b.Errorf("JetStream out of %s resources, will be DISABLED", "File")
	b.Errorf("Error applying stream entries to '%s > %s': %v", "tenant", "q_1", errors.New("write 1.blk: no space left on device"))
	held := apply()
	waits("before the shutdown", held)
	b.Noticef("Initiating JetStream Shutdown...")
	waits("while all accounts are open", held)
	open.Store(1)
	returns("when one is closed", held)
	returns("later", apply())
	b.Noticef("Initiating JetStream Shutdown...") // a second one ends at once
}

// What is listened to must be said. If the server says it otherwise, look whether it still
// deletes logs while it shuts down.
func TestTheServerSaysWhatIsListenedTo(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/nats-io/nats-server/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	for file, wants := range map[string][]string{
		"jetstream.go":         {`resources, will be DISABLED")`, `s.Noticef("Initiating JetStream Shutdown...")`, "delete(js.accounts, jsa.account.Name)"},
		"jetstream_cluster.go": {`s.Errorf("Error applying stream entries to '%s > %s': %v"`, "if js != nil && js.isShuttingDown() {\n\t\ts.Debugf(\"Will not reset stream"},
		"stream.go":            {`errLastSeqMismatch   = errors.New("last sequence mismatch")`},
	} {
		text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "server", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s has no %s", file, want)
			}
		}
	}
}
