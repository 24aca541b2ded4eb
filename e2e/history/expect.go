package history

import "time"

// Expect is what a run was meant to be: it turns a history into something to judge.
type Expect struct {
	Tenants []Tenant
	Queues  []Queue
	// Faults are the times in which something was broken on purpose, from the first
	// injection until the service was whole again, settling included.
	Faults   []Window
	Counters []Counters // read at rest, after the last call of the history
	// Lag is how long after the end of a last lease its dead letter may take to appear;
	// 0 means 15 s.
	Lag time.Duration
	// Dedup is how long an idempotency key holds; 0 means 2 min.
	Dedup time.Duration
}

// Tenant is a project with texts that only it may see, such as a prefix of its names.
// The id is always a mark of its own.
type Tenant struct {
	ID    string
	Marks []string
}

// Queue is a queue of the run.
type Queue struct {
	Tenant, ID string
	FIFO       bool
	// MaxConsume is after how many failures a message becomes a dead letter; 0 means never.
	MaxConsume int
	Retention  time.Duration // 0 means 72 h
	Groups     []Group
}

// Group is a consumer group of a queue.
type Group struct {
	ID string
	// Open tells that the run did not read the group to its end, or deleted it, so that
	// a message nobody saw is not a loss.
	Open bool
	// DeadOpen says the same of its dead letters.
	DeadOpen bool
}

// Window is a fault's time on the recorder's clock.
type Window struct {
	Name       string
	Start, End time.Duration
}

// Counters are a group's figures at rest.
type Counters struct {
	Tenant, Queue, Group string

	Produced, Consumed, Available, InFlight int64
	DeadProduced, DeadAvailable             int64
}

func (x *Expect) defaults() {
	if x.Lag == 0 {
		x.Lag = 15 * time.Second
	}
	if x.Dedup == 0 {
		x.Dedup = 2 * time.Minute
	}
}

// broken reports whether a fault window touches the interval.
func (x *Expect) broken(from, to time.Duration) bool {
	for _, w := range x.Faults {
		if w.Start <= to && from <= w.End {
			return true
		}
	}
	return false
}
