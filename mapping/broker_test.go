package mapping

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"dms/mapping/dms"

	"github.com/google/go-cmp/cmp"
)

func modes(t *testing.T, f func(*testing.T, dms.Mode)) {
	for _, mode := range []dms.Mode{dms.Normal, dms.FIFO} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			f(t, mode)
		})
	}
}

func TestSentMessagesAreConsumedAndSettled(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		f := newFixture(t, dms.NewQueue{Mode: mode, MaxConsumeCount: 3})
		var want []string
		for i := range 25 {
			want = append(want, fmt.Sprintf("m%02d", i))
		}
		send(t, f.b, f.queue, want...)
		var got []string
		for len(got) < len(want) {
			ds := receiveExactly(t, f.b, f.group, min(10, len(want)-len(got)))
			got = append(got, bodies(ds)...)
			acknowledge(t, f.b, f.group, dms.Live, acks(ds), len(ds))
		}
		if mode == dms.Normal {
			slices.Sort(got) // what nobody waited for any more has gone to the end
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("messages (-want +got):\n%s", d)
		}
		if ds := receive(t, f.b, f.group, live(10, time.Second)); len(ds) != 0 {
			t.Errorf("an empty queue delivered %v", bodies(ds))
		}
		wantCounters := dms.Counters{Produced: 25, Consumed: 25}
		if d := cmp.Diff(wantCounters, counters(t, f.b, f.group)); d != "" {
			t.Errorf("counters (-want +got):\n%s", d)
		}
	})
}

func TestALongPollAnswersWithTheFirstMessage(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		f := newFixture(t, dms.NewQueue{Mode: mode})
		if ds := receive(t, f.b, f.group, live(10, time.Second)); len(ds) != 0 {
			t.Fatalf("an empty queue delivered %v", bodies(ds))
		}
		got := make(chan []dms.Delivery, 1)
		go func() { got <- receive(t, f.b, f.group, live(10, 20*time.Second)) }()
		send(t, f.b, f.queue, "hello")
		if d := cmp.Diff([]string{"hello"}, bodies(<-got)); d != "" {
			t.Errorf("messages (-want +got):\n%s", d)
		}
	})
}

func TestAFailedMessageReturnsAndThenIsADeadLetter(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		f := newFixture(t, dms.NewQueue{Mode: mode, MaxConsumeCount: 2})
		send(t, f.b, f.queue, "a", "b", "c")
		ds := receiveExactly(t, f.b, f.group, 3)
		acknowledge(t, f.b, f.group, dms.Live, acks(ds, true, false, true), 1)

		ds = receiveExactly(t, f.b, f.group, 2)
		if d := cmp.Diff([]string{"b", "c"}, bodies(ds)); d != "" {
			t.Fatalf("after a failure (-want +got):\n%s", d)
		}
		acknowledge(t, f.b, f.group, dms.Live, acks(ds, false, true), 0)

		got := receive(t, f.b, f.group, dead(10, 5*time.Second))
		if d := cmp.Diff([]string{"b"}, bodies(got)); d != "" {
			t.Fatalf("dead letters (-want +got):\n%s", d)
		}
		ds = receiveExactly(t, f.b, f.group, 1)
		if d := cmp.Diff([]string{"c"}, bodies(ds)); d != "" {
			t.Fatalf("after the dead letter (-want +got):\n%s", d)
		}
		acknowledge(t, f.b, f.group, dms.Live, acks(ds), 1)
		want := dms.Counters{Produced: 3, Consumed: 3, DeadProduced: 1, DeadAvailable: 1}
		if d := cmp.Diff(want, counters(t, f.b, f.group)); d != "" {
			t.Errorf("counters (-want +got):\n%s", d)
		}
		acknowledge(t, f.b, f.group, dms.Dead, acks(got), 1)
		want.DeadAvailable = 0
		if d := cmp.Diff(want, counters(t, f.b, f.group)); d != "" {
			t.Errorf("counters after the dead letter was settled (-want +got):\n%s", d)
		}
	})
}

func TestADelayedMessageAppearsWhenItIsDue(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		f := newFixture(t, dms.NewQueue{Mode: mode})
		due := time.Now().Add(2 * time.Second)
		sent, err := f.b.Send(t.Context(), f.queue, dms.Send{Messages: []dms.Message{
			{Payload: payload("later"), Delay: 2 * time.Second, Labels: []string{"x"}},
		}})
		if err != nil || sent[0].Err != nil {
			t.Fatalf("send: %v, %v", err, sent)
		}
		if c := counters(t, f.b, f.group); c.Produced != 0 {
			t.Errorf("a delayed message is counted: %+v", c)
		}
		ds := receive(t, f.b, f.group, live(10, 20*time.Second))
		if d := cmp.Diff([]string{"later"}, bodies(ds)); d != "" {
			t.Fatalf("messages (-want +got):\n%s", d)
		}
		if now := time.Now(); now.Before(due) {
			t.Errorf("the message came %s early", due.Sub(now))
		}
		acknowledge(t, f.b, f.group, dms.Live, acks(ds), 1)
	})
}

