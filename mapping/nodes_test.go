package mapping

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"dms/mapping/dms"

	"github.com/google/go-cmp/cmp"
)

// twoNodes serves one project through two members.
func twoNodes(t *testing.T, q dms.NewQueue) (a, b *Broker, queue dms.QueueRef, group dms.GroupRef) {
	t.Helper()
	p := newProject(t)
	a, b = newBroker(t, p, 0, 2), newBroker(t, p, 1, 2)
	queue, group = newQueue(t, a, p, q)
	return a, b, queue, group
}

func TestOneOfTwoNodesCreatesAName(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.Limits.Queues = 500
	a, b := newBroker(t, p, 0, 2), newBroker(t, p, 1, 2)
	for i := range 20 {
		q := dms.NewQueue{Name: fmt.Sprintf("name-%d", i), Mode: dms.Normal}
		var made, refused int
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, node := range []*Broker{a, b} {
			wg.Go(func() {
				_, err := node.CreateQueue(t.Context(), p.ID, q)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					made++
				case has(err, dms.QueueExists):
					refused++
				default:
					t.Errorf("create %s: %v", q.Name, err)
				}
			})
		}
		wg.Wait()
		if made != 1 || refused != 1 {
			t.Fatalf("name %s: %d created, %d refused as existing", q.Name, made, refused)
		}
	}
}

func TestWhatOneNodeMakesTheOtherUses(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		a, b, queue, group := twoNodes(t, dms.NewQueue{Mode: mode, MaxConsumeCount: 2})
		send(t, b, queue, "m1", "m2", "m3")
		ds := receiveExactly(t, b, group, 2)
		acknowledge(t, a, group, dms.Live, acks(ds), 2)
		acknowledge(t, b, group, dms.Live, acks(ds), 2) // again, as a client does that lost the answer
		ds = receiveExactly(t, a, group, 1)
		acknowledge(t, b, group, dms.Live, acks(ds, false), 0)
		for _, node := range []*Broker{a, b} {
			_, err := node.Acknowledge(t.Context(), group, dms.Live, acks(ds))
			wantCode(t, err, dms.HandleInvalid)
		}
		ds = receiveExactly(t, b, group, 1)
		acknowledge(t, a, group, dms.Live, acks(ds, false), 0)
		if got := receive(t, b, group, dead(10, 5*time.Second)); len(got) != 1 {
			t.Fatalf("%d dead letters, want 1", len(got))
		}
		if err := a.DeleteGroup(t.Context(), group); err != nil {
			t.Fatal(err)
		}
		_, err := b.Receive(t.Context(), group, live(1, time.Second))
		wantCode(t, err, dms.GroupNotFound)
		if err := a.DeleteQueue(t.Context(), queue); err != nil {
			t.Fatal(err)
		}
		_, err = b.Send(t.Context(), queue, dms.Send{Messages: []dms.Message{{Payload: payload("x")}}})
		wantCode(t, err, dms.QueueNotFound)
		_, err = b.Receive(t.Context(), group, live(1, time.Second))
		wantCode(t, err, dms.QueueNotFound)
	})
}

func TestAQueueDeletedElsewhereIsMissingWithItsUnusedGroups(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		a, b, queue, group := twoNodes(t, dms.NewQueue{Mode: mode})
		acknowledge(t, b, group, dms.Live, nil, 0) // b knows of the group
		if err := a.DeleteQueue(t.Context(), queue); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, err := b.Receive(t.Context(), group, live(1, time.Second))
			wantCode(t, err, dms.QueueNotFound)
		}
	})
}

func TestFIFOOrderHoldsForCompetingConsumersOnTwoNodes(t *testing.T) {
	t.Parallel()
	a, b, queue, group := twoNodes(t, dms.NewQueue{Mode: dms.FIFO})
	var want []string
	for i := range 200 {
		want = append(want, fmt.Sprintf("m%03d", i))
	}
	send(t, a, queue, want...)
	var mu sync.Mutex
	var got []string
	var wg sync.WaitGroup
	for i, node := range []*Broker{a, b, a, b} {
		wg.Go(func() {
			for {
				mu.Lock()
				over := len(got) >= len(want)
				mu.Unlock()
				if over {
					return
				}
				batch, err := node.Receive(t.Context(), group, live(7, time.Second))
				if err != nil {
					t.Errorf("consumer %d: %v", i, err)
					return
				}
				ds := batch.Deliveries
				if len(ds) == 0 {
					continue
				}
				mu.Lock()
				got = append(got, bodies(ds)...)
				mu.Unlock()
				if n, err := node.Acknowledge(t.Context(), group, dms.Live, acks(ds)); err != nil || n != len(ds) {
					t.Errorf("consumer %d: settled %d of %d: %v", i, n, len(ds), err)
					return
				}
			}
		})
	}
	wg.Wait()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("order (-want +got):\n%s", d)
	}
}

func TestFIFOHasOneBatchOutstanding(t *testing.T) {
	t.Parallel()
	a, b, queue, group := twoNodes(t, dms.NewQueue{Mode: dms.FIFO})
	send(t, a, queue, "m1", "m2", "m3")
	first := receiveExactly(t, a, group, 1)
	if ds := receive(t, b, group, live(10, time.Second)); len(ds) != 0 {
		t.Fatalf("another node got %v while a batch was outstanding", bodies(ds))
	}
	got := make(chan []dms.Delivery, 1)
	go func() { got <- receive(t, b, group, live(10, 20*time.Second)) }()
	acknowledge(t, a, group, dms.Live, acks(first), 1)
	if d := cmp.Diff([]string{"m2", "m3"}, bodies(<-got)); d != "" {
		t.Errorf("after the acknowledgement (-want +got):\n%s", d)
	}
}

