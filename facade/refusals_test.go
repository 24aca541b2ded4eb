package facade_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"dms/facade"
	"dms/mapping/dms"
	"dms/tenancy"
	"dms/tenancy/accesskey"
)

func TestBadInputIsRefusedBeforeAnythingHappens(t *testing.T) {
	x := strings.Repeat
	createQueue := base + "/queues"
	createGroups := queuePath + "/groups"
	send := queuePath + "/messages"
	search := base + "/queue/resource_instances/action"
	tagList := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`{"key":"k%d","value":"v"}`, i))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	f := &fake{}
	s := serve(t, f, nil)
	for _, c := range []struct {
		method, path, body, code string
	}{
		// Identifiers.
		{"GET", "/v2/" + strings.ToUpper(project) + "/queues", ``, "DMS.10240005"},
		{"GET", "/v2/" + project[1:] + "/queues", ``, "DMS.10240005"},
		{"GET", "/v2/x%2F" + project[3:] + "/queues", ``, "DMS.10240005"},
		{"GET", base + "/queues/my-queue", ``, "DMS.10240015"},
		{"GET", base + "/queues/" + strings.ToUpper(queueID), ``, "DMS.10240015"},
		{"GET", base + "/queues/%2e%2e", ``, "DMS.10240015"},
		{"DELETE", queuePath + "/groups/" + queueID, ``, "DMS.10240016"},
		{"DELETE", queuePath + "/groups/g-*", ``, "DMS.10240016"},
		// Creating queues.
		{"POST", createQueue, ``, "DMS.10240009"},
		{"POST", createQueue, `{`, "DMS.10240009"},
		{"POST", createQueue, `[]`, "DMS.10240009"},
		{"POST", createQueue, `null`, "DMS.10240009"},
		{"POST", createQueue, `{"name":"q"} x`, "DMS.10240009"},
		{"POST", createQueue, "\xef\xbb\xbf" + `{"name":"q"}`, "DMS.10240009"},
		{"POST", createQueue, `{"name":"q","name":"r"}`, "DMS.10240009"},
		{"POST", createQueue, `{"Name":"q"}`, "DMS.10240009"},
		{"POST", createQueue, `{"name":1}`, "DMS.10240009"},
		{"POST", createQueue, "{\"name\":\"\xff\"}", "DMS.10240009"},
		{"POST", createQueue, `{}`, "DMS.10240011"},
		{"POST", createQueue, `{"name":""}`, "DMS.10240011"},
		{"POST", createQueue, `{"name":"` + x("q", 65) + `"}`, "DMS.10240011"},
		{"POST", createQueue, `{"name":"a.b"}`, "DMS.10240007"},
		{"POST", createQueue, `{"name":"a b"}`, "DMS.10240007"},
		{"POST", createQueue, `{"name":"ａ"}`, "DMS.10240007"},
		{"POST", createQueue, `{"name":"a\u0000"}`, "DMS.10240007"},
		{"POST", createQueue, `{"name":"q","queue_mode":"normal"}`, "DMS.10240009"},
		{"POST", createQueue, `{"name":"q","queue_mode":"KAFKA_HA","retention_hours":7}`, "DMS.10240009"},
		{"POST", createQueue, `{"name":"q","queue_mode":"KAFKA_HT"}`, "DMS.10240009"},
		{"POST", createQueue, `{"name":"q","queue_mode":""}`, "DMS.10240009"},
		{"POST", createQueue, `{"name":"q","description":"` + x("é", 161) + `"}`, "DMS.10240013"},
		{"POST", createQueue, `{"name":"q","description":"a<b"}`, "DMS.10240010"},
		{"POST", createQueue, `{"name":"q","description":7}`, "DMS.10240009"},
		{"POST", createQueue, `{"name":"q","redrive_policy":"on"}`, "DMS.10240009"},
		{"POST", createQueue, `{"name":"q","redrive_policy":true}`, "DMS.10240009"},
		{"POST", createQueue, `{"name":"q","redrive_policy":"enable"}`, "DMS.10240022"},
		{"POST", createQueue, `{"name":"q","redrive_policy":"enable","max_consume_count":0}`, "DMS.10240022"},
		{"POST", createQueue, `{"name":"q","redrive_policy":"enable","max_consume_count":101}`, "DMS.10240022"},
		{"POST", createQueue, `{"name":"q","redrive_policy":"enable","max_consume_count":1.5}`, "DMS.10240022"},
		{"POST", createQueue, `{"name":"q","redrive_policy":"enable","max_consume_count":"3"}`, "DMS.10240022"},
		{"POST", createQueue, `{"name":"q","redrive_policy":"enable","max_consume_count":1e400}`, "DMS.10240022"},
		{"POST", createQueue, `{"name":"q","retention_hours":7}`, "DMS.10240028"},
		{"POST", createQueue, `{"name":"q","queue_mode":"FIFO","retention_hours":73}`, "DMS.10240028"},
		{"POST", createQueue, `{"name":"q","retention_hours":"7"}`, "DMS.10240027"},
		{"POST", createQueue, `{"name":"q","id":"` + queueID + `"}`, "DMS.10240009"},
		{"POST", createQueue, `{"name":"q","created":1}`, "DMS.10240009"},
		{"POST", createQueue, `{"name":"q","reservation":1}`, "DMS.10240009"},
		{"POST", createQueue, `{"name":"q","group_count":1}`, "DMS.10240009"},
		{"POST", createQueue, `{"name":"` + x("q", 70_000) + `"}`, "DMS.10240009"},
		// Parameters.
		{"GET", base + "/queues?include_deadletter=yes", ``, "DMS.10540014"},
		{"GET", base + "/queues?include_messages_num=2", ``, "DMS.10540014"},
		{"GET", base + "/queues?include_deadletter=true&include_deadletter=true", ``, "DMS.10540014"},
		{"GET", base + "/queues?include_deadletter=%zz", ``, "DMS.10540014"},
		{"GET", queuePath + "?include_deadletter=1", ``, "DMS.10540014"},
		{"GET", queuePath + "/groups?include_messages_num=x", ``, "DMS.10540014"},
		// Creating groups.
		{"POST", createGroups, ``, "DMS.10240009"},
		{"POST", createGroups, `{}`, "DMS.10240009"},
		{"POST", createGroups, `{"groups":[]}`, "DMS.10240009"},
		{"POST", createGroups, `{"groups":["g"]}`, "DMS.10240009"},
		{"POST", createGroups, `{"groups":[{"name":"g","id":"x"}]}`, "DMS.10240009"},
		{"POST", createGroups, `{"groups":[{}]}`, "DMS.10240012"},
		{"POST", createGroups, `{"groups":[{"name":"` + x("g", 33) + `"}]}`, "DMS.10240012"},
		{"POST", createGroups, `{"groups":[{"name":"g/h"}]}`, "DMS.10240007"},
		{"POST", createGroups, `{"groups":[{"name":"g"},{"name":"g"}]}`, "DMS.10240018"},
		{"POST", createGroups, `{"groups":[{"name":"a"},{"name":"b"},{"name":"c"},{"name":"d"}]}`, "DMS.10240019"},
		// Sending; the parser has tests of its own.
		{"POST", send, `{"messages":[{"body":1}`, "DMS.10540012"},
		{"POST", send, `{"messages":[{"body":null}]}`, "DMS.10540001"},
		{"POST", send, `{"messages":[]}`, "DMS.10540010"},
		{"POST", send, `{"messages":[{"body":1,"delay_time":604800001}]}`, "DMS.10540010"},
		{"POST", send, `{"messages":[{"body":1,"tags":["a","b","c","d"]}]}`, "DMS.10240004"},
		{"POST", send, `{"messages":[{"body":"` + x("x", 524287) + `"}]}`, "DMS.10540011"},
		{"POST", send, `{"messages":[{"body":"` + x("x", 900_000) + `"}]}`, "DMS.10540011"},
		// Consuming.
		{"GET", groupPath + "/messages?max_msgs=0", ``, "DMS.10240014"},
		{"GET", groupPath + "/messages?max_msgs=11", ``, "DMS.10240014"},
		{"GET", groupPath + "/messages?max_msgs=ten", ``, "DMS.10240014"},
		{"GET", groupPath + "/messages?max_msgs=1&max_msgs=2", ``, "DMS.10540014"},
		{"GET", groupPath + "/messages?time_wait=0", ``, "DMS.10240021"},
		{"GET", groupPath + "/messages?time_wait=61", ``, "DMS.10240021"},
		{"GET", groupPath + "/messages?time_wait=99999999999999999999", ``, "DMS.10240021"},
		{"GET", groupPath + "/messages?ack_wait=14", ``, "DMS.10542206"},
		{"GET", groupPath + "/messages?ack_wait=301", ``, "DMS.10542206"},
		{"GET", groupPath + "/messages?ack_wait=30.5", ``, "DMS.10542206"},
		{"GET", groupPath + "/messages?tag=a,b,c,d", ``, "DMS.10240004"},
		{"GET", groupPath + "/messages?tag=a&tag=b&tag=c&tag=d", ``, "DMS.10240004"},
		{"GET", groupPath + "/messages?tag=t1%2Ct%202", ``, "DMS.10240004"},
		{"GET", groupPath + "/messages?tag=" + x("a", 65), ``, "DMS.10240004"},
		{"GET", groupPath + "/messages?tag=%3E", ``, "DMS.10240004"},
		{"GET", groupPath + "/messages?tag_type=xor", ``, "DMS.10550035"},
		{"GET", groupPath + "/deadletters?max_msgs=11", ``, "DMS.10240014"},
		{"GET", groupPath + "/deadletters?time_wait=61", ``, "DMS.10240021"},
		{"GET", groupPath + "/deadletters?ack_wait=301", ``, "DMS.10542206"},
		// Acknowledging.
		{"POST", groupPath + "/ack", `{"message":[{"handler":"h","status":"done"}]}`, "DMS.10540003"},
		{"POST", groupPath + "/ack", `{"message":[{"handler":"h"}`, "DMS.10540012"},
		{"POST", groupPath + "/ack", `{"message":[{"status":"fail"}]}`, "DMS.10540001"},
		{"POST", groupPath + "/ack", `{"message":[{"handler":"` + x("h", 300_000) + `"}]}`, "DMS.10540010"},
		{"POST", groupPath + "/deadletters/ack", `{"message":[{"handler":"h","status":"done"}]}`, "DMS.10540003"},
		// Tags of queues.
		{"POST", tagsPath + "/action", `{"action":"drop","tags":[{"key":"k"}]}`, "DMS.10240040"},
		{"POST", tagsPath + "/action", `{"tags":[{"key":"k"}]}`, "DMS.10240040"},
		{"POST", tagsPath + "/action", `{"action":"create","tags":[]}`, "DMS.10240009"},
		{"POST", tagsPath + "/action", `{"action":"create","tags":` + tagList(11) + `}`, "DMS.10240044"},
		{"POST", tagsPath + "/action", `{"action":"create","tags":[{"key":"k","value":"1"},{"key":"k","value":"2"}]}`, "DMS.10240045"},
		{"POST", tagsPath + "/action", `{"action":"create","tags":[{"key":"","value":"v"}]}`, "DMS.10240035"},
		{"POST", tagsPath, `{"tag":{"value":"v"}}`, "DMS.10240035"},
		{"POST", tagsPath, `{"tag":{"key":"` + x("é", 37) + `","value":"v"}}`, "DMS.10240035"},
		{"POST", tagsPath, `{"tag":{"key":"a=b","value":"v"}}`, "DMS.10240036"},
		{"POST", tagsPath, `{"tag":{"key":"a\u0001","value":"v"}}`, "DMS.10240036"},
		{"POST", tagsPath, `{"tag":{"key":"k","value":"` + x("é", 44) + `"}}`, "DMS.10240038"},
		{"POST", tagsPath, `{"tag":{"key":"k","value":"a|b"}}`, "DMS.10240039"},
		{"POST", tagsPath, `{}`, "DMS.10240009"},
		{"POST", tagsPath, `{"tags":[]}`, "DMS.10240009"},
		{"DELETE", tagsPath + "/", ``, "DMS.10240035"},
		{"DELETE", tagsPath + "/" + x("k", 37), ``, "DMS.10240035"},
		{"DELETE", tagsPath + "/a%2Fb", ``, "DMS.10240036"},
		// Searching.
		{"POST", search, `{"action":"find"}`, "DMS.10240041"},
		{"POST", search, `{}`, "DMS.10240041"},
		{"POST", search, `{"action":"filter","limit":"0"}`, "DMS.10240042"},
		{"POST", search, `{"action":"filter","limit":1001}`, "DMS.10240042"},
		{"POST", search, `{"action":"filter","limit":"x"}`, "DMS.10240042"},
		{"POST", search, `{"action":"filter","limit":[]}`, "DMS.10240042"},
		{"POST", search, `{"action":"filter","offset":"-1"}`, "DMS.10240043"},
		{"POST", search, `{"action":"filter","offset":0.5}`, "DMS.10240043"},
		{"POST", search, `{"action":"filter","tags":[{"key":"a"},{"key":"a"}]}`, "DMS.10240045"},
		{"POST", search, `{"action":"filter","tags":[{"key":""}]}`, "DMS.10240035"},
		{"POST", search, `{"action":"filter","tags":[` + strings.TrimSuffix(x(`{"key":"a"},`, 11), ",") + `]}`, "DMS.10240044"},
		{"POST", search, `{"action":"filter","tags":[{"key":"a","values":[` + strings.TrimSuffix(x(`"v",`, 11), ",") + `]}]}`, "DMS.10240044"},
		{"POST", search, `{"action":"filter","matches":[{"key":"id","value":"x"}]}`, "DMS.10240009"},
		{"POST", search, `{"action":"filter","matches":[{"key":"resource_name","value":"x"},{"key":"resource_name","value":"y"}]}`, "DMS.10240009"},
	} {
		got := s.do(c.method, c.path, c.body)
		if got.status != 400 || got.code() != c.code {
			t.Errorf("%s %s %.120s\n got %d %.300s\nwant 400 %s", c.method, c.path, c.body, got.status, got.body, c.code)
		}
		onlyStrings(t, got.body)
	}
	if calls := f.called(); calls != "" {
		t.Errorf("refused requests reached the service: %s", calls)
	}
}

