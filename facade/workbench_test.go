package facade_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"dms/mapping/dms"

	"github.com/google/go-cmp/cmp"
)

// fakeWorkbench answers with what it has, and keeps what it was asked.
type fakeWorkbench struct {
	page    dms.Page
	history dms.History
	queue   dms.Queue
	purged  int64
	groups  []dms.Group
	move    dms.Move
	handles []dms.Handle
	jobs    []dms.Job
	err     error
	asked   []any
}

func (f *fakeWorkbench) note(what ...any) error {
	f.asked = append(f.asked, what...)
	return f.err
}

func (f *fakeWorkbench) Peek(_ context.Context, ref dms.QueueRef, p dms.Peek) (dms.Page, error) {
	return f.page, f.note(ref, p)
}

func (f *fakeWorkbench) Message(_ context.Context, ref dms.QueueRef, seq uint64) (dms.History, error) {
	return f.history, f.note(ref, seq)
}

func (f *fakeWorkbench) UpdateQueue(_ context.Context, ref dms.QueueRef, c dms.QueueChange) (dms.Queue, error) {
	return f.queue, f.note(ref, c)
}

func (f *fakeWorkbench) Purge(_ context.Context, ref dms.QueueRef, p dms.Purge) (int64, error) {
	return f.purged, f.note(ref, p)
}

func (f *fakeWorkbench) CreateGroupsAt(_ context.Context, ref dms.QueueRef, gs []dms.NewGroup) ([]dms.Group, error) {
	return f.groups, f.note(ref, gs)
}

func (f *fakeWorkbench) MoveGroup(_ context.Context, ref dms.GroupRef, to dms.Position, dryRun bool) (dms.Move, error) {
	return f.move, f.note(ref, to, dryRun)
}

func (f *fakeWorkbench) Extend(_ context.Context, ref dms.GroupRef, k dms.Kind, e []dms.Extend) ([]dms.Handle, error) {
	return f.handles, f.note(ref, k, e)
}

func (f *fakeWorkbench) job() dms.Job {
	if len(f.jobs) == 0 {
		return dms.Job{}
	}
	return f.jobs[0]
}

func (f *fakeWorkbench) Redrive(_ context.Context, ref dms.GroupRef, r dms.Redrive) (dms.Job, error) {
	return f.job(), f.note(ref, r)
}

func (f *fakeWorkbench) Jobs(_ context.Context, ref dms.QueueRef) ([]dms.Job, error) {
	return f.jobs, f.note(ref)
}

func (f *fakeWorkbench) Job(_ context.Context, ref dms.QueueRef, id dms.JobID) (dms.Job, error) {
	return f.job(), f.note(ref, id)
}

func (f *fakeWorkbench) CancelJob(_ context.Context, ref dms.QueueRef, id dms.JobID) (dms.Job, error) {
	return f.job(), f.note(ref, id)
}

const jobID = "7b1f3c8e-0000-4000-8000-000000000001"

func benched() *fake {
	f := stocked()
	at := time.Date(2026, 1, 31, 12, 0, 0, 123_456_789, time.UTC)
	letter := &dms.DeadLetter{Group: groupID, Sequence: 4, Deliveries: 3, Reason: "no such customer"}
	message := dms.Peeked{
		Sequence: 7, ID: "m-7", Sent: at, Payload: []byte(`{"body":{"foo": "123="},"attributes":{"a":1e400},"tags":["t1"]}`),
		Labels: []string{"t1"}, State: dms.Leased, Until: at.Add(time.Minute),
	}
	f.workbench = fakeWorkbench{
		page:    dms.Page{Messages: []dms.Peeked{message, {Sequence: 8, Sent: at, Payload: []byte(`{"body":"x"}`), Due: at, Dead: letter}}, Next: "AQ", Scanned: 2},
		history: dms.History{Message: message, Groups: []dms.GroupHistory{{Group: groupID, Name: "g1", State: dms.Buried, Dead: letter, Failed: 3}}},
		queue:   dms.Queue{NewQueue: dms.NewQueue{Name: "orders", Mode: dms.Normal, MaxConsumeCount: 3}, Ref: aQueue(), Created: at, Retention: time.Hour},
		purged:  12, groups: []dms.Group{{Ref: aGroup(), Name: "g1"}},
		move:    dms.Move{From: 3, To: 1, Repeated: 2, Exact: true},
		handles: []dms.Handle{"h1", "h2"},
		jobs:    []dms.Job{{ID: jobID, State: dms.JobRunning, Group: aGroup(), Request: dms.Redrive{Target: dms.ToGroup, Rate: 5}, Total: 9, Moved: 4, Created: at, Updated: at}},
	}
	return f
}

