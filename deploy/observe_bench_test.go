package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"dms/mapping"
	"dms/mapping/dms"
	"dms/monitor"
	"dms/monitor/history"
	"dms/monitor/sample"
	"dms/tenancy"
)

// benchLogs are what three members say of projects with queues of three groups each.
func benchLogs(queues int) (logs []mapping.LogFigures, figures []dms.QueueFigures, project tenancy.ProjectID) {
	project = "d3500000000000000000000000000001"
	for range queues {
		q := dms.QueueFigures{
			Ref: dms.QueueRef{Project: project, Queue: dms.NewQueueID()}, Name: "orders", Complete: true, Messages: 1000, Bytes: 1 << 20, First: 1, Last: 1000,
		}
		l := mapping.LogFigures{Project: project, Name: "q_" + string(q.Ref.Queue), Led: true, Messages: 1000, Bytes: 1 << 20, First: 1, Last: 1000}
		for range 3 {
			g := dms.GroupFigures{ID: dms.NewGroupID(), Name: "billing", Available: 100, Outstanding: 10, Oldest: time.Now()}
			q.Groups = append(q.Groups, g)
			l.Consumers = append(l.Consumers, mapping.ConsumerFigures{Name: "g_" + string(g.ID), Pending: 90, Outstanding: 10, Delivered: 910, Floor: 900})
		}
		logs, figures = append(logs, l), append(figures, q)
	}
	return logs, figures, project
}

// discard is a log that keeps nothing.
type discard struct{ bytes int }

func (d *discard) Append(_ context.Context, _, _ string, value []byte) error {
	d.bytes = len(value)
	return nil
}
func (d *discard) Read(context.Context, string, time.Time, func(time.Time, []byte) error) error {
	return nil
}
func (d *discard) Last(context.Context, string) (at time.Time, value []byte, ok bool, err error) {
	return at, nil, false, nil
}

