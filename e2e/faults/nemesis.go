package faults

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dms/deploy/deploytest"
	"dms/e2e/history"
	"dms/e2e/workload"
)

const (
	// A leader that stepped down has been replaced, and a node that came back has caught
	// up, after so long.
	settleStepDown = 3 * time.Second
	settleOutage   = 5 * time.Second

	faulty = 14 * time.Second // of every period, and then
	quiet  = 6 * time.Second
)

// nemesis breaks things on purpose, and knows when what was broken.
type nemesis struct {
	w       *workload.World
	plan    Plan
	cluster *deploytest.Cluster
	log     *slog.Logger // of the nodes, so that faults stand where they happened

	mu      sync.Mutex
	windows []history.Window
	steps   int
	outages []string
}

// run breaks things until the context ends, and returns when every node runs.
func (n *nemesis) run(t testing.TB, ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { n.stepDowns(ctx, n.w.Random("step downs")) })
	defer wg.Wait()
	if n.plan.Outages == 0 {
		<-ctx.Done()
		return
	}
	rng := n.w.Random("outages")
	begin := time.Now()
	for ctx.Err() == nil {
		workload.Pause(ctx, n.plan.Outages/2+time.Duration(rng.Int64N(int64(n.plan.Outages))))
		n.awaitFaulty(ctx, begin)
		if ctx.Err() == nil {
			n.outage(t, ctx, rng)
		}
	}
}

// awaitFaulty waits for the part of the period in which things break.
func (n *nemesis) awaitFaulty(ctx context.Context, begin time.Time) {
	if at := time.Since(begin) % (faulty + quiet); at > faulty && !n.plan.Storm {
		workload.Pause(ctx, faulty+quiet-at)
	}
}

func (n *nemesis) window(name string, from time.Duration, settle time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.windows = append(n.windows, history.Window{Name: name, Start: from, End: n.w.Now() + settle})
	n.log.Warn("fault", slog.String("what", name), slog.Duration("from", from), slog.Duration("now", n.w.Now()))
}

// outage stops a node in order, polls and all, or kills it, and starts it again.
func (n *nemesis) outage(t testing.TB, ctx context.Context, rng *rand.Rand) {
	i := rng.IntN(deploytest.Size)
	from := n.w.Now()
	name := fmt.Sprintf("stop n%d", i+1)
	if rng.IntN(3) > 0 {
		name = fmt.Sprintf("kill n%d", i+1)
		n.cluster.Crash(t, i)
	} else {
		n.cluster.Stop(t, i)
	}
	down := n.w.Now()
	workload.Pause(ctx, time.Duration(rng.Int64N(int64(3*time.Second))))
	again := n.w.Now()
	n.cluster.Restart(t, i)
	n.w.Place(i, n.cluster.URL(t, i))
	n.window(name, from, settleOutage)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.outages = append(n.outages, fmt.Sprintf("%s at %.1fs, down after %.1fs, started %.1fs later, up after %.1fs", name,
		from.Seconds(), (down-from).Seconds(), (again-down).Seconds(), (n.w.Now()-again).Seconds()))
}

func (n *nemesis) stepDowns(ctx context.Context, rng *rand.Rand) {
	if n.plan.StepDowns == 0 {
		return
	}
	begin := time.Now()
	for ctx.Err() == nil {
		workload.Pause(ctx, n.plan.StepDowns)
		n.awaitFaulty(ctx, begin)
		leads := n.leads()
		if len(leads) == 0 || ctx.Err() != nil {
			continue
		}
		l := leads[rng.IntN(len(leads))]
		from := n.w.Now()
		if err := l.StepDown(); err != nil {
			continue // its node went down, or somebody else leads by now
		}
		n.window(strings.TrimSpace("step down "+l.Stream+" "+l.Consumer), from, settleStepDown)
		n.mu.Lock()
		n.steps++
		n.mu.Unlock()
	}
}

// leads lists the leaders of what the tenants have.
func (n *nemesis) leads() []deploytest.Lead {
	all := n.cluster.Leads()
	ours := make(map[string]bool)
	for _, l := range all {
		ours[l.Account] = ours[l.Account] || strings.HasPrefix(l.Stream, "q_")
	}
	return slices.DeleteFunc(all, func(l deploytest.Lead) bool {
		return !ours[l.Account] || n.plan.Only == "streams" && l.Consumer != "" || n.plan.Only == "consumers" && l.Consumer == ""
	})
}
