package workload

import (
	"context"
	"time"

	"dms/e2e/history"
)

// producer sends to one queue, one request after the other.
type producer struct {
	*caller
	queue *queue
	seq   int64
	every time.Duration // between messages
}

func (p *producer) run(ctx context.Context) {
	next := time.Now()
	for ctx.Err() == nil {
		n := 1 + p.rng.IntN(10)
		p.sendOnce(n)
		// What could not be offered while a call was held is made up for within bounds.
		if next = next.Add(time.Duration(n) * p.every); time.Until(next) < -p.w.plan.MakeUp {
			next = time.Now().Add(-p.w.plan.MakeUp)
		}
		Pause(ctx, time.Until(next))
	}
}

// sendOnce sends a batch. Under a key it is sent again, as it was, when nothing is known
// of it, and sometimes although it is known to be stored.
func (p *producer) sendOnce(n int) {
	ctx := context.Background() // a call that has begun is ended by its own limit
	batch := make([]message, n)
	for i := range batch {
		batch[i] = p.next()
	}
	if !p.chance(p.w.plan.Keyed) {
		p.send(ctx, p.queue, "", batch)
		return
	}
	key := "key-" + history.NewNonce()
	leaves := p.chance(p.w.plan.Leave)
	again := func() int {
		if !leaves {
			return p.send(ctx, p.queue, key, batch)
		}
		leaves = false
		short, cancel := context.WithTimeout(ctx, time.Duration(1+p.rng.IntN(50))*time.Millisecond)
		defer cancel()
		return p.send(short, p.queue, key, batch)
	}
	for status := p.persist(history.Send, p.queue.id, time.Time{}, again); status/100 == 2 && p.chance(.05); {
		status = again()
	}
}

func (p *producer) next() message {
	p.seq++
	m := message{body: history.Body{
		Tenant: p.tenant.id, Queue: p.queue.id, Producer: p.name, Seq: p.seq, Nonce: history.NewNonce(),
	}}
	text, err := history.Make(m.body, p.rng.IntN(400))
	if err != nil {
		p.w.complain("make message: %v", err)
	}
	m.text = text
	if p.chance(.3) {
		m.attributes = `{"colour":"green"}`
	}
	if !p.queue.fifo && p.chance(p.w.plan.Delayed) {
		m.delay = time.Duration(1+p.rng.IntN(3000)) * time.Millisecond
	}
	return m
}
