package faults

import (
	"time"

	"dms/e2e/workload"
)

// Plan says what the clients of a run do and what breaks meanwhile.
type Plan struct {
	workload.Plan
	For time.Duration // of load; setting up and draining come on top

	// StepDowns is how often a random leader steps down in a time of faults; 0 is never.
	StepDowns time.Duration
	// Storm lets leaders step down all the time, and not in turns with quiet times.
	Storm bool
	// Only restricts step-downs to "streams" or "consumers"; empty is both.
	Only string
	// Outages is how often a node is stopped or killed; 0 is never.
	Outages time.Duration
}

// Usual is a run with every behaviour and every fault in it.
func Usual(seed uint64, load time.Duration, rate int) Plan {
	p := Plan{Plan: workload.Usual(seed, rate), For: load, StepDowns: time.Second, Outages: 16 * time.Second}
	p.Drain = max(p.Drain, load)
	return p
}
