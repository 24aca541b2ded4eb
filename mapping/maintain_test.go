package mapping

import (
	"fmt"
	"testing"
	"time"

	"dms/deploy/engine/enginetest"
	"dms/mapping/dms"

	"github.com/google/go-cmp/cmp"
)

func TestAPurgeTakesWhatIsThere(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		f := newFixture(t, dms.NewQueue{Mode: mode, MaxConsumeCount: 1})
		send(t, f.b, f.queue, "in flight", "b", "c")
		ds := receiveExactly(t, f.b, f.group, 1)
		all := dms.Purge{Source: dms.InQueue, DryRun: true}
		if n, err := f.b.Purge(t.Context(), f.queue, all); err != nil || n != 3 {
			t.Fatalf("dry run: %d, %v", n, err)
		}
		all.DryRun = false
		if n, err := f.b.Purge(t.Context(), f.queue, all); err != nil || n != 3 {
			t.Fatalf("purge: %d, %v", n, err)
		}
		acknowledge(t, f.b, f.group, dms.Live, acks(ds), 1)
		send(t, f.b, f.queue, "d", "e")
		s, _ := f.opened(t)
		awaitReplicas(t, s, f.queue, 2)
		ds = receiveExactly(t, f.b, f.group, 2)
		if d := cmp.Diff([]string{"d", "e"}, bodies(ds)); d != "" {
			t.Errorf("after the purge (-want +got):\n%s", d)
		}
		// A failure of a message that is purged meanwhile makes no dead letter.
		if _, err := f.b.Purge(t.Context(), f.queue, all); err != nil {
			t.Fatal(err)
		}
		acknowledge(t, f.b, f.group, dms.Live, acks(ds, false), 0)
		send(t, f.b, f.queue, "f")
		if d := cmp.Diff([]string{"f"}, bodies(receiveExactly(t, f.b, f.group, 1))); d != "" {
			t.Errorf("after the second purge (-want +got):\n%s", d)
		}
	})
}

func TestABacklogAndDeadLettersArePurged(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		f := newFixture(t, dms.NewQueue{Mode: mode, MaxConsumeCount: 1})
		send(t, f.b, f.queue, "a", "b", "c", "d")
		acknowledge(t, f.b, f.group, dms.Live, acks(receiveExactly(t, f.b, f.group, 1), false), 0)
		dead := dms.Purge{Source: dms.InDead, Group: f.group.Group}
		if n, err := f.b.Purge(t.Context(), f.queue, dead); err != nil || n != 1 {
			t.Errorf("dead letters: %d, %v", n, err)
		}
		backlog := dms.Purge{Source: dms.InBacklog, Group: f.group.Group, DryRun: true}
		for _, backlog.DryRun = range []bool{true, false} {
			if n, err := f.b.Purge(t.Context(), f.queue, backlog); err != nil || n != 3 {
				t.Errorf("backlog, dry run %t: %d, %v", backlog.DryRun, n, err)
			}
		}
		want := dms.Counters{Produced: 4, Consumed: 4}
		if d := cmp.Diff(want, counters(t, f.b, f.group)); d != "" {
			t.Errorf("counters (-want +got):\n%s", d)
		}
		send(t, f.b, f.queue, "e")
		if d := cmp.Diff([]string{"e"}, bodies(receiveExactly(t, f.b, f.group, 1))); d != "" {
			t.Errorf("after the purge (-want +got):\n%s", d)
		}
	})
}

func TestAQueueIsUpdatedForAllNodes(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	a, b := newBroker(t, p, 0, 2), newBroker(t, p, 1, 2)
	queue, group := newQueue(t, a, p, dms.NewQueue{})
	send(t, a, queue, "one")
	ds := receiveExactly(t, b, group, 1)
	text, most, keep := "changed", 1, 14*24*time.Hour
	got, err := a.UpdateQueue(t.Context(), queue, dms.QueueChange{Description: &text, MaxConsumeCount: &most, Retention: &keep})
	if err != nil {
		t.Fatal(err)
	}
	if *got.Description != text || got.MaxConsumeCount != 1 || got.Retention != keep {
		t.Errorf("the changed queue is %+v", got)
	}
	other, err := b.Queue(t.Context(), queue)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(got, other); d != "" {
		t.Errorf("on the other node (-changed +other):\n%s", d)
	}
	listed, err := b.Queues(t.Context(), p.ID)
	if err != nil || len(listed) != 1 || listed[0].Retention != keep || *listed[0].Description != text {
		t.Errorf("listed: %+v, %v", listed, err)
	}
	enginetest.Wait(t, func() string {
		q, err := b.sessions[p.ID].queue(t.Context(), queue.Queue)
		if err == nil && q.MaxConsume() == 1 {
			return ""
		}
		return fmt.Sprint(err, q.MaxConsume())
	})
	acknowledge(t, b, group, dms.Live, acks(ds, false), 0)
	if d := cmp.Diff([]string{"one"}, bodies(receive(t, b, group, dead(1, 20*time.Second)))); d != "" {
		t.Errorf("dead letters (-want +got):\n%s", d)
	}
}

