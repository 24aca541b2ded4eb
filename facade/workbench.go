package facade

import (
	"context"
	"net/http"
	"time"

	"dms/facade/strictjson"
	"dms/mapping/dms"
	"dms/tenancy"
)

// The operations below are additions of ours, served below /v2 only: no client of the
// published interface notices them. The console has no others.

// Inspection looks at messages and changes nothing.
type Inspection interface {
	Peek(context.Context, dms.QueueRef, dms.Peek) (dms.Page, error)
	Message(context.Context, dms.QueueRef, uint64) (dms.History, error)
}

// Maintenance changes queues and what they hold.
type Maintenance interface {
	UpdateQueue(context.Context, dms.QueueRef, dms.QueueChange) (dms.Queue, error)
	// Purge returns how many messages it threw away, or would.
	Purge(context.Context, dms.QueueRef, dms.Purge) (int64, error)
}

// Positions says where groups read.
type Positions interface {
	CreateGroupsAt(context.Context, dms.QueueRef, []dms.NewGroup) ([]dms.Group, error)
	MoveGroup(ctx context.Context, ref dms.GroupRef, to dms.Position, dryRun bool) (dms.Move, error)
	// Extend returns a handle for each delivery that is good for longer.
	Extend(context.Context, dms.GroupRef, dms.Kind, []dms.Extend) ([]dms.Handle, error)
}

// Jobs gives dead letters another chance.
type Jobs interface {
	Redrive(context.Context, dms.GroupRef, dms.Redrive) (dms.Job, error)
	// Jobs lists the jobs of a project, or of one queue if the reference names one.
	Jobs(context.Context, dms.QueueRef) ([]dms.Job, error)
	Job(context.Context, dms.QueueRef, dms.JobID) (dms.Job, error)
	CancelJob(context.Context, dms.QueueRef, dms.JobID) (dms.Job, error)
}

// Workbench is what operators of queues need beside the published operations.
type Workbench interface {
	Inspection
	Maintenance
	Positions
	Jobs
}

// workbenchRoutes are the URLs of the additions.
func workbenchRoutes() []route {
	const (
		project = "/v2/{project}"
		queue   = project + "/queues/{queue}"
		group   = queue + "/groups/{group}"
	)
	get, post := http.MethodGet, http.MethodPost
	return []route{
		{method: http.MethodPatch, pattern: queue, needs: tenancy.Manage, body: manageBody, handler: (*API).updateQueue},
		{method: post, pattern: project + "/queues/delete", needs: tenancy.Manage, body: manageBody, handler: (*API).deleteQueues},

		{method: get, pattern: queue + "/messages", needs: tenancy.Inspect, body: noBody, handler: (*API).peekMessages},
		{method: get, pattern: queue + "/messages/{sequence}", needs: tenancy.Inspect, body: noBody, handler: (*API).showMessage},
		{method: post, pattern: queue + "/purge", needs: tenancy.Manage, body: manageBody, handler: (*API).purgeQueue},
		{method: post, pattern: queue + "/redrive", needs: tenancy.Manage, body: manageBody, stores: true, handler: (*API).redriveDeadLetters},
		{method: post, pattern: group + "/position", needs: tenancy.Manage, body: manageBody, handler: (*API).moveGroup},
		{method: post, pattern: group + "/extend", needs: tenancy.Consume, class: acks, message: true, body: ackBody, handler: (*API).extendMessages},
		{method: post, pattern: group + "/deadletters/extend", needs: tenancy.Consume, class: acks, message: true, body: ackBody, handler: (*API).extendDeadLetters},

		{method: get, pattern: project + "/jobs", needs: tenancy.Observe, body: noBody, handler: (*API).listJobs},
		{method: get, pattern: project + "/jobs/{job}", needs: tenancy.Observe, body: noBody, handler: (*API).showJob},
		{method: post, pattern: project + "/jobs/{job}/cancel", needs: tenancy.Manage, body: noBody, handler: (*API).cancelJob},
	}
}

// timestamp is a time on the wire of the additions: RFC 3339 in UTC, to the millisecond.
type timestamp time.Time

func (m timestamp) MarshalText() ([]byte, error) {
	return time.Time(m).UTC().Truncate(time.Millisecond).AppendFormat(nil, time.RFC3339Nano), nil
}

// orNil is the time, or nil for one that is not known.
func orNil(t time.Time) *timestamp {
	if t.IsZero() {
		return nil
	}
	m := timestamp(t)
	return &m
}

// parseMoment reads a time of a request.
func parseMoment(what, text string, code dms.Code) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() < 1970 || t.Year() > 9999 {
		return time.Time{}, dms.Errorf(code, "%s must be a time like 2026-01-31T12:00:00Z", what)
	}
	return t, nil
}

// wholeOf reads a whole number between least and most from a body.
func wholeOf(r *strictjson.Reader, what string, least, most int64) (int64, error) {
	if r.Kind() != strictjson.Number {
		return 0, dms.Errorf(dms.BadManageBody, "%s must be a whole number from %d to %d", what, least, most)
	}
	f, err := r.Float(what)
	if err != nil {
		return 0, err
	}
	n := int64(f)
	if float64(n) != f || n < least || n > most {
		return 0, dms.Errorf(dms.BadManageBody, "%s must be a whole number from %d to %d", what, least, most)
	}
	return n, nil
}

// largestNumber is the largest whole number that every client can write in JSON.
const largestNumber = 1<<53 - 1

// text reads a string unless it is null, which counts as absent.
func optionalText(r *strictjson.Reader, what string) (string, error) {
	s, err := optional(r, what, r.Text)
	if err != nil || s == nil {
		return "", err
	}
	return *s, nil
}

// optionalFlag reads a boolean unless it is null, which counts as false.
func optionalFlag(r *strictjson.Reader, what string) (bool, error) {
	b, err := optional(r, what, r.Bool)
	return err == nil && b != nil && *b, err
}

// optionalGroup reads the id of a group.
func optionalGroup(r *strictjson.Reader, what string) (dms.GroupID, error) {
	s, err := optionalText(r, what)
	if err != nil || s == "" {
		return "", err
	}
	return dms.ParseGroupID(s)
}
