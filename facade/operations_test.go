package facade_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"dms/facade"
	"dms/mapping/dms"
	"dms/tenancy"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// stocked is a service in which everything is there.
func stocked() *fake {
	text := "for <nobody>"
	empty := ""
	normal := dms.Queue{
		NewQueue: dms.NewQueue{Name: "orders", Description: &empty, Mode: dms.Normal, MaxConsumeCount: 3},
		Ref:      aQueue(), Created: time.Unix(1495701557, 999_999_999), Messages: 1 << 40, Groups: 2,
	}
	fifo := dms.Queue{
		NewQueue: dms.NewQueue{Name: "events", Mode: dms.FIFO},
		Ref:      dms.QueueRef{Project: project, Queue: "00000000-0000-4000-8000-000000000000"}, Created: time.Unix(1495701556, 0),
	}
	described := normal
	described.Description = &text
	counters := dms.Counters{Produced: 10, Consumed: 1, Available: 9, DeadProduced: 2, DeadAvailable: 1, OutstandingNow: 2}
	groups := []dms.Group{
		{Ref: aGroup(), Name: "g1", Counters: counters},
		{Ref: dms.GroupRef{QueueRef: aQueue(), Group: "g-00000000-0000-4000-8000-000000000000"}, Name: "g2"},
	}
	return &fake{
		createQueue: func(_ context.Context, p tenancy.ProjectID, q dms.NewQueue) (dms.Queue, error) {
			return dms.Queue{NewQueue: q, Ref: dms.QueueRef{Project: p, Queue: queueID}}, nil
		},
		queues:      func(context.Context, tenancy.ProjectID) ([]dms.Queue, error) { return []dms.Queue{normal, fifo}, nil },
		queue:       func(context.Context, dms.QueueRef) (dms.Queue, error) { return described, nil },
		deleteQueue: func(context.Context, dms.QueueRef) error { return nil },
		createGroups: func(_ context.Context, ref dms.QueueRef, names []string) ([]dms.Group, error) {
			return groups[:len(names)], nil
		},
		groups: func(_ context.Context, _ dms.QueueRef, v dms.GroupView) (dms.Queue, []dms.Group, error) {
			shown := append([]dms.Group(nil), groups...)
			if !v.Counters {
				shown[0].Produced, shown[0].Consumed, shown[0].Available = 0, 0, 0
			}
			return normal, shown, nil
		},
		deleteGroup: func(context.Context, dms.GroupRef) error { return nil },
		send: func(_ context.Context, _ dms.QueueRef, s dms.Send) ([]dms.Sent, error) {
			sent := make([]dms.Sent, len(s.Messages))
			for i := range sent {
				sent[i].ID = "0198c0de-0000-7000-8000-000000000001"
			}
			if len(sent) > 1 {
				sent[1] = dms.Sent{Err: dms.Wrap(dms.Unavailable, context.DeadlineExceeded)}
			}
			return sent, nil
		},
		receive: func(_ context.Context, _ dms.GroupRef, r dms.Receive) (dms.Batch, error) {
			return dms.Batch{Deliveries: []dms.Delivery{
				{Payload: []byte(`{"body":{"foo": "123="},"attributes":{"a":1e400},"tags":["t1"]}`), Handle: "eyJ-_1"},
				{Payload: []byte(`{"body":"x"}`), Handle: "h2"},
			}, Return: func() {}}, nil
		},
		acknowledge: func(_ context.Context, _ dms.GroupRef, _ dms.Kind, acks []dms.Ack) (int, error) {
			for i, a := range acks {
				if !a.Success {
					return i, nil
				}
			}
			return len(acks), nil
		},
		queueTags:  func(context.Context, dms.QueueRef) ([]dms.Tag, error) { return []dms.Tag{{Key: "k", Value: "v"}}, nil },
		putTags:    func(context.Context, dms.QueueRef, []dms.Tag) error { return nil },
		removeTags: func(_ context.Context, _ dms.QueueRef, r []dms.TagRemoval) (int, error) { return len(r), nil },
		projectTags: func(context.Context, tenancy.ProjectID) ([]dms.TagValues, error) {
			return []dms.TagValues{{Key: "k", Values: []string{"v1", "v2"}}, {Key: "bare"}}, nil
		},
		findQueues: func(context.Context, tenancy.ProjectID, dms.TagQuery) ([]dms.TaggedQueue, error) {
			return []dms.TaggedQueue{{Queue: queueID, Name: "orders", Tags: []dms.Tag{{Key: "k", Value: "v"}}}, {Queue: queueID, Name: "events"}}, nil
		},
	}
}

