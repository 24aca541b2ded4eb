package chaos

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"
)

const (
	rampFor    = 3 * time.Second // with each number of producers
	rampFrom   = 16              // producers without a pause
	rampTo     = 256
	worthwhile = 1.05 // more producers are nearer to the peak when they get so much more

	surgeFor     = 10 * time.Second
	surgeMore    = 5  // times as many producers as at the peak
	leastGoodput = .8 // of the peak

	calmWithin = 10 * time.Second // after the surge
	calmProbes = 15
	calmTimes  = 2 // the median before the surge; the machine alone makes it differ by half
)

// overload finds how many producers get the most stored, lets five times as many loose,
// and compares.
func overload(ctx context.Context, f *field) error {
	surge := func(name string, producers int, most time.Duration) float64 {
		ctx, cancel := context.WithTimeout(ctx, most)
		defer cancel()
		begin := time.Now()
		return float64(f.world.Surge(ctx, name, producers)) / time.Since(begin).Seconds()
	}
	memory := f.memory()
	before := median(f.world.Probe(ctx, "before", func(took []time.Duration) bool { return len(took) == calmProbes }))
	producers, peak := 0, 0.0
	for n := rampFrom; n <= rampTo; n *= 2 {
		got := surge(fmt.Sprintf("peak%d", n), n, rampFor)
		if got < worthwhile*peak {
			break
		}
		producers, peak = n, got
	}
	over := surge("over", surgeMore*producers, surgeFor)
	most := f.memory()
	f.note("peak %.0f/s with %d producers, five times as many %.0f/s (%.2f), memory of the largest node %d MiB, before %d MiB",
		peak, producers, over, over/peak, most>>20, memory>>20)
	if over < leastGoodput*peak {
		f.complain("goodput at five times the peak's load is %.2f of the peak, want %.2f", over/peak, leastGoodput)
	}
	if err := f.whole(ctx); err != nil {
		return err
	}
	f.calm(ctx, before)
	return nil
}

// calm waits until a send takes what it took before a surge.
func (f *field) calm(ctx context.Context, before time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, 6*calmWithin)
	defer cancel()
	begin := time.Now()
	var last time.Duration
	f.world.Probe(ctx, "after", func(took []time.Duration) bool {
		if len(took) < calmProbes {
			return false
		}
		last = median(took[len(took)-calmProbes:])
		return last <= calmTimes*before
	})
	f.note("a send took %v before (median), and %v again %.1fs after", before.Round(time.Millisecond), last.Round(time.Millisecond), time.Since(begin).Seconds())
	if time.Since(begin) > calmWithin {
		f.complain("a send takes %v %.1fs after the surge, and took %v before", last, time.Since(begin).Seconds(), before)
	}
}

func median(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return percentile(sorted, 50)
}

// memory is the resident memory of the largest node.
func (f *field) memory() int64 {
	var all []int64
	for _, n := range f.cluster.nodes {
		if p := n.process(); p != nil {
			all = append(all, resident(p.Pid()))
		}
	}
	if len(all) == 0 {
		return 0
	}
	return slices.Max(all)
}

// resident is the resident memory of a process; 0 if it is gone.
func resident(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
