package facade

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"dms/mapping/dms"
)

// writeJSON answers with a finished body, so that nothing can fail half way.
func writeJSON(w http.ResponseWriter, status int, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}

// encode answers with v. A client that does not take the answer is no error of ours.
func (c *call) encode(status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return dms.Wrap(dms.Internal, err)
	}
	_ = writeJSON(c.w, status, body)
	return nil
}

// done answers that the operation was carried out and that there is nothing to say.
func (c *call) done() error {
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// count is a counter on the wire: official clients read it into 32 bits and fail on
// anything larger.
type count int64

func (n count) MarshalJSON() ([]byte, error) {
	return strconv.AppendInt(nil, min(max(int64(n), 0), math.MaxInt32), 10), nil
}

// millis is a time in milliseconds since 1970, always at a full second.
type millis time.Time

func (t millis) MarshalJSON() ([]byte, error) {
	return strconv.AppendInt(nil, time.Time(t).Unix()*1000, 10), nil
}

type createdQueue struct {
	ID   dms.QueueID `json:"id"`
	Name string      `json:"name"`
}

type queueList struct {
	Total  count       `json:"total"`
	Queues []queueItem `json:"queues"`
}

type queueItem struct {
	ID          dms.QueueID `json:"id"`
	Name        string      `json:"name"`
	Description *string     `json:"description"`
	Mode        dms.Mode    `json:"queue_mode"`
	Reservation int64       `json:"reservation"`
	Created     millis      `json:"created"`
	EffDate     millis      `json:"eff_date"`
	MaxSize     int         `json:"max_msg_size_byte"`
	Produced    count       `json:"produced_messages"`
	Groups      count       `json:"group_count"`
	Redrive     string      `json:"redrive_policy,omitempty"`
	MaxConsume  int         `json:"max_consume_count,omitempty"`
}

// newQueueItem describes a queue; what concerns dead letters only if asked for.
func newQueueItem(q dms.Queue, deadLetters bool) queueItem {
	item := queueItem{
		ID: q.Ref.Queue, Name: q.Name, Description: q.Description, Mode: q.Mode,
		Reservation: reservation(q), Created: millis(q.Created), EffDate: millis(q.Created),
		MaxSize: dms.MaxMessageSize, Produced: count(q.Messages), Groups: count(q.Groups),
	}
	if deadLetters {
		item.Redrive = redrivePolicy(q)
		item.MaxConsume = q.MaxConsumeCount // 0, and so absent, when there are none
	}
	return item
}

// reservation is how long the queue keeps messages, in the minutes clients expect.
func reservation(q dms.Queue) int64 {
	if q.Retention == 0 {
		return int64(dms.Retention / time.Minute)
	}
	return int64(q.Retention / time.Minute)
}

func redrivePolicy(q dms.Queue) string {
	if q.DeadLetters() {
		return "enable"
	}
	return "disable"
}

type createdGroups struct {
	Groups []createdGroup `json:"groups"`
}

type createdGroup struct {
	ID   dms.GroupID `json:"id"`
	Name string      `json:"name"`
}

type groupList struct {
	QueueID   dms.QueueID `json:"queue_id"`
	QueueName string      `json:"queue_name"`
	Redrive   string      `json:"redrive_policy,omitempty"`
	Groups    []groupItem `json:"groups"`
}

type groupItem struct {
	ID            dms.GroupID `json:"id"`
	Name          string      `json:"name"`
	Produced      count       `json:"produced_messages"`
	Consumed      count       `json:"consumed_messages"`
	Available     count       `json:"available_messages"`
	DeadProduced  *count      `json:"produced_deadletters,omitempty"`
	DeadAvailable *count      `json:"available_deadletters,omitempty"`
}

type quotaList struct {
	Quotas struct {
		Resources []quotaItem `json:"resources"`
	} `json:"quotas"`
}

type quotaItem struct {
	Type  string `json:"type"`
	Quota count  `json:"quota"`
	Used  count  `json:"used"`
	Min   count  `json:"min"`
	Max   count  `json:"max"`
}

type ackResult struct {
	Success count `json:"success"`
	Fail    count `json:"fail"`
}

type tagItem struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func newTagItems(tags []dms.Tag) []tagItem {
	items := make([]tagItem, len(tags))
	for i, t := range tags {
		items[i] = tagItem(t)
	}
	return items
}

type tagList struct {
	Tags []tagItem `json:"tags"`
}

type tagValuesList struct {
	Tags []tagValues `json:"tags"`
}

type tagValues struct {
	Key    string   `json:"key"`
	Values []string `json:"values"`
}

type foundQueues struct {
	Resources  []foundQueue `json:"resources"`
	TotalCount count        `json:"total_count"`
}

type foundCount struct {
	TotalCount count `json:"total_count"`
}

type foundQueue struct {
	ID     dms.QueueID `json:"resource_id"`
	Name   string      `json:"resource_name"`
	Detail *string     `json:"resource_detail"` // always null
	Tags   []tagItem   `json:"tags"`
}

// appendString appends s as a JSON string.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			quoted, err := json.Marshal(s)
			if err != nil { // no string makes it fail
				return append(dst, `""`...)
			}
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}
