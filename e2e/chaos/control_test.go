package chaos

import (
	"context"
	"path/filepath"
	"testing"
	"time"
)

const (
	controlLoad  = 8 * time.Second // before the power cut
	controlBack  = 45 * time.Second
	controlDrain = 20 * time.Second
)

// A build that confirms before it has written must lose when the power is cut. If it does
// not, the disks of this harness keep what no disk would, and its other results are worth
// nothing.
func TestAServiceThatDoesNotSyncLoses(t *testing.T) {
	if notRun(t) {
		return
	}
	t.Parallel()
	s, dir := newSeed(t), folder(t)
	c, err := newCluster(t, clusterOptions{number: 2, build: unsynced, disk: shortDisk, logs: dir})
	if err != nil {
		t.Fatal(err)
	}
	plan := round{seed: s, rate: 150}.plan()
	plan.Keyed, plan.Patience, plan.CallLimit, plan.Drain = 0, 0, 5*time.Second, controlDrain
	w, err := c.world(t.Context(), plan, 0, filepath.Join(dir, "control.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	load, cancel := context.WithTimeout(t.Context(), controlLoad)
	defer cancel()
	w.Load(load)
	if err := c.cutPower(c.nodes[:]...); err != nil {
		t.Fatal(err)
	}
	if err := c.all((*node).start); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), controlBack)
	defer cancel()
	if err := c.awaitReady(ctx); err != nil {
		t.Logf("lost, as it must: the service does not come back: %.600v", err)
		return
	}
	if gone := w.Gone(t.Context()); len(gone) > 0 {
		t.Logf("lost, as it must: %d of %d queues are gone", len(gone), len(w.Queues()))
		return
	}
	if _, err := w.Audit(t.Context()); err != nil {
		t.Logf("lost, as it must: %v", err)
		return
	}
	out, err := w.Finish(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if lost := out.Violated(); len(lost)+len(out.Left) == 0 {
		t.Errorf("nothing is lost by power cuts of a service that does not sync: this harness sees no loss\n%v", out)
	} else {
		t.Logf("lost, as it must: %v, %d groups cannot be read to their end", lost, len(out.Left))
	}
}
