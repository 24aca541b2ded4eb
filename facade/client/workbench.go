package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Search says which messages are wanted; the zero value wants all.
type Search struct {
	Labels     []string
	Attributes map[string]string
	Text       string
	Filter     string // in the Common Expression Language
}

// Peek is a request to look at messages. Zero values are the service's defaults.
type Peek struct {
	Source       string // queue, backlog, in_flight, dead_letters or delayed
	Group        string
	Newest       bool
	FromSequence uint64
	FromTime     time.Time
	Limit        int
	Cursor       string
	Search       Search
}

// Peeked is a message that was looked at.
type Peeked struct {
	Sequence   uint64                     `json:"sequence"`
	ID         string                     `json:"id"`
	Sent       time.Time                  `json:"sent"`
	Size       int                        `json:"size"`
	Labels     []string                   `json:"labels"`
	State      string                     `json:"state"`
	Until      *time.Time                 `json:"leased_until"`
	Due        *time.Time                 `json:"due"`
	Dead       *DeadLetter                `json:"dead"`
	Body       json.RawMessage            `json:"body"`
	Attributes map[string]json.RawMessage `json:"attributes"`
}

// DeadLetter is what is known of a dead letter beside its message.
type DeadLetter struct {
	Group    string `json:"group_id"`
	Sequence uint64 `json:"source_sequence"`
	Failures int    `json:"failures"`
	Reason   string `json:"reason"`
}

// Page is a part of what a peek finds. A page may be empty although there is a next one.
type Page struct {
	Messages []Peeked `json:"messages"`
	Scanned  int      `json:"scanned"`
	Next     string   `json:"next"` // cursor; "" when there is nothing more
}

