package workload

import (
	"os"
	"slices"

	"dms/e2e/history"
)

// judge judges the history as a whole, and its FIFO queues once more as if nothing had
// been broken: there a record decides who may have a message, and no fault changes it.
func (w *World) judge(windows []history.Window, counters []history.Counters) (whole, strict *history.Report, err error) {
	file, err := os.Open(w.path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	h, err := history.ReadAll(file)
	if err != nil {
		return nil, nil, err
	}
	x := w.expect()
	x.Faults, x.Counters = windows, counters
	run, err := history.NewRun(h, x)
	if err != nil {
		return nil, nil, err
	}
	whole = history.Judge(run)

	// The counters have been judged.
	x.Faults, x.Counters = nil, nil
	x.Queues = slices.DeleteFunc(x.Queues, func(q history.Queue) bool { return !q.FIFO })
	fifo := &history.History{Cut: h.Cut}
	for _, c := range h.Calls {
		if slices.ContainsFunc(x.Queues, func(q history.Queue) bool { return q.ID == c.Queue }) {
			fifo.Calls = append(fifo.Calls, c)
		}
	}
	if run, err = history.NewRun(fifo, x); err != nil {
		return nil, nil, err
	}
	return whole, history.Judge(run), nil
}

// expect says what the run has made, and what of it was read to the end.
func (w *World) expect() history.Expect {
	var x history.Expect
	for _, t := range w.tenants {
		x.Tenants = append(x.Tenants, history.Tenant{ID: t.id, Marks: []string{t.mark}})
		for _, q := range t.queues {
			expected := history.Queue{Tenant: t.id, ID: q.id, FIFO: q.fifo, MaxConsume: q.maxConsume}
			for _, g := range q.groups {
				open := !g.drained.Load()
				expected.Groups = append(expected.Groups, history.Group{ID: g.id, Open: open, DeadOpen: open})
			}
			x.Queues = append(x.Queues, expected)
		}
	}
	return x
}
