package facade

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"dms/facade/limit"
	"dms/mapping/dms"
	"dms/tenancy"
)

// Limits keep callers from taking more than their share of this node. 0 means no limit.
type Limits struct {
	RequestsPerSecond int // of a project; as many at once
	BytesPerSecond    int // of a project, requests and answers together
	FailuresPerSecond int // refused credentials of an address; five seconds' worth at once
	PollsPerSource    int // requests of an address that wait for messages
	PollsPerProject   int // requests of a project that do; 0 means three quarters of Capacity.Polls
	StreamsPerSource  int // streams of events to an address
	StreamsPerProject int // streams of events of a project; 0 means three quarters of Capacity.Streams
}

func (l Limits) validate() error {
	if min(l.RequestsPerSecond, l.BytesPerSecond, l.FailuresPerSecond, l.PollsPerSource, l.PollsPerProject, l.StreamsPerSource, l.StreamsPerProject) < 0 {
		return fmt.Errorf("limits %+v: one is negative", l)
	}
	return nil
}

// gates are what requests pass.
type gates struct {
	projects *limit.Projects
	failures *limit.Failures
	polls    *limit.Counts
	streams  *limit.Counts
}

func newGates(l Limits) gates {
	return gates{
		projects: limit.NewProjects(l.RequestsPerSecond, l.BytesPerSecond),
		failures: limit.NewFailures(l.FailuresPerSecond),
		polls:    limit.NewCounts(l.PollsPerSource),
		streams:  limit.NewCounts(l.StreamsPerSource),
	}
}

// mayTry refuses addresses whose credentials were wrong too often, before anything is
// verified.
func (a *API) mayTry(c *call) error {
	wait, ok := a.gates.failures.Allowed(eventOf(c.ctx()).source, a.o.Now())
	if ok {
		return nil
	}
	c.retryAfter(wait)
	return dms.Errorf(dms.TooManyRequests, "too many requests with wrong credentials came from this address: wait and repeat the request")
}

// mayGoOn takes the request out of the project's rate.
func (a *API) mayGoOn(c *call, project tenancy.ProjectID) error {
	v := a.gates.projects.Admit(project, a.o.Now())
	if policy := a.gates.projects.Policy(); policy != "" {
		h := c.w.Header()
		h["Ratelimit-Policy"] = []string{policy}
		h["Ratelimit"] = []string{a.gates.projects.Field(v)}
	}
	if v.OK {
		return nil
	}
	c.retryAfter(v.Wait)
	return dms.Errorf(dms.TooManyRequests, "the project makes more requests, or moves more bytes, than it may: wait and repeat the request")
}

func (c *call) retryAfter(wait time.Duration) {
	c.w.Header().Set("Retry-After", strconv.FormatInt(max(limit.Seconds(wait), 1), 10))
}

// settle counts what is known of a request when it has been answered.
func (a *API) settle(ev *event, status int, sent int64) {
	// That nobody has signed in yet is no guess of a credential.
	if status == http.StatusUnauthorized && !ev.bare {
		a.gates.failures.Failed(ev.source, a.o.Now())
	}
	if ev.member {
		a.gates.projects.Charge(ev.project, ev.received+sent, a.o.Now())
	}
}
