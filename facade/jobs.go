package facade

import (
	"context"
	"net/http"

	"dms/mapping/dms"
)

type jobList struct {
	Jobs []jobItem `json:"jobs"`
}

type jobItem struct {
	ID      dms.JobID    `json:"id,omitempty"` // absent for a dry run
	Type    string       `json:"type"`
	State   dms.JobState `json:"state"`
	Queue   dms.QueueID  `json:"queue_id"`
	Group   dms.GroupID  `json:"group_id"`
	Target  dms.Target   `json:"target"`
	Other   dms.QueueID  `json:"target_queue_id,omitempty"`
	DryRun  bool         `json:"dry_run,omitempty"`
	Rate    int          `json:"rate"`
	Total   int64        `json:"total"`
	Moved   int64        `json:"moved"`
	Skipped int64        `json:"skipped"`
	Failed  int64        `json:"failed"`
	Problem string       `json:"problem,omitempty"`
	Created timestamp    `json:"created"`
	Updated timestamp    `json:"updated"`
}

func newJobItem(j dms.Job) jobItem {
	return jobItem{
		ID: j.ID, Type: "redrive", State: j.State, Queue: j.Group.Queue, Group: j.Group.Group,
		Target: j.Request.Target, Other: j.Request.Other, DryRun: j.Request.DryRun, Rate: j.Request.Rate,
		Total: j.Total, Moved: j.Moved, Skipped: j.Skipped, Failed: j.Failed, Problem: j.Problem,
		Created: timestamp(j.Created), Updated: timestamp(j.Updated),
	}
}

// listJobs lists the project's jobs, newest first.
func (a *API) listJobs(c *call) error {
	ref := dms.QueueRef{Project: c.project.ID}
	queue, err := c.one("queue_id")
	if err == nil && queue != "" {
		ref.Queue, err = dms.ParseQueueID(queue)
	}
	if err != nil {
		return err
	}
	jobs, err := a.o.Workbench.Jobs(c.ctx(), ref)
	if err != nil {
		return err
	}
	list := jobList{Jobs: make([]jobItem, len(jobs))}
	for i, j := range jobs {
		list.Jobs[i] = newJobItem(j)
	}
	return c.encode(http.StatusOK, list)
}

func (a *API) showJob(c *call) error { return a.oneJob(c, a.o.Workbench.Job) }

// cancelJob ends a job; what it has moved stays moved.
func (a *API) cancelJob(c *call) error { return a.oneJob(c, a.o.Workbench.CancelJob) }

// oneJob answers with the job of the URL after it was acted upon.
func (a *API) oneJob(c *call, act func(context.Context, dms.QueueRef, dms.JobID) (dms.Job, error)) error {
	text, err := param(c.r, "job")
	if err != nil {
		return dms.Errorf(dms.BadParameters, "the URL has a malformed escape")
	}
	id, err := dms.ParseJobID(text)
	if err != nil {
		return err
	}
	job, err := act(c.ctx(), dms.QueueRef{Project: c.project.ID}, id)
	if err != nil {
		return err
	}
	return c.encode(http.StatusOK, newJobItem(job))
}
