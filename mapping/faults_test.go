package mapping

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"dms/deploy/engine/enginetest"
	"dms/mapping/dms"
	"dms/tenancy"
	"dms/tenancy/seal"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// shortly is a receive request whose handles are good for a second.
func shortly(most int) dms.Receive {
	r := live(most, 20*time.Second)
	r.AckWait = time.Second
	return r
}

func TestAnExpiredHandleIsRefusedAndTheMessageReturns(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		f := newFixture(t, dms.NewQueue{Mode: mode})
		send(t, f.b, f.queue, "m1", "m2")
		first := receive(t, f.b, f.group, shortly(10))
		if d := cmp.Diff([]string{"m1", "m2"}, bodies(first)); d != "" {
			t.Fatalf("first delivery (-want +got):\n%s", d)
		}
		// The poll answers when the log offers the messages again, after their time.
		second := receive(t, f.b, f.group, live(10, 20*time.Second))
		if d := cmp.Diff([]string{"m1", "m2"}[:len(second)], bodies(second)); d != "" || len(second) == 0 {
			t.Fatalf("second delivery (-want +got):\n%s", d)
		}
		_, err := f.b.Acknowledge(t.Context(), f.group, dms.Live, acks(first))
		wantCode(t, err, dms.HandleInvalid)
		acknowledge(t, f.b, f.group, dms.Live, acks(second), len(second))
	})
}

func TestTimeoutsEndAsADeadLetterThoughNobodyConsumes(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		f := newFixture(t, dms.NewQueue{Mode: mode, MaxConsumeCount: 1})
		send(t, f.b, f.queue, "m1")
		receive(t, f.b, f.group, shortly(1))
		got := receive(t, f.b, f.group, dead(10, 30*time.Second))
		if d := cmp.Diff([]string{"m1"}, bodies(got)); d != "" {
			t.Fatalf("dead letters (-want +got):\n%s", d)
		}
		want := dms.Counters{Produced: 1, Consumed: 1, DeadProduced: 1, DeadAvailable: 1}
		enginetest.Wait(t, func() string {
			return cmp.Diff(want, counters(t, f.b, f.group))
		})
	})
}

func TestABatchIsNoLargerThanADeliveryMayBe(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		f := newFixture(t, dms.NewQueue{Mode: mode, MaxConsumeCount: 1})
		half := strings.Repeat("x", 300_000)
		send(t, f.b, f.queue, half+"1")
		send(t, f.b, f.queue, half+"2")
		send(t, f.b, f.queue, half+"3")
		seen := 0
		for seen < 3 {
			ds := receive(t, f.b, f.group, live(10, 10*time.Second))
			if len(ds) != 1 {
				t.Fatalf("a batch of %d messages of 300 kB", len(ds))
			}
			acknowledge(t, f.b, f.group, dms.Live, acks(ds), 1)
			seen++
		}
		if c := counters(t, f.b, f.group); c.DeadProduced != 0 {
			t.Errorf("a message that did not fit was charged: %+v", c)
		}
	})
}

// sendInTheEnd repeats a send, which bears a key, while the answer is to try again: on a
// busy machine an election can take longer than a request is held.
func sendInTheEnd(t *testing.T, b *Broker, ref dms.QueueRef, req dms.Send) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	for {
		sent, err := b.Send(t.Context(), ref, req)
		for _, s := range sent {
			err = errors.Join(err, s.Err)
		}
		if err == nil {
			return
		}
		if !has(err, dms.Unavailable) || time.Now().After(end) {
			t.Fatalf("send: %v", err)
		}
	}
}

func TestSendsSurviveLeaderChanges(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		f := newFixture(t, dms.NewQueue{Mode: mode})
		var want []string
		for i := range 40 {
			if i%8 == 4 {
				cluster.StepDown(t, f.p.ID, streamName(f.queue.Queue))
			}
			req := dms.Send{Key: fmt.Sprint("batch ", i)}
			for j := range 5 {
				body := fmt.Sprintf("m%03d", 5*i+j)
				req.Messages = append(req.Messages, dms.Message{Payload: payload(body)})
				want = append(want, body)
			}
			sendInTheEnd(t, f.b, f.queue, req)
		}
		seen := make(map[string]bool)
		var order []string
		for len(seen) < len(want) {
			ds := receive(t, f.b, f.group, live(10, 15*time.Second))
			if len(ds) == 0 {
				t.Fatalf("%d of %d messages arrived", len(seen), len(want))
			}
			for _, body := range bodies(ds) {
				if seen[body] && mode == dms.FIFO {
					t.Errorf("%s came twice", body)
				}
				seen[body] = true
				order = append(order, body)
			}
			acknowledge(t, f.b, f.group, dms.Live, acks(ds), len(ds))
		}
		if mode == dms.FIFO {
			if d := cmp.Diff(want, order); d != "" {
				t.Errorf("order (-want +got):\n%s", d)
			}
		}
		if c := counters(t, f.b, f.group); c.Produced != int64(len(want)) {
			t.Errorf("%d messages are stored, want %d", c.Produced, len(want))
		}
	})
}

