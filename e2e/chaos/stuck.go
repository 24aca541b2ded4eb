package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// stuckBuild has the engine do what it does now and then when the disk is full: it takes a
// lock twice, and then neither stores nor ends.
func stuckBuild() []change {
	const member = "deploy/engine/member.go"
	place := func(old, next string) change {
		return change{member, regexp.MustCompile(regexp.QuoteMeta(old)), next}
	}
	return []change{
		place("	\"net\"\n	\"sync\"\n", "	\"net\"\n	\"os\"\n	\"sync\"\n"),
		place("shutLimit = 30 * time.Second", "shutLimit = 2 * time.Second"),
		place("		m.server.Shutdown()\n		m.server.WaitForShutdown()\n		if also", "		if stuckNow.Load() {\n			select {}\n		}\n		m.server.Shutdown()\n		m.server.WaitForShutdown()\n		if also"),
		place("// Failed yields one error when the member fails by itself.", `var stuckNow atomic.Bool

func (m *Member) becomesStuck() bool {
	return os.Remove(os.Getenv("`+stuckVariable+`")) == nil && !stuckNow.Swap(true)
}

// Failed yields one error when the member fails by itself.`),
		{"deploy/engine/ready.go", regexp.MustCompile(`case !m\.server\.JetStreamEnabled\(\):`), "case !m.server.JetStreamEnabled() || m.becomesStuck():"},
	}
}

var errNotLost = errors.New("the storage is not lost yet")

// stick lets the storage of a queue's leader fail and not end, and waits until the node's
// process has put another in its own place.
func stick(ctx context.Context, f *field) error {
	n := f.leader()
	if err := n.stop(ctx); err != nil {
		f.complain("stop of %s: %.600v", n.name, err)
	}
	file := filepath.Join(f.cluster.dir, "stuck")
	if err := n.startAs(stuck, stuckVariable+"="+file); err != nil {
		return err
	}
	if err := f.whole(ctx); err != nil {
		return err
	}
	before := n.process()
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	lost := false
	err := await(limited, n.name+" to start again", func() error {
		if _, err := os.Stat(file); err == nil { // it is taken away at that moment
			return errNotLost
		}
		err := n.ready(ctx)
		lost = lost || err != nil
		if !lost {
			return errNotLost
		}
		return err // the stuck process itself is never ready again
	})
	if err != nil {
		return err
	}
	f.note("%s started itself again as process %d, and serves", n.name, before.Pid())
	if n.process() != before {
		return fmt.Errorf("%s was started by another", n.name)
	}
	return nil
}
