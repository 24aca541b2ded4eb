package workload

import (
	"context"
	"sync"
	"time"
)

const consumersPerGroup = 2

// Load runs all clients until the context ends, and returns when all have come to an end.
func (w *World) Load(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	queues := len(w.tenants) * len(w.tenants[0].queues)
	for i, t := range w.tenants {
		for k, q := range t.queues {
			for j := range 2 {
				p := &producer{caller: w.caller(t, "p-%d-%d-%d", i, k, j), queue: q,
					every: time.Second * time.Duration(2*queues) / time.Duration(w.plan.Rate)}
				wg.Go(func() { p.run(ctx) })
			}
			for gi, g := range q.groups {
				for j := range consumersPerGroup {
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
