package mapping

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"dms/deploy/engine/enginetest"
	"dms/mapping/dms"
)

var (
	benched = flag.Int("bench.messages", 20_000, "messages in the queue that is looked at")
	body    = flag.Int("bench.body", 200, "bytes of their bodies")
	storage = flag.Int64("bench.storage", 256<<20, "bytes that the project may store")
)

// BenchmarkPeek looks at pages of 100 messages at random places.
func BenchmarkPeek(b *testing.B) {
	p := enginetest.NewProject()
	p.Limits.StoredBytes = *storage
	if err := cluster.Accounts().Provision(b.Context(), p); err != nil {
		b.Fatal(err)
	}
	f := fixture{b: newBroker(b, p, 0, 1), p: p}
	f.queue, f.group = newQueue(b, f.b, p, dms.NewQueue{})
	fill(b, f, *benched)
	page := func(p dms.Peek) time.Duration {
		began := time.Now()
		got, err := f.b.Peek(b.Context(), f.queue, p)
		if err != nil || len(got.Messages) != 100 {
			b.Fatalf("%d messages, %v", len(got.Messages), err)
		}
		return time.Since(began)
	}
	for name, p := range map[string]dms.Peek{"oldest": {}, "newest": {Newest: true}} {
		b.Run(name, func(b *testing.B) {
			p.Source, p.Limit = dms.InQueue, 100
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				p.FromSequence = uint64(100 + (i*7919)%(*benched-200))
				took = append(took, page(p))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}

// fill stores n messages, many at a time.
func fill(b *testing.B, f fixture, n int) {
	b.Helper()
	s, release, err := f.b.session(b.Context(), f.p.ID)
	if err != nil {
		b.Fatal(err)
	}
	defer release()
	q, err := s.queue(b.Context(), f.queue.Queue)
	if err != nil {
		b.Fatal(err)
	}
	content := payload(fmt.Sprintf("%0*d", *body, 7))
	for done := 0; done < n; {
		batch := make([]*outgoing, min(1000, n-done))
		for i := range batch {
			batch[i] = newOutgoing(q, dms.Message{Payload: content}, messageID(f.queue, "", i))
		}
		if err := s.store(b.Context(), q, batch, nil); err != nil {
			b.Fatal(err)
		}
		if last := batch[len(batch)-1]; last.err != nil {
			b.Fatalf("after %d messages: %v", done, last.err)
		}
		done += len(batch)
	}
}

// BenchmarkRedrive moves dead letters of 1 KB as fast as it goes.
func BenchmarkRedrive(b *testing.B) {
	for _, target := range []dms.Target{dms.ToGroup, dms.ToQueue} {
		b.Run(string(target), func(b *testing.B) {
			const letters = 10_000
			f := newFixture(b, dms.NewQueue{MaxConsumeCount: 1})
			s, release, err := f.b.session(b.Context(), f.p.ID)
			if err != nil {
				b.Fatal(err)
			}
			defer release()
			var rate float64
			for b.Loop() {
				b.StopTimer()
				buryMany(b, s, f.group, letters)
				b.StartTimer()
				began := time.Now()
				job, err := f.b.Redrive(b.Context(), f.group, dms.Redrive{Target: target})
				if err != nil {
					b.Fatal(err)
				}
				if j := finished(b, f.b, f.group, job.ID); j.Moved != letters {
					b.Fatalf("the job is %+v", j)
				}
				rate = letters / time.Since(began).Seconds()
			}
			b.ReportMetric(rate, "msg/s")
		})
	}
}

// buryMany makes dead letters that were never messages.
func buryMany(b *testing.B, s *session, ref dms.GroupRef, n int) {
	b.Helper()
	if err := s.deadStore.ensure(b.Context(), s); err != nil {
		b.Fatal(err)
	}
	content := payload(fmt.Sprintf("%01000d", 7))
	for done := 0; done < n; {
		batch := make([]*outgoing, min(1000, n-done))
		for i := range batch {
			id := messageID(ref.QueueRef, "", i)
			batch[i] = newOutgoing(&queue{Queue: dms.Queue{Ref: ref.QueueRef}}, dms.Message{Payload: content}, id)
			batch[i].message.Subject = deadSubject(reading{GroupRef: ref}, uint64(done+i+1))
		}
		s.storeEach(b.Context(), batch)
		for _, o := range batch {
			if !o.stored {
				b.Fatalf("%v, %v", o.err, o.last)
			}
		}
		done += len(batch)
	}
}