func TestAPollerThatLeavesLeavesTheMessages(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		f := newFixture(t, dms.NewQueue{Mode: mode, MaxConsumeCount: 1})
		for range 3 {
			ctx, leave := context.WithCancel(t.Context())
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				batch, err := f.b.Receive(ctx, f.group, live(10, 20*time.Second))
				if err == nil {
					batch.Return()
				}
			}()
			leave()
			<-gone
		}
		send(t, f.b, f.queue, "m1")
		batch, err := f.b.Receive(t.Context(), f.group, live(10, 10*time.Second))
		if err != nil || len(batch.Deliveries) != 1 {
			t.Fatalf("receive: %v, %v", bodies(batch.Deliveries), err)
		}
		batch.Return()
		ds := receiveExactly(t, f.b, f.group, 1)
		acknowledge(t, f.b, f.group, dms.Live, acks(ds), 1)
		if c := counters(t, f.b, f.group); c.DeadProduced != 0 || c.Consumed != 1 {
			t.Errorf("returned deliveries were charged: %+v", c)
		}
	})
}

func TestAForeignProjectsHandleAndIDsAreUnknown(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		mine := newFixture(t, dms.NewQueue{Mode: mode, MaxConsumeCount: 2})
		theirs := newFixture(t, dms.NewQueue{Mode: mode, MaxConsumeCount: 2})
		send(t, mine.b, mine.queue, "m1")
		ds := receiveExactly(t, mine.b, mine.group, 1)
		_, err := theirs.b.Acknowledge(t.Context(), theirs.group, dms.Live, acks(ds))
		wantCode(t, err, dms.HandleInvalid)
		foreign := mine.group
		foreign.Project = theirs.p.ID
		_, err = theirs.b.Acknowledge(t.Context(), foreign, dms.Live, acks(ds))
		wantCode(t, err, dms.QueueNotFound)
		_, err = theirs.b.Receive(t.Context(), foreign, live(1, time.Second))
		wantCode(t, err, dms.QueueNotFound)
		_, err = theirs.b.Send(t.Context(), foreign.QueueRef, dms.Send{Messages: []dms.Message{{Payload: payload("x")}}})
		wantCode(t, err, dms.QueueNotFound)
		other, err := mine.b.CreateGroups(t.Context(), mine.queue, []string{"other"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = mine.b.Acknowledge(t.Context(), other[0].Ref, dms.Live, acks(ds))
		wantCode(t, err, dms.HandleOfOther)
		_, err = mine.b.Acknowledge(t.Context(), mine.group, dms.Dead, acks(ds))
		wantCode(t, err, dms.HandleOfOtherKind)
		acknowledge(t, mine.b, mine.group, dms.Live, acks(ds), 1)
	})
}

func TestAProjectMadeAgainIsEmptyAndUsable(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	b := newBroker(t, p, 0, 1)
	queue, _ := newQueue(t, b, p, dms.NewQueue{})
	send(t, b, queue, "m1")
	if err := cluster.Accounts().Delete(t.Context(), p.ID); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Accounts().Provision(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	queues, err := b.Queues(t.Context(), p.ID)
	if err != nil || len(queues) != 0 {
		t.Fatalf("queues of the new project: %v, %v", queues, err)
	}
	again, group := newQueue(t, b, p, dms.NewQueue{})
	send(t, b, again, "m2")
	if d := cmp.Diff([]string{"m2"}, bodies(receiveExactly(t, b, group, 1))); d != "" {
		t.Errorf("messages (-want +got):\n%s", d)
	}
}

func TestWhatWasLeftForAPollIsHandedOverAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dms.NewQueue{})
	receive(t, f.b, f.group, live(1, time.Second)) // makes the consumer
	s, q := f.opened(t)
	d := s.dispatcher(q, reading{GroupRef: f.group})
	d.take(&arrival{payload: payload("spare"), base: time.Now()})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	got, err := d.receive(ctx, dms.Receive{Max: 2}, 25*time.Second)
	if err != nil || len(got) != 1 {
		t.Errorf("the poll got %d messages, %v", len(got), err)
	}
}

func TestASettledFIFODeliveryMayBeSettledAgainInAnyOrder(t *testing.T) {
	t.Parallel()
	a, b, queue, group := twoNodes(t, dms.NewQueue{Mode: dms.FIFO})
	send(t, a, queue, "m1", "m2", "m3", "m4")
	as := acks(receiveExactly(t, a, group, 4))
	acknowledge(t, b, group, dms.Live, as, 4)
	acknowledge(t, a, group, dms.Live, []dms.Ack{as[3], as[2]}, 2)
	acknowledge(t, b, group, dms.Live, as, 4)
}

func TestAFailedFIFOHandleStaysFailedOnceOthersHaveSettledTheMessage(t *testing.T) {
	t.Parallel()
	a, b, queue, group := twoNodes(t, dms.NewQueue{Mode: dms.FIFO})
	send(t, a, queue, "m1", "m2")
	var failed [][]dms.Ack
	for range mostEnded + 4 { // more than the cursor itself remembers
		ds := receiveExactly(t, a, group, 2)
		acknowledge(t, b, group, dms.Live, acks(ds, false, true), 0)
		failed = append(failed, acks(ds))
	}
	ds := receiveExactly(t, b, group, 2)
	acknowledge(t, a, group, dms.Live, acks(ds), 2)
	for _, as := range failed {
		for _, node := range []*Broker{a, b} {
			for i := range as {
				_, err := node.Acknowledge(t.Context(), group, dms.Live, as[i:i+1])
				wantCode(t, err, dms.HandleInvalid)
			}
		}
	}
	acknowledge(t, b, group, dms.Live, acks(ds), 2)
}
