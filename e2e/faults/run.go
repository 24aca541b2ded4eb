package faults

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dms/deploy"
	"dms/deploy/deploytest"
	"dms/e2e/history"
	"dms/tenancy"
)

const consumersPerGroup = 2

// Outcome is what came of a run.
type Outcome struct {
	*history.Report
	// Strict judges the FIFO queues once more, without any allowance for faults.
	Strict     *history.Report
	Plan       Plan
	History    string // the file
	Nodes      string // the file of what the nodes logged
	StepDowns  int
	Outages    []string
	Left       []string // groups that were not read to their end in time
	Complaints []string // what is wrong beyond what a history can tell
	Refusals   map[string]int
	Took       map[string]time.Duration
}

// OK reports whether nothing at all is to be complained about.
func (o *Outcome) OK() bool {
	return o.Report.OK() && o.Strict.OK() && len(o.Left) == 0 && len(o.Complaints) == 0
}

// Violated names the checks that found something.
func (o *Outcome) Violated() []string {
	var all []string
	for i, f := range o.Findings {
		if len(f.Violations) > 0 || len(o.Strict.Findings[i].Violations) > 0 {
			all = append(all, f.Name)
		}
	}
	return all
}

func (o *Outcome) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "seed %d, %v of load at %d messages a second; %d step-downs, %d outages\n",
		o.Plan.Seed, o.Plan.For, o.Plan.Rate, o.StepDowns, len(o.Outages))
	for _, l := range o.Outages {
		fmt.Fprintf(&s, "   %s\n", l)
	}
	for _, k := range slices.Sorted(maps.Keys(o.Took)) {
		fmt.Fprintf(&s, "%s took %.1fs  ", k, o.Took[k].Seconds())
	}
	s.WriteString("\nrefused: ")
	for _, k := range slices.Sorted(maps.Keys(o.Refusals)) {
		fmt.Fprintf(&s, "%s: %d; ", k, o.Refusals[k])
	}
	fmt.Fprintf(&s, "\n%v", o.Report)
	if o.Report.OK() && !o.Strict.OK() {
		fmt.Fprintf(&s, "FIFO QUEUES WITHOUT ALLOWANCE FOR FAULTS\n%v", o.Strict)
	}
	for _, l := range o.Left {
		fmt.Fprintf(&s, "NOT DRAINED %s\n", l)
	}
	for _, c := range o.Complaints {
		fmt.Fprintf(&s, "COMPLAINT %s\n", c)
	}
	return s.String()
}

// Run runs three nodes, the load and the faults of the plan, and judges the history,
// which it leaves in the folder.
func Run(t testing.TB, p Plan, folder string) (*Outcome, error) {
	out := &Outcome{Plan: p, History: filepath.Join(folder, "history.jsonl"), Nodes: filepath.Join(folder, "nodes.log"), Took: make(map[string]time.Duration)}
	mark := time.Now()
	lap := func(what string) {
		out.Took[what] = time.Since(mark)
		mark = time.Now()
	}
	nodes, err := os.Create(out.Nodes)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { nodes.Close() }) // after the nodes have stopped
	warnings := slog.New(slog.NewTextHandler(nodes, &slog.HandlerOptions{Level: slog.LevelWarn}))
	cluster := deploytest.StartLogged(t, warnings, func(c *deploy.Config) { c.Disk.Limit = 16 << 30 }) // sparse
	file, err := os.Create(out.History)
	if err != nil {
		return nil, err
	}
	w := newWorld(p, history.NewRecorder(file))
	defer w.http.CloseIdleConnections()
	for i := range size {
		w.nodes.set(i, cluster.URL(t, i))
	}
	for i := range 2 {
		id := cluster.AccessKey(i).Project
		w.tenants = append(w.tenants, &tenant{id: string(id), token: cluster.Token(t, id, tenancy.Manager), mark: fmt.Sprintf("tenant%d-marked", i+1)})
	}
	ctx := t.Context()
	if err := w.setUp(ctx); err != nil {
		return nil, errors.Join(err, w.rec.Close(), file.Close())
	}
	lap("1 start")
	n := &nemesis{w: w, cluster: cluster, log: warnings}
	w.load(t, n)
	lap("2 load")
	out.Left = w.drain(ctx)
	lap("3 drain")
	counters, err := w.finalCounters(ctx)
	if err := errors.Join(err, w.rec.Close(), file.Close()); err != nil {
		return nil, err
	}
	if out.Report, out.Strict, err = w.judge(out.History, n.windows, counters); err != nil {
		return nil, err
	}
	lap("4 judgement")
	out.StepDowns, out.Outages = n.steps, n.outages
	out.Complaints, out.Refusals = w.complaints, w.refusals
	return out, nil
}

// load runs all clients while the nemesis works, and returns when all have come to an
// end and all nodes run.
func (w *world) load(t testing.TB, n *nemesis) {
	ctx, cancel := context.WithTimeout(t.Context(), w.plan.For)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	queues := len(w.tenants) * len(w.tenants[0].queues)
	for i, t := range w.tenants {
		for k, q := range t.queues {
			for j := range 2 {
				p := &producer{caller: w.caller(t, "p-%d-%d-%d", i, k, j), queue: q,
					every: time.Second * time.Duration(2*queues) / time.Duration(w.plan.Rate)}
				wg.Go(func() { p.run(ctx) })
			}
			for gi, g := range q.groups {
				for j := range consumersPerGroup {
					c := &consumer{caller: w.caller(t, "c-%d-%d-%d-%d", i, k, gi, j), group: g}
					wg.Go(func() { c.run(ctx) })
				}
				if q.maxConsume > 0 {
					c := &consumer{caller: w.caller(t, "d-%d-%d-%d", i, k, gi), group: g, store: dead}
					wg.Go(func() { c.run(ctx) })
				}
			}
		}
		p := &prober{caller: w.caller(t, "x-%d", i), victim: w.tenants[(i+1)%len(w.tenants)]}
		wg.Go(func() { p.run(ctx) })
	}
	n.run(t, ctx)
}
