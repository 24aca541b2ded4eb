package mapping

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"dms/deploy/engine/enginetest"
	"dms/mapping/dms"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
)

func TestOnlyGoingOverMessagesIsAJump(t *testing.T) {
	first := func(stream, consumer uint64) delivered {
		return delivered{deliveries: 1, streamSeq: stream, consumerSeq: consumer}
	}
	for _, c := range []struct {
		name     string
		came     []delivered
		from, to uint64 // of the last one
	}{
		{"some before the first to come here", []delivered{first(700, 3)}, 1, 699},
		{"the next one", []delivered{first(1, 1), first(2, 2)}, 0, 0},
		{"others went to another node", []delivered{first(1, 1), first(9, 9)}, 0, 0},
		{"some were delivered twice", []delivered{first(1, 1), first(3, 7)}, 0, 0},
		{"one was gone over", []delivered{first(1, 1), first(3, 2)}, 2, 2},
		{"some were gone over, some went elsewhere", []delivered{first(1, 1), first(10, 5)}, 2, 9},
		{"a repeated delivery says nothing", []delivered{first(1, 1), {deliveries: 2, streamSeq: 9, consumerSeq: 2}}, 0, 0},
		{"an earlier one comes late", []delivered{first(5, 5), first(3, 9)}, 0, 0},
		{"the consumer was made anew", []delivered{first(5, 5), first(900, 1)}, 0, 0},
		{"and goes on", []delivered{first(5, 5), first(900, 1), first(902, 2)}, 901, 901},
	} {
		d := &dispatcher{placed: placed}
		var g gap
		for _, at := range c.came {
			g, _ = d.jump(at)
		}
		if g.from != c.from || g.to != c.to {
			t.Errorf("%s: a jump over %d to %d, want %d to %d", c.name, g.from, g.to, c.from, c.to)
		}
	}
	d := &dispatcher{placed: placed}
	d.filtered.Store(true)
	d.jump(first(1, 1))
	if _, ok := d.jump(first(9, 2)); ok {
		t.Error("a group with labels jumps by right")
	}
	d = &dispatcher{placed: finding}
	if _, ok := d.jump(first(9, 2)); ok {
		t.Error("while the group's place is not known nothing is a jump")
	}
}

// Of ten messages that were delivered to another node in between, one was gone over.
func TestOnlyWhatNoNodeWasGivenIsAGap(t *testing.T) {
	first := func(stream, consumer uint64) delivered {
		return delivered{deliveries: 1, streamSeq: stream, consumerSeq: consumer}
	}
	var other given
	for _, at := range []delivered{first(4, 2), first(5, 3), {deliveries: 2, streamSeq: 2, consumerSeq: 4}, first(7, 5), first(8, 6), first(11, 7)} {
		other.note(at)
	}
	here := &dispatcher{placed: placed}
	here.jump(first(3, 1))
	g, ok := here.jump(first(12, 8))
	if !ok {
		t.Fatal("no jump was noticed")
	}
	rows, sure := g.without(other.between(g.after+1, g.before-1))
	if d := cmp.Diff([][2]uint64{{6, 6}, {9, 10}}, rows); d != "" || !sure {
		t.Errorf("the log went over (-want +got):\n%s, sure: %t", d, sure)
	}
	rows, sure = g.without(other.between(g.after+1, g.before-2))
	if d := cmp.Diff([][2]uint64{{6, 6}, {9, 11}}, rows); d != "" || sure {
		t.Errorf("with a delivery that nobody remembers, it went over (-want +got):\n%s, sure: %t", d, sure)
	}
}

// After a purge there is a jump for the first node that notices, whose messages have been
// given to another one.
func TestAPurgeExplainsAJump(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	a, b := newBroker(t, p, 0, 2), newBroker(t, p, 1, 2)
	queue, group := newQueue(t, a, p, dms.NewQueue{Mode: dms.Normal})
	for _, node := range []*Broker{a, b} {
		if ds := receive(t, node, group, live(1, time.Second)); len(ds) > 0 {
			t.Fatalf("received %v", bodies(ds))
		}
	}
	send(t, a, queue, "m1", "m2", "m3", "m4", "m5", "m6", "m7")
	if _, err := a.Purge(t.Context(), queue, dms.Purge{Source: dms.InQueue}); err != nil {
		t.Fatal(err)
	}
	send(t, a, queue, "m8", "m9")
	acknowledge(t, b, group, dms.Live, acks(receiveExactly(t, b, group, 2)), 2)
	send(t, a, queue, "m10")
	f := fixture{b: a, p: p, queue: queue, group: group}
	if d := cmp.Diff([]string{"m10"}, bodies(receive(t, a, group, live(10, 20*time.Second)))); d != "" {
		t.Errorf("the node that noticed received (-want +got):\n%s", d)
	}
	s, q := f.opened(t)
	if g, err := s.group(t.Context(), q, group.Group); err != nil || g.Again {
		t.Errorf("something was taken for a gap, and put into the lane of the group: %v", err)
	}
}

