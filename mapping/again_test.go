package mapping

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"dms/deploy/engine/enginetest"
	"dms/mapping/dms"

	"github.com/google/go-cmp/cmp"
)

// kill makes n dead letters of the group, one after the other.
func kill(t testing.TB, b *Broker, ref dms.GroupRef, n int) {
	t.Helper()
	for range n {
		acknowledge(t, b, ref, dms.Live, acks(receiveExactly(t, b, ref, 1), false), 0)
	}
}

// finished waits until the job has ended.
func finished(t testing.TB, b *Broker, ref dms.GroupRef, id dms.JobID) (j dms.Job) {
	t.Helper()
	enginetest.Wait(t, func() string {
		var err error
		if j, err = b.Job(t.Context(), ref.QueueRef, id); err == nil && j.State != dms.JobRunning {
			return ""
		}
		return fmt.Sprintf("%+v, %v", j, err)
	})
	return j
}

func TestDeadLettersGoBackToTheirGroupAlone(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		p := newProject(t)
		a, b := newBroker(t, p, 0, 2), newBroker(t, p, 1, 2)
		queue, group := newQueue(t, a, p, dms.NewQueue{Mode: mode, MaxConsumeCount: 1})
		others, err := a.CreateGroups(t.Context(), queue, []string{"others"})
		if err != nil {
			t.Fatal(err)
		}
		other := others[0].Ref
		send(t, a, queue, "a", "b")
		acknowledge(t, a, other, dms.Live, acks(receiveExactly(t, a, other, 2)), 2)
		kill(t, a, group, 2)
		got := make(chan []dms.Delivery, 1)
		go func() { got <- receive(t, b, group, live(10, 50*time.Second)) }() // a poll that waits is woken

		dry, err := a.Redrive(t.Context(), group, dms.Redrive{Target: dms.ToGroup, DryRun: true})
		if err != nil || dry.Moved != 2 || dry.ID != "" {
			t.Errorf("dry run: %+v, %v", dry, err)
		}
		job, err := a.Redrive(t.Context(), group, dms.Redrive{Target: dms.ToGroup})
		if err != nil {
			t.Fatal(err)
		}
		if j := finished(t, b, group, job.ID); j.State != dms.JobDone || j.Moved != 2 {
			t.Errorf("the job is %+v", j)
		}
		ds := <-got
		back := bodies(ds)
		if len(ds) == 1 { // the job had put no more there; one batch is outstanding at a time
			acknowledge(t, b, group, dms.Live, acks(ds), 1)
			ds = receiveExactly(t, b, group, 1)
			back = append(back, bodies(ds)...)
		}
		if d := cmp.Diff([]string{"a", "b"}, back); d != "" {
			t.Errorf("given back (-want +got):\n%s", d)
		}
		if ds := receive(t, a, other, live(1, time.Second)); len(ds) > 0 {
			t.Errorf("the other group got %v", bodies(ds))
		}
		// One that fails again is a dead letter again.
		as := acks(ds)
		as[len(as)-1].Success = false
		acknowledge(t, a, group, dms.Live, as, len(as)-1)
		again := receive(t, a, group, dead(10, 20*time.Second))
		if d := cmp.Diff([]string{"b"}, bodies(again)); d != "" {
			t.Errorf("dead again (-want +got):\n%s", d)
		}
		want := dms.Counters{Produced: 2, Consumed: 2, DeadProduced: 1, DeadAvailable: 1}
		if d := cmp.Diff(want, counters(t, a, group)); d != "" {
			t.Errorf("counters (-want +got):\n%s", d)
		}
	})
}

func TestDeadLettersGoWhereTheyAreTold(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		f := newFixture(t, dms.NewQueue{Mode: mode, MaxConsumeCount: 1})
		elsewhere, reader := newQueue(t, f.b, f.p, dms.NewQueue{Name: "elsewhere", Mode: mode})
		send(t, f.b, f.queue, "a", "b", "c")
		kill(t, f.b, f.group, 3)
		letters := peekAll(t, f.b, f.queue, dms.Peek{Source: dms.InDead, Limit: 10, Search: dms.Search{Text: "B"}})
		// A chosen one as new into its queue, a searched one elsewhere.
		job, err := f.b.Redrive(t.Context(), f.group, dms.Redrive{Target: dms.ToQueue, Sequences: []uint64{letters[0].Sequence}})
		if err != nil {
			t.Fatal(err)
		}
		if j := finished(t, f.b, f.group, job.ID); j.Moved != 1 {
			t.Errorf("chosen: %+v", j)
		}
		if d := cmp.Diff([]string{"b"}, bodies(receiveExactly(t, f.b, f.group, 1))); d != "" {
			t.Errorf("chosen (-want +got):\n%s", d)
		}
		job, err = f.b.Redrive(t.Context(), f.group, dms.Redrive{Target: dms.ToOther, Other: elsewhere.Queue, Search: dms.Search{Text: "C"}, Rate: 100})
		if err != nil {
			t.Fatal(err)
		}
		if j := finished(t, f.b, f.group, job.ID); j.Moved != 1 || j.Skipped != 1 {
			t.Errorf("searched: %+v", j)
		}
		if d := cmp.Diff([]string{"c"}, bodies(receiveExactly(t, f.b, reader, 1))); d != "" {
			t.Errorf("searched (-want +got):\n%s", d)
		}
		if d := cmp.Diff([]string{"a"}, peekedBodies(peekAll(t, f.b, f.queue, dms.Peek{Source: dms.InDead, Limit: 10}))); d != "" {
			t.Errorf("left (-want +got):\n%s", d)
		}
		jobs, err := f.b.Jobs(t.Context(), dms.QueueRef{Project: f.p.ID})
		if err != nil || len(jobs) != 2 || jobs[0].ID != job.ID {
			t.Errorf("jobs: %+v, %v", jobs, err)
		}
	})
}

