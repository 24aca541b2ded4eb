package workload

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"dms/e2e/history"
)

// Outcome is what came of a history.
type Outcome struct {
	*history.Report
	// Strict judges the FIFO queues once more, without any allowance for faults.
	Strict     *history.Report
	History    string   // the file
	Left       []string // groups that were not read to their end in time
	Complaints []string // what is wrong beyond what a history can tell
	Refusals   map[string]int
	Took       map[string]time.Duration // by part of the run
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

// Finish drains every group, reads the figures, closes the history and judges it. It is
// called when nothing is broken any more.
func (w *World) Finish(ctx context.Context, windows []history.Window) (*Outcome, error) {
	out := &Outcome{History: w.path, Took: w.took}
	w.lap("2 load")
	out.Left = w.drain(ctx)
	w.lap("3 drain")
	counters, err := w.finalCounters(ctx)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	if out.Report, out.Strict, err = w.judge(windows, counters); err != nil {
		return nil, err
	}
	w.lap("4 judgement")
	w.mu.Lock()
	defer w.mu.Unlock()
	out.Complaints, out.Refusals = w.complaints, w.refusals
	return out, nil
}

// lap notes how long the part of the run took that ends now.
func (w *World) lap(what string) {
	w.took[what] = time.Since(w.mark)
	w.mark = time.Now()
}
