package workload

import (
	"context"
	"net/http"
	"slices"
	"time"

	"dms/e2e/history"
)

// Operation is what one client wanted, made again under the same key or handles until
// its outcome was known: only the last answer counts.
type Operation struct {
	Op         history.Op // Send with a key, or Ack
	Queue      string
	Start, End time.Duration // as in the history
	// Known tells that the last answer said what became of it: done, or refused for good.
	Known  bool
	Tries  int
	Status int // of the last answer; 0 is none
}

// Took is how long the client waited for its answer.
func (o Operation) Took() time.Duration { return o.End - o.Start }

// Operations lists the operations that have ended, by the order of their ends.
func (w *World) Operations() []Operation {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.operations)
}

const (
	fewTries   = 4 // without patience
	leastPause = 25 * time.Millisecond
	mostPause  = 200 * time.Millisecond
)

// known reports whether an answer says what became of a call. Too many requests is an
// invitation to come again.
func known(status int) bool {
	return status/100 == 2 || status/100 == 4 && status != http.StatusTooManyRequests
}

// persist makes a call until its outcome is known, as long as the plan has patience and
// the deadline, if there is one, is ahead. It returns the last status.
func (c *caller) persist(op history.Op, queue string, deadline time.Time, call func() int) int {
	o := Operation{Op: op, Queue: queue, Start: c.w.Now()}
	end := time.Now().Add(c.w.plan.Patience)
	if !deadline.IsZero() && deadline.Before(end) {
		end = deadline
	}
	for pause := leastPause; ; pause = min(2*pause, mostPause) {
		o.Status = call()
		o.Tries++
		o.Known = known(o.Status)
		if o.Known || c.w.plan.Patience > 0 && time.Now().After(end) || c.w.plan.Patience == 0 && o.Tries == fewTries {
			break
		}
		Pause(context.Background(), pause/2+time.Duration(c.rng.Int64N(int64(pause))))
	}
	o.End = c.w.Now()
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.w.operations = append(c.w.operations, o)
	return o.Status
}
