package facade

import (
	"net/http"
	"sync"
	"time"

	"dms/facade/strictjson"
	"dms/mapping/dms"
)

// updateQueue changes what may be changed of a queue.
func (a *API) updateQueue(c *call) error {
	change, err := parseQueueChange(c.body)
	if err != nil {
		return manageError(err)
	}
	q, err := a.o.Workbench.UpdateQueue(c.ctx(), c.queue, change)
	if err != nil {
		return err
	}
	return c.encode(http.StatusOK, newQueueItem(q, true))
}

func parseQueueChange(body []byte) (change dms.QueueChange, err error) {
	var redrive *string
	names := []string{"description", "redrive_policy", "max_consume_count", "retention_hours"}
	err = whole(body, names, func(r *strictjson.Reader, i int) (err error) {
		switch names[i] {
		case "description":
			change.Description, err = optional(r, "description", r.Text)
		case "redrive_policy":
			redrive, err = optional(r, "redrive_policy", r.Text)
		case "max_consume_count":
			change.MaxConsumeCount, err = optional(r, "max_consume_count", func(what string) (int, error) {
				n, err := wholeNumber(r, what, dms.BadMaxConsume)
				if err == nil && n < 1 {
					err = &dms.Error{Code: dms.BadMaxConsume}
				}
				return n, err
			})
		case "retention_hours":
			change.Retention, err = optional(r, "retention_hours", func(what string) (time.Duration, error) {
				hours, err := wholeNumber(r, what, dms.BadRetention)
				return time.Duration(hours) * time.Hour, err
			})
		}
		return err
	})
	if err != nil {
		return change, err
	}
	if redrive != nil {
		switch *redrive {
		case "enable":
			if change.MaxConsumeCount == nil {
				return change, dms.Errorf(dms.BadMaxConsume, "max_consume_count must be given, 1 to 100, when redrive_policy is enable")
			}
		case "disable":
			none := 0 // a count says nothing then
			change.MaxConsumeCount = &none
		default:
			return change, dms.Errorf(dms.BadManageBody, "redrive_policy must be enable or disable")
		}
	}
	return change, change.Validate()
}

const (
	// maxDeletes bounds the queues of one request to delete.
	maxDeletes = 100
	// deletesAtOnce is how many of them are deleted beside each other.
	deletesAtOnce = 4
)

type deletedQueues struct {
	Queues []deletedQueue `json:"queues"`
}

type deletedQueue struct {
	ID      string `json:"id"`
	Deleted bool   `json:"deleted"`
	Code    string `json:"error_code,omitempty"`
	Message string `json:"error_msg,omitempty"`
}

// deleteQueues deletes several queues and tells of each whether it is deleted.
func (a *API) deleteQueues(c *call) error {
	var ids []string
	err := whole(c.body, []string{"queues"}, func(r *strictjson.Reader, _ int) error {
		return r.Array("queues", func(i int) error {
			if i == maxDeletes {
				return dms.Errorf(dms.BadManageBody, "queues must have at most %d elements", maxDeletes)
			}
			id, err := r.Text("a queue ID")
			ids = append(ids, id)
			return err
		})
	})
	if err != nil {
		return manageError(err)
	}
	if len(ids) == 0 {
		return dms.Errorf(dms.BadManageBody, "queues must have 1 to %d elements", maxDeletes)
	}
	answer := deletedQueues{Queues: make([]deletedQueue, len(ids))}
	slots := make(chan struct{}, deletesAtOnce)
	var wg sync.WaitGroup
	for i, id := range ids {
		slots <- struct{}{}
		wg.Go(func() { // ends with this call
			defer func() { <-slots }()
			answer.Queues[i] = a.deleteOne(c, id)
		})
	}
	wg.Wait()
	object := &eventOf(c.ctx()).object
	for _, q := range answer.Queues {
		if q.Deleted {
			object.Queues = append(object.Queues, q.ID)
		}
	}
	return c.encode(http.StatusOK, answer)
}

func (a *API) deleteOne(c *call, text string) deletedQueue {
	id, err := dms.ParseQueueID(text)
	if err == nil {
		err = a.o.Queues.DeleteQueue(c.ctx(), dms.QueueRef{Project: c.project.ID, Queue: id})
	}
	if err != nil {
		row, sentence := a.errors.lookup(err)
		return deletedQueue{ID: cut(text), Code: row.text(), Message: sentence}
	}
	return deletedQueue{ID: text, Deleted: true}
}
