package deploy_test

import (
	"fmt"
	"sync"
	"testing"

	"dms/deploy/deploytest"
	"dms/tenancy"
)

// loaded sends messages through a node until it is stopped, and counts those that were
// answered as stored. What is not is repeated under the same key.
type loaded struct {
	stop chan struct{}
	work sync.WaitGroup
	n    int
}

func load(via *caller, queue string) *loaded { return loadFrom(via, queue, 0) }

// loadFrom goes on with what an earlier load has sent.
func loadFrom(via *caller, queue string, sent int) *loaded {
	l := &loaded{stop: make(chan struct{}), n: sent}
	l.work.Go(func() { // ends through stop
		for {
			select {
			case <-l.stop:
				return
			default:
			}
			if via.send(queue, l.n) == 201 {
				l.n++
			}
		}
	})
	return l
}

// end stops the load and returns how many messages are stored.
func (l *loaded) end() int {
	close(l.stop)
	l.work.Wait()
	return l.n
}

// A node that lost its disk comes back under its name with an empty folder.
func TestALostNodeIsReplacedUnderLoad(t *testing.T) {
	t.Parallel() // it waits more than it works
	c := deploytest.Start(t)
	project := c.AccessKey(0).Project
	via := func(i int) *caller { return newCaller(t, c.URL(t, i), project, c.Token(t, project, tenancy.Manager)) }
	queue, group := makeQueue(via(0))
	store(via(0), queue, 1_000_000, 1_000_050)
	sending := load(via(0), queue)
	c.Crash(t, 2)
	c.Lose(t, 2)
	waitVerdict(t, c, 0, "2 of 3, can lose none")
	c.Restart(t, 2)
	waitVerdict(t, c, 0, "3 of 3, can lose 1")
	sent := sending.end()
	if sent == 0 {
		t.Error("nothing was stored while a node was replaced")
	}
	waitVerdict(t, c, 0, "3 of 3, can lose 1")
	c.Stop(t, 1)
	wantAll(t, via(2), group, sent, 50)
}

// A node that is lost for good is replaced by one of another name, and then forgotten.
func TestANodeOfAnotherNameTakesTheLostOnesPlace(t *testing.T) {
	t.Parallel() // it waits more than it works
	c := deploytest.Start(t)
	project := c.AccessKey(0).Project
	via := func(i int) *caller { return newCaller(t, c.URL(t, i), project, c.Token(t, project, tenancy.Manager)) }
	operator := func(i int) *caller {
		o := newCaller(t, c.URL(t, i), project, c.Token(t, project, tenancy.Operator))
		o.base = c.URL(t, i)
		return o
	}
	queue, group := makeQueue(via(0))
	store(via(0), queue, 1_000_000, 1_000_050)
	if status := operator(0).do("DELETE", "/admin/v1/cluster/members/n3", "", nil); status != 400 {
		t.Errorf("a member that runs is removed: %d", status)
	}
	sending := load(via(0), queue)
	c.Crash(t, 2)
	waitVerdict(t, c, 0, "2 of 3, can lose none")
	if status := operator(0).do("DELETE", "/admin/v1/cluster/members/n3", "", nil); status != 400 {
		t.Errorf("a member is removed that nobody has taken the place of: %d", status)
	}
	c.Replace(t, 2, "n4")
	c.Restart(t, 2)
	waitWithin(t, recovery, "the lost member to be removed", func() (string, bool) {
		status := operator(0).do("DELETE", "/admin/v1/cluster/members/n3", "", nil)
		return fmt.Sprintf("the answer is %d, %+v", status, clusterState(t, c, 0)), status == 204
	})
	waitVerdict(t, c, 0, "3 of 3, can lose 1")
	sent := sending.end()
	waitVerdict(t, c, 0, "3 of 3, can lose 1")
	waitWithin(t, recovery, "a member that never was not to be found", func() (string, bool) {
		status := operator(0).do("DELETE", "/admin/v1/cluster/members/n9", "", nil)
		return fmt.Sprintf("the answer is %d", status), status == 404 // 400 while a member is behind
	})
	c.Stop(t, 1)
	wantAll(t, via(2), group, sent, 50)
}

// wantAll consumes what load has sent, and some more from a million on.
func wantAll(t *testing.T, via *caller, group string, sent, more int) {
	t.Helper()
	got := drain(t, via, group, sent+more)
	for n := range sent {
		if got[n] == 0 {
			t.Errorf("message %d of %d is lost", n, sent)
		}
	}
	for n := range more {
		if got[1_000_000+n] == 0 {
			t.Errorf("message %d is lost", 1_000_000+n)
		}
	}
}