func TestTheWorkbenchAnswersAsDescribed(t *testing.T) {
	const (
		first  = `{"sequence":7,"id":"m-7","sent":"2026-01-31T12:00:00.123Z","size":63,"labels":["t1"],"state":"in_flight","leased_until":"2026-01-31T12:01:00.123Z","body":{"foo": "123="},"attributes":{"a":1e400}}`
		letter = `"dead":{"group_id":"` + groupID + `","source_sequence":4,"failures":3,"reason":"no such customer"}`
		job    = `{"id":"` + jobID + `","type":"redrive","state":"running","queue_id":"` + queueID + `","group_id":"` + groupID + `","target":"group","rate":5,"total":9,"moved":4,"skipped":0,"failed":0,"created":"2026-01-31T12:00:00.123Z","updated":"2026-01-31T12:00:00.123Z"}`
	)
	hour, text, most := time.Hour, "d", 3
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
		asked              []any
	}{
		{"GET", queuePath + "/messages", ``, 200,
			`{"messages":[` + first + `,{"sequence":8,"sent":"2026-01-31T12:00:00.123Z","size":12,"labels":[],"due":"2026-01-31T12:00:00.123Z",` + letter + `,"body":"x"}],"scanned":2,"next":"AQ"}`,
			[]any{aQueue(), dms.Peek{Source: dms.InQueue, Limit: 100}}},
		{"GET", queuePath + "/messages?source=backlog&group_id=" + groupID + "&order=newest&from_sequence=9&limit=5&cursor=AQ&label=a,b&label=c&attribute=k=v=w&text=%C3%A9&filter=size%3E1", ``, 200, "",
			[]any{aQueue(), dms.Peek{Source: dms.InBacklog, Group: groupID, Newest: true, FromSequence: 9, Limit: 5, Cursor: "AQ",
				Search: dms.Search{Labels: []string{"a", "b", "c"}, Attributes: []dms.Attribute{{Name: "k", Value: "v=w"}}, Text: "é", Filter: "size>1"}}}},
		{"GET", queuePath + "/messages/7", ``, 200,
			`{"message":` + first + `,"groups":[{"group_id":"` + groupID + `","name":"g1","state":"dead","failures":3,` + letter + `}]}`, []any{aQueue(), uint64(7)}},
		{"PATCH", queuePath, `{"description":"d","redrive_policy":"enable","max_consume_count":3,"retention_hours":1}`, 200,
			`{"id":"` + queueID + `","name":"orders","description":null,"queue_mode":"NORMAL","reservation":60,"created":1769860800000,"eff_date":1769860800000,"max_msg_size_byte":524288,"produced_messages":0,"group_count":0,"redrive_policy":"enable","max_consume_count":3}`,
			[]any{aQueue(), dms.QueueChange{Description: &text, MaxConsumeCount: &most, Retention: &hour}}},
		{"POST", queuePath + "/purge", `{"source":"dead_letters","group_id":"` + groupID + `","dry_run":true}`, 200,
			`{"source":"dead_letters","dry_run":true,"messages":12}`, []any{aQueue(), dms.Purge{Source: dms.InDead, Group: groupID, DryRun: true}}},
		{"POST", groupPath + "/position", `{"to":"time","time":"2026-01-31T12:00:00Z","dry_run":true}`, 200,
			`{"dry_run":true,"from_sequence":3,"to_sequence":1,"skipped":0,"repeated":2,"exact":true}`,
			[]any{aGroup(), dms.Position{To: dms.AtTime, Time: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)}, true}},
		{"POST", queuePath + "/groups", `{"groups":[{"name":"g1","position":{"to":"sequence","sequence":5}}]}`, 201,
			`{"groups":[{"id":"` + groupID + `","name":"g1"}]}`, []any{aQueue(), []dms.NewGroup{{Name: "g1", Position: &dms.Position{To: dms.AtSequence, Sequence: 5}}}}},
		{"POST", groupPath + "/extend", `{"message":[{"handler":"a","ack_wait":600},{"handler":"b","ack_wait":43200}]}`, 200,
			`{"message":[{"handler":"h1"},{"handler":"h2"}]}`,
			[]any{aGroup(), dms.Live, []dms.Extend{{Handle: "a", AckWait: 10 * time.Minute}, {Handle: "b", AckWait: 12 * time.Hour}}}},
		{"POST", groupPath + "/deadletters/extend", `{"message":[{"handler":"a","ack_wait":15}]}`, 200, ``, []any{aGroup(), dms.Dead, []dms.Extend{{Handle: "a", AckWait: 15 * time.Second}}}},
		{"POST", queuePath + "/redrive", `{"group_id":"` + groupID + `","target":"group","sequences":[3,1],"attributes":[{"name":"a","value":"b"}],"rate":5,"stop_on_failure":true}`, 202, job,
			[]any{aGroup(), dms.Redrive{Target: dms.ToGroup, Sequences: []uint64{3, 1}, Search: dms.Search{Attributes: []dms.Attribute{{Name: "a", Value: "b"}}}, Rate: 5, Stop: true}}},
		{"POST", queuePath + "/redrive", `{"group_id":"` + groupID + `","target":"other","queue_id":"` + queueID + `","dry_run":true}`, 200, ``,
			[]any{aGroup(), dms.Redrive{Target: dms.ToOther, Other: queueID, DryRun: true}}},
		{"GET", base + "/jobs", ``, 200, `{"jobs":[` + job + `]}`, []any{dms.QueueRef{Project: project}}},
		{"GET", base + "/jobs?queue_id=" + queueID, ``, 200, ``, []any{aQueue()}},
		{"GET", base + "/jobs/" + jobID, ``, 200, job, []any{dms.QueueRef{Project: project}, dms.JobID(jobID)}},
		{"POST", base + "/jobs/" + jobID + "/cancel", ``, 200, job, []any{dms.QueueRef{Project: project}, dms.JobID(jobID)}},
	} {
		f := benched()
		got := serve(t, f, nil).do(c.method, c.path, c.body)
		if got.status != c.status || c.want != "" && got.body != c.want {
			t.Errorf("%s %s:\n got %d %s\nwant %d %s", c.method, c.path, got.status, got.body, c.status, c.want)
		}
		if d := cmp.Diff(c.asked, f.workbench.asked); d != "" {
			t.Errorf("%s %s is understood as (-want +got):\n%s", c.method, c.path, d)
		}
	}
}

