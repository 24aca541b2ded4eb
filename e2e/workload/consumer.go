package workload

import (
	"context"
	"net/http"
	"slices"
	"time"

	"dms/e2e/history"
)

// consumer reads one group, or its dead letters, and treats what it gets as clients do.
type consumer struct {
	*caller
	group *group
	store store
	late  []delivery // to be acknowledged when their handles are over
}

func (c *consumer) run(ctx context.Context) {
	for ctx.Err() == nil {
		c.ackLate(ctx)
		p := poll{most: 1 + c.rng.IntN(10), wait: time.Duration(1+c.rng.IntN(3)) * time.Second, ackWait: 15 * time.Second}
		switch {
		case c.chance(.05):
			p.ackWait = 30 * time.Second
		case c.chance(.05):
			p.ackWait = 20 * time.Second
		}
		if c.chance(c.w.plan.Leave) {
			p.limit = time.Duration(1+c.rng.IntN(1000)) * time.Millisecond
		}
		// A call that has begun is ended by its own limit.
		got, ok := c.receive(context.Background(), c.group, c.store, p)
		if !ok {
			Pause(ctx, 50*time.Millisecond)
		}
		if len(got) > 0 {
			if think := c.w.plan.Think; think > 0 {
				Pause(ctx, time.Duration(c.rng.Int64N(int64(think))))
			}
			c.settle(context.Background(), got)
		}
	}
}

// settle acknowledges a batch, more or less well.
func (c *consumer) settle(ctx context.Context, got []delivery) {
	plan := c.w.plan
	// On a FIFO queue nobody gets anything while a batch is outstanding.
	rare := 1.0
	if c.group.queue.fifo {
		rare = .15
	}
	if c.chance(plan.Misused) {
		c.misuse(ctx, got[c.rng.IntN(len(got))])
	}
	switch {
	case c.chance(plan.Never * rare):
		return
	case c.chance(plan.Late * rare):
		c.late = append(c.late, got...)
		return
	}
	bad := slices.IndexFunc(got, c.poison)
	if bad < 0 && c.chance(plan.Negative) {
		bad = c.rng.IntN(len(got))
	}
	if bad < 0 {
		c.succeed(ctx, got)
		return
	}
	c.fail(ctx, got, bad)
}

// poison reports whether a message fails whenever it is consumed.
func (c *consumer) poison(d delivery) bool {
	return c.store == live && c.group.queue.maxConsume > 0 && c.w.plan.Poison > 0 && d.body.Seq%int64(c.w.plan.Poison) == 0
}

func successes(got []delivery) []entry {
	all := make([]entry, len(got))
	for i, d := range got {
		all[i] = entry{of: d}
	}
	return all
}

// succeed acknowledges a batch at once or in two parts, asks again when there was no
// answer, and sometimes although there was one.
func (c *consumer) succeed(ctx context.Context, got []delivery) {
	if n := len(got); n > 1 && c.chance(.1) {
		half := 1 + c.rng.IntN(n-1)
		c.succeed(ctx, got[:half])
		got = got[half:]
	}
	n := 0
	ask := func() (status int) {
		var out outcome
		n, out = c.ack(ctx, c.group, c.store, successes(got)...)
		return out.status
	}
	// After its deadline a repeated acknowledgement is refused, whatever became of the first.
	var status int
	if c.w.plan.Patience > 0 {
		status = c.persist(history.Ack, c.group.queue.id, got[0].good, ask)
	} else if status = ask(); !known(status) && c.chance(.7) {
		ask()
		return
	}
	if status != http.StatusOK || n != len(got) || !c.chance(c.w.plan.Twice) {
		return
	}
	_, again := c.ack(ctx, c.group, c.store, successes(got)...)
	if again.status/100 == 4 && again.status != http.StatusTooManyRequests && time.Now().Before(got[0].good) {
		c.w.complain("an acknowledgement that had succeeded was refused when it was made again: %s by %s: %.300s", got[0].body, c.name, again.body)
	}
}

// fail acknowledges what is before the bad message, and fails that one. What is behind it
// fails with it, or is settled afterwards where that is possible.
func (c *consumer) fail(ctx context.Context, got []delivery, bad int) {
	entries := successes(got)
	entries[bad].negative = true
	behind := got[bad+1:]
	cursor := c.group.queue.fifo || c.store == dead
	if !cursor && c.chance(.3) {
		entries = entries[:bad+1]
	}
	n, out := c.ack(ctx, c.group, c.store, entries...)
	if len(entries) == bad+1 && len(behind) > 0 && !cursor {
		c.ack(ctx, c.group, c.store, successes(behind)...)
	}
	if out.status == http.StatusOK && n == bad && c.chance(4*c.w.plan.Misused) {
		c.ack(ctx, c.group, c.store, entry{of: got[bad], misuse: history.UsedFailed})
	}
}

// ackLate acknowledges what is overdue.
func (c *consumer) ackLate(ctx context.Context) {
	for len(c.late) > 0 && time.Now().After(c.late[0].over) {
		c.ack(context.WithoutCancel(ctx), c.group, c.store, entry{of: c.late[0], misuse: history.Expired})
		c.late = c.late[1:]
	}
}
