package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// victim is what a project has that another one must not reach.
type victim struct {
	queue, group, handler, dead string
	name, key, project          string
	accessKey, alarm            string
	job                         string
}

// newVictim fills a queue of the customer with everything there is.
func newVictim(c customer) victim {
	c.t.Helper()
	v := victim{name: name(c.t), project: c.project.ID}
	v.key = "key-" + v.name
	v.queue = c.namedQueue(v.name, `,"redrive_policy":"enable","max_consume_count":1`)
	v.group = c.group(v.queue, "g")
	c.must(http.StatusNoContent, nil, "POST", "/queue/"+v.queue+"/tags", fmt.Sprintf(`{"tag":{"key":%q,"value":"secret"}}`, v.key))
	v.alarm = c.alarm("secret")
	v.accessKey = c.accessKey(`"roles":["viewer"],"description":"secret"`).AccessKey
	c.send(v.queue, texts("secret")...)
	c.settle(groupPath(v.queue, v.group)+"/ack", "fail", c.take(1, v.queue, v.group)...)
	v.dead = c.receiveOne(groupPath(v.queue, v.group) + "/deadletters?time_wait=5&ack_wait=300").Handler
	c.send(v.queue, texts("secret")...)
	v.handler = c.receiveOne(groupPath(v.queue, v.group) + "/messages?time_wait=5&ack_wait=300").Handler
	var job struct{ ID string }
	c.must(http.StatusAccepted, &job, "POST", "/queues/"+v.queue+"/redrive", fmt.Sprintf(`{"group_id":%q,"target":"queue","sequences":[1000000]}`, v.group))
	v.job = job.ID
	return v
}

// fill puts IDs into the template of a path.
func (v victim) fill(t *testing.T, template, project string) string {
	t.Helper()
	path := strings.NewReplacer("{project_id}", project, "{queue_id}", v.queue, "{group_id}", v.group, "{key}", v.key, "{access_key_id}", v.accessKey, "{alarm_id}", v.alarm, "{sequence}", "1", "{job_id}", v.job, "{member}", "dms-1").Replace(template)
	if strings.Contains(path, "{") {
		t.Fatalf("%s has a parameter that this test does not know: give it a value that must not be reached", template)
	}
	return path
}

// found is what an answer to somebody else tells of the victim, "" if nothing.
func (v victim) found(a Answer, owner customer) string {
	// A member of that name is no secret, nor is the name of the one user.
	body := strings.NewReplacer(`"secret":`, "", `"subject":"`+service.Env.Username+`"`, "", `"id":"`+service.Env.Username+`"`, "", `"created_by":"`+service.Env.Username+`"`, "").Replace(string(a.Body))
	for _, secret := range []string{v.queue, v.group, v.accessKey, v.alarm, "secret", owner.project.ID, owner.project.Name} {
		if strings.Contains(body, `"`+secret+`"`) {
			return secret
		}
	}
	return ""
}

// state is all that the owner can see of the victim. It changes nothing.
func (v victim) state(c customer) []string {
	var all []string
	paths := []string{"/queues/" + v.queue + "?include_deadletter=true", "/queues/" + v.queue + "/groups?include_deadletter=true", "/queue/" + v.queue + "/tags", "/access-keys/" + v.accessKey}
	if v.alarm != "" {
		paths = append(paths, "/alarms/"+v.alarm)
	}
	for _, path := range paths {
		all = append(all, c.call("GET", path, "").String())
	}
	return all
}

// A reach is how an operation could reach into another project.
type reach struct {
	body  func(v victim) string // request body; nil for none
	query string
	names bool // the answer repeats the IDs of the request
	own   bool // the URL names nothing of the victim: the answer is about the caller's own project
	// caller is for operations of no project: the answer is about the caller.
	caller bool
	header []string // names and values in turn
}