func TestAJobCanBeCancelled(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dms.NewQueue{MaxConsumeCount: 1})
	send(t, f.b, f.queue, "a", "b", "c", "d")
	kill(t, f.b, f.group, 4)
	job, err := f.b.Redrive(t.Context(), f.group, dms.Redrive{Target: dms.ToQueue, Rate: 1})
	if err != nil {
		t.Fatal(err)
	}
	if j, err := f.b.CancelJob(t.Context(), f.queue, job.ID); err != nil || j.State != dms.JobCancelled {
		t.Errorf("cancelled: %+v, %v", j, err)
	}
	moved := int64(0)
	enginetest.Wait(t, func() string {
		s := f.b.sessions[f.p.ID]
		j, err := f.b.Job(t.Context(), f.queue, job.ID)
		moved = j.Moved
		if err == nil && j.State == dms.JobCancelled && !s.jobs.busy() {
			return ""
		}
		return fmt.Sprintf("%+v, %v", j, err)
	})
	left := peekAll(t, f.b, f.queue, dms.Peek{Source: dms.InDead, Limit: 10})
	if int64(len(left)) != 4-moved || len(left) == 0 {
		t.Errorf("%d are left and %d were moved, of 4", len(left), moved)
	}
}

func TestAJobStopsAtItsFirstFailure(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dms.NewQueue{MaxConsumeCount: 1})
	elsewhere, _ := newQueue(t, f.b, f.p, dms.NewQueue{Name: "elsewhere"})
	send(t, f.b, f.queue, "a")
	kill(t, f.b, f.group, 1)
	job, err := f.b.Redrive(t.Context(), f.group, dms.Redrive{Target: dms.ToOther, Other: dms.NewQueueID()})
	if !has(err, dms.QueueNotFound) {
		t.Errorf("a target that is not there: %+v, %v", job, err)
	}
	if err := f.b.DeleteQueue(t.Context(), elsewhere); err != nil {
		t.Fatal(err)
	}
	s, release, err := f.b.session(t.Context(), f.p.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	// As if the target were deleted after the job began.
	j := jobRecord{Queue: f.queue.Queue, Group: f.group.Group, State: dms.JobRunning, Owner: f.b.nodeKey(), End: 1,
		Request: dms.Redrive{Target: dms.ToOther, Other: elsewhere.Queue}}
	id := dms.JobID(dms.NewQueueID())
	revision, err := s.writeJob(t.Context(), id, &j, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.jobs.start(id, j, revision)
	if got := finished(t, f.b, f.group, id); got.State != dms.JobFailed || got.Moved != 0 {
		t.Errorf("the job is %+v", got)
	}
	if left := peekAll(t, f.b, f.queue, dms.Peek{Source: dms.InDead, Limit: 10}); len(left) != 1 {
		t.Errorf("%d dead letters are left, want 1", len(left))
	}
}

// A job whose node has died goes on through another one.
func TestAJobOutlivesItsNode(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	a, b := newBroker(t, p, 0, 2), newBroker(t, p, 1, 2)
	queue, group := newQueue(t, a, p, dms.NewQueue{MaxConsumeCount: 1})
	if _, err := b.Queues(t.Context(), p.ID); err != nil { // it has the project open
		t.Fatal(err)
	}
	send(t, a, queue, "a", "b", "c", "d", "e", "f")
	kill(t, a, group, 6)
	job, err := a.Redrive(t.Context(), group, dms.Redrive{Target: dms.ToQueue, Rate: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if j := finished(t, b, group, job.ID); j.State != dms.JobDone || j.Moved+j.Failed < 4 {
		t.Errorf("the job is %+v", j)
	}
	if left := peekAll(t, b, queue, dms.Peek{Source: dms.InDead, Limit: 10}); len(left) != 0 {
		t.Errorf("%d dead letters are left", len(left))
	}
	got := bodies(receiveExactly(t, b, group, 6))
	slices.Sort(got) // messages of a NORMAL queue die in any order
	if d := cmp.Diff([]string{"a", "b", "c", "d", "e", "f"}, got); d != "" {
		t.Errorf("redriven (-want +got):\n%s", d)
	}
}
