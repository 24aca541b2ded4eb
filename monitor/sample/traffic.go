package sample

import (
	"sync"
	"time"

	"dms/mapping/dms"
	"dms/tenancy"
)

// Counts is what has passed through a queue or a group at one node since it started.
type Counts struct {
	Requests  uint64 `json:"r,omitempty"` // of a queue: to send, consume and acknowledge
	Bytes     uint64 `json:"b,omitempty"` // of a queue: sent
	Delivered uint64 `json:"d,omitempty"` // of a group, and so are the following
	Settled   uint64 `json:"s,omitempty"`
	Failed    uint64 `json:"f,omitempty"`
	Polls     uint64 `json:"w,omitempty"`
}

func (c Counts) plus(o Counts) Counts {
	return Counts{c.Requests + o.Requests, c.Bytes + o.Bytes, c.Delivered + o.Delivered, c.Settled + o.Settled, c.Failed + o.Failed, c.Polls + o.Polls}
}

// since is what was added to o. A counter that is smaller than before has started anew.
func (c Counts) since(o Counts) Counts {
	d := func(now, before uint64) uint64 {
		if now < before {
			return now
		}
		return now - before
	}
	return Counts{
		d(c.Requests, o.Requests), d(c.Bytes, o.Bytes), d(c.Delivered, o.Delivered),
		d(c.Settled, o.Settled), d(c.Failed, o.Failed), d(c.Polls, o.Polls),
	}
}

// Place is a queue or group of a project.
type Place struct {
	Project tenancy.ProjectID `json:"p"`
	Queue   dms.QueueID       `json:"q"`
	Group   dms.GroupID       `json:"g,omitempty"`
}

// Counted is the counts of one place.
type Counted struct {
	Place
	Counts
	// Before is what the node said when it was last asked, by whomever.
	Before Counts `json:"before,omitzero"`
}

// forgetAfter is for how long a place is remembered that nothing passes through.
const forgetAfter = time.Hour

// Traffic counts what passes through one node. It is safe for concurrent use; its zero
// value is ready.
type Traffic struct {
	mu     sync.RWMutex
	places map[Place]*counter
}

type counter struct {
	mu           sync.Mutex
	counts, told Counts
	used         time.Time
}

// Add counts something that passed.
func (t *Traffic) Add(p Place, c Counts, now time.Time) {
	t.mu.RLock()
	at := t.places[p]
	t.mu.RUnlock()
	if at == nil {
		t.mu.Lock()
		if t.places == nil {
			t.places = make(map[Place]*counter)
		}
		if at = t.places[p]; at == nil {
			at = &counter{}
			t.places[p] = at
		}
		t.mu.Unlock()
	}
	at.mu.Lock()
	at.counts, at.used = at.counts.plus(c), now
	at.mu.Unlock()
}

// Counted returns all counts, and forgets places through which nothing has passed for an
// hour.
func (t *Traffic) Counted(now time.Time) []Counted {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]Counted, 0, len(t.places))
	for p, c := range t.places {
		c.mu.Lock()
		counts, told, idle := c.counts, c.told, now.Sub(c.used)
		c.told = counts
		c.mu.Unlock()
		if idle > forgetAfter {
			delete(t.places, p)
			continue
		}
		all = append(all, Counted{p, counts, told})
	}
	return all
}

// Meters turns the counts of several nodes into what has passed since the last time.
type Meters struct {
	nodes map[string]map[Place]Counts // by a run of a node
}

// Advance takes the counts of each run of a node and returns what was added since the
// call before. Of a run that is heard for the first time, what it had told before was for
// somebody else to count.
func (m *Meters) Advance(runs map[string][]Counted) map[Place]Counts {
	added := make(map[Place]Counts)
	if m.nodes == nil {
		m.nodes = make(map[string]map[Place]Counts)
	}
	for run, counted := range runs {
		before, seen := m.nodes[run]
		now := make(map[Place]Counts, len(counted))
		for _, c := range counted {
			now[c.Place] = c.Counts
			from := c.Before
			if seen {
				from = before[c.Place]
			}
			added[c.Place] = added[c.Place].plus(c.since(from))
		}
		m.nodes[run] = now
	}
	for run := range m.nodes {
		// A run that is silent may be heard again; many have ended.
		if _, ok := runs[run]; !ok && len(m.nodes) > mostRuns {
			delete(m.nodes, run)
		}
	}
	return added
}

// mostRuns bounds the runs of nodes that are remembered.
const mostRuns = 32
