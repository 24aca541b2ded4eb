package faults

import (
	"flag"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

var (
	loadFor  = flag.Duration("faults.for", time.Minute, "how long clients and faults go on")
	seed     = flag.Uint64("faults.seed", 0, "repeats the choices of an earlier run; 0 takes a new seed")
	rate     = flag.Int("faults.rate", 150, "messages offered a second")
	keptFile = flag.String("faults.keep", "", "keep the history in this folder")
)

// leastStored is below what any working service stores in a minute: a run with less
// proves nothing.
const leastStored = 2000

func TestHistoryUnderFaults(t *testing.T) {
	folder := *keptFile
	if folder == "" {
		folder = t.TempDir()
	} else if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("seed %d", *seed)
	out, err := Run(t, Usual(*seed, *loadFor, *rate), folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%v", out)
	if !out.OK() {
		t.Errorf("the history is not that of a correct service; repeat with -faults.seed=%d", *seed)
	}
	if out.Stored < leastStored || out.Settled < leastStored {
		t.Errorf("void: %d messages were stored and %d settled, which proves nothing; want %d", out.Stored, out.Settled, leastStored)
	}
	if out.StepDowns == 0 || *loadFor >= time.Minute && len(out.Outages) == 0 {
		t.Errorf("void: %d leaders stepped down and %d nodes went away", out.StepDowns, len(out.Outages))
	}
	if l := out.Linearity; l.Undecided > 0 {
		t.Errorf("void: for %d of %d FIFO histories no order was found", l.Undecided, l.Logs)
	}
}