// onlyStrings fails unless body is an object of five strings.
func onlyStrings(t *testing.T, body string) {
	t.Helper()
	var all map[string]string
	if err := json.Unmarshal([]byte(body), &all); err != nil || len(all) != 5 {
		t.Errorf("not five strings: %s", body)
	}
}

func TestHeaderThatMakesASendRepeatableIsChecked(t *testing.T) {
	s := serve(t, &fake{}, nil)
	for _, key := range []string{strings.Repeat("k", 256), "a b", "é"} {
		got := s.do("POST", queuePath+"/messages", `{"messages":[{"body":1}]}`, "Idempotency-Key", key)
		if got.status != 400 || got.code() != "DMS.10540010" {
			t.Errorf("%.20q: got %d %s", key, got.status, got.body)
		}
	}
}

func TestEveryRefusalOfTheServiceIsPassedOn(t *testing.T) {
	codes := map[dms.Code]struct {
		status int
		text   string
	}{
		dms.QueueNotFound:     {404, "DMS.10240401"},
		dms.GroupNotFound:     {404, "DMS.10240405"},
		dms.QuotaExceeded:     {400, "DMS.10240020"},
		dms.ConsumeFailed:     {400, "DMS.10542204"},
		dms.HandleOfOther:     {400, "DMS.10540004"},
		dms.HandleOfOtherKind: {400, "DMS.10542205"},
		dms.HandleInvalid:     {400, "DMS.10542209"},
		dms.TooManyRequests:   {429, "DMS.10240407"},
		dms.Unavailable:       {503, "DMS.10250005"},
		dms.Internal:          {500, "DMS.10250003"},
	}
	var fail error
	f := &fake{}
	f.createQueue = func(context.Context, tenancy.ProjectID, dms.NewQueue) (dms.Queue, error) { return dms.Queue{}, fail }
	f.queues = func(context.Context, tenancy.ProjectID) ([]dms.Queue, error) { return nil, fail }
	f.queue = func(context.Context, dms.QueueRef) (dms.Queue, error) { return dms.Queue{}, fail }
	f.deleteQueue = func(context.Context, dms.QueueRef) error { return fail }
	f.createGroups = func(context.Context, dms.QueueRef, []string) ([]dms.Group, error) { return nil, fail }
	f.groups = func(context.Context, dms.QueueRef, dms.GroupView) (dms.Queue, []dms.Group, error) {
		return dms.Queue{}, nil, fail
	}
	f.deleteGroup = func(context.Context, dms.GroupRef) error { return fail }
	f.send = func(context.Context, dms.QueueRef, dms.Send) ([]dms.Sent, error) { return nil, fail }
	f.receive = func(context.Context, dms.GroupRef, dms.Receive) (dms.Batch, error) { return dms.Batch{}, fail }
	f.acknowledge = func(context.Context, dms.GroupRef, dms.Kind, []dms.Ack) (int, error) { return 0, fail }
	f.queueTags = func(context.Context, dms.QueueRef) ([]dms.Tag, error) { return nil, fail }
	f.putTags = func(context.Context, dms.QueueRef, []dms.Tag) error { return fail }
	f.removeTags = func(context.Context, dms.QueueRef, []dms.TagRemoval) (int, error) { return 0, fail }
	f.projectTags = func(context.Context, tenancy.ProjectID) ([]dms.TagValues, error) { return nil, fail }
	f.findQueues = func(context.Context, tenancy.ProjectID, dms.TagQuery) ([]dms.TaggedQueue, error) { return nil, fail }
	f.unread = func() error { return fail }
	f.listKeys = func(context.Context, tenancy.ProjectID) ([]tenancy.AccessKey, error) { return nil, fail }
	f.createKey = func(context.Context, tenancy.Project, tenancy.Identity, tenancy.NewAccessKey) (tenancy.AccessKey, accesskey.Secret, error) {
		return tenancy.AccessKey{}, "", fail
	}
	f.changeKey = func(context.Context, tenancy.ProjectID, string, tenancy.Identity, tenancy.KeyChange) (tenancy.AccessKey, error) {
		return tenancy.AccessKey{}, fail
	}
	f.rotateKey = func(context.Context, tenancy.ProjectID, string, tenancy.Identity, time.Duration) (tenancy.AccessKey, accesskey.Secret, error) {
		return tenancy.AccessKey{}, "", fail
	}
	f.deleteKey = func(context.Context, tenancy.ProjectID, string) error { return fail }
	m := &monitoring{}
	s := serve(t, f, func(o *facade.Options, _ *http.Server) { o.Alarms, o.Metrics = m, m })
	for code, want := range codes {
		fail = fmt.Errorf("do it: %w", dms.Wrap(code, fmt.Errorf("secret cause")))
		m.err, f.workbench.err = fail, fail
		for _, rt := range readRoutes(t) {
			// Deleting several queues tells of each queue by itself, and events of what cannot
			// be known at the moment.
			if rt.needs == "public" || strings.HasSuffix(rt.pattern, "/events") || rt.needs == "caller" || rt.needs == "operate" || strings.HasSuffix(rt.pattern, "/tags/") || strings.HasSuffix(rt.pattern, "/queues/delete") {
				continue
			}
			path := rt.path(project)
			if strings.HasSuffix(path, "/metrics") {
				path += "?metric=queued_messages"
			}
			got := s.do(rt.method, path, rt.body())
			if got.status != want.status || got.code() != want.text || strings.Contains(got.body, "secret") {
				t.Errorf("%s, %s %s: got %d %s, want %d %s", code, rt.method, rt.pattern, got.status, got.body, want.status, want.text)
			}
			onlyStrings(t, got.body)
		}
	}
}