func TestTheWorkbenchRefusesWhatItCannotDo(t *testing.T) {
	group := `"group_id":"` + groupID + `"`
	for _, c := range []struct{ method, path, body, names string }{
		{"GET", queuePath + "/messages?source=nowhere", ``, "source"},
		{"GET", queuePath + "/messages?source=backlog", ``, "group_id"},
		{"GET", queuePath + "/messages?group_id=" + groupID, ``, "group_id"},
		{"GET", queuePath + "/messages?source=backlog&group_id=x", ``, "group ID"},
		{"GET", queuePath + "/messages?order=random", ``, "order"},
		{"GET", queuePath + "/messages?limit=201", ``, "limit"},
		{"GET", queuePath + "/messages?limit=0", ``, "limit"},
		{"GET", queuePath + "/messages?from_sequence=0", ``, "from_sequence"},
		{"GET", queuePath + "/messages?from_time=yesterday", ``, "from_time"},
		{"GET", queuePath + "/messages?from_sequence=1&from_time=2026-01-31T12:00:00Z", ``, "together"},
		{"GET", queuePath + "/messages?attribute=novalue", ``, "attribute"},
		{"GET", queuePath + "/messages?label=a,b,c,d", ``, "tags"},
		{"GET", queuePath + "/messages?text=" + strings.Repeat("x", 1025), ``, "text"},
		{"GET", queuePath + "/messages?cursor=a&cursor=b", ``, "cursor"},
		{"GET", queuePath + "/messages/0", ``, "sequence"},
		{"GET", queuePath + "/messages/seven", ``, "sequence"},
		{"PATCH", queuePath, `{}`, "changes nothing"},
		{"PATCH", queuePath, `{"name":"other"}`, "name"},
		{"PATCH", queuePath, `{"retention_hours":0}`, "retention_hours"},
		{"PATCH", queuePath, `{"retention_hours":337}`, "retention_hours"},
		{"PATCH", queuePath, `{"retention_hours":1.5}`, "retention_hours"},
		{"PATCH", queuePath, `{"max_consume_count":0}`, "max_consume_count"},
		{"PATCH", queuePath, `{"redrive_policy":"enable"}`, "max_consume_count"},
		{"PATCH", queuePath, `{"redrive_policy":"maybe"}`, "redrive_policy"},
		{"PATCH", queuePath, `{"description":"<b>"}`, "description"},
		{"POST", base + "/queues/delete", `{"queues":[]}`, "queues"},
		{"POST", base + "/queues/delete", `{}`, "queues"},
		{"POST", base + "/queues/delete", `{"queues":[1]}`, "queue ID"},
		{"POST", queuePath + "/purge", `{}`, "source"},
		{"POST", queuePath + "/purge", `{"source":"in_flight"}`, "source"},
		{"POST", queuePath + "/purge", `{"source":"backlog"}`, "group_id"},
		{"POST", queuePath + "/purge", `{"source":"queue",` + group + `}`, "group_id"},
		{"POST", groupPath + "/position", `{}`, "to must be"},
		{"POST", groupPath + "/position", `{"to":"time"}`, "time"},
		{"POST", groupPath + "/position", `{"to":"time","time":"12:00"}`, "time"},
		{"POST", groupPath + "/position", `{"to":"sequence"}`, "sequence"},
		{"POST", groupPath + "/position", `{"to":"sequence","sequence":-1}`, "sequence"},
		{"POST", groupPath + "/position", `{"to":"end","sequence":1}`, "sequence"},
		{"POST", groupPath + "/extend", `{"message":[]}`, "message"},
		{"POST", groupPath + "/extend", `{"message":[{"ack_wait":30}]}`, "handler"},
		{"POST", groupPath + "/extend", `{"message":[{"handler":"h","ack_wait":"30"}]}`, "ack_wait"},
		{"POST", queuePath + "/redrive", `{"target":"group"}`, "group_id"},
		{"POST", queuePath + "/redrive", `{` + group + `}`, "target"},
		{"POST", queuePath + "/redrive", `{` + group + `,"target":"other"}`, "queue_id"},
		{"POST", queuePath + "/redrive", `{` + group + `,"target":"queue","sequences":[]}`, "sequences"},
		{"POST", queuePath + "/redrive", `{` + group + `,"target":"queue","sequences":[0]}`, "sequences"},
		{"POST", queuePath + "/redrive", `{` + group + `,"target":"queue","rate":10001}`, "rate"},
		{"GET", base + "/jobs?queue_id=x", ``, "queue ID"},
		{"GET", base + "/jobs/x", ``, "job"},
		{"POST", groupPath + "/ack", `{"message":[{"handler":"h","status":"success","delay":5}]}`, "delay"},
		{"POST", groupPath + "/ack", `{"message":[{"handler":"h","status":"fail","delay":43201}]}`, "delay"},
		{"POST", groupPath + "/ack", `{"message":[{"handler":"h","status":"fail","reason":""}]}`, "reason"},
		{"GET", groupPath + "/messages?include=everything", ``, "include"},
	} {
		f := benched()
		got := serve(t, f, nil).do(c.method, c.path, c.body)
		if (got.status != 400 && got.status != 404) || !strings.Contains(got.body, c.names) || len(f.workbench.asked) > 0 {
			t.Errorf("%s %s %s: %d %s, want a refusal that names %s", c.method, c.path, c.body, got.status, got.body, c.names)
		}
	}
}

