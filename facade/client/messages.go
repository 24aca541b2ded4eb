package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Message is one message to send.
type Message struct {
	Body       any            `json:"body"`
	Attributes map[string]any `json:"attributes,omitempty"`
	Labels     []string       `json:"tags,omitempty"`
	Delay      time.Duration  `json:"-"`
}

// MarshalJSON writes the message as a send takes it.
func (m Message) MarshalJSON() ([]byte, error) {
	type bare Message
	return json.Marshal(struct {
		bare
		Delay int64 `json:"delay_time,omitempty"`
	}{bare(m), m.Delay.Milliseconds()})
}

// Sent is the outcome of one message: an id, or why it was refused.
type Sent struct {
	ID    string `json:"id"`
	State int    `json:"state"` // 0: on disk on a quorum of the replicas
	Error string `json:"error"`
}

type keyOfSend struct{}

// WithKey makes a send repeatable: under the same key a message is stored once within two
// minutes.
func WithKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, keyOfSend{}, key)
}

// Send stores up to 10 messages and returns one outcome for each.
func (c *Client) Send(ctx context.Context, queue string, messages ...Message) ([]Sent, error) {
	var answer struct{ Messages []Sent }
	body := map[string]any{"messages": messages, "return_id": true}
	err := c.call(ctx, http.MethodPost, queuePath(queue)+"/messages", nil, body, &answer)
	return answer.Messages, err
}

// Consume is a request for messages. Zero values are the service's defaults.
type Consume struct {
	Max     int
	Wait    time.Duration
	AckWait time.Duration
	Labels  []string
	AllOf   bool // of the labels, instead of one of them
	Dead    bool // dead letters
	Meta    bool // tell of each message what is known of it
}

// Delivery is a message that was handed out.
type Delivery struct {
	Message struct {
		Body       json.RawMessage            `json:"body"`
		Attributes map[string]json.RawMessage `json:"attributes"`
		Labels     []string                   `json:"tags"`
	} `json:"message"`
	Handler string `json:"handler"`
	Meta    *Meta  `json:"meta"`
}

// Meta is what is known of a message that was handed out.
type Meta struct {
	ID         string     `json:"id"`
	Sequence   uint64     `json:"sequence"`
	Sent       time.Time  `json:"sent"`
	Deliveries int        `json:"delivery_count"`
	First      *time.Time `json:"first_delivered"`
}

// Consume waits for messages; none means that none came in time.
func (c *Client) Consume(ctx context.Context, queue, group string, req Consume) ([]Delivery, error) {
	q := url.Values{}
	for name, n := range map[string]int{"max_msgs": req.Max, "time_wait": seconds(req.Wait), "ack_wait": seconds(req.AckWait)} {
		if n > 0 {
			q.Set(name, strconv.Itoa(n))
		}
	}
	for _, l := range req.Labels {
		q.Add("tag", l)
	}
	if req.AllOf {
		q.Set("tag_type", "and")
	}
	if req.Meta {
		q.Set("include", "meta")
	}
	var got []Delivery
	err := c.call(ctx, http.MethodGet, groupPath(queue, group)+store(req.Dead, "/messages", "/deadletters"), q, nil, &got)
	return got, err
}

// Ack is one entry of an acknowledgement.
type Ack struct {
	Handler string
	Failed  bool
	Delay   time.Duration // of a failed one, until it is delivered again
	Reason  string        // of a failed one, kept with its dead letter
}

// Acknowledge settles deliveries up to the first failed one and returns how many those are.
func (c *Client) Acknowledge(ctx context.Context, queue, group string, dead bool, acks ...Ack) (int, error) {
	entries := make([]map[string]any, len(acks))
	for i, a := range acks {
		entries[i] = map[string]any{"handler": a.Handler, "status": "success"}
		if a.Failed {
			entries[i]["status"] = "fail"
			if a.Delay > 0 {
				entries[i]["delay"] = seconds(a.Delay)
			}
			if a.Reason != "" {
				entries[i]["reason"] = a.Reason
			}
		}
	}
	var answer struct{ Success int }
	path := groupPath(queue, group) + store(dead, "/ack", "/deadletters/ack")
	err := c.call(ctx, http.MethodPost, path, nil, map[string]any{"message": entries}, &answer)
	return answer.Success, err
}

// Extend gives deliveries more time, from now, and returns a new handler for each.
func (c *Client) Extend(ctx context.Context, queue, group string, dead bool, ackWait time.Duration, handlers ...string) ([]string, error) {
	entries := make([]map[string]any, len(handlers))
	for i, h := range handlers {
		entries[i] = map[string]any{"handler": h, "ack_wait": seconds(ackWait)}
	}
	var answer struct{ Message []struct{ Handler string } }
	path := groupPath(queue, group) + store(dead, "/extend", "/deadletters/extend")
	if err := c.call(ctx, http.MethodPost, path, nil, map[string]any{"message": entries}, &answer); err != nil {
		return nil, err
	}
	again := make([]string, len(answer.Message))
	for i, m := range answer.Message {
		again[i] = m.Handler
	}
	return again, nil
}

func store(dead bool, live, letters string) string {
	if dead {
		return letters
	}
	return live
}
