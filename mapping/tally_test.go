package mapping

import (
	"testing"
	"time"

	"dms/mapping/dms"

	"github.com/google/go-cmp/cmp"
)

func TestADeliveryIsBookedOnceAndTheClientsWordHolds(t *testing.T) {
	t.Parallel()
	var y tally
	for _, step := range []struct {
		delivery uint32
		charge   bool
		changed  bool
	}{{1, true, true}, {1, true, false}, {1, false, true}, {1, true, false}, {2, false, true}, {2, true, false}, {3, true, true}} {
		if got := y.add(step.delivery, step.charge); got != step.changed {
			t.Errorf("booking %+v changed the tally: %t", step, got)
		}
	}
	if d := cmp.Diff(tally{Charged: []uint32{3}, Free: []uint32{1, 2}}, y); d != "" {
		t.Errorf("tally (-want +got):\n%s", d)
	}
}

func TestATallyStaysSmallAndKnowsHowManyItBooked(t *testing.T) {
	t.Parallel()
	var y tally
	for i := range uint32(10 * mostFree) {
		y.add(i+1, i%500 == 0)
	}
	if y.known() != 10*mostFree || len(y.Charged) != 2 || len(y.Free) != mostFree {
		t.Errorf("%d known, %d charged, %d free listed", y.known(), len(y.Charged), len(y.Free))
	}
}

func TestHandedOutDeliveriesExpireInOrderUnlessForgotten(t *testing.T) {
	t.Parallel()
	now := time.Now()
	at := func(seq uint64, after time.Duration) handOut {
		return handOut{seq: seq, delivery: 1, deadline: now.Add(after)}
	}
	var h handed
	h.add([]handOut{at(1, 3*time.Hour), at(2, time.Hour), at(3, 2*time.Hour)}, func() {})
	h.add([]handOut{at(4, 90*time.Minute)}, func() {})
	h.forget(3)
	again := handOut{seq: 2, delivery: 2, deadline: now.Add(4 * time.Hour)}
	h.add([]handOut{again}, func() {})
	seqs := func(over []handOut) (s []uint64) {
		for _, o := range over {
			s = append(s, o.seq)
		}
		return s
	}
	if d := cmp.Diff([]uint64{4}, seqs(h.expired(now.Add(2*time.Hour)))); d != "" {
		t.Errorf("expired after two hours (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]uint64{1, 2}, seqs(h.all())); d != "" {
		t.Errorf("the rest (-want +got):\n%s", d)
	}
}

// A node that dies with deliveries in hand has charged nobody, and one that has handed
// them out and stops in order has charged them all.
func TestOnlyWhatReachedAClientIsCharged(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	a, b := newBroker(t, p, 0, 2), newBroker(t, p, 1, 2)
	queue, group := newQueue(t, a, p, dms.NewQueue{MaxConsumeCount: 1})
	send(t, a, queue, "lost in hand", "handed out")
	s, release, err := a.session(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	ds := receiveExactly(t, a, group, 2)
	first, err := a.sealer.open(p.ID, ds[0].Handle)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	d := s.dispatchers[group]
	s.mu.Unlock()
	d.handed.forget(first.seq) // as if the node had died before it answered
	second, err := a.sealer.open(p.ID, ds[1].Handle)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []receipt{first, second} {
		s.delay(reading{GroupRef: group}, delivered{deliveries: uint64(r.deliveries), streamSeq: r.seq, consumerSeq: r.consumerSeq}, time.Second)
	}
	release()
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"lost in hand"}, bodies(receive(t, b, group, live(10, 20*time.Second)))); d != "" {
		t.Errorf("delivered again (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"handed out"}, bodies(receive(t, b, group, dead(10, 20*time.Second)))); d != "" {
		t.Errorf("dead letters (-want +got):\n%s", d)
	}
}

// A node that stops charges what it has handed out. A client that then returns a
// delivery behind a failed one, through another node, has not failed it.
func TestAReturnAfterItsNodeStoppedIsNotAFailure(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	a, b := newBroker(t, p, 0, 2), newBroker(t, p, 1, 2)
	queue, group := newQueue(t, a, p, dms.NewQueue{MaxConsumeCount: 1})
	send(t, a, queue, "failed", "behind it")
	ds := receiveExactly(t, a, group, 2)
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	acknowledge(t, b, group, dms.Live, acks(ds, false, true), 0)
	got := receiveExactly(t, b, group, 1)
	if d := cmp.Diff([]string{"behind it"}, bodies(got)); d != "" {
		t.Errorf("delivered again (-want +got):\n%s", d)
	}
	acknowledge(t, b, group, dms.Live, acks(got), 1)
}
