package watch

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"dms/monitor/alarm"
	"dms/monitor/webhook"
)

// result is what came of one attempt to deliver a notice.
type result struct {
	a   *watched
	n   alarm.Notice
	err error
}

// send begins to deliver what is due. The state that holds a notice was written before it
// is sent, and that it was delivered is written afterwards: who takes over in between
// sends it again, under the same id.
func (r *reign) send(ctx context.Context) {
	now := r.w.o.Now()
	unrecorded := r.unrecorded
	r.unrecorded = nil
	for _, res := range unrecorded {
		r.finish(ctx, res)
	}
	for _, a := range r.alarms {
		for _, n := range a.state.Due(now) {
			key := n.ID + " " + n.Webhook
			if ctx.Err() != nil || r.sending[key] || len(r.sending) >= mostSends {
				continue
			}
			m, err := r.message(a, n)
			if err != nil {
				r.sending[key] = true
				r.results <- result{a, n, err} // has room for every sending
				continue
			}
			r.sending[key] = true
			// Belongs to the reign, which waits for its result.
			go func() { r.results <- result{a, n, r.deliver(ctx, m)} }()
		}
	}
}

// deliverFor bounds an attempt, whoever ends the reign meanwhile.
const deliverFor = 10 * time.Second

// deliver lets an attempt that has begun come to its end, so that it is recorded.
func (r *reign) deliver(ctx context.Context, m webhook.Message) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliverFor)
	defer cancel()
	return r.w.o.Sender.Send(ctx, m)
}

func (r *reign) message(a *watched, n alarm.Notice) (webhook.Message, error) {
	i := slices.IndexFunc(a.rule.Webhooks, func(w alarm.Webhook) bool { return w.URL == n.Webhook })
	if i < 0 {
		return webhook.Message{}, fmt.Errorf("the alarm has this webhook no more")
	}
	secret, err := r.w.rules.sealer.open(a.project, a.rule.ID, a.rule.Webhooks[i].Secret)
	if err != nil {
		return webhook.Message{}, err
	}
	kind := "resolved"
	if n.Firing() {
		kind = "firing"
	}
	return webhook.Message{ID: n.ID, URL: n.Webhook, Secret: secret, Body: event(a.project, a.rule, n.ID, kind, n.Target, n.At)}, nil
}

// finish records what came of an attempt. Until that has been possible the notice is not
// sent again.
func (r *reign) finish(ctx context.Context, res result) {
	if r.record(ctx, res) {
		delete(r.sending, res.n.ID+" "+res.n.Webhook)
	} else {
		r.unrecorded = append(r.unrecorded, res)
	}
}

// record reports whether it is on record what came of the attempt, or need not be.
func (r *reign) record(ctx context.Context, res result) bool {
	if r.alarms[journalKey(res.a.project, res.a.rule.ID)] != res.a {
		return true // deleted meanwhile
	}
	// It must be recorded although the node stops, or somebody is told again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliverFor)
	defer cancel()
	now := r.w.o.Now()
	next, given := res.a.state.Sent(res.n, res.err, now)
	if err := r.save(ctx, res.a, next); err != nil {
		r.w.log.LogAttrs(ctx, slog.LevelWarn, "it is not on record whether a notification was delivered", slog.Any("err", err))
		return false
	}
	d := &Delivery{Notice: res.n.ID, Webhook: res.n.Webhook, Attempt: res.n.Attempts + 1, GivenUp: given}
	switch {
	case res.err == nil:
		r.w.stats.sent.Add(1)
	case given:
		r.w.stats.given.Add(1)
	}
	if res.err != nil {
		r.w.stats.failed.Add(1)
		d.Error = res.err.Error()
	}
	id := fmt.Sprintf("%s.%s.%d", res.n.ID, res.n.Webhook, d.Attempt)
	if err := r.note(ctx, res.a, id, Happening{At: now.UTC(), Delivery: d}); err != nil {
		r.w.log.LogAttrs(ctx, slog.LevelWarn, "a delivery is not in the history of its alarm", slog.Any("err", err))
	}
	return true
}