func TestOperationsAnswerAsPublished(t *testing.T) {
	const (
		normalItem = `"id":"` + queueID + `","name":"orders","description":"","queue_mode":"NORMAL","reservation":4320,"created":1495701557000,"eff_date":1495701557000,"max_msg_size_byte":524288,"produced_messages":2147483647,"group_count":2`
		fifoItem   = `"id":"00000000-0000-4000-8000-000000000000","name":"events","description":null,"queue_mode":"FIFO","reservation":4320,"created":1495701556000,"eff_date":1495701556000,"max_msg_size_byte":524288,"produced_messages":0,"group_count":0`
		showItem   = `"id":"` + queueID + `","name":"orders","description":"for \u003cnobody\u003e","queue_mode":"NORMAL","reservation":4320,"created":1495701557000,"eff_date":1495701557000,"max_msg_size_byte":524288,"produced_messages":2147483647,"group_count":2`
		g1         = `{"id":"` + groupID + `","name":"g1","produced_messages":10,"consumed_messages":1,"available_messages":9}`
		g1zero     = `{"id":"` + groupID + `","name":"g1","produced_messages":0,"consumed_messages":0,"available_messages":0}`
		g1dead     = `{"id":"` + groupID + `","name":"g1","produced_messages":10,"consumed_messages":1,"available_messages":9,"produced_deadletters":2,"available_deadletters":1}`
		g2         = `{"id":"g-00000000-0000-4000-8000-000000000000","name":"g2","produced_messages":0,"consumed_messages":0,"available_messages":0}`
		g2dead     = `{"id":"g-00000000-0000-4000-8000-000000000000","name":"g2","produced_messages":0,"consumed_messages":0,"available_messages":0,"produced_deadletters":0,"available_deadletters":0}`
		groupsHead = `{"queue_id":"` + queueID + `","queue_name":"orders",`
		q          = "/queues/" + queueID
		g          = q + "/groups/" + groupID
		tags       = "/queue/" + queueID + "/tags"
		quotas     = `{"quotas":{"resources":[{"type":"queue","quota":30,"used":2,"min":0,"max":500}]}}`
	)
	s := serve(t, stocked(), nil)
	for _, version := range []string{"/v1", "/v1.0", "/v2"} {
		for _, c := range []struct {
			method, path, body string
			status             int
			want               string
		}{
			{"POST", "/queues", `{"name":"orders"}`, 201, `{"id":"` + queueID + `","name":"orders"}`},
			{"GET", "/queues", ``, 200, `{"total":2,"queues":[{` + normalItem + `},{` + fifoItem + `}]}`},
			{"GET", "/queues?include_deadletter=True&include_messages_num=FALSE&unknown=1", ``, 200,
				`{"total":2,"queues":[{` + normalItem + `,"redrive_policy":"enable","max_consume_count":3},{` + fifoItem + `,"redrive_policy":"disable"}]}`},
			{"GET", q, ``, 200, `{` + showItem + `}`},
			{"GET", q + "?include_deadletter=false", ``, 200, `{` + showItem + `}`},
			{"GET", q + "?include_deadletter=", ``, 200, `{` + showItem + `}`},
			{"GET", q + "?include_deadletter=true", ``, 200, `{` + showItem + `,"redrive_policy":"enable","max_consume_count":3}`},
			{"DELETE", q, ``, 204, ``},
			{"POST", q + "/groups", `{"groups":[{"name":"g1"},{"name":"g2"}]}`, 201,
				`{"groups":[{"id":"` + groupID + `","name":"g1"},{"id":"g-00000000-0000-4000-8000-000000000000","name":"g2"}]}`},
			{"GET", q + "/groups", ``, 200, groupsHead + `"groups":[` + g1 + `,` + g2 + `]}`},
			{"GET", q + "/resourcePathGroups", ``, 200, groupsHead + `"groups":[` + g1 + `,` + g2 + `]}`},
			{"GET", q + "/groups?include_messages_num=False", ``, 200, groupsHead + `"groups":[` + g1zero + `,` + g2 + `]}`},
			{"GET", q + "/groups?include_deadletter=true", ``, 200, groupsHead + `"redrive_policy":"enable","groups":[` + g1dead + `,` + g2dead + `]}`},
			{"GET", q + "/groups?page_size=1&current_page=2", ``, 200, groupsHead + `"groups":[` + g2 + `]}`},
			{"GET", q + "/groups?page_size=1&current_page=3", ``, 200, groupsHead + `"groups":[]}`},
			{"GET", q + "/groups?page_size=9223372036854775807&current_page=9223372036854775807", ``, 200, groupsHead + `"groups":[]}`},
			{"GET", q + "/groups?page_size=1&current_page=0", ``, 200, groupsHead + `"groups":[` + g1 + `,` + g2 + `]}`},
			{"GET", q + "/groups?page_size=1", ``, 200, groupsHead + `"groups":[` + g1 + `,` + g2 + `]}`},
			{"DELETE", g, ``, 204, ``},
			{"POST", q + "/messages", `{"messages":[{"body":1}]}`, 201, `{"messages":[{"error":null,"error_code":null,"state":0}]}`},
			{"POST", q + "/messages", `{"messages":[{"body":1},{"body":2},{"body":3}],"return_id":true}`, 201,
				`{"messages":[{"error":null,"error_code":null,"state":0,"id":"0198c0de-0000-7000-8000-000000000001"},` +
					`{"error":"the service cannot answer for certain at the moment: repeat the request","error_code":10250005,"state":1},` +
					`{"error":null,"error_code":null,"state":0,"id":"0198c0de-0000-7000-8000-000000000001"}]}`},
			{"POST", g + "/ack", `{"message":[{"handler":"a","status":"success"},{"handler":"b","status":"fail"},{"handler":"c"}]}`, 200, `{"success":1,"fail":2}`},
			{"POST", g + "/ack", `{"message":[]}`, 200, `{"success":0,"fail":0}`},
			{"POST", g + "/deadletters/ack", `{"message":[{"handler":"a"}]}`, 200, `{"success":1,"fail":0}`},
			{"GET", "/quotas/dms", ``, 200, quotas},
			{"GET", "/quotas", ``, 200, quotas},
			{"POST", tags + "/action", `{"action":"create","tags":[{"key":"k","value":"v"},{"key":"l"}]}`, 204, ``},
			{"POST", tags + "/action", `{"action":"delete","tags":[{"key":"k"}]}`, 204, ``},
			{"GET", tags, ``, 200, `{"tags":[{"key":"k","value":"v"}]}`},
			{"POST", tags, `{"tag":{"key":"DEV","value":"DEV1"}}`, 204, ``},
			{"DELETE", tags + "/DEV", ``, 204, ``},
			{"GET", "/queue/tags", ``, 200, `{"tags":[{"key":"k","values":["v1","v2"]},{"key":"bare","values":[]}]}`},
			{"POST", "/queue/resource_instances/action", `{"action":"filter","limit":"1"}`, 200,
				`{"resources":[{"resource_id":"` + queueID + `","resource_name":"orders","resource_detail":null,"tags":[{"key":"k","value":"v"}]}],"total_count":2}`},
			{"POST", "/queue/resource_instances/action", `{"action":"filter","offset":"1","limit":1000}`, 200,
				`{"resources":[{"resource_id":"` + queueID + `","resource_name":"events","resource_detail":null,"tags":[]}],"total_count":2}`},
			{"POST", "/queue/resource_instances/action", `{"action":"filter","offset":2147483647}`, 200, `{"resources":[],"total_count":2}`},
			{"POST", "/queue/resource_instances/action", `{"action":"count"}`, 200, `{"total_count":2}`},
		} {
			got := s.do(c.method, version+"/"+project+c.path, c.body)
			if got.status != c.status || got.body != c.want {
				t.Errorf("%s %s%s %s\n got %d %s\nwant %d %s", c.method, version, c.path, c.body, got.status, got.body, c.status, c.want)
			}
		}
		// These answers hold numbers that no decoder keeps, so that they are not checked
		// against the description.
		for _, c := range []struct{ path, want string }{
			{g + "/messages", `[{"message":{"body":{"foo": "123="},"attributes":{"a":1e400},"tags":["t1"]},"handler":"eyJ-_1"},{"message":{"body":"x"},"handler":"h2"}]`},
			{g + "/deadletters", `[{"message":{"body":{"foo": "123="},"attributes":{"a":1e400}},"handler":"eyJ-_1"},{"message":{"body":"x"},"handler":"h2"}]`},
		} {
			if got := s.with(s.plain, "GET", version+"/"+project+c.path, ""); got.status != 200 || got.body != c.want {
				t.Errorf("GET %s%s\n got %d %s\nwant 200 %s", version, c.path, got.status, got.body, c.want)
			}
		}
	}
}