// BenchmarkSamplingPass is what a pass costs beside reading the members: their answers in
// transit, and the sample and its stored form. Divide by the period of 10 s for the share
// of a core.
func BenchmarkSamplingPass(b *testing.B) {
	for _, queues := range []int{200, 1000} {
		b.Run(fmt.Sprintf("%d queues of 3 groups", queues), func(b *testing.B) {
			logs, figures, project := benchLogs(queues)
			tracker := sample.NewTracker(project)
			store := &discard{}
			recorder := history.New(store, store).Recorder()
			at := time.Now()
			b.ReportAllocs()
			for b.Loop() {
				if err := transit(logs); err != nil {
					b.Fatal(err)
				}
				at = at.Add(10 * time.Second)
				if err := recorder.Record(b.Context(), tracker.Advance(at, figures, nil)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(store.bytes), "bytes/sample")
		})
	}
}

// transit puts answers into pieces and takes them apart again.
func transit(logs []mapping.LogFigures) error {
	pieces, err := encodeParts("run", logs, nil)
	if err != nil {
		return err
	}
	for _, raw := range pieces {
		var p part
		if err := json.Unmarshal(raw, &p); err != nil {
			return err
		}
	}
	return nil
}

// benched is what a pass needs, of a development service that serves nobody.
type benched struct {
	collector
	history *history.History
}

func benchService(b *testing.B) *benched {
	b.Helper()
	d, err := NewDev(b.Context(), DevOptions{Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", Data: b.TempDir(), DiskLimit: 2 << 30}, quiet())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := d.Stop(context.Background()); err != nil {
			b.Log(err) // closing so many logs may take longer than a stop waits
		}
	})
	if err := d.storage.Ready(b.Context()); err != nil {
		b.Fatal(err)
	}
	projects, err := d.openTenants(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	broker, err := d.newBroker(projects)
	if err != nil {
		b.Fatal(err)
	}
	d.stops.add("broker", broker.Close)
	store := projects.control
	logs, err := d.openLogs(b.Context(), store)
	if err != nil {
		b.Fatal(err)
	}
	said := &answers{members: d.storage.Members, traffic: &sample.Traffic{}, run: "bench"}
	stop, err := store.Serve(figuresTopic, "dev", said.parts, func(err error) { b.Error(err) })
	if err != nil {
		b.Fatal(err)
	}
	d.stops.add("figures", func(context.Context) error { stop(); return nil })
	return &benched{collector{store: store, broker: broker, registry: projects.registry, nodes: 1}, history.New(logs.fine, logs.coarse)}
}

// BenchmarkFullPass is a whole pass over real members in one process: 200 queues of three
// groups, everything read and stored on three replicas.
func BenchmarkFullPass(b *testing.B) {
	const queues = 200
	s := benchService(b)
	project := devProjects()[0]
	broker, reg := s.broker, s.registry
	limits := tenancy.Limits{Queues: queues, GroupsPerQueue: 3, StoredBytes: 64 << 20}
	if err := reg.Put(b.Context(), tenancy.Project{ID: project.ID, Name: project.Name, Limits: limits}); err != nil {
		b.Fatal(err)
	}
	for i := range queues {
		q, err := broker.CreateQueue(b.Context(), project.ID, dms.NewQueue{Name: fmt.Sprintf("q%d", i), Mode: dms.Normal})
		if err != nil {
			b.Fatal(err)
		}
		groups, err := broker.CreateGroups(b.Context(), q.Ref, []string{"a", "b", "c"})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := broker.Send(b.Context(), q.Ref, dms.Send{Messages: []dms.Message{{Payload: []byte(`{"body":1}`)}}}); err != nil {
			b.Fatal(err)
		}
		for _, g := range groups { // the first consume makes the consumer
			got, err := broker.Receive(b.Context(), g.Ref, dms.Receive{Kind: dms.Live, Max: 1, Wait: 30 * time.Second, AckWait: 5 * time.Minute})
			if err != nil || len(got.Deliveries) != 1 {
				b.Fatal(len(got.Deliveries), err)
			}
		}
	}
	c := &s.collector
	tracker := sample.NewTracker(project.ID)
	recorder := s.history.Recorder()
	// Eight hundred replicated logs on three members are busy when nobody asks anything.
	idle := cpuTime(b)
	<-time.After(3 * time.Second)
	share := float64(cpuTime(b)-idle) / float64(3*time.Second)
	begin, used := time.Now(), cpuTime(b)
	for b.Loop() {
		found, err := c.Collect(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for _, p := range found.Projects {
			if p.Err != nil {
				b.Fatal(p.Err)
			}
			if p.ID != project.ID {
				continue
			}
			if len(p.Queues) != queues || len(p.Queues[0].Groups) != 3 {
				b.Fatalf("%d queues", len(p.Queues))
			}
			if err := recorder.Record(b.Context(), tracker.Advance(found.At, p.Queues, nil)); err != nil {
				b.Fatal(err)
			}
		}
	}
	pass := cpuTime(b) - used - time.Duration(share*float64(time.Since(begin)))
	b.ReportMetric(100*share, "idle-%")
	b.ReportMetric(float64(pass.Microseconds())/1000/float64(b.N), "cpu-ms/pass")
}

// cpuTime is what this process has used of the processors.
func cpuTime(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkDataPath is one send of ten messages, their consumption and acknowledgement on
// three replicas, by processor time, which another load on the machine changes less than
// it changes the clock.
func BenchmarkDataPath(b *testing.B) {
	s := benchService(b)
	project := devProjects()[0]
	limits := tenancy.Limits{Queues: 10, GroupsPerQueue: 3, StoredBytes: 256 << 20}
	if err := s.registry.Put(b.Context(), tenancy.Project{ID: project.ID, Name: project.Name, Limits: limits}); err != nil {
		b.Fatal(err)
	}
	tel, err := monitor.Start(monitor.Options{Node: "n1", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	measured, err := tel.Measure(s.broker, &sample.Traffic{})
	if err != nil {
		b.Fatal(err)
	}
	for i, m := range []monitor.Messages{s.broker, measured, s.broker, measured} {
		q, err := s.broker.CreateQueue(b.Context(), project.ID, dms.NewQueue{Name: fmt.Sprintf("q%d", i), Mode: dms.Normal})
		if err != nil {
			b.Fatal(err)
		}
		groups, err := s.broker.CreateGroups(b.Context(), q.Ref, []string{"a"})
		if err != nil {
			b.Fatal(err)
		}
		b.Run([]string{"without", "with"}[i%2], func(b *testing.B) {
			used := cpuTime(b)
			for b.Loop() {
				round(b, m, q.Ref, groups[0].Ref)
			}
			b.ReportMetric(float64((cpuTime(b)-used).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// round sends ten messages and has them all consumed.
func round(b *testing.B, m monitor.Messages, q dms.QueueRef, g dms.GroupRef) {
	messages := make([]dms.Message, dms.MaxBatch)
	for i := range messages {
		messages[i].Payload = []byte(`{"body":"some text of a usual length"}`)
	}
	if _, err := m.Send(b.Context(), q, dms.Send{Messages: messages}); err != nil {
		b.Fatal(err)
	}
	for left := len(messages); left > 0; {
		batch, err := m.Receive(b.Context(), g, dms.Receive{Kind: dms.Live, Max: left, Wait: 10 * time.Second, AckWait: dms.DefaultAckWait})
		if err != nil || len(batch.Deliveries) == 0 {
			b.Fatal(len(batch.Deliveries), err)
		}
		acks := make([]dms.Ack, len(batch.Deliveries))
		for i, d := range batch.Deliveries {
			acks[i] = dms.Ack{Handle: d.Handle, Success: true}
		}
		if _, err := m.Acknowledge(b.Context(), g, dms.Live, acks); err != nil {
			b.Fatal(err)
		}
		left -= len(acks)
	}
}

// instant moves messages in no time at all.
type instant struct{}

func (instant) Send(_ context.Context, _ dms.QueueRef, s dms.Send) ([]dms.Sent, error) {
	return make([]dms.Sent, len(s.Messages)), nil
}
func (instant) Receive(context.Context, dms.GroupRef, dms.Receive) (dms.Batch, error) {
	return dms.Batch{Deliveries: make([]dms.Delivery, 10)}, nil
}
func (instant) Acknowledge(_ context.Context, _ dms.GroupRef, _ dms.Kind, acks []dms.Ack) (int, error) {
	return len(acks), nil
}

// BenchmarkInstrumentation is what measuring adds to one send, one receive and one
// acknowledgement.
func BenchmarkInstrumentation(b *testing.B) {
	tel, err := monitor.Start(monitor.Options{Node: "n1", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	measured, err := tel.Measure(instant{}, &sample.Traffic{})
	if err != nil {
		b.Fatal(err)
	}
	q := dms.QueueRef{Project: "d3500000000000000000000000000001", Queue: dms.NewQueueID()}
	g := dms.GroupRef{QueueRef: q, Group: dms.NewGroupID()}
	for name, m := range map[string]monitor.Messages{"without": instant{}, "with": measured} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Send(b.Context(), q, dms.Send{Messages: make([]dms.Message, 10)}); err != nil {
					b.Fatal(err)
				}
				if _, err := m.Receive(b.Context(), g, dms.Receive{Kind: dms.Live}); err != nil {
					b.Fatal(err)
				}
				if _, err := m.Acknowledge(b.Context(), g, dms.Live, make([]dms.Ack, 10)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
