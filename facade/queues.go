package facade

import (
	"net/http"
	"slices"
	"strings"

	"dms/facade/strictjson"
	"dms/mapping/dms"
	"dms/tenancy"
)

func (a *API) createQueue(c *call) error {
	q, err := parseNewQueue(c.body)
	if err != nil {
		return manageError(err)
	}
	made, err := a.o.Queues.CreateQueue(c.ctx(), c.project.ID, q)
	if err != nil {
		return err
	}
	c.touch(made.Ref.Queue)
	return c.encode(http.StatusCreated, createdQueue{ID: made.Ref.Queue, Name: made.Name})
}

func parseNewQueue(body []byte) (dms.NewQueue, error) {
	q := dms.NewQueue{Mode: dms.Normal}
	var mode, redrive *string
	var maxConsume *int
	var retention bool
	names := []string{"name", "queue_mode", "description", "redrive_policy", "max_consume_count", "retention_hours"}
	err := whole(body, names, func(r *strictjson.Reader, i int) (err error) {
		switch names[i] {
		case "name":
			q.Name, err = r.Text("name")
		case "queue_mode":
			mode, err = optional(r, "queue_mode", r.Text)
		case "description":
			q.Description, err = optional(r, "description", r.Text)
		case "redrive_policy":
			redrive, err = optional(r, "redrive_policy", r.Text)
		case "max_consume_count":
			maxConsume, err = optional(r, "max_consume_count", func(what string) (int, error) {
				return wholeNumber(r, what, dms.BadMaxConsume)
			})
		case "retention_hours":
			var hours *int
			hours, err = optional(r, "retention_hours", func(what string) (int, error) {
				return wholeNumber(r, what, dms.BadRetention)
			})
			retention = hours != nil
		}
		return err
	})
	if err != nil {
		return dms.NewQueue{}, err
	}
	if mode != nil {
		if strings.HasPrefix(*mode, "KAFKA_") {
			return dms.NewQueue{}, dms.Errorf(dms.BadManageBody, "Kafka queues are not offered: queue_mode must be NORMAL or FIFO")
		}
		q.Mode = dms.Mode(*mode)
	}
	policy := "disable"
	if redrive != nil {
		policy = *redrive
	}
	switch policy {
	case "disable": // a count says nothing then
	case "enable":
		if maxConsume == nil || *maxConsume < 1 {
			return dms.NewQueue{}, dms.Errorf(dms.BadMaxConsume, "max_consume_count must be given, 1 to 100, when redrive_policy is enable")
		}
		q.MaxConsumeCount = *maxConsume
	default:
		return dms.NewQueue{}, dms.Errorf(dms.BadManageBody, "redrive_policy must be enable or disable")
	}
	if err := q.Validate(); err != nil {
		return dms.NewQueue{}, err
	}
	if retention {
		return dms.NewQueue{}, &dms.Error{Code: dms.RetentionNotSet}
	}
	return q, nil
}

func (a *API) listQueues(c *call) error {
	dead, err := c.flag("include_deadletter", false)
	if err != nil {
		return err
	}
	// Counts are always given, so that this only has to be well-formed.
	if _, err := c.flag("include_messages_num", false); err != nil {
		return err
	}
	queues, err := a.o.Queues.Queues(c.ctx(), c.project.ID)
	if err != nil {
		return err
	}
	if c.limited {
		caller := c.caller()
		queues = slices.DeleteFunc(slices.Clone(queues), func(q dms.Queue) bool {
			return !caller.CanOn(tenancy.Observe, c.project.ID, string(q.Ref.Queue))
		})
	}
	list := queueList{Total: count(len(queues)), Queues: make([]queueItem, len(queues))}
	for i, q := range queues {
		list.Queues[i] = newQueueItem(q, dead)
	}
	return c.encode(http.StatusOK, list)
}

func (a *API) showQueue(c *call) error {
	dead, err := c.flag("include_deadletter", false)
	if err != nil {
		return err
	}
	q, err := a.o.Queues.Queue(c.ctx(), c.queue)
	if err != nil {
		return err
	}
	return c.encode(http.StatusOK, newQueueItem(q, dead))
}

func (a *API) deleteQueue(c *call) error {
	if err := a.o.Queues.DeleteQueue(c.ctx(), c.queue); err != nil {
		return err
	}
	return c.done()
}