func TestOnlyTheLatestDeliveriesAreRemembered(t *testing.T) {
	var g given
	for i := range uint64(3 * mostRuns) {
		g.note(delivered{deliveries: 1, streamSeq: 2*i + 1, consumerSeq: 2*i + 1})
	}
	if n := len(g.runs); n > mostRuns {
		t.Errorf("%d rows are remembered, want at most %d", n, mostRuns)
	}
	last := uint64(2*(3*mostRuns-1) + 1)
	if got := g.between(last-2, last); len(got) != 2 || got[1] != (Run{Consumer: last, Stream: last, Count: 1}) {
		t.Errorf("the latest are %+v", got)
	}
	if got := g.between(1, 9); len(got) != 0 {
		t.Errorf("the first are %+v", got)
	}
}

func TestWhatComesBehindAGapKeepsItsOrder(t *testing.T) {
	w := &waiter{want: 6, room: 100, done: make(chan struct{})}
	d := &dispatcher{q: &queue{}, pull: &pull{}, waiters: []*waiter{w}}
	arrive := func(seq uint64, gap bool) *behind {
		a := &arrival{delivered: delivered{deliveries: 1, streamSeq: seq}}
		h := d.keepBehind(a, gap)
		if h == nil {
			d.pass(a)
		}
		return h
	}
	want := func(seqs ...uint64) {
		t.Helper()
		d.mu.Lock()
		defer d.mu.Unlock()
		var got []uint64
		for _, a := range w.got {
			got = append(got, a.streamSeq)
		}
		if diff := cmp.Diff(seqs, got); diff != "" {
			t.Errorf("handed on (-want +got):\n%s", diff)
		}
	}
	arrive(1, false)
	first := arrive(3, true)
	arrive(4, false)
	second := arrive(7, true)
	arrive(8, false)
	want(1)
	d.handOn(second)
	want(1) // not before what came before
	d.handOn(first)
	want(1, 3, 4, 7, 8)
	if h := arrive(9, false); h != nil {
		t.Error("something is kept back behind no gap")
	}
	want(1, 3, 4, 7, 8, 9)
}

func TestMessagesThatTheLogWentOverReachTheGroupOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dms.NewQueue{Mode: dms.Normal})
	send(t, f.b, f.queue, "m1", "m2", "m3", "m4", "m5")
	got := receive(t, f.b, f.group, live(10, 20*time.Second))
	acknowledge(t, f.b, f.group, dms.Live, acks(got), len(got))
	s, q := f.opened(t)
	for range 2 { // as two nodes do that both notice
		if n, err := s.fillGap(t.Context(), q, f.group, 2, 4); n != 3 || err != nil {
			t.Fatalf("%d messages were found: %v", n, err)
		}
	}
	if d := cmp.Diff([]string{"m2", "m3", "m4"}, settleAll(t, f.b, f.group, 3)); d != "" {
		t.Errorf("messages (-want +got):\n%s", d)
	}
	if more := receive(t, f.b, f.group, live(10, time.Second)); len(more) > 0 {
		t.Errorf("and %v come once more", bodies(more))
	}
}

// settleAll consumes and settles at least so many messages, unless no more come, and returns
// their bodies in order.
func settleAll(t *testing.T, b *Broker, group dms.GroupRef, least int) []string {
	t.Helper()
	var all []string
	for len(all) < least {
		ds := receive(t, b, group, live(10, 20*time.Second))
		if len(ds) == 0 {
			break
		}
		all = append(all, bodies(ds)...)
		acknowledge(t, b, group, dms.Live, acks(ds), len(ds))
	}
	slices.Sort(all)
	return all
}

