package workload

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"dms/e2e/history"
)

// surgeBatch is how many messages each send of a surge has.
const surgeBatch = 10

// Surge sends as fast as so many producers can, beside whatever else goes on, and returns
// how many messages were stored. Like simple clients, they come again at once.
func (w *World) Surge(ctx context.Context, name string, producers int) int64 {
	var stored atomic.Int64
	var wg sync.WaitGroup
	for i := range producers {
		t := w.tenants[i%len(w.tenants)]
		q := t.queues[i/len(w.tenants)%len(t.queues)]
		p := &producer{caller: w.caller(t, "%s-%d", name, i), queue: q}
		wg.Go(func() {
			for ctx.Err() == nil {
				batch := make([]message, surgeBatch)
				for i := range batch {
					batch[i] = p.next()
				}
				// A call that has begun is ended by its own limit.
				if p.send(context.WithoutCancel(ctx), p.queue, "key-"+history.NewNonce(), batch) == http.StatusCreated {
					stored.Add(surgeBatch)
				}
			}
		})
	}
	wg.Wait()
	return stored.Load()
}

// Probe sends one message after the other to a NORMAL queue and returns how long each
// took, until enough says so or the context ends.
func (w *World) Probe(ctx context.Context, name string, enough func([]time.Duration) bool) []time.Duration {
	t := w.tenants[0]
	p := &producer{caller: w.caller(t, "%s", name), queue: t.queues[0]}
	var took []time.Duration
	for ctx.Err() == nil && !enough(took) {
		begin := time.Now()
		if p.send(context.WithoutCancel(ctx), p.queue, "key-"+history.NewNonce(), []message{p.next()}) == http.StatusCreated {
			took = append(took, time.Since(begin))
		}
	}
	return took
}