func TestAFullProjectRefusesSendsAndStillConsumes(t *testing.T) {
	t.Parallel()
	p := enginetest.NewProject()
	p.Limits.StoredBytes = 2 << 20
	if err := cluster.Accounts().Provision(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	fillAuditTrail(t, p) // with more than the quota, of which it is no part
	b := newBroker(t, p, 0, 1)
	queue, group := newQueue(t, b, p, dms.NewQueue{Mode: dms.FIFO, MaxConsumeCount: 1})
	big := strings.Repeat("x", 200_000)
	stored := 0
	for range 100 {
		_, err := b.Send(t.Context(), queue, dms.Send{Messages: []dms.Message{{Payload: payload(big)}}})
		if has(err, dms.QuotaExceeded) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		stored++
	}
	if stored < 5 || stored > 10 {
		t.Errorf("%d messages of 200 kB fitted in 2 MiB", stored)
	}
	ds := receiveExactly(t, b, group, 2)
	acknowledge(t, b, group, dms.Live, acks(ds, true, false), 1) // and a dead letter is written
	if got := receive(t, b, group, dead(1, 5*time.Second)); len(got) != 1 {
		t.Errorf("%d dead letters, want 1", len(got))
	}
}

// fillAuditTrail stores 3 MiB where the audit trail of the project is.
func fillAuditTrail(t *testing.T, p tenancy.Project) {
	t.Helper()
	nc, err := cluster.Accounts().Connect(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	c := jetstream.StreamConfig{Name: auditStream, Subjects: []string{"audit"}, Replicas: replicas, MaxBytes: tenancy.AuditBytes}
	if _, err := js.CreateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for range 6 {
		if _, err := js.Publish(t.Context(), "audit", make([]byte, 512<<10),
			jetstream.WithRetryAttempts(100), jetstream.WithRetryWait(100*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestASetOfLabelsTooManyIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dms.NewQueue{})
	for i := 0; i < maxLabelSets; i += 10 {
		var req dms.Send
		for j := range 10 {
			req.Messages = append(req.Messages, dms.Message{Payload: payload("m"), Labels: []string{fmt.Sprintf("l%d", i+j)}})
		}
		if _, err := f.b.Send(t.Context(), f.queue, req); err != nil {
			t.Fatal(err)
		}
	}
	one := func(label string) error {
		_, err := f.b.Send(t.Context(), f.queue, dms.Send{Messages: []dms.Message{{Payload: payload("m"), Labels: []string{label}}}})
		return err
	}
	wantCode(t, one("new"), dms.BadLabel)
	if err := one("l7"); err != nil {
		t.Errorf("a known label is refused: %v", err)
	}
}

func TestAKeyMakesASendRepeatable(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		a, b, queue, group := twoNodes(t, dms.NewQueue{Mode: mode})
		req := dms.Send{Key: "payment 17", Messages: []dms.Message{{Payload: payload("m1")}, {Payload: payload("m2")}, {Payload: payload("m3")}}}
		first, err := a.Send(t.Context(), queue, req)
		if err != nil {
			t.Fatal(err)
		}
		for _, node := range []*Broker{a, b} {
			again, err := node.Send(t.Context(), queue, req)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(first, again); d != "" {
				t.Errorf("the repeated request (-first +again):\n%s", d)
			}
		}
		if c := counters(t, a, group); c.Produced != 3 {
			t.Errorf("%d messages are stored, want 3", c.Produced)
		}
	})
}

func TestAnUnreachableLogIsUnavailable(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	b, err := New(Options{
		Tenants:     refusing{},
		SealingKeys: []seal.Key{{ID: 1, Secret: [32]byte{1}}},
		Log:         testLog(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(t.Context())
	_, err = b.Queues(t.Context(), p.ID)
	wantCode(t, err, dms.Unavailable)
}

type refusing struct{}

func (refusing) Connect(context.Context, tenancy.ProjectID) (*nats.Conn, error) {
	return nil, nats.ErrNoResponders
}

func (refusing) Project(context.Context, tenancy.ProjectID) (tenancy.Project, error) {
	return tenancy.Project{}, nats.ErrNoResponders
}

func TestALastFailureIsADeadLetterBeforeItIsAnswered(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		f := newFixture(t, dms.NewQueue{Mode: mode, MaxConsumeCount: 1})
		for range 8 {
			send(t, f.b, f.queue, "a", "b", "c")
		}
		req := live(4, 10*time.Second)
		req.AckWait = 300 * time.Second
		ds := receive(t, f.b, f.group, req)
		acknowledge(t, f.b, f.group, dms.Live, acks(ds[:1], false), 0)
		if c := counters(t, f.b, f.group); c.DeadProduced != 1 || c.DeadAvailable != 1 {
			t.Errorf("after the answer: %+v, want one dead letter", c)
		}
	})
}

func TestAnEarlierTimeoutIsNotOverlookedForALaterOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dms.NewQueue{MaxConsumeCount: 1})
	send(t, f.b, f.queue, "patient", "hasty")
	req := live(1, 10*time.Second)
	req.AckWait = 300 * time.Second
	receive(t, f.b, f.group, req)
	receive(t, f.b, f.group, shortly(1))
	got := receive(t, f.b, f.group, dead(10, 30*time.Second))
	if d := cmp.Diff([]string{"hasty"}, bodies(got)); d != "" {
		t.Errorf("dead letters (-want +got):\n%s", d)
	}
}

// An acknowledgement that was held until the message may have been offered once more, and
// so have died, is not said to have succeeded.
func TestAnAcknowledgementThatWasHeldTooLongIsUnknown(t *testing.T) {
	t.Parallel()
	deadline := time.Now()
	for _, c := range []struct {
		name       string
		deliveries uint32
		after      time.Duration
		want       bool
	}{
		{"in time", 2, -time.Second, false},
		{"just over, before it is offered again", 2, 100 * time.Millisecond, false},
		{"it may have died", 2, time.Second, true},
		{"it may come once more", 1, time.Second, false},
	} {
		last := receipt{deliveries: c.deliveries, deadline: deadline}
		ok := receipt{deliveries: 1, deadline: deadline}
		if got := mayHaveDied([]receipt{ok, last}, 2, deadline.Add(c.after)); got != c.want {
			t.Errorf("%s: got %t", c.name, got)
		}
	}
}