// A damaged replica may lead a group from the start of the nodes on.
func TestMessagesBeforeTheFirstDeliveryReachTheGroup(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]int{"of a new group": 0, "of a group in use": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, dms.NewQueue{Mode: dms.Normal})
			send(t, f.b, f.queue, "m1", "m2", "m3", "m4", "m5")
			got := receiveExactly(t, f.b, f.group, max(before, 1))
			acknowledge(t, f.b, f.group, dms.Live, acks(got), len(got))
			s, _ := f.opened(t)
			at := reading{GroupRef: f.group}
			if before == 0 {
				// What the log knows of the group is gone, and it begins behind the damage.
				stream := streamName(f.queue.Queue)
				if err := s.js.DeleteConsumer(t.Context(), stream, at.consumer()); err != nil {
					t.Fatal(err)
				}
				if _, err := s.js.CreateConsumer(t.Context(), stream, groupConsumer(at, 4, nil, dms.AnyLabel)); err != nil {
					t.Fatal(err)
				}
			}
			other := newBroker(t, f.p, 1, 2) // as after a start
			var all []string
			for len(all) < 5 {
				ds := receive(t, other, f.group, live(10, 20*time.Second))
				if len(ds) == 0 {
					break
				}
				all = append(all, bodies(ds)...)
				acknowledge(t, other, f.group, dms.Live, acks(ds), len(ds))
				if before > 0 && len(all) == 5-before {
					break
				}
			}
			slices.Sort(all)
			if d := cmp.Diff([]string{"m1", "m2", "m3", "m4", "m5"}[before:], all); d != "" {
				t.Errorf("messages (-want +got):\n%s", d)
			}
		})
	}
}

func TestWhatNoReplicaHasDoesNotHoldBackTheRest(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dms.NewQueue{Mode: dms.Normal})
	send(t, f.b, f.queue, "m1", "m2", "m3")
	got := receive(t, f.b, f.group, live(10, 20*time.Second))
	acknowledge(t, f.b, f.group, dms.Live, acks(got), len(got))
	s, q := f.opened(t)
	js, err := jetstream.New(s.conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), streamName(f.queue.Queue))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	awaitReplicas(t, s, f.queue, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // it goes on as long as it may
	defer cancel()
	if n, err := s.fillGap(ctx, q, f.group, 1, 3); n != 2 || !errors.Is(err, errGone) {
		t.Errorf("%d messages were found: %v", n, err)
	}
}

// awaitReplicas waits until every replica of a queue holds so many messages. Whichever is
// near answers, so each is asked some times.
func awaitReplicas(t *testing.T, s *session, queue dms.QueueRef, want int) {
	t.Helper()
	enginetest.Wait(t, func() string {
		for range 20 {
			left, err := s.scan(t.Context(), streamName(queue.Queue), ">", 1, want+1)
			if err != nil || len(left) != want {
				return fmt.Sprintf("%d messages are there, want %d: %v", len(left), want, err)
			}
		}
		return ""
	})
}

// Two nodes share what the log delivers, and whoever leads the stream or the consumer
// changes: that moves sequences in every way but over a message.
func TestAChangeOfLeadersIsNoGap(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dms.NewQueue{Mode: dms.Normal})
	brokers := []*Broker{f.b, newBroker(t, f.p, 1, 2)}
	s, q := f.opened(t)
	stream, consumer := streamName(f.queue.Queue), reading{GroupRef: f.group}.consumer()
	const rounds, each = 30, 5
	came := make(map[string]bool)
	take := func(i int) {
		t.Helper()
		// What a change of leader has lost comes again after its time.
		ds := receive(t, brokers[i%2], f.group, live(4, 45*time.Second))
		if len(ds) == 0 {
			t.Fatalf("%d of %d messages arrived", len(came), rounds*each)
		}
		for _, body := range bodies(ds) {
			came[body] = true
		}
		as := acks(ds)
		as[len(as)-1].Success = i%3 != 0 // some come again
		if _, err := brokers[i%2].Acknowledge(t.Context(), f.group, dms.Live, as); err != nil && !has(err, dms.Unavailable) {
			t.Fatalf("acknowledge: %v", err)
		}
	}
	for i := range rounds {
		switch i % 6 {
		case 2:
			cluster.StepDown(t, f.p.ID, stream)
		case 4:
			if _, err := s.calls.ask(t.Context(), "$JS.API.CONSUMER.LEADER.STEPDOWN."+stream+"."+consumer, nil); err != nil {
				t.Fatal(err)
			}
		}
		req := dms.Send{Key: fmt.Sprint("batch ", i)}
		for j := range each {
			req.Messages = append(req.Messages, dms.Message{Payload: payload(fmt.Sprintf("m%03d", each*i+j))})
		}
		sendInTheEnd(t, f.b, f.queue, req)
		take(i)
	}
	for i := 1; len(came) < rounds*each; i++ {
		take(i)
	}
	if g, err := s.group(t.Context(), q, f.group.Group); err != nil || g.Again {
		t.Errorf("something was taken for a gap, and put into the lane of the group: %v", err)
	}
}