// Two nodes move them, side by side and many at a time.
func TestManyMessagesThatAreDueTogetherComeOnceEach(t *testing.T) {
	t.Parallel()
	a, b, queue, group := twoNodes(t, dms.NewQueue{})
	const batches = 40
	want := make(map[string]int)
	for i := range batches {
		var req dms.Send
		for j := range dms.MaxBatch {
			body := fmt.Sprint(i, "/", j)
			want[body] = 1
			req.Messages = append(req.Messages, dms.Message{Payload: payload(body), Delay: 2 * time.Second})
		}
		if _, err := []*Broker{a, b}[i%2].Send(t.Context(), queue, req); err != nil {
			t.Fatalf("send: %v", err)
		}
	}
	got := make(map[string]int)
	for len(got) < len(want) {
		ds := receive(t, a, group, live(dms.MaxBatch, 20*time.Second))
		if len(ds) == 0 {
			t.Fatalf("%d of %d messages came", len(got), len(want))
		}
		for _, body := range bodies(ds) {
			got[body]++
		}
		acknowledge(t, a, group, dms.Live, acks(ds), len(ds))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("how often each message came (-want +got):\n%s", d)
	}
	if c := counters(t, b, group); c.Produced != int64(len(want)) {
		t.Errorf("%d messages are stored, want %d", c.Produced, len(want))
	}
}

func TestLabelsSelectMessages(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		f := newFixture(t, dms.NewQueue{Mode: mode})
		sent, err := f.b.Send(t.Context(), f.queue, dms.Send{Messages: []dms.Message{
			{Payload: payload("ab"), Labels: []string{"b", "a"}},
			{Payload: payload("none")},
			{Payload: payload("b"), Labels: []string{"b"}},
			{Payload: payload("abc"), Labels: []string{"a", "b", "c"}},
			{Payload: payload("c"), Labels: []string{"c"}},
		}})
		if err != nil || sent[0].Err != nil {
			t.Fatalf("send: %v, %v", err, sent)
		}
		req := live(10, 5*time.Second)
		req.Labels, req.Match = []string{"b", "a"}, dms.AllLabels
		ds := receive(t, f.b, f.group, req)
		if d := cmp.Diff([]string{"ab", "abc"}, bodies(ds)); d != "" {
			t.Fatalf("all of a and b (-want +got):\n%s", d)
		}
		acknowledge(t, f.b, f.group, dms.Live, acks(ds), 2)
		if d := cmp.Diff(dms.Counters{Produced: 5, Consumed: 2}, counters(t, f.b, f.group)); d != "" {
			t.Errorf("counters (-want +got):\n%s", d)
		}
		req.Match = dms.AnyLabel
		_, err = f.b.Receive(t.Context(), f.group, req)
		wantCode(t, err, dms.ConsumeFailed)
		_, err = f.b.Receive(t.Context(), f.group, live(1, time.Second))
		wantCode(t, err, dms.ConsumeFailed)

		groups, err := f.b.CreateGroups(t.Context(), f.queue, []string{"any"})
		if err != nil {
			t.Fatal(err)
		}
		req.Labels = []string{"a", "c"}
		ds = receive(t, f.b, groups[0].Ref, req)
		if d := cmp.Diff([]string{"ab", "abc", "c"}, bodies(ds)); d != "" {
			t.Fatalf("any of a and c (-want +got):\n%s", d)
		}
		acknowledge(t, f.b, groups[0].Ref, dms.Live, acks(ds), 3)
		if d := cmp.Diff(dms.Counters{Produced: 5, Consumed: 3}, counters(t, f.b, groups[0].Ref)); d != "" {
			t.Errorf("counters (-want +got):\n%s", d)
		}
	})
}

func TestAFIFOFailureOutOfTurnChargesNobody(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dms.NewQueue{Mode: dms.FIFO, MaxConsumeCount: 1})
	send(t, f.b, f.queue, "m1", "m2", "m3")
	ds := receiveExactly(t, f.b, f.group, 3)
	acknowledge(t, f.b, f.group, dms.Live, acks(ds[1:], false), 0)
	ds = receiveExactly(t, f.b, f.group, 3)
	if d := cmp.Diff([]string{"m1", "m2", "m3"}, bodies(ds)); d != "" {
		t.Errorf("after the failure (-want +got):\n%s", d)
	}
	acknowledge(t, f.b, f.group, dms.Live, acks(ds), 3)
	if c := counters(t, f.b, f.group); c.DeadProduced != 0 {
		t.Errorf("a message became a dead letter out of turn: %+v", c)
	}
}