// reaches has a row for every described operation that needs a credential.
func reaches() map[string]reach {
	fixed := func(body string) func(victim) string { return func(victim) string { return body } }
	return map[string]reach{
		"createQueue":         {own: true, body: func(v victim) string { return `{"name":"` + v.name + `"}` }},
		"listQueues":          {own: true, query: "?include_deadletter=true"},
		"showQueue":           {},
		"deleteQueue":         {},
		"createGroups":        {body: fixed(`{"groups":[{"name":"intruder"}]}`)},
		"listGroups":          {},
		"listGroupsAlias":     {},
		"deleteGroup":         {},
		"sendMessages":        {body: fixed(`{"messages":[{"body":"intruder"}]}`)},
		"consumeMessages":     {query: "?time_wait=1"},
		"consumeDeadLetters":  {query: "?time_wait=1"},
		"ackMessages":         {body: func(v victim) string { return `{"message":[` + entry(v.handler, "success") + `]}` }},
		"ackDeadLetters":      {body: func(v victim) string { return `{"message":[` + entry(v.dead, "success") + `]}` }},
		"listAudit":           {own: true, query: "?limit=200"},
		"verifyAudit":         {own: true},
		"showQuotas":          {own: true},
		"showQuotasDMS":       {own: true},
		"changeTags":          {body: func(v victim) string { return fmt.Sprintf(`{"action":"delete","tags":[{"key":%q}]}`, v.key) }},
		"queueTags":           {},
		"addTag":              {body: func(v victim) string { return fmt.Sprintf(`{"tag":{"key":%q,"value":"intruder"}}`, v.key) }},
		"deleteTag":           {},
		"deleteTagWithoutKey": {},
		"projectTags":         {own: true},
		"findQueues":          {own: true, body: fixed(`{"action":"filter"}`)},
		"listAccessKeys":      {own: true},
		"createAccessKey":     {own: true, body: fixed(`{"roles":["viewer"]}`)},
		"showAccessKey":       {},
		"changeAccessKey":     {body: fixed(`{"description":"intruder"}`)},
		"deleteAccessKey":     {},
		"rotateAccessKey":     {},
		"showMetrics":         {own: true, query: "?metric=queued_messages"},
		"streamEvents":        {own: true, query: "?seconds=2"},
		"listAlarms":          {own: true},
		"createAlarm":         {own: true, body: fixed(anAlarm)},
		"showAlarm":           {},
		"replaceAlarm":        {body: fixed(anAlarm)},
		"deleteAlarm":         {},
		"muteAlarm":           {body: fixed(`{"seconds":60}`)},
		"testAlarm":           {},
		"alarmHistory":        {},
		"showCatalog":         {caller: true},
		"listAuthProjects":    {caller: true},
		"listOwnProjects":     {caller: true},
		"listDomains":         {caller: true},
		"listUsers":           {caller: true},
		"showToken":           {caller: true, header: []string{"X-Subject-Token", "forged"}},
		"revokeToken":         {caller: true, header: []string{"X-Subject-Token", "forged"}},

		"updateQueue":        {body: fixed(`{"description":"intruder"}`)},
		"deleteQueues":       {own: true, names: true, body: func(v victim) string { return `{"queues":["` + v.queue + `"]}` }},
		"peekMessages":       {},
		"showMessage":        {},
		"purgeQueue":         {body: fixed(`{"source":"queue"}`)},
		"redriveDeadLetters": {body: func(v victim) string { return `{"group_id":"` + v.group + `","target":"queue"}` }},
		"moveGroup":          {body: fixed(`{"to":"end"}`)},
		"extendMessages":     {body: func(v victim) string { return `{"message":[{"handler":"` + v.handler + `","ack_wait":60}]}` }},
		"extendDeadLetters":  {body: func(v victim) string { return `{"message":[{"handler":"` + v.dead + `","ack_wait":60}]}` }},
		"listJobs":           {own: true},
		"showJob":            {},
		"cancelJob":          {},
	}
}

