package mapping

import (
	"fmt"
	"testing"
	"time"

	"dms/mapping/dms"
	"dms/tenancy"

	"github.com/nats-io/nats-server/v2/server"
)

// readLogs asks every member what it stores of the project.
func readLogs(t testing.TB, project tenancy.ProjectID) (all []LogFigures) {
	t.Helper()
	for _, m := range cluster.Members() {
		info, err := m.Jsz(&server.JSzOptions{Accounts: true, Streams: true, Consumer: true, Limit: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range info.AccountDetails {
			if a.Name != string(project) {
				continue
			}
			for _, s := range a.Streams {
				l := LogFigures{Project: project, Name: s.Name}
				if s.Cluster != nil && s.Cluster.Leader == m.Name() {
					l.Led, l.Messages, l.Bytes, l.First, l.Last = true, s.State.Msgs, s.State.Bytes, s.State.FirstSeq, s.State.LastSeq
					l.FirstAt, l.LastAt = s.State.FirstTime.UnixMilli(), s.State.LastTime.UnixMilli()
				}
				for _, c := range s.Consumer {
					if c.Cluster != nil && c.Cluster.Leader == m.Name() {
						l.Consumers = append(l.Consumers, ConsumerFigures{
							Name: c.Name, Pending: c.NumPending, Outstanding: uint64(c.NumAckPending), Delivered: c.Delivered.Stream, Floor: c.AckFloor.Stream,
						})
					}
				}
				all = append(all, l)
			}
		}
	}
	return all
}

// awaitFigures polls until the only group of the queue looks as wanted.
func awaitFigures(t *testing.T, f fixture, want string, show func(dms.QueueFigures, dms.GroupFigures) string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		queues, err := f.b.Figures(t.Context(), f.p.ID, readLogs(t, f.p.ID))
		got := fmt.Sprintf("%d queues, %v", len(queues), err)
		if len(queues) == 1 && len(queues[0].Groups) == 1 {
			got = show(queues[0], queues[0].Groups[0])
		}
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("figures are %s, want %s", got, want)
		}
		<-tick.C
	}
}

func TestFiguresFollowAGroup(t *testing.T) {
	t.Parallel()
	for _, mode := range []dms.Mode{dms.Normal, dms.FIFO} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, dms.NewQueue{Mode: mode, MaxConsumeCount: 1})
			show := func(q dms.QueueFigures, g dms.GroupFigures) string {
				return fmt.Sprintf("%d retained, %d available, out %v, old %v, dead %d/%d", q.Messages, g.Available, g.Outstanding > 0, !g.Oldest.IsZero(), g.DeadWaiting, g.DeadMade)
			}
			awaitFigures(t, f, "0 retained, 0 available, out false, old false, dead 0/0", show)
			begin := time.Now().Add(-time.Second)
			send(t, f.b, f.queue, "a", "b", "c")
			awaitFigures(t, f, "3 retained, 3 available, out false, old true, dead 0/0", show)

			// The first succeeds, the second fails and becomes a dead letter at once.
			for _, good := range []bool{true, false} {
				batch, err := f.b.Receive(t.Context(), f.group, dms.Receive{Kind: dms.Live, Max: 1, Wait: 10 * time.Second, AckWait: time.Minute})
				if err != nil || len(batch.Deliveries) != 1 {
					t.Fatalf("%d deliveries, %v", len(batch.Deliveries), err)
				}
				if good {
					awaitFigures(t, f, "3 retained, 3 available, out true, old true, dead 0/0", show)
				}
				if _, err := f.b.Acknowledge(t.Context(), f.group, dms.Live, []dms.Ack{{Handle: batch.Deliveries[0].Handle, Success: good}}); err != nil {
					t.Fatal(err)
				}
			}
			// The log counts what has been returned to it as handed out until it goes out
			// again, so that from here on it is not looked at.
			show = func(_ dms.QueueFigures, g dms.GroupFigures) string {
				return fmt.Sprintf("%d available, old %v, dead %d/%d", g.Available, !g.Oldest.IsZero(), g.DeadWaiting, g.DeadMade)
			}
			awaitFigures(t, f, "1 available, old true, dead 1/1", show)
			queues, err := f.b.Figures(t.Context(), f.p.ID, readLogs(t, f.p.ID))
			if err != nil {
				t.Fatal(err)
			}
			if at := queues[0].Groups[0].Oldest; at.Before(begin) || at.After(time.Now().Add(time.Second)) {
				t.Errorf("the oldest message is from %v", at)
			}
			dead, err := f.b.Receive(t.Context(), f.group, dms.Receive{Kind: dms.Dead, Max: 1, Wait: 10 * time.Second, AckWait: time.Minute})
			if err != nil || len(dead.Deliveries) != 1 {
				t.Fatalf("%d dead letters, %v", len(dead.Deliveries), err)
			}
			if _, err := f.b.Acknowledge(t.Context(), f.group, dms.Dead, []dms.Ack{{Handle: dead.Deliveries[0].Handle, Success: true}}); err != nil {
				t.Fatal(err)
			}
			awaitFigures(t, f, "1 available, old true, dead 0/1", show)
		})
	}
}

