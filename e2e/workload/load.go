package workload

import (
	"context"
	"sync"
)

// Load runs all clients until the context ends, and returns when all have come to an end.
func (w *World) Load(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	var queues []*queue
	for _, t := range w.tenants {
		queues = append(queues, t.queues...)
	}
	for i, t := range w.tenants {
		for k, q := range t.queues {
			for j := range w.plan.clients() {
				p := &producer{caller: w.caller(t, "p-%d-%d-%d", i, k, j), queue: q, every: w.plan.every(q, queues)}
				wg.Go(func() { p.run(ctx) })
			}
			for gi, g := range q.groups {
				for j := range w.plan.clients() {
					c := &consumer{caller: w.caller(t, "c-%d-%d-%d-%d", i, k, gi, j), group: g}
					wg.Go(func() { c.run(ctx) })
				}
				if q.maxConsume > 0 {
					c := &consumer{caller: w.caller(t, "d-%d-%d-%d", i, k, gi), group: g, store: dead}
					wg.Go(func() { c.run(ctx) })
				}
			}
		}
		p := &prober{caller: w.caller(t, "x-%d", i), victim: w.tenants[(i+1)%len(w.tenants)]}
		wg.Go(func() { p.run(ctx) })
	}
}
