package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// NewQueue is a queue to make. MaxConsumeCount 0 means no dead letters.
type NewQueue struct {
	Name            string
	FIFO            bool
	Description     string
	MaxConsumeCount int
}

// Queue is an existing queue.
type Queue struct {
	ID              string  `json:"id"`
	Name            string  `json:"name"`
	Description     *string `json:"description"`
	Mode            string  `json:"queue_mode"` // NORMAL or FIFO
	Minutes         int     `json:"reservation"`
	CreatedMillis   int64   `json:"created"`
	Messages        int64   `json:"produced_messages"`
	Groups          int     `json:"group_count"`
	MaxConsumeCount int     `json:"max_consume_count"` // 0: no dead letters
}

// Retention is how long the queue keeps messages.
func (q Queue) Retention() time.Duration { return time.Duration(q.Minutes) * time.Minute }

// CreateQueue makes a queue and returns its id.
func (c *Client) CreateQueue(ctx context.Context, q NewQueue) (string, error) {
	body := map[string]any{"name": q.Name}
	if q.FIFO {
		body["queue_mode"] = "FIFO"
	}
	if q.Description != "" {
		body["description"] = q.Description
	}
	if q.MaxConsumeCount > 0 {
		body["redrive_policy"], body["max_consume_count"] = "enable", q.MaxConsumeCount
	}
	var made struct{ ID string }
	err := c.call(ctx, http.MethodPost, "/queues", nil, body, &made)
	return made.ID, err
}

func withDead() url.Values { return url.Values{"include_deadletter": {"true"}} }

// Queues lists the queues of the project, newest first.
func (c *Client) Queues(ctx context.Context) ([]Queue, error) {
	var list struct{ Queues []Queue }
	err := c.call(ctx, http.MethodGet, "/queues", withDead(), nil, &list)
	return list.Queues, err
}

// Queue returns one queue.
func (c *Client) Queue(ctx context.Context, queue string) (q Queue, err error) {
	err = c.call(ctx, http.MethodGet, queuePath(queue), withDead(), nil, &q)
	return q, err
}

// QueueChange is what to change about a queue; nil leaves a thing as it is.
type QueueChange struct {
	Description     *string
	MaxConsumeCount *int // 0 switches dead letters off
	Retention       *time.Duration
}

// UpdateQueue changes a queue and returns it as it is then.
func (c *Client) UpdateQueue(ctx context.Context, queue string, change QueueChange) (q Queue, err error) {
	body := make(map[string]any)
	if change.Description != nil {
		body["description"] = *change.Description
	}
	if n := change.MaxConsumeCount; n != nil && *n > 0 {
		body["redrive_policy"], body["max_consume_count"] = "enable", *n
	} else if n != nil {
		body["redrive_policy"] = "disable"
	}
	if change.Retention != nil {
		body["retention_hours"] = change.Retention.Hours()
	}
	err = c.call(ctx, http.MethodPatch, queuePath(queue), nil, body, &q)
	return q, err
}

// DeleteQueue deletes a queue with all it holds.
func (c *Client) DeleteQueue(ctx context.Context, queue string) error {
	return c.call(ctx, http.MethodDelete, queuePath(queue), nil, nil, nil)
}

// Deleted is what became of one queue of several that were to be deleted.
type Deleted struct {
	ID      string `json:"id"`
	Deleted bool   `json:"deleted"`
	Code    string `json:"error_code"`
	Message string `json:"error_msg"`
}

// DeleteQueues deletes up to 100 queues, each by itself.
func (c *Client) DeleteQueues(ctx context.Context, queues ...string) ([]Deleted, error) {
	var answer struct{ Queues []Deleted }
	err := c.call(ctx, http.MethodPost, "/queues/delete", nil, map[string]any{"queues": queues}, &answer)
	return answer.Queues, err
}

// Group is a consumer group with its counters.
type Group struct {
	ID            string `json:"id"`
	Name          string `json:"name"`
	Produced      int64  `json:"produced_messages"`
	Consumed      int64  `json:"consumed_messages"`
	Available     int64  `json:"available_messages"`
	DeadProduced  int64  `json:"produced_deadletters"`
	DeadAvailable int64  `json:"available_deadletters"`
}

// CreateGroup makes a group and returns its id. It begins at the position, nil for the
// oldest message.
func (c *Client) CreateGroup(ctx context.Context, queue, name string, at *Position) (string, error) {
	group := map[string]any{"name": name}
	if at != nil {
		group["position"] = at.body()
	}
	var made struct{ Groups []Group }
	err := c.call(ctx, http.MethodPost, queuePath(queue)+"/groups", nil, map[string]any{"groups": []any{group}}, &made)
	if err != nil || len(made.Groups) == 0 {
		return "", err
	}
	return made.Groups[0].ID, nil
}

// Groups lists the groups of a queue in the order they were made.
func (c *Client) Groups(ctx context.Context, queue string) ([]Group, error) {
	var list struct{ Groups []Group }
	err := c.call(ctx, http.MethodGet, queuePath(queue)+"/groups", withDead(), nil, &list)
	return list.Groups, err
}

// DeleteGroup deletes a group with its dead letters.
func (c *Client) DeleteGroup(ctx context.Context, queue, group string) error {
	return c.call(ctx, http.MethodDelete, groupPath(queue, group), nil, nil, nil)
}

func queuePath(queue string) string { return "/queues/" + url.PathEscape(queue) }

func groupPath(queue, group string) string {
	return queuePath(queue) + "/groups/" + url.PathEscape(group)
}
