package faults

import "time"

// Plan says what a run does. Shares are of 1.
type Plan struct {
	Seed uint64
	For  time.Duration // of load; setting up and draining come on top
	Rate int           // messages offered a second

	// StepDowns is how often a random leader steps down in a time of faults; 0 is never.
	StepDowns time.Duration
	// Storm lets leaders step down all the time, and not in turns with quiet times.
	Storm bool
	// Only restricts step-downs to "streams" or "consumers"; empty is both.
	Only string
	// Outages is how often a node is stopped or killed; 0 is never.
	Outages time.Duration
	// OneNode sends all calls to the first node.
	OneNode bool

	MaxConsume int           // of the queues with dead letters
	Poison     int           // of so many messages one fails always; 0 is none
	Negative   float64       // batches of which a message is failed
	Never      float64       // batches that nobody acknowledges
	Late       float64       // batches whose acknowledgement comes too late
	Twice      float64       // batches that are acknowledged again
	Misused    float64       // batches of which a handle is misused
	Leave      float64       // polls that the client gives up in the middle
	Delayed    float64       // messages on NORMAL queues with a delay
	Think      time.Duration // at most, between a delivery and its acknowledgement
	Drain      time.Duration // at most
}

// Usual is a run with every behaviour and every fault in it.
func Usual(seed uint64, load time.Duration, rate int) Plan {
	return Plan{
		Seed: seed, For: load, Rate: rate,
		StepDowns: time.Second, Outages: 16 * time.Second,
		MaxConsume: 2, Poison: 60,
		Negative: .04, Never: .006, Late: .006, Twice: .05, Misused: .06, Leave: .02, Delayed: .02,
		Think: 150 * time.Millisecond, Drain: max(2*time.Minute, load),
	}
}