func TestNoOperationReachesIntoAnotherProject(t *testing.T) {
	t.Parallel()
	owner, intruder := customerOf(t, service, 0), customerOf(t, service, 1)
	v := newVictim(owner)
	nothing := victim{queue: noQueue, group: noGroup, handler: "handler", dead: "handler", name: v.name, key: v.key, accessKey: noKey, alarm: noAlarm, job: noQueue}
	before := v.state(owner)

	rows := reaches()
	for _, op := range description.Operations() {
		if op.Operators() {
			a := intruder.at(op.Method, v.fill(t, op.Path, owner.project.ID), "")
			if a.Status != http.StatusForbidden || !strings.Contains(string(a.Body), `"access_denied"`) {
				t.Errorf("%s by a tenant: %v, want 403", op.ID, a)
			}
			continue
		}
		row, known := rows[op.ID]
		delete(rows, op.ID)
		if op.NoToken {
			if known {
				t.Errorf("%s needs no credential", op.ID)
			}
			continue
		}
		if !known {
			t.Errorf("%s (%s %s) has no row: say how it could reach into another project", op.ID, op.Method, op.Path)
			continue
		}
		if row.caller {
			a := intruder.at(op.Method, op.Path, "", row.header...)
			if found := v.found(a, owner); a.Status >= 300 && row.header == nil || found != "" {
				t.Errorf("%s: %v tells %q", op.ID, a, found)
			}
			continue
		}
		for _, prefix := range op.Prefix {
			try := func(project string, v victim) Answer {
				body := ""
				if row.body != nil {
					body = row.body(v)
				}
				return intruder.at(op.Method, prefix+v.fill(t, op.Path, project)+row.query, body)
			}
			if a := try(owner.project.ID, v); a.Status != http.StatusUnauthorized || errorCode(a) != "DMS.10240104" {
				t.Errorf("%s with the token of another project: %v, want 401 DMS.10240104", op.ID, a)
			}
			a := try(intruder.project.ID, v)
			if row.own {
				if a.Status >= 300 {
					t.Errorf("%s in the own project: %v", op.ID, a)
				}
				if found := v.found(a, owner); found != "" && !(row.names && found == v.queue) {
					t.Errorf("%s tells %q of another project: %v", op.ID, found, a)
				}
				if path, makes := map[string]string{"createQueue": "/queues/", "createAccessKey": "/access-keys/", "createAlarm": "/alarms/"}[op.ID]; makes {
					var made struct{ ID string }
					if err := json.Unmarshal(a.Body, &made); err != nil {
						t.Fatal(err)
					}
					intruder.drop(path + made.ID)
				}
				continue
			}
			if want := try(intruder.project.ID, nothing); told(a) != told(want) || a.Status < 400 {
				t.Errorf("%s tells what exists in another project from what does not: %v, want %v", op.ID, a, want)
			}
		}
	}
	for id := range rows {
		t.Errorf("%s has a row but is not described", id)
	}
	if diff := cmp.Diff(before, v.state(owner)); diff != "" {
		t.Errorf("what the owner sees has changed (-before +after):\n%s", diff)
	}

	// With a queue of its own the intruder comes as far as groups and handlers.
	queue := intruder.queue(`,"redrive_policy":"enable","max_consume_count":1`)
	group := intruder.group(queue, "g")
	intruder.refused(404, "DMS.10240405", "GET", groupPath(queue, v.group)+"/messages?time_wait=1", "")
	intruder.refused(404, "DMS.10240405", "DELETE", groupPath(queue, v.group), "")
	for path, handler := range map[string]string{"/ack": v.handler, "/deadletters/ack": v.dead} {
		for _, state := range []string{"success", "fail"} {
			intruder.refused(400, "DMS.10542209", "POST", groupPath(queue, group)+path, `{"message":[`+entry(handler, state)+`]}`)
		}
	}
	// The handlers are still worth something to their owner.
	for path, handler := range map[string]string{"/ack": v.handler, "/deadletters/ack": v.dead} {
		if got := owner.ack(groupPath(v.queue, v.group)+path, entry(handler, "success")); got != (ackResult{Success: 1}) {
			t.Errorf("the owner's own acknowledgement: %+v", got)
		}
	}
}