func TestSeveralQueuesAreDeletedEachByItself(t *testing.T) {
	f := benched()
	const missing = "00000000-0000-4000-8000-000000000009"
	f.deleteQueue = func(_ context.Context, ref dms.QueueRef) error {
		if ref.Queue == missing {
			return &dms.Error{Code: dms.QueueNotFound}
		}
		return nil
	}
	got := serve(t, f, nil).do("POST", base+"/queues/delete", `{"queues":["`+queueID+`","`+missing+`","x"]}`)
	want := `{"queues":[{"id":"` + queueID + `","deleted":true},` +
		`{"id":"` + missing + `","deleted":false,"error_code":"DMS.10240401","error_msg":"the queue does not exist"},` +
		`{"id":"x","deleted":false,"error_code":"DMS.10240015","error_msg":"the queue ID is not a UUID of 36 lower-case characters"}]}`
	if got.status != 200 || got.body != want {
		t.Errorf("got %d %s, want %s", got.status, got.body, want)
	}
}

func TestLookingNeedsMoreThanSeeing(t *testing.T) {
	s := serve(t, benched(), nil)
	for role, status := range map[string]int{"viewer": 403, "producer": 403, "operator": 403, "consumer": 200, "manager": 200} {
		for _, path := range []string{"/messages", "/messages/7"} {
			if got := s.do("GET", queuePath+path, "", "X-Auth-Token", role); got.status != status {
				t.Errorf("%s as %s: %d, want %d", path, role, got.status, status)
			}
		}
	}
}

