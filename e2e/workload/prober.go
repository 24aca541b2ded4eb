package workload

import (
	"context"
	"time"

	"dms/e2e/history"
)

// prober tries what belongs to another tenant, and looks for it in its own lists.
type prober struct {
	*caller
	victim *tenant
	seq    int64
}

func (p *prober) run(ctx context.Context) {
	for ctx.Err() == nil {
		p.probe(context.Background())
		Pause(ctx, time.Duration(100+p.rng.IntN(300))*time.Millisecond)
	}
}

func (p *prober) probe(ctx context.Context) {
	q := p.victim.queues[p.rng.IntN(len(p.victim.queues))]
	g := q.groups[p.rng.IntN(len(q.groups))]
	switch p.rng.IntN(7) {
	case 0:
		p.read(ctx, nil, "/queues?include_deadletter=true")
	case 1:
		p.read(ctx, q, "/queues/"+q.id)
	case 2:
		p.read(ctx, q, "/queues/"+q.id+"/groups?include_deadletter=true")
	case 3:
		p.seq++
		b := history.Body{Tenant: p.tenant.id, Queue: q.id, Producer: p.name, Seq: p.seq, Nonce: history.NewNonce()}
		text, err := history.Make(b, 0)
		if err != nil {
			p.w.complain("make message: %v", err)
		}
		p.send(ctx, q, "", []message{{body: b, text: text}})
	case 4:
		p.receive(ctx, g, live, poll{most: 10, wait: time.Second, ackWait: 15 * time.Second})
	case 5:
		p.receive(ctx, g, dead, poll{most: 10, wait: time.Second, ackWait: 15 * time.Second})
	case 6:
		p.ack(ctx, g, live, entry{of: delivery{handle: "AQ"}, misuse: history.ForeignTenant})
	}
}
