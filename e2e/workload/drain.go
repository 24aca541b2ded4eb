package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"dms/e2e/history"
)

// drain reads every group and its dead letters to the end: until two polls in a row are
// empty, the counters say that nothing is left, and all delayed messages have come. It returns what is not at its end
// when the time is over.
func (w *World) drain(ctx context.Context) (left []string) {
	ctx, cancel := context.WithTimeout(ctx, w.plan.Drain)
	defer cancel()
	var wg sync.WaitGroup
	for _, g := range w.groups() {
		wg.Go(func() { w.drainOne(ctx, g) })
	}
	wg.Wait()
	for _, g := range w.groups() {
		if !g.drained.Load() {
			figures, err := w.caller(g.queue.tenant, "late-%s", g.id).counters(context.WithoutCancel(ctx), g)
			left = append(left, fmt.Sprintf("group %s of queue %s (fifo: %t), %d delayed messages still to come: %+v %v",
				g.id, g.queue.id, g.queue.fifo, g.awaited(), figures, err))
		}
	}
	return left
}

func (w *World) drainOne(ctx context.Context, g *group) {
	stores := []store{live}
	if g.queue.maxConsume > 0 {
		stores = append(stores, dead)
	}
	ctx, done := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer done()
	for i := range w.plan.clients() - 1 {
		if g.queue.fifo {
			break // they would wait for each other
		}
		c := &consumer{caller: w.caller(g.queue.tenant, "drain-%s-%d", g.id, i), group: g}
		wg.Go(func() {
			for ctx.Err() == nil {
				c.empty(ctx)
			}
		})
	}
	c := &consumer{caller: w.caller(g.queue.tenant, "drain-%s", g.id), group: g}
	for ctx.Err() == nil {
		for _, c.store = range stores {
			c.empty(ctx)
		}
		now, err := c.counters(ctx, g)
		if err == nil && now.Available == 0 && now.DeadAvailable == 0 && g.awaited() == 0 {
			g.drained.Store(true)
			return
		}
		Pause(ctx, 100*time.Millisecond)
	}
}

// empty settles all there is, until two polls in a row bring nothing.
func (c *consumer) empty(ctx context.Context) {
	for nothing := 0; nothing < 2 && ctx.Err() == nil; {
		got, ok := c.receive(context.WithoutCancel(ctx), c.group, c.store, poll{most: 10, wait: time.Second, ackWait: 15 * time.Second})
		switch {
		case !ok:
			Pause(ctx, 100*time.Millisecond)
		case len(got) == 0:
			nothing++
		default:
			nothing = 0
			c.ack(context.WithoutCancel(ctx), c.group, c.store, successes(got)...)
		}
	}
}

// counters reads the figures of a group.
func (c *caller) counters(ctx context.Context, g *group) (history.Counters, error) {
	body := c.read(context.WithoutCancel(ctx), g.queue, "/queues/"+g.queue.id+"/groups?include_deadletter=true")
	var list struct {
		Groups []struct {
			ID            string `json:"id"`
			Produced      int64  `json:"produced_messages"`
			Consumed      int64  `json:"consumed_messages"`
			Available     int64  `json:"available_messages"`
			DeadProduced  int64  `json:"produced_deadletters"`
			DeadAvailable int64  `json:"available_deadletters"`
		} `json:"groups"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return history.Counters{}, fmt.Errorf("counters: %w", err)
	}
	for _, o := range list.Groups {
		if o.ID == g.id {
			return history.Counters{Tenant: g.queue.tenant.id, Queue: g.queue.id, Group: g.id,
				Produced: o.Produced, Consumed: o.Consumed, Available: o.Available,
				DeadProduced: o.DeadProduced, DeadAvailable: o.DeadAvailable}, nil
		}
	}
	return history.Counters{}, fmt.Errorf("group %s is not listed", g.id)
}

const finalTries = 10

// finalCounters reads the figures of all groups through every node.
func (w *World) finalCounters(ctx context.Context) ([]history.Counters, error) {
	var all []history.Counters
	for _, g := range w.groups() {
		c := w.caller(g.queue.tenant, "counters-%s", g.id)
		for i := range size {
			var figures history.Counters
			var err error
			for range finalTries {
				for k := range size {
					c.shun[k] = time.Time{}
					if k != i && !w.plan.OneNode {
						c.shun[k] = time.Now().Add(time.Hour)
					}
				}
				if figures, err = c.counters(ctx, g); err == nil {
					break
				}
				Pause(ctx, 500*time.Millisecond)
			}
			if err != nil {
				return nil, err
			}
			all = append(all, figures)
		}
	}
	return all, nil
}