// Peek looks at messages without consuming them.
func (c *Client) Peek(ctx context.Context, queue string, p Peek) (page Page, err error) {
	q := url.Values{}
	for name, value := range map[string]string{
		"source": p.Source, "group_id": p.Group, "cursor": p.Cursor, "text": p.Search.Text, "filter": p.Search.Filter,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if p.Newest {
		q.Set("order", "newest")
	}
	if p.FromSequence > 0 {
		q.Set("from_sequence", strconv.FormatUint(p.FromSequence, 10))
	}
	if !p.FromTime.IsZero() {
		q.Set("from_time", p.FromTime.UTC().Format(time.RFC3339Nano))
	}
	if p.Limit > 0 {
		q.Set("limit", strconv.Itoa(p.Limit))
	}
	for _, l := range p.Search.Labels {
		q.Add("label", l)
	}
	for name, value := range p.Search.Attributes {
		q.Add("attribute", name+"="+value)
	}
	err = c.call(ctx, http.MethodGet, queuePath(queue)+"/messages", q, nil, &page)
	return page, err
}

// All goes through all pages of a peek. An error ends it.
func (c *Client) All(ctx context.Context, queue string, p Peek) iter.Seq2[Peeked, error] {
	return func(yield func(Peeked, error) bool) {
		for {
			page, err := c.Peek(ctx, queue, p)
			if err != nil {
				yield(Peeked{}, err)
				return
			}
			for _, m := range page.Messages {
				if !yield(m, nil) {
					return
				}
			}
			if p.Cursor = page.Next; p.Cursor == "" {
				return
			}
		}
	}
}

// History is a message with what became of it for every group.
type History struct {
	Message Peeked         `json:"message"`
	Groups  []GroupHistory `json:"groups"`
}

// GroupHistory is what became of a message for one group.
type GroupHistory struct {
	Group    string      `json:"group_id"`
	Name     string      `json:"name"`
	State    string      `json:"state"`
	Until    *time.Time  `json:"leased_until"`
	Failures int         `json:"failures"`
	Dead     *DeadLetter `json:"dead"`
}

// Message returns one message of a queue by its place.
func (c *Client) Message(ctx context.Context, queue string, sequence uint64) (h History, err error) {
	err = c.call(ctx, http.MethodGet, queuePath(queue)+"/messages/"+strconv.FormatUint(sequence, 10), nil, nil, &h)
	return h, err
}

// Purge throws away the messages of a source, queue, backlog, dead_letters or delayed, and
// returns how many; a dry run only counts. group is needed for backlog.
func (c *Client) Purge(ctx context.Context, queue, source, group string, dryRun bool) (int64, error) {
	body := map[string]any{"source": source, "dry_run": dryRun}
	if group != "" {
		body["group_id"] = group
	}
	var answer struct{ Messages int64 }
	err := c.call(ctx, http.MethodPost, queuePath(queue)+"/purge", nil, body, &answer)
	return answer.Messages, err
}

// Position is where a group shall go on reading: to begin or end, or at a time or sequence.
type Position struct {
	To       string
	Time     time.Time
	Sequence uint64
}

func (p Position) body() map[string]any {
	body := map[string]any{"to": p.To}
	if !p.Time.IsZero() {
		body["time"] = p.Time.UTC().Format(time.RFC3339Nano)
	}
	if p.Sequence > 0 {
		body["sequence"] = p.Sequence
	}
	return body
}

// Move is what a move of a position does.
type Move struct {
	From     uint64 `json:"from_sequence"`
	To       uint64 `json:"to_sequence"`
	Skipped  int64  `json:"skipped"`
	Repeated int64  `json:"repeated"`
	Exact    bool   `json:"exact"`
}

// Move makes a group go on reading somewhere else; a dry run only says what that would do.
func (c *Client) Move(ctx context.Context, queue, group string, to Position, dryRun bool) (m Move, err error) {
	body := to.body()
	body["dry_run"] = dryRun
	err = c.call(ctx, http.MethodPost, groupPath(queue, group)+"/position", nil, body, &m)
	return m, err
}

// Redrive is a request to give dead letters of a group another chance.
type Redrive struct {
	Group     string   // whose dead letters they are
	Target    string   // group, queue or other
	Other     string   // the queue, for the target other
	Sequences []uint64 // chosen ones, by the places that a peek told; none means all
	Search    Search
	Rate      int // messages in a second at most; 0 is no limit
	Stop      bool
	DryRun    bool
}

// Job is a redrive on its way, or one that has ended.
type Job struct {
	ID      string    `json:"id"`
	State   string    `json:"state"` // running, done, cancelled or failed
	Queue   string    `json:"queue_id"`
	Group   string    `json:"group_id"`
	Target  string    `json:"target"`
	Total   int64     `json:"total"`
	Moved   int64     `json:"moved"`
	Skipped int64     `json:"skipped"`
	Failed  int64     `json:"failed"`
	Problem string    `json:"problem"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
}

// Redrive starts a job. A dry run starts none and says what it would do.
func (c *Client) Redrive(ctx context.Context, queue string, r Redrive) (j Job, err error) {
	body := map[string]any{"group_id": r.Group, "target": r.Target, "rate": r.Rate, "stop_on_failure": r.Stop, "dry_run": r.DryRun}
	if r.Other != "" {
		body["queue_id"] = r.Other
	}
	if len(r.Sequences) > 0 {
		body["sequences"] = r.Sequences
	}
	if len(r.Search.Labels) > 0 {
		body["labels"] = r.Search.Labels
	}
	var attributes []map[string]string
	for name, value := range r.Search.Attributes {
		attributes = append(attributes, map[string]string{"name": name, "value": value})
	}
	if attributes != nil {
		body["attributes"] = attributes
	}
	if r.Search.Text != "" {
		body["text"] = r.Search.Text
	}
	if r.Search.Filter != "" {
		body["filter"] = r.Search.Filter
	}
	err = c.call(ctx, http.MethodPost, queuePath(queue)+"/redrive", nil, body, &j)
	return j, err
}

// Jobs lists the jobs of the project, newest first.
func (c *Client) Jobs(ctx context.Context) ([]Job, error) {
	var list struct{ Jobs []Job }
	err := c.call(ctx, http.MethodGet, "/jobs", nil, nil, &list)
	return list.Jobs, err
}

// Job returns one job.
func (c *Client) Job(ctx context.Context, id string) (j Job, err error) {
	err = c.call(ctx, http.MethodGet, "/jobs/"+url.PathEscape(id), nil, nil, &j)
	return j, err
}

// CancelJob ends a job; what it has moved stays moved.
func (c *Client) CancelJob(ctx context.Context, id string) (j Job, err error) {
	err = c.call(ctx, http.MethodPost, "/jobs/"+url.PathEscape(id)+"/cancel", nil, nil, &j)
	return j, err
}

// Await asks for a job every so often until it has ended.
func (c *Client) Await(ctx context.Context, id string, every time.Duration) (Job, error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		j, err := c.Job(ctx, id)
		if err != nil || j.State != "running" {
			return j, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return j, context.Cause(ctx)
		}
	}
}
