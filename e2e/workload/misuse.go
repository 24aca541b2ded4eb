package workload

import (
	"context"
	"crypto/rand"
	"encoding/base64"

	"dms/e2e/history"
)

// misuse acknowledges a good handle in a way that must be refused without effect.
func (c *consumer) misuse(ctx context.Context, d delivery) {
	e := entry{of: d, negative: c.chance(.3)}
	g, s := c.group, c.store
	who := c.caller
	switch c.rng.IntN(7) {
	case 0:
		e.misuse, g = history.ForeignGroup, another(c, c.group.queue.groups, c.group)
	case 1:
		e.misuse = history.ForeignQueue
		g = another(c, c.tenant.queues, c.group.queue).groups[0]
	case 2:
		e.misuse = history.ForeignTenant
		other := another(c, c.w.tenants, c.tenant)
		who = &caller{w: c.w, name: c.name + "-as-" + other.mark, tenant: other, rng: c.rng}
		g = other.queues[c.rng.IntN(len(other.queues))].groups[0]
	case 3:
		e.misuse, s = history.WrongKind, !c.store
	case 4:
		e.misuse, e.handle = history.Truncated, d.handle[:c.rng.IntN(len(d.handle)-1)+1]
	case 5:
		e.misuse, e.handle = history.Flipped, c.flipped(d.handle)
	case 6:
		e.misuse, e.handle = history.OtherKey, otherKey(d.handle)
	}
	who.ack(ctx, g, s, e)
}

func another[T comparable](c *consumer, all []T, not T) T {
	for {
		if other := all[c.rng.IntN(len(all))]; other != not {
			return other
		}
	}
}

// flipped changes one character to another of the same alphabet.
func (c *consumer) flipped(handle string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	b := []byte(handle)
	i := c.rng.IntN(len(b))
	was := b[i]
	for b[i] == was {
		b[i] = alphabet[c.rng.IntN(len(alphabet))]
	}
	return string(b)
}

// otherKey keeps the open start of a handle and makes the rest what a key that the
// service does not have would make of it, which is random to everybody else.
func otherKey(handle string) string {
	b, err := base64.RawURLEncoding.DecodeString(handle)
	if err != nil || len(b) < 3 {
		return "A"
	}
	_, _ = rand.Read(b[2:]) // never fails: it ends the process instead
	return base64.RawURLEncoding.EncodeToString(b)
}
