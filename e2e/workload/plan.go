package workload

import "time"

// Plan says what the clients do. Shares are of 1.
type Plan struct {
	Seed uint64
	Rate int // messages offered a second
	// Ordered is how much of that a FIFO queue gets, of what another queue gets; 0 is the
	// same. A group of it consumes one batch after the other, and falls behind first.
	Ordered float64

	// Clients is how many producers a queue and consumers a group has; 0 is two. More of
	// them offer and take more than one call after the other can.
	Clients int
	// MakeUp is for how long a producer that was held up offers what it owes afterwards.
	MakeUp time.Duration

	// OneNode sends all calls to the first node.
	OneNode bool

	// Keyed is the share of sends with an Idempotency-Key; only those are made again.
	Keyed float64
	// Patience is how long one operation is repeated while its outcome is unknown, as a
	// good client does; 0 means a few tries.
	Patience time.Duration
	// CallLimit bounds every call but polls; 0 means longer than the service holds one.
	CallLimit time.Duration

	MaxConsume int           // of the queues with dead letters
	Poison     int           // of so many messages one fails always; 0 is none
	Negative   float64       // batches of which a message is failed
	Never      float64       // batches that nobody acknowledges
	Late       float64       // batches whose acknowledgement comes too late
	Twice      float64       // batches that are acknowledged again
	Misused    float64       // batches of which a handle is misused
	Leave      float64       // polls and sends with a key that the client gives up in the middle
	Delayed    float64       // messages on NORMAL queues with a delay
	Think      time.Duration // at most, between a delivery and its acknowledgement
	Drain      time.Duration // at most
}

func (p Plan) clients() int {
	if p.Clients == 0 {
		return 2
	}
	return p.Clients
}

// every is how often one producer of a queue offers a message.
func (p Plan) every(q *queue, all []*queue) time.Duration {
	share := func(q *queue) float64 {
		if q.fifo && p.Ordered > 0 {
			return p.Ordered
		}
		return 1
	}
	sum := 0.0
	for _, o := range all {
		sum += share(o)
	}
	return time.Duration(float64(time.Second) * float64(p.clients()) * sum / share(q) / float64(p.Rate))
}

// Usual is a plan with every behaviour in it.
func Usual(seed uint64, rate int) Plan {
	return Plan{
		Seed: seed, Rate: rate, Keyed: .5,
		MaxConsume: 2, Poison: 60,
		Negative: .04, Never: .006, Late: .006, Twice: .05, Misused: .06, Leave: .02, Delayed: .02,
		Think: 150 * time.Millisecond, Drain: 2 * time.Minute, MakeUp: time.Second,
	}
}