func TestFiguresCountWhatLabelsSelect(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dms.NewQueue{})
	for _, labels := range [][]string{{"a"}, {"b"}, {"a", "b"}, {"c"}, nil} {
		if _, err := f.b.Send(t.Context(), f.queue, dms.Send{Messages: []dms.Message{{Payload: payload("x"), Labels: labels}}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.b.Receive(t.Context(), f.group, dms.Receive{
		Kind: dms.Live, Max: 1, Wait: 10 * time.Second, AckWait: time.Minute, Labels: []string{"a", "b"},
	}); err != nil {
		t.Fatal(err)
	}
	awaitFigures(t, f, "3 available, out true", func(_ dms.QueueFigures, g dms.GroupFigures) string {
		return fmt.Sprintf("%d available, out %v", g.Available, g.Outstanding > 0)
	})
}

// What has no leader is unknown, which is not the same as empty or gone.
func TestFiguresOfWhatHasNoLeaderAreUnknown(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dms.NewQueue{})
	send(t, f.b, f.queue, "a")
	logs := readLogs(t, f.p.ID)
	for i := range logs {
		logs[i].Led, logs[i].Consumers = false, nil
	}
	queues, err := f.b.Figures(t.Context(), f.p.ID, logs)
	if err != nil || len(queues) != 1 || !queues[0].Unknown || queues[0].Ref != f.queue {
		t.Errorf("figures without leaders: %+v, %v", queues, err)
	}
}

// The trace a message was sent in comes out with it, however it went.
func TestTracesTravelWithMessages(t *testing.T) {
	t.Parallel()
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for name, c := range map[string]struct {
		mode  dms.Mode
		delay time.Duration
	}{"normal": {mode: dms.Normal}, "fifo": {mode: dms.FIFO}, "delayed": {mode: dms.Normal, delay: time.Second}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, dms.NewQueue{Mode: c.mode})
			m := dms.Message{Payload: payload("x"), Delay: c.delay, Trace: trace}
			plain := m
			plain.Trace = ""
			if _, err := f.b.Send(t.Context(), f.queue, dms.Send{Messages: []dms.Message{m, m}}); err != nil {
				t.Fatal(err)
			}
			if _, err := f.b.Send(t.Context(), f.queue, dms.Send{Messages: []dms.Message{plain}}); err != nil {
				t.Fatal(err)
			}
			with, without := 0, 0
			for with+without < 3 {
				batch, err := f.b.Receive(t.Context(), f.group, dms.Receive{Kind: dms.Live, Max: 10, Wait: 20 * time.Second, AckWait: time.Minute})
				if err != nil || len(batch.Deliveries) == 0 {
					t.Fatalf("%d deliveries, %v", len(batch.Deliveries), err)
				}
				var acks []dms.Ack
				for _, d := range batch.Deliveries {
					switch d.Trace {
					case trace:
						with++
					case "":
						without++
					default:
						t.Errorf("the trace is %q", d.Trace)
					}
					acks = append(acks, dms.Ack{Handle: d.Handle, Success: true})
				}
				if _, err := f.b.Acknowledge(t.Context(), f.group, dms.Live, acks); err != nil {
					t.Fatal(err)
				}
			}
			if with != 2 || without != 1 {
				t.Errorf("%d messages with a trace and %d without, want 2 and 1", with, without)
			}
		})
	}
}
