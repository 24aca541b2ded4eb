package facade

import (
	"fmt"
	"sync"

	"dms/mapping/dms"
	"dms/tenancy"
)

// Capacity is how many requests of a kind one node works on at a time; the next one
// is refused at once with 503. A zero value means the default. The kinds are apart so
// that waiting consumers cannot keep out acknowledgements, which free resources.
type Capacity struct {
	Polls int // consuming; default 4096
	Sends int // default 256
	Acks  int // default 512
	Admin int // everything else; default 128
	// Streams are those of events, which go on for as long as somebody looks; default 512.
	Streams int
}

func (c Capacity) validate() error {
	if c.Polls < 0 || c.Sends < 0 || c.Acks < 0 || c.Admin < 0 || c.Streams < 0 {
		return fmt.Errorf("capacity %+v: a limit is negative", c)
	}
	return nil
}

// class is a kind of request with a pool of its own.
type class uint8

const (
	admin class = iota
	polls
	sends
	acks
	streams
	classes
)

func (c class) String() string {
	return [classes]string{"admin", "polls", "sends", "acks", "streams"}[c]
}

type pools [classes]*pool

// newPools makes the pools. The limits of a project say how many of its requests wait for
// messages, and how many of its streams are open; 0 means the share that it has of every
// pool.
func newPools(c Capacity, l Limits) pools {
	size := func(n, byDefault int) *pool {
		if n == 0 {
			n = byDefault
		}
		// One project may take three quarters, so that it alone cannot shut the
		// others out.
		return &pool{size: n, share: n - n/4, running: make(map[tenancy.ProjectID]int)}
	}
	all := pools{
		admin: size(c.Admin, 128), polls: size(c.Polls, 4096),
		sends: size(c.Sends, 256), acks: size(c.Acks, 512),
		streams: size(c.Streams, 512),
	}
	for class, most := range map[class]int{polls: l.PollsPerProject, streams: l.StreamsPerProject} {
		if most > 0 {
			all[class].share = min(most, all[class].size)
		}
	}
	return all
}

// pool counts running requests.
type pool struct {
	size, share int

	mu      sync.Mutex
	full    int64 // requests refused because the node was at its limit
	shared  int64 // requests refused because their project was
	total   int
	running map[tenancy.ProjectID]int
}

// enter admits one request of the project or says why not. The caller leaves again.
func (p *pool) enter(project tenancy.ProjectID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.total >= p.size {
		p.full++
		return dms.Errorf(dms.Unavailable, "this node is working at its limit: repeat the request")
	}
	if p.running[project] >= p.allowance(project) {
		p.shared++
		return dms.Errorf(dms.TooManyRequests, "the project has too many requests running at once: wait and repeat the request")
	}
	p.total++
	p.running[project]++
	return nil
}

// allowance is how many requests the project may have running. Once three quarters of the
// pool are taken, projects share it evenly: who has more than that waits for the others.
func (p *pool) allowance(project tenancy.ProjectID) int {
	if p.total < p.size-p.size/4 {
		return p.share
	}
	active := len(p.running)
	if p.running[project] == 0 {
		active++
	}
	return min(p.share, max(p.size/active, 1))
}

func (p *pool) leave(project tenancy.ProjectID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total--
	if p.running[project]--; p.running[project] == 0 {
		delete(p.running, project)
	}
}

// Load is how many requests of a kind a node works on, and how many it has refused since
// it started.
type Load struct {
	Class                       string
	Running, Capacity           int
	RefusedNode, RefusedProject int64
}

// Load returns the load of every kind of request.
func (a *API) Load() []Load {
	all := make([]Load, 0, len(a.pools))
	for c, p := range a.pools {
		p.mu.Lock()
		all = append(all, Load{class(c).String(), p.total, p.size, p.full, p.shared})
		p.mu.Unlock()
	}
	return all
}