func TestRemovingAnAbsentTag(t *testing.T) {
	f := &fake{removeTags: func(context.Context, dms.QueueRef, []dms.TagRemoval) (int, error) { return 0, nil }}
	s := serve(t, f, nil)
	if got := s.do("DELETE", tagsPath+"/k", ""); got.status != 404 || got.code() != "DMS.10240426" {
		t.Errorf("alone: got %d %s", got.status, got.body)
	}
	if got := s.do("POST", tagsPath+"/action", `{"action":"delete","tags":[{"key":"k"}]}`); got.status != 204 {
		t.Errorf("among others: got %d %s", got.status, got.body)
	}
}

// listed is one line of the golden file of routes.
type listed struct{ method, pattern, needs string }

func readRoutes(t *testing.T) []listed {
	t.Helper()
	text, err := os.ReadFile("testdata/routes.golden")
	if err != nil {
		t.Fatal(err)
	}
	var all []listed
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		all = append(all, listed{fields[0], fields[1], fields[2]})
	}
	if len(all) < 60 {
		t.Fatalf("only %d routes are listed", len(all))
	}
	return all
}

func (l listed) path(project string) string {
	return strings.NewReplacer("{project}", project, "{queue}", queueID, "{group}", groupID, "{key}", "k", "{access_key}", keyID, "{alarm}", alarmID, "{sequence}", "7", "{job}", jobID, "{member}", "n3").Replace(l.pattern)
}