func TestConsumersAreToldMoreOnRequest(t *testing.T) {
	f := benched()
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	f.receive = func(_ context.Context, _ dms.GroupRef, r dms.Receive) (dms.Batch, error) {
		d := dms.Delivery{Payload: []byte(`{"body":"x"}`), Handle: "h"}
		if r.Meta {
			d.Meta = &dms.Meta{ID: "m", Sequence: 5, Sent: at, Deliveries: 2, First: at.Add(time.Second)}
		}
		return dms.Batch{Deliveries: []dms.Delivery{d}, Return: func() {}}, nil
	}
	var acked []dms.Ack
	f.acknowledge = func(_ context.Context, _ dms.GroupRef, _ dms.Kind, as []dms.Ack) (int, error) {
		acked = as
		return 0, nil
	}
	s := serve(t, f, nil)
	for path, want := range map[string]string{
		"/messages":                 `[{"message":{"body":"x"},"handler":"h"}]`,
		"/messages?include=meta":    `[{"message":{"body":"x"},"handler":"h","meta":{"id":"m","sequence":5,"sent":"2026-01-31T12:00:00Z","delivery_count":2,"first_delivered":"2026-01-31T12:00:01Z"}}]`,
		"/deadletters?include=meta": `[{"message":{"body":"x"},"handler":"h","meta":{"id":"m","sequence":5,"sent":"2026-01-31T12:00:00Z","delivery_count":2,"first_delivered":"2026-01-31T12:00:01Z"}}]`,
	} {
		if got := s.do("GET", groupPath+path, ""); got.body != want {
			t.Errorf("%s: %s, want %s", path, got.body, want)
		}
	}
	got := s.do("POST", groupPath+"/ack", `{"message":[{"handler":"h","status":"fail","delay":90,"reason":"busy"}]}`)
	want := []dms.Ack{{Handle: "h", Delay: 90 * time.Second, Reason: "busy"}}
	if d := cmp.Diff(want, acked); got.status != 200 || d != "" {
		t.Errorf("%d %s, understood as (-want +got):\n%s", got.status, got.body, d)
	}
}
