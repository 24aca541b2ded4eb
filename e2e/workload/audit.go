package workload

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"dms/e2e/history"
)

// Reader is a group that was made after the load: it has to get everything that was ever
// stored in its queue, of which other groups need nothing any more.
type Reader struct {
	Queue, Group string
	FIFO         bool
}

// Queues lists the ids of all queues.
func (w *World) Queues() []string {
	var all []string
	for _, t := range w.tenants {
		for _, q := range t.queues {
			all = append(all, q.id)
		}
	}
	return all
}

// Audit gives every queue one more group and asks it once, so that the service makes what
// serves it. It is called after Load and before Finish, which reads the group to its end.
func (w *World) Audit(ctx context.Context) ([]Reader, error) {
	var all []Reader
	for _, t := range w.tenants {
		c := w.caller(t, "audit-%s", t.mark)
		for _, q := range t.queues {
			if err := c.addGroup(ctx, q, "audit"); err != nil {
				return nil, err
			}
			g := q.groups[len(q.groups)-1]
			got, _ := c.receive(ctx, g, live, poll{most: 1, wait: time.Second, ackWait: 15 * time.Second})
			if len(got) > 0 {
				c.ack(ctx, g, live, successes(got)...)
			}
			all = append(all, Reader{Queue: q.id, Group: g.id, FIFO: q.fifo})
		}
	}
	return all, nil
}

func (c *caller) addGroup(ctx context.Context, q *queue, name string) error {
	var made struct{ Groups []struct{ ID string } }
	err := c.create(ctx, history.CreateGroup, q.id, "/queues/"+q.id+"/groups", func(try int) string {
		return fmt.Sprintf(`{"groups":[{"name":"%s-%d"}]}`, name, try)
	}, &made)
	if err != nil {
		return err
	}
	if len(made.Groups) != 1 {
		return fmt.Errorf("%d groups were made instead of one", len(made.Groups))
	}
	q.groups = append(q.groups, &group{queue: q, id: made.Groups[0].ID})
	return nil
}

// Remove deletes all queues, when their history has been judged.
func (w *World) Remove(ctx context.Context) error {
	var errs []error
	for _, t := range w.tenants {
		c := w.caller(t, "remove-%s", t.mark)
		for _, q := range t.queues {
			if out := c.insist(ctx, request{method: http.MethodDelete, path: "/queues/" + q.id}); out.status/100 != 2 && out.status != http.StatusNotFound {
				errs = append(errs, fmt.Errorf("delete queue %s: %d %.300s", q.id, out.status, out.body))
			}
		}
	}
	return errors.Join(errs...)
}

// Gone lists the queues that the service no longer knows.
func (w *World) Gone(ctx context.Context) []string {
	var gone []string
	for _, t := range w.tenants {
		c := w.caller(t, "gone-%s", t.mark)
		for _, q := range t.queues {
			if out := c.insist(ctx, request{method: http.MethodGet, path: "/queues/" + q.id}); out.status == http.StatusNotFound {
				gone = append(gone, q.id)
			}
		}
	}
	return gone
}

// insist makes an unrecorded call at one node after the other until something is known.
func (c *caller) insist(ctx context.Context, r request) (out outcome) {
	r.limit = c.w.plan.CallLimit
	for try := range 4 * size {
		if out = c.do(ctx, try%size, r); known(out.status) {
			return out
		}
		Pause(ctx, 500*time.Millisecond)
	}
	return out
}
