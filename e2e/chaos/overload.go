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
	surgeFor  = 6 * time.Second
	surgeLoad = 16 // producers without a pause, which is the peak
	surgeMore = 5  // times as many

	leastGoodput = .8 // of the peak
)

// overload finds the peak, offers five times as much, and compares what is stored.
func overload(ctx context.Context, f *field) error {
	surge := func(name string, producers int) float64 {
		ctx, cancel := context.WithTimeout(ctx, surgeFor)
		defer cancel()
		begin := time.Now()
		return float64(f.world.Surge(ctx, name, producers)) / time.Since(begin).Seconds()
	}
	before := f.memory()
	peak := surge("peak", surgeLoad)
	over := surge("over", surgeMore*surgeLoad)
	f.note("peak %.0f/s, five times the clients %.0f/s (%.2f), memory of the largest node %d MiB, before %d MiB", peak, over, over/peak, f.memory()>>20, before>>20)
	if over < leastGoodput*peak {
		f.complain("goodput at five times the peak's load is %.2f of the peak, want %.2f", over/peak, leastGoodput)
	}
	return f.whole(ctx)
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