func TestEmptyListsAreArrays(t *testing.T) {
	f := stocked()
	f.queues = func(context.Context, tenancy.ProjectID) ([]dms.Queue, error) { return nil, nil }
	f.groups = func(context.Context, dms.QueueRef, dms.GroupView) (dms.Queue, []dms.Group, error) {
		return dms.Queue{Ref: aQueue()}, nil, nil
	}
	f.queueTags = func(context.Context, dms.QueueRef) ([]dms.Tag, error) { return nil, nil }
	f.projectTags = func(context.Context, tenancy.ProjectID) ([]dms.TagValues, error) { return nil, nil }
	f.receive = func(context.Context, dms.GroupRef, dms.Receive) (dms.Batch, error) { return dms.Batch{}, nil }
	s := serve(t, f, nil)
	for path, want := range map[string]string{
		base + "/queues":           `{"total":0,"queues":[]}`,
		queuePath + "/groups":      `{"queue_id":"` + queueID + `","queue_name":"","groups":[]}`,
		tagsPath:                   `{"tags":[]}`,
		base + "/queue/tags":       `{"tags":[]}`,
		groupPath + "/messages":    `[]`,
		groupPath + "/deadletters": `[]`,
	} {
		if got := s.do("GET", path, ""); got.status != 200 || got.body != want {
			t.Errorf("GET %s: got %d %s, want 200 %s", path, got.status, got.body, want)
		}
	}
}