// told is what an answer tells beside the IDs of the request.
func told(a Answer) string {
	var e struct {
		Code    string `json:"error_code"`
		Message string `json:"error_msg"`
	}
	if json.Unmarshal(a.Body, &e) != nil {
		return a.String()
	}
	return fmt.Sprint(a.Status, e.Code, e.Message)
}

func TestQueuesOfOneNameInTwoProjectsAreTwo(t *testing.T) {
	t.Parallel()
	both := [2]customer{customerOf(t, service, 0), customerOf(t, service, 1)}
	for _, mode := range []string{"NORMAL", "FIFO"} {
		shared := name(t)
		var queues, groups [2]string
		for i, c := range both {
			queues[i] = c.namedQueue(shared, `,"queue_mode":"`+mode+`","redrive_policy":"enable","max_consume_count":1`)
			groups[i] = c.group(queues[i], "g")
			c.must(http.StatusNoContent, nil, "POST", "/queue/"+queues[i]+"/tags", fmt.Sprintf(`{"tag":{"key":%q,"value":"of %d"}}`, shared, i))
		}
		if queues[0] == queues[1] || groups[0] == groups[1] {
			t.Fatalf("%s: both projects got the IDs %v %v", mode, queues, groups)
		}
		// Only the first sends, consumes and fails; the second must notice nothing.
		c := both[0]
		c.send(queues[0], texts("dead", "delivered", "waiting")...)
		failed := c.receiveOne(groupPath(queues[0], groups[0]) + "/messages?time_wait=5&max_msgs=1")
		c.settle(groupPath(queues[0], groups[0])+"/ack", "fail", failed)
		c.receiveOne(groupPath(queues[0], groups[0]) + "/messages?time_wait=5&max_msgs=1")
		for _, path := range []string{"/messages", "/deadletters"} {
			if got := both[1].receive(groupPath(queues[1], groups[1]) + path + "?time_wait=1"); len(got) != 0 {
				t.Errorf("%s: the other project got %v from %s", mode, bodies(t, got), path)
			}
		}
		type counters struct {
			Produced     int `json:"produced_messages"`
			Consumed     int `json:"consumed_messages"`
			Available    int `json:"available_messages"`
			ProducedDead int `json:"produced_deadletters"`
		}
		for i, want := range []counters{{3, 1, 2, 1}, {}} {
			waitFor(t, func() (bool, string) {
				var list struct{ Groups []counters }
				both[i].must(http.StatusOK, &list, "GET", "/queues/"+queues[i]+"/groups?include_deadletter=true", "")
				return slices.Equal(list.Groups, []counters{want}), fmt.Sprintf("%s: project %d counts %+v, want %+v", mode, i, list.Groups, want)
			})
			var tags struct{ Tags []struct{ Key, Value string } }
			both[i].must(http.StatusOK, &tags, "GET", "/queue/"+queues[i]+"/tags", "")
			if len(tags.Tags) != 1 || tags.Tags[0].Value != fmt.Sprintf("of %d", i) {
				t.Errorf("%s: project %d has the tags %v", mode, i, tags.Tags)
			}
			var project struct {
				Tags []struct {
					Key    string
					Values []string
				}
			}
			both[i].must(http.StatusOK, &project, "GET", "/queue/tags", "")
			for _, tag := range project.Tags {
				if tag.Key == shared && !slices.Equal(tag.Values, []string{fmt.Sprintf("of %d", i)}) {
					t.Errorf("%s: project %d has the values %v", mode, i, tag.Values)
				}
			}
		}
		// The name is free again in one project only.
		c.must(http.StatusNoContent, nil, "DELETE", "/queues/"+queues[0], "")
		both[1].refused(400, "DMS.10240017", "POST", "/queues", `{"name":"`+shared+`"}`)
		both[1].must(http.StatusOK, nil, "GET", "/queues/"+queues[1], "")
	}
}
