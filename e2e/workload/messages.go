package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"dms/e2e/history"
)

// message is one message to send.
type message struct {
	body       history.Body
	text       []byte // of the body
	attributes string // a JSON object, or nothing
	delay      time.Duration
}

func (m message) item() history.Item {
	return history.Item{Body: m.body, Digest: history.DigestOf(m.text, []byte(m.attributes)), Delay: m.delay}
}

// send stores messages and returns the status.
func (c *caller) send(ctx context.Context, q *queue, key string, batch []message) int {
	call := history.Call{Op: history.Send, Queue: q.id, Key: key}
	var body strings.Builder
	body.WriteString(`{"return_id":true,"messages":[`)
	for i, m := range batch {
		call.Items = append(call.Items, m.item())
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"body":%s`, m.text)
		if m.attributes != "" {
			fmt.Fprintf(&body, `,"attributes":%s`, m.attributes)
		}
		if m.delay > 0 {
			fmt.Fprintf(&body, `,"delay_time":%d`, m.delay.Milliseconds())
		}
		body.WriteByte('}')
	}
	body.WriteString(`]}`)
	r := request{method: http.MethodPost, path: "/queues/" + q.id + "/messages", body: body.String(), key: key, limit: c.w.plan.CallLimit}
	return c.record(ctx, call, r, func(answer []byte) ([]history.Item, error) {
		var sent struct {
			Messages []struct {
				State int    `json:"state"`
				ID    string `json:"id"`
			} `json:"messages"`
		}
		if err := json.Unmarshal(answer, &sent); err != nil {
			return nil, err
		}
		if len(sent.Messages) != len(batch) {
			return nil, fmt.Errorf("%d results for %d messages", len(sent.Messages), len(batch))
		}
		items := append([]history.Item(nil), call.Items...)
		for i, m := range sent.Messages {
			if items[i].Result = history.Fail; m.State == 0 {
				items[i].Result, items[i].ID = history.OK, m.ID
			}
			if m.State == 0 && items[i].Delay > 0 {
				q.expect(items[i].Body.Nonce)
			}
		}
		return items, nil
	}).status
}

// store names where a group's messages are: among the live ones or the dead letters.
type store bool

const (
	live store = false
	dead store = true
)

func (s store) receive() history.Op {
	if s == dead {
		return history.DeadReceive
	}
	return history.Receive
}

func (s store) ack() history.Op {
	if s == dead {
		return history.DeadAck
	}
	return history.Ack
}

func (s store) path(g *group) string {
	path := "/queues/" + g.queue.id + "/groups/" + g.id
	if s == dead {
		path += "/deadletters"
	}
	return path
}

// delivery is one message that a caller got.
type delivery struct {
	handle string
	body   history.Body
	group  *group
	store  store
	good   time.Time // the handle is good at least until then
	over   time.Time // and not after
}

// poll is how to consume.
type poll struct {
	most          int
	wait, ackWait time.Duration // whole seconds
	limit         time.Duration // after which the client leaves; 0 means that it stays
}

// receive consumes. The second result is false when there was no good answer.
func (c *caller) receive(ctx context.Context, g *group, s store, p poll) ([]delivery, bool) {
	path := s.path(g)
	if s == live {
		path += "/messages"
	}
	path += fmt.Sprintf("?max_msgs=%d&time_wait=%d&ack_wait=%d", p.most, p.wait/time.Second, p.ackWait/time.Second)
	limit := p.wait + pollSlack
	if p.limit > 0 {
		limit = p.limit
	}
	var got []delivery
	call := history.Call{Op: s.receive(), Queue: g.queue.id, Group: g.id, AckWait: p.ackWait}
	begin := time.Now()
	out := c.record(ctx, call, request{method: http.MethodGet, path: path, limit: limit}, func(answer []byte) ([]history.Item, error) {
		var all []struct {
			Message *struct {
				Body       json.RawMessage `json:"body"`
				Attributes json.RawMessage `json:"attributes"`
			} `json:"message"`
			Handler string `json:"handler"`
		}
		if err := json.Unmarshal(answer, &all); err != nil {
			return nil, err
		}
		items := make([]history.Item, 0, len(all))
		for _, d := range all {
			if d.Message == nil || d.Handler == "" {
				return nil, errors.New("a delivery without message or handler")
			}
			it := history.Item{Digest: history.DigestOf(d.Message.Body, d.Message.Attributes), Handle: history.HandleID(d.Handler), Result: history.OK}
			var err error
			if it.Body, err = history.Parse(d.Message.Body); err != nil {
				it.Corrupt = err.Error()
			}
			g.came(it.Body.Nonce)
			items = append(items, it)
			got = append(got, delivery{handle: d.Handler, body: it.Body, group: g, store: s,
				good: begin.Add(p.ackWait - time.Second), over: time.Now().Add(p.ackWait)})
		}
		return items, nil
	})
	return got, out.status == http.StatusOK
}

// entry is one line of an acknowledgement.
type entry struct {
	of       delivery
	handle   string // as sent; empty means the genuine one
	negative bool
	misuse   history.Misuse
}

// ack acknowledges at a group and store, which need not be those of the handles. It
// returns how many entries succeeded, and the outcome.
func (c *caller) ack(ctx context.Context, g *group, s store, entries ...entry) (int, outcome) {
	call := history.Call{Op: s.ack(), Queue: g.queue.id, Group: g.id}
	type line struct {
		Handler string `json:"handler"`
		Status  string `json:"status"`
	}
	lines := make([]line, 0, len(entries))
	for _, e := range entries {
		call.Items = append(call.Items, history.Item{Handle: history.HandleID(e.of.handle), Negative: e.negative, Misuse: e.misuse})
		l := line{Handler: e.of.handle, Status: "success"}
		if e.handle != "" {
			l.Handler = e.handle
		}
		if e.negative {
			l.Status = "fail"
		}
		lines = append(lines, l)
	}
	body, err := json.Marshal(map[string]any{"message": lines})
	if err != nil {
		c.w.complain("request: %v", err)
		return 0, outcome{}
	}
	succeeded := 0
	out := c.record(ctx, call, request{method: http.MethodPost, path: s.path(g) + "/ack", body: string(body), limit: c.w.plan.CallLimit}, func(answer []byte) ([]history.Item, error) {
		var counts struct{ Success, Fail int }
		if err := json.Unmarshal(answer, &counts); err != nil {
			return nil, err
		}
		if counts.Success < 0 || counts.Fail < 0 || counts.Success+counts.Fail != len(entries) {
			return nil, fmt.Errorf("%d and %d of %d entries", counts.Success, counts.Fail, len(entries))
		}
		items := append([]history.Item(nil), call.Items...)
		for i := range items {
			if items[i].Result = history.Fail; i < counts.Success {
				items[i].Result = history.OK
			}
		}
		succeeded = counts.Success
		return items, nil
	})
	return succeeded, out
}

// read asks for something that changes nothing, and returns a good answer or nothing.
func (c *caller) read(ctx context.Context, q *queue, path string) []byte {
	call := history.Call{Op: history.Read}
	if q != nil {
		call.Queue = q.id
	}
	out := c.record(ctx, call, request{method: http.MethodGet, path: path, limit: c.w.plan.CallLimit}, nil)
	if out.status != http.StatusOK {
		return nil
	}
	return out.body
}