// body returns a body that the route takes.
func (l listed) body() string {
	if l.method == http.MethodPatch && strings.HasSuffix(l.pattern, "/{queue}") {
		return `{"retention_hours":1}`
	}
	if l.method != http.MethodPost && l.method != http.MethodPut {
		return map[string]string{http.MethodPatch: `{}`}[l.method]
	}
	for suffix, body := range map[string]string{
		"/alarms":                    `{"name":"a","metric":"queued_messages","comparison":">","threshold":1}`,
		"/{alarm}":                   `{"name":"a","metric":"queued_messages","comparison":">","threshold":1}`,
		"/mute":                      `{"seconds":1}`,
		"/queues":                    `{"name":"q"}`,
		"/groups":                    `{"groups":[{"name":"g"}]}`,
		"/messages":                  `{"messages":[{"body":1}]}`,
		"/ack":                       `{"message":[{"handler":"h"}]}`,
		"/tags":                      `{"tag":{"key":"k"}}`,
		"/tags/action":               `{"action":"create","tags":[{"key":"k"}]}`,
		"/resource_instances/action": `{"action":"count"}`,
		"/access-keys":               `{"roles":["viewer"]}`,
		"/queues/delete":             `{"queues":["` + queueID + `"]}`,
		"/purge":                     `{"source":"queue"}`,
		"/redrive":                   `{"group_id":"` + groupID + `","target":"queue"}`,
		"/position":                  `{"to":"end"}`,
		"/extend":                    `{"message":[{"handler":"h","ack_wait":30}]}`,
	} {
		if strings.HasSuffix(l.pattern, suffix) {
			return body
		}
	}
	return ""
}
