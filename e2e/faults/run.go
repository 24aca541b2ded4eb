package faults

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"dms/deploy"
	"dms/deploy/deploytest"
	"dms/e2e/workload"
	"dms/tenancy"
)

// Outcome is what came of a run.
type Outcome struct {
	*workload.Outcome
	Plan      Plan
	Nodes     string // the file of what the nodes logged
	StepDowns int
	Outages   []string
}

func (o *Outcome) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "seed %d, %v of load at %d messages a second; %d step-downs, %d outages\n",
		o.Plan.Seed, o.Plan.For, o.Plan.Rate, o.StepDowns, len(o.Outages))
	for _, l := range o.Outages {
		fmt.Fprintf(&s, "   %s\n", l)
	}
	fmt.Fprint(&s, o.Outcome)
	return s.String()
}

// Run runs three nodes, the load and the faults of the plan, and judges the history,
// which it leaves in the folder.
func Run(t testing.TB, p Plan, folder string) (*Outcome, error) {
	out := &Outcome{Plan: p, Nodes: filepath.Join(folder, "nodes.log")}
	nodes, err := os.Create(out.Nodes)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { nodes.Close() }) // after the nodes have stopped
	warnings := slog.New(slog.NewTextHandler(nodes, &slog.HandlerOptions{Level: slog.LevelWarn}))
	cluster := deploytest.StartLogged(t, warnings, func(c *deploy.Config) { c.Disk.Limit = 16 << 30 }) // sparse
	w, err := workload.New(p.Plan, filepath.Join(folder, "history.jsonl"))
	if err != nil {
		return nil, err
	}
	defer w.Close()
	for i := range deploytest.Size {
		w.Place(i, cluster.URL(t, i))
	}
	for i := range 2 {
		id := cluster.AccessKey(i).Project
		w.Admit(string(id), cluster.Token(t, id, tenancy.Manager), fmt.Sprintf("tenant%d-marked", i+1))
	}
	if err := w.SetUp(t.Context()); err != nil {
		return nil, err
	}
	n := &nemesis{w: w, plan: p, cluster: cluster, log: warnings}
	n.load(t)
	if out.Outcome, err = w.Finish(t.Context(), n.windows); err != nil {
		return nil, err
	}
	out.StepDowns, out.Outages = n.steps, n.outages
	return out, nil
}

// load breaks things while all clients work, and returns when these have come to an end
// and all nodes run.
func (n *nemesis) load(t testing.TB) {
	ctx, cancel := context.WithTimeout(t.Context(), n.plan.For)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { n.w.Load(ctx) })
	n.run(t, ctx)
}