func TestWhatIsAskedReachesTheService(t *testing.T) {
	var got []any
	f := stocked()
	f.createQueue = func(_ context.Context, p tenancy.ProjectID, q dms.NewQueue) (dms.Queue, error) {
		got = append(got, p, q)
		return dms.Queue{NewQueue: q, Ref: aQueue()}, nil
	}
	f.receive = func(_ context.Context, ref dms.GroupRef, r dms.Receive) (dms.Batch, error) {
		got = append(got, ref, r)
		return dms.Batch{}, nil
	}
	f.acknowledge = func(_ context.Context, ref dms.GroupRef, k dms.Kind, acks []dms.Ack) (int, error) {
		got = append(got, ref, k, acks)
		return 0, nil
	}
	f.send = func(_ context.Context, ref dms.QueueRef, s dms.Send) ([]dms.Sent, error) {
		got = append(got, ref, s.Key)
		return make([]dms.Sent, len(s.Messages)), nil
	}
	f.groups = func(_ context.Context, _ dms.QueueRef, v dms.GroupView) (dms.Queue, []dms.Group, error) {
		got = append(got, v)
		return dms.Queue{Ref: aQueue()}, nil, nil
	}
	f.removeTags = func(_ context.Context, ref dms.QueueRef, r []dms.TagRemoval) (int, error) {
		got = append(got, ref, r)
		return 1, nil
	}
	f.findQueues = func(_ context.Context, p tenancy.ProjectID, q dms.TagQuery) ([]dms.TaggedQueue, error) {
		got = append(got, p, q)
		return nil, nil
	}
	s := serve(t, f, nil)
	description, value := `tab	<`, "v"
	description = strings.TrimSuffix(description, "<")
	pid := tenancy.ProjectID(project)
	for _, c := range []struct {
		method, path, body string
		header             []string
		want               []any
	}{
		{"POST", base + "/queues", `{"name":"q","queue_mode":"FIFO","description":"tab\t","redrive_policy":"enable","max_consume_count":100}`, nil,
			[]any{pid, dms.NewQueue{Name: "q", Mode: dms.FIFO, Description: &description, MaxConsumeCount: 100}}},
		{"POST", base + "/queues", `{"name":"q","description":null,"redrive_policy":"disable","max_consume_count":0,"queue_mode":null,"retention_hours":null}`, nil,
			[]any{pid, dms.NewQueue{Name: "q", Mode: dms.Normal}}},
		{"GET", groupPath + "/messages", ``, nil,
			[]any{aGroup(), dms.Receive{Kind: dms.Live, Max: 10, Wait: 3 * time.Second, AckWait: 30 * time.Second}}},
		{"GET", groupPath + "/messages?max_msgs=&time_wait=&ack_wait=&tag=&tag_type=", ``, nil,
			[]any{aGroup(), dms.Receive{Kind: dms.Live, Max: 10, Wait: 3 * time.Second, AckWait: 30 * time.Second}}},
		{"GET", groupPath + "/messages?max_msgs=1&time_wait=60&ack_wait=300&tag=a,b&tag=c&tag=a&tag_type=and", ``, nil,
			[]any{aGroup(), dms.Receive{Kind: dms.Live, Max: 1, Wait: time.Minute, AckWait: 5 * time.Minute, Labels: []string{"a", "b", "c"}, Match: dms.AllLabels}}},
		{"GET", groupPath + "/deadletters?max_msgs=5&time_wait=1&ack_wait=15&tag=a", ``, nil,
			[]any{aGroup(), dms.Receive{Kind: dms.Dead, Max: 5, Wait: time.Second, AckWait: 15 * time.Second}}},
		{"POST", groupPath + "/ack", `{"message":[{"handler":"h","status":"fail"}]}`, nil,
			[]any{aGroup(), dms.Live, []dms.Ack{{Handle: "h"}}}},
		{"POST", groupPath + "/deadletters/ack", `{"message":[{"handler":"h"}]}`, nil,
			[]any{aGroup(), dms.Dead, []dms.Ack{{Handle: "h", Success: true}}}},
		{"POST", queuePath + "/messages", `{"messages":[{"body":1}]}`, nil, []any{aQueue(), ""}},
		{"POST", queuePath + "/messages", `{"messages":[{"body":1}]}`, []string{"Idempotency-Key", "a!~"}, []any{aQueue(), "a!~"}},
		{"GET", queuePath + "/groups", ``, nil, []any{dms.GroupView{Counters: true}}},
		{"GET", queuePath + "/groups?include_messages_num=false&include_deadletter=true", ``, nil, []any{dms.GroupView{DeadLetters: true}}},
		{"POST", tagsPath + "/action", `{"action":"delete","tags":[{"key":"a"},{"key":"b","value":"v"}]}`, nil,
			[]any{aQueue(), []dms.TagRemoval{{Key: "a"}, {Key: "b", Value: &value}}}},
		{"DELETE", tagsPath + "/a%20b%C3%A9%25", ``, nil, []any{aQueue(), []dms.TagRemoval{{Key: "a bé%"}}}},
		{"POST", base + "/queue/resource_instances/action",
			`{"action":"filter","tags":[{"key":"a","values":["1","2"]}],"tags_any":[{"key":"b"}],"not_tags":[],"not_tags_any":[{"key":"c","values":[]}],"matches":[{"key":"resource_name","value":"ord"}]}`, nil,
			[]any{pid, dms.TagQuery{All: []dms.TagValues{{Key: "a", Values: []string{"1", "2"}}}, Any: []dms.TagValues{{Key: "b"}}, NotAny: []dms.TagValues{{Key: "c"}}, NameContains: "ord"}}},
	} {
		got = nil
		if a := s.do(c.method, c.path, c.body, c.header...); a.status >= 300 {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, a.status, a.body)
		}
		if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(dms.Receive{}, "Until")); diff != "" {
			t.Errorf("%s %s %s (-want +got):\n%s", c.method, c.path, c.body, diff)
		}
	}
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	for name, forget := range map[string]func(*facade.Options){
		"Queues":   func(o *facade.Options) { o.Queues = nil },
		"Groups":   func(o *facade.Options) { o.Groups = nil },
		"Messages": func(o *facade.Options) { o.Messages = nil },
		"Tags":     func(o *facade.Options) { o.Tags = nil },
		"Projects": func(o *facade.Options) { o.Projects = nil },
		"Tokens":   func(o *facade.Options) { o.Tokens = nil },
		"Log":      func(o *facade.Options) { o.Log = nil },
		"capacity": func(o *facade.Options) { o.Capacity.Sends = -1 },
	} {
		o := options(&fake{})
		forget(&o)
		if _, err := facade.New(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: error is %v", name, err)
		}
	}
	o := options(&fake{})
	o.Exchange, o.Signatures = nil, nil
	if _, err := facade.New(o); err != nil {
		t.Errorf("without the optional parts: %v", err)
	}
}

func TestTheDescriptionIsServed(t *testing.T) {
	s := serve(t, &fake{}, nil)
	got := s.do(http.MethodGet, "/openapi.yaml", "", "X-Auth-Token", "")
	if got.status != 200 || got.body != string(facade.OpenAPI()) || got.header.Get("Content-Type") != "application/yaml" {
		t.Errorf("got %d, %d bytes of %s", got.status, len(got.body), got.header.Get("Content-Type"))
	}
}
