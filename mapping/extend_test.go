package mapping

import (
	"testing"
	"time"

	"dms/mapping/dms"

	"github.com/google/go-cmp/cmp"
)

func short(most int, ackWait time.Duration) dms.Receive {
	r := live(most, 10*time.Second)
	r.AckWait, r.Meta = ackWait, true
	return r
}

func TestADeliveryIsExtended(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		p := newProject(t)
		a, b := newBroker(t, p, 0, 2), newBroker(t, p, 1, 2)
		queue, group := newQueue(t, a, p, dms.NewQueue{Mode: mode, MaxConsumeCount: 1})
		send(t, a, queue, "held")
		ds := receive(t, a, group, short(1, 2*time.Second))
		if len(ds) != 1 {
			t.Fatal("nothing came")
		}
		extended, err := b.Extend(t.Context(), group, dms.Live, []dms.Extend{{Handle: ds[0].Handle, AckWait: time.Hour}})
		if err != nil {
			t.Fatal(err)
		}
		// Neither node offers it again after the first time, nor makes a dead letter of it.
		if got := receive(t, a, group, live(1, 6*time.Second)); len(got) > 0 {
			t.Errorf("it was offered again: %v", bodies(got))
		}
		if _, err := a.Acknowledge(t.Context(), group, dms.Live, acks(ds)); !has(err, dms.HandleInvalid) {
			t.Errorf("the first handle after its time: %v", err)
		}
		acknowledge(t, a, group, dms.Live, []dms.Ack{{Handle: extended[0], Success: true}}, 1)
		if d := cmp.Diff(dms.Counters{Produced: 1, Consumed: 1}, counters(t, a, group)); d != "" {
			t.Errorf("counters (-want +got):\n%s", d)
		}
	})
}

func TestADeliveryIsNotHeldForEver(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dms.NewQueue{})
	send(t, f.b, f.queue, "held")
	h := receiveExactly(t, f.b, f.group, 1)[0].Handle
	for _, wait := range []time.Duration{14 * time.Second, 12*time.Hour + time.Second, 12 * time.Hour} {
		if _, err := f.b.Extend(t.Context(), f.group, dms.Live, []dms.Extend{{Handle: h, AckWait: wait}}); !has(err, dms.BadAckWait) {
			t.Errorf("%v: %v", wait, err)
		}
	}
	got, err := f.b.Extend(t.Context(), f.group, dms.Live, []dms.Extend{{Handle: h, AckWait: 11 * time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.b.sealer.open(f.p.ID, got[0])
	if err != nil || r.origin.IsZero() {
		t.Fatalf("%+v, %v", r, err)
	}
	// The time of the first handing out stays.
	r.origin = time.Now().Add(-11 * time.Hour)
	if _, err := f.b.Extend(t.Context(), f.group, dms.Live, []dms.Extend{{Handle: f.b.sealer.seal(r), AckWait: 2 * time.Hour}}); !has(err, dms.BadAckWait) {
		t.Errorf("thirteen hours in all: %v", err)
	}
}

func TestAFailureMayBeDelayed(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		p := newProject(t)
		a, b := newBroker(t, p, 0, 2), newBroker(t, p, 1, 2)
		queue, group := newQueue(t, a, p, dms.NewQueue{Mode: mode, MaxConsumeCount: 3})
		send(t, a, queue, "first", "second")
		as := acks(receiveExactly(t, a, group, 2), false)
		as[0].Delay, as[0].Reason = 4*time.Second, "busy"
		failed := time.Now()
		acknowledge(t, a, group, dms.Live, as, 0)
		var got []string
		for len(got) < 2 {
			ds := receive(t, b, group, short(1, 30*time.Second))
			if len(ds) == 0 {
				continue
			}
			if body := bodies(ds)[0]; body == "first" {
				if early := time.Until(failed.Add(as[0].Delay)); early > 0 {
					t.Errorf("it came %v early", early)
				}
				if m := ds[0].Meta; m.Deliveries != 2 || m.First.After(failed) || m.First.IsZero() || m.Sequence != 1 || m.ID == "" {
					t.Errorf("what is known of it: %+v", m)
				}
			}
			got = append(got, bodies(ds)...)
			acknowledge(t, b, group, dms.Live, acks(ds), 1)
		}
		want := []string{"second", "first"}
		if mode == dms.FIFO {
			want = []string{"first", "second"} // nothing overtakes a failure
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("order (-want +got):\n%s", d)
		}
	})
}
