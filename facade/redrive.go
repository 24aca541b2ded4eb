package facade

import (
	"net/http"

	"dms/facade/strictjson"
	"dms/mapping/dms"
)

// redriveDeadLetters starts to give dead letters another chance, or counts them.
func (a *API) redriveDeadLetters(c *call) error {
	group, req, err := parseRedrive(c.body)
	if err != nil {
		return manageError(err)
	}
	job, err := a.o.Workbench.Redrive(c.ctx(), dms.GroupRef{QueueRef: c.queue, Group: group}, req)
	if err != nil {
		return err
	}
	if req.DryRun {
		return c.encode(http.StatusOK, newJobItem(job))
	}
	return c.encode(http.StatusAccepted, newJobItem(job))
}

func parseRedrive(body []byte) (group dms.GroupID, req dms.Redrive, err error) {
	names := []string{
		"group_id", "target", "queue_id", "sequences", "labels", "attributes", "text", "filter", "rate", "stop_on_failure", "dry_run",
	}
	err = whole(body, names, func(r *strictjson.Reader, i int) (err error) {
		if null, err := r.Null(); null || err != nil {
			return err
		}
		switch names[i] {
		case "group_id":
			group, err = optionalGroup(r, "group_id")
		case "target":
			var target string
			target, err = r.Text("target")
			req.Target = dms.Target(target)
		case "queue_id":
			var id string
			if id, err = r.Text("queue_id"); err == nil {
				req.Other, err = dms.ParseQueueID(id)
			}
		case "sequences":
			err = r.Array("sequences", func(i int) error {
				if i == dms.MaxChosen {
					return dms.Errorf(dms.BadManageBody, "sequences must have at most %d elements", dms.MaxChosen)
				}
				n, err := wholeOf(r, "an element of sequences", 1, largestNumber)
				req.Sequences = append(req.Sequences, uint64(n))
				return err
			})
			if err == nil && len(req.Sequences) == 0 {
				// Nothing chosen is not all: that would be a costly misunderstanding.
				err = dms.Errorf(dms.BadManageBody, "sequences must have 1 to %d elements; leave it out for all dead letters", dms.MaxChosen)
			}
		case "labels":
			req.Search.Labels, err = parseLabels(r)
		case "attributes":
			req.Search.Attributes, err = parseAttributes(r)
		case "text":
			req.Search.Text, err = r.Text("text")
		case "filter":
			req.Search.Filter, err = r.Text("filter")
		case "rate":
			var n int64
			n, err = wholeOf(r, "rate", 0, dms.MaxRate)
			req.Rate = int(n)
		case "stop_on_failure":
			req.Stop, err = r.Bool("stop_on_failure")
		case "dry_run":
			req.DryRun, err = r.Bool("dry_run")
		}
		return err
	})
	if err != nil {
		return "", dms.Redrive{}, err
	}
	if group == "" {
		return "", dms.Redrive{}, dms.Errorf(dms.BadManageBody, "group_id must be given")
	}
	return group, req, req.Validate()
}

// parseAttributes reads the attributes of a search: an array of names and values, since
// the members of an object would have to have known names.
func parseAttributes(r *strictjson.Reader) (all []dms.Attribute, err error) {
	err = r.Array("attributes", func(i int) error {
		if i == dms.MaxSearchAttributes {
			return dms.Errorf(dms.BadManageBody, "attributes must have at most %d elements", dms.MaxSearchAttributes)
		}
		var a dms.Attribute
		err := r.Object("an element of attributes", []string{"name", "value"}, func(i int) (err error) {
			if i == 0 {
				a.Name, err = r.Text("name")
			} else {
				a.Value, err = r.Text("value")
			}
			return err
		})
		all = append(all, a)
		return err
	})
	return all, err
}