func TestAMoveRepeatsOrSkipsMessages(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		p := newProject(t)
		a, b := newBroker(t, p, 0, 2), newBroker(t, p, 1, 2)
		queue, group := newQueue(t, a, p, dms.NewQueue{Mode: mode, MaxConsumeCount: 2})
		send(t, a, queue, "a", "b", "c", "d")
		ds := receiveExactly(t, b, group, 3)
		acknowledge(t, b, group, dms.Live, acks(ds[:2]), 2)
		begin := dms.Position{To: dms.AtBegin}
		preview, err := a.MoveGroup(t.Context(), group, begin, true)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(dms.Move{From: 3, To: 1, Repeated: 2, Exact: true}, preview); d != "" {
			t.Errorf("preview (-want +got):\n%s", d)
		}
		if _, err := a.MoveGroup(t.Context(), group, begin, false); err != nil {
			t.Fatal(err)
		}
		// What was in flight is nobody's, on whichever node.
		for i, n := range []*Broker{a, b} {
			if _, err := n.Acknowledge(t.Context(), group, dms.Live, acks(ds[2:])); !has(err, dms.HandleInvalid) {
				t.Errorf("node %d: an old handle: %v", i, err)
			}
		}
		again := receiveExactly(t, b, group, 4)
		if d := cmp.Diff([]string{"a", "b", "c", "d"}, bodies(again)); d != "" {
			t.Errorf("after the move (-want +got):\n%s", d)
		}
		// No failure from before the move counts: it takes two to make a dead letter.
		acknowledge(t, b, group, dms.Live, acks(again, false), 0)
		end := dms.Position{To: dms.AtSequence, Sequence: 4}
		done, err := b.MoveGroup(t.Context(), group, end, false)
		if err != nil || done.Skipped != 3 || done.Repeated != 0 {
			t.Errorf("move ahead: %+v, %v", done, err)
		}
		got := receiveExactly(t, a, group, 1)
		if d := cmp.Diff([]string{"d"}, bodies(got)); d != "" {
			t.Errorf("after the move ahead (-want +got):\n%s", d)
		}
		acknowledge(t, a, group, dms.Live, acks(got), 1)
		if d := cmp.Diff(dms.Counters{Produced: 4, Consumed: 4}, counters(t, a, group)); d != "" {
			t.Errorf("counters (-want +got):\n%s", d)
		}
	})
}

func TestAMoveWakesAPollThatWaits(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		p := newProject(t)
		a, b := newBroker(t, p, 0, 2), newBroker(t, p, 1, 2)
		queue, group := newQueue(t, a, p, dms.NewQueue{Mode: mode})
		send(t, a, queue, "again")
		acknowledge(t, a, group, dms.Live, acks(receiveExactly(t, a, group, 1)), 1)
		got := make(chan []dms.Delivery, 1)
		go func() { got <- receive(t, b, group, live(1, 50*time.Second)) }()
		if _, err := a.MoveGroup(t.Context(), group, dms.Position{To: dms.AtBegin}, false); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"again"}, bodies(<-got)); d != "" {
			t.Errorf("messages (-want +got):\n%s", d)
		}
	})
}

func TestAGroupBeginsAtItsPosition(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		f := newFixture(t, dms.NewQueue{Mode: mode})
		send(t, f.b, f.queue, "a", "b")
		groups, err := f.b.CreateGroupsAt(t.Context(), f.queue, []dms.NewGroup{{Name: "late", Position: &dms.Position{To: dms.AtEnd}}})
		if err != nil {
			t.Fatal(err)
		}
		late := groups[0].Ref
		if c := counters(t, f.b, late); c.Available != 0 || c.Consumed != 2 {
			t.Errorf("counters before the first consume: %+v", c)
		}
		send(t, f.b, f.queue, "c")
		if d := cmp.Diff([]string{"c"}, bodies(receiveExactly(t, f.b, late, 1))); d != "" {
			t.Errorf("messages (-want +got):\n%s", d)
		}
		if _, err := f.b.MoveGroup(t.Context(), late, dms.Position{To: dms.AtSequence, Sequence: 9}, false); !has(err, dms.BadManageBody) {
			t.Errorf("a place behind the end: %v", err)
		}
	})
}
