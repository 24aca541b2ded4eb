package enginetest

import (
	"testing"
	"time"

	"dms/deploy/engine"
	"dms/tenancy"
)

// Wait polls the condition until it returns "", and fails the test with what it
// returned last when that takes longer than a minute.
func Wait(t testing.TB, condition func() (problem string)) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(within); ; {
		problem := condition()
		if problem == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after %v still: %s", within, problem)
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("interrupted while: %s", problem)
		}
	}
}

// WaitStreamLeader waits until a running member leads the project's stream, and returns
// the place of that member.
func (c *Cluster) WaitStreamLeader(t testing.TB, id tenancy.ProjectID, stream string) int {
	t.Helper()
	account, err := c.accounts[0].ID(id)
	if err != nil {
		t.Fatalf("account of project: %v", err)
	}
	return c.waitLeader(t, "stream "+stream, func(m *engine.Member) bool { return m.LeadsStream(account, stream) })
}

// WaitConsumerLeader is WaitStreamLeader for a consumer.
func (c *Cluster) WaitConsumerLeader(t testing.TB, id tenancy.ProjectID, stream, consumer string) int {
	t.Helper()
	account, err := c.accounts[0].ID(id)
	if err != nil {
		t.Fatalf("account of project: %v", err)
	}
	return c.waitLeader(t, "consumer "+consumer, func(m *engine.Member) bool {
		return m.LeadsConsumer(account, stream, consumer)
	})
}

// WaitClusterLeader waits until a running member leads the cluster, and returns its place.
func (c *Cluster) WaitClusterLeader(t testing.TB) int {
	t.Helper()
	return c.waitLeader(t, "cluster", (*engine.Member).IsClusterLeader)
}

func (c *Cluster) waitLeader(t testing.TB, what string, leads func(*engine.Member) bool) int {
	t.Helper()
	leader := -1
	Wait(t, func() string {
		for i := range c.trio.Size() {
			if m := c.trio.Member(i); m != nil && leads(m) {
				leader = i
				return ""
			}
		}
		return "no leader of " + what
	})
	return leader
}

// StepDown makes the leader of the project's stream give it up.
func (c *Cluster) StepDown(t testing.TB, id tenancy.ProjectID, stream string) {
	t.Helper()
	account, err := c.accounts[0].ID(id)
	if err != nil {
		t.Fatalf("account of project: %v", err)
	}
	leader := c.WaitStreamLeader(t, id, stream)
	m := c.trio.Member(leader)
	if m == nil {
		t.Fatalf("member %d went down", leader)
	}
	if err := m.StepDown(account, stream); err != nil {
		t.Fatalf("step down: %v", err)
	}
}
