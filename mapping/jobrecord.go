package mapping

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dms/mapping/dms"
)

// jobRecord is a job as it is kept in the control bucket. It is changed by compare-and-set
// only, so that it is worked on by whoever changed it last and by nobody else for long.
type jobRecord struct {
	Queue   dms.QueueID  `json:"queue"`
	Group   dms.GroupID  `json:"group"`
	Request dms.Redrive  `json:"request"`
	State   dms.JobState `json:"state"`
	Owner   string       `json:"owner"`   // the run of the node that works on it
	Through uint64       `json:"through"` // everything up to this place of the dead letters is dealt with
	End     uint64       `json:"end"`     // the last place that belongs to the job
	Total   int64        `json:"total"`
	Moved   int64        `json:"moved"`
	Skipped int64        `json:"skipped"`
	Failed  int64        `json:"failed"`
	Problem string       `json:"problem,omitempty"`
	Created int64        `json:"created"` // epoch milliseconds
	Updated int64        `json:"updated"`
}

// keepJobs is how long a job that has ended can be looked at.
const keepJobs = 7 * 24 * time.Hour

func (j jobRecord) ended() bool { return j.State != dms.JobRunning }

// job is the record as it is shown.
func (s *session) jobOf(id dms.JobID, j jobRecord) dms.Job {
	return dms.Job{
		ID: id, State: j.State, Request: j.Request,
		Group: dms.GroupRef{QueueRef: dms.QueueRef{Project: s.project, Queue: j.Queue}, Group: j.Group},
		Total: j.Total, Moved: j.Moved, Skipped: j.Skipped, Failed: j.Failed, Problem: j.Problem,
		Created: time.UnixMilli(j.Created), Updated: time.UnixMilli(j.Updated),
	}
}

func jobKey(id dms.JobID) string { return "job." + strings.ReplaceAll(string(id), "-", "") }

func (s *session) readJob(ctx context.Context, id dms.JobID) (j jobRecord, revision uint64, err error) {
	value, revision, err := s.ctl.get(ctx, jobKey(id))
	if err != nil || revision == 0 {
		return jobRecord{}, revision, err
	}
	if err := json.Unmarshal(value, &j); err != nil {
		return jobRecord{}, 0, fmt.Errorf("job %s: %w", id, err)
	}
	return j, revision, nil
}

func (s *session) writeJob(ctx context.Context, id dms.JobID, j *jobRecord, revision uint64) (uint64, error) {
	j.Updated = time.Now().UnixMilli()
	ttl := time.Duration(0)
	if j.ended() {
		ttl = keepJobs
	}
	return s.ctl.put(ctx, jobKey(id), mustJSON(j), revision, ttl)
}

// jobIDs are those of the jobs on record, in no order.
func (s *session) jobIDs(ctx context.Context) ([]dms.JobID, error) {
	info, err := s.streamInfo(ctx, ctlStream, mustJSON(map[string]string{"subjects_filter": ctlPrefix + "job.*"}))
	if absentStream(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var ids []dms.JobID
	for subject := range info.State.Subjects {
		key := strings.TrimPrefix(subject, ctlPrefix+"job.")
		if len(key) != 32 {
			continue
		}
		if id, err := dms.ParseJobID(hyphenate(key)); err == nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Jobs returns the jobs of the project, newest first: those that run, and those that have
// ended within a week.
func (b *Broker) Jobs(ctx context.Context, ref dms.QueueRef) ([]dms.Job, error) {
	s, release, err := b.session(ctx, ref.Project)
	if err != nil {
		return nil, err
	}
	defer release()
	ids, err := s.jobIDs(ctx)
	if err != nil {
		return nil, toError(err)
	}
	var all []dms.Job
	for _, id := range ids {
		j, revision, err := s.readJob(ctx, id)
		if err != nil {
			return nil, toError(err)
		}
		if revision > 0 && (ref.Queue == "" || ref.Queue == j.Queue) {
			all = append(all, s.jobOf(id, j))
		}
	}
	slices.SortFunc(all, func(a, b dms.Job) int {
		if c := b.Created.Compare(a.Created); c != 0 {
			return c
		}
		return strings.Compare(string(a.ID), string(b.ID))
	})
	return all, nil
}

var errNoJob = dms.Errorf(dms.JobNotFound, "the project has no job with this ID")

// Job returns one job. Of ref only the project counts.
func (b *Broker) Job(ctx context.Context, ref dms.QueueRef, id dms.JobID) (dms.Job, error) {
	s, release, err := b.session(ctx, ref.Project)
	if err != nil {
		return dms.Job{}, err
	}
	defer release()
	j, revision, err := s.readJob(ctx, id)
	if err != nil {
		return dms.Job{}, toError(err)
	}
	if revision == 0 {
		return dms.Job{}, errNoJob
	}
	return s.jobOf(id, j), nil
}

// CancelJob ends a job; what it has moved stays moved. One that has ended stays as it is.
func (b *Broker) CancelJob(ctx context.Context, ref dms.QueueRef, id dms.JobID) (dms.Job, error) {
	s, release, err := b.session(ctx, ref.Project)
	if err != nil {
		return dms.Job{}, err
	}
	defer release()
	for {
		j, revision, err := s.readJob(ctx, id)
		if err != nil {
			return dms.Job{}, toError(err)
		}
		if revision == 0 {
			return dms.Job{}, errNoJob
		}
		if j.ended() {
			return s.jobOf(id, j), nil
		}
		j.State = dms.JobCancelled
		_, err = s.writeJob(ctx, id, &j, revision)
		if errors.Is(err, errConflict) && ctx.Err() == nil {
			continue
		}
		return s.jobOf(id, j), toError(err)
	}
}
