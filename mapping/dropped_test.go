package mapping

import (
	"fmt"
	"testing"
	"time"

	"dms/mapping/dms"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
)

func TestNamesOfConsumersAreReadBack(t *testing.T) {
	id := dms.GroupID("g-0197fae0-1111-4222-8333-444455556666")
	for _, gen := range []uint32{0, 1, 77} {
		name := consumerName(id, gen)
		if gotID, gotGen, ok := parseConsumerName(name); !ok || gotID != id || gotGen != gen {
			t.Errorf("%s is read as %s, %d, %t", name, gotID, gotGen, ok)
		}
	}
	for _, other := range []string{"", "g_", "mover", "g_0197fae0", consumerName(id, 0) + "_", consumerName(id, 0) + "x1", consumerName(id, 0) + "_0", consumerName(id, 0) + "_x", "x" + consumerName(id, 0)} {
		if _, _, ok := parseConsumerName(other); ok {
			t.Errorf("%q passes for the consumer of a group", other)
		}
	}
}

func TestPlacesAreTakenOnceAndInOrder(t *testing.T) {
	var d dropped
	at, other := reading{}, reading{gen: 1}
	if !d.add(at, 9) || d.add(at, 3) || d.add(at, 9) || !d.add(other, 1) {
		t.Error("not the first of each reading has somebody see to it")
	}
	if diff := cmp.Diff([]uint64{3, 9}, d.next(at)); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
	if d.add(at, 10) {
		t.Error("a second one sees to the same reading")
	}
	if diff := cmp.Diff([]uint64{10}, d.next(at)); diff != "" || d.next(at) != nil {
		t.Errorf("places (-want +got):\n%s", diff)
	}
	if !d.add(at, 11) {
		t.Error("nobody sees to what comes after the end")
	}
	if diff := cmp.Diff([][2]uint64{{1, 3}, {5, 5}, {9, 10}}, rows([]uint64{1, 2, 3, 5, 9, 10})); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// What a damaged leader says of its deliveries, said by the test.
func TestMessagesThatTheLogTookForRemovedReachTheGroupOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dms.NewQueue{Mode: dms.Normal})
	other := newBroker(t, f.p, 1, 2) // hears it as well
	send(t, f.b, f.queue, "m1", "m2", "m3", "m4", "m5")
	got := receiveExactly(t, f.b, f.group, 5)
	acknowledge(t, f.b, f.group, dms.Live, acks(got), len(got))
	if ds := receive(t, other, f.group, live(1, 0)); len(ds) > 0 {
		t.Fatalf("%v come once more", bodies(ds))
	}
	here, _ := f.opened(t)
	there, _ := (&fixture{b: other, p: f.p, queue: f.queue}).opened(t)
	say := func(place uint64, gen uint32, reason string) {
		for _, s := range []*session{here, there} {
			s.heardDropped(&nats.Msg{
				Subject: droppedPrefix + streamName(f.queue.Queue) + "." + consumerName(f.group.Group, gen),
				Data:    fmt.Appendf(nil, `{"stream_seq":%d,"reason":%q}`, place, reason),
			})
		}
	}
	say(1, 0, "a client wanted it so")
	say(2, 0, removedReasons[0])
	say(4, 0, removedReasons[1])
	say(5, 3, removedReasons[0]) // of a reading that is not this one
	say(7, 3, removedReasons[0])
	if d := cmp.Diff([]string{"m2", "m4"}, settleAll(t, other, f.group, 2)); d != "" {
		t.Errorf("messages (-want +got):\n%s", d)
	}
	if more := receive(t, f.b, f.group, live(10, time.Second)); len(more) > 0 {
		t.Errorf("and %v come once more", bodies(more))
	}
	// A purge removes what nobody has settled yet, by right.
	send(t, f.b, f.queue, "m6")
	receiveExactly(t, f.b, f.group, 1)
	if _, err := f.b.Purge(t.Context(), f.queue, dms.Purge{Source: dms.InQueue}); err != nil {
		t.Fatal(err)
	}
	say(6, 0, removedReasons[0])
	if more := receive(t, f.b, f.group, live(10, time.Second)); len(more) > 0 {
		t.Errorf("%v come after a purge", bodies(more))
	}
}
