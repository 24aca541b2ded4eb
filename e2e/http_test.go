package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAllVersionsAreOneService(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	queue := c.queue(`,"description":"the same everywhere"`)
	var quotas []string
	for i, version := range []string{"/v1", "/v1.0", "/v2"} {
		of := c
		of.base = version + "/" + c.project.ID
		var shown struct {
			Description string
			Produced    int `json:"produced_messages"`
			Groups      int `json:"group_count"`
		}
		of.must(http.StatusOK, &shown, "GET", "/queues/"+queue, "")
		if shown.Description != "the same everywhere" || shown.Produced != i || shown.Groups != i {
			t.Errorf("below %s the queue is %+v, want %d messages and groups", version, shown, i)
		}
		for _, path := range []string{"/quotas", "/quotas/dms"} {
			a := of.call("GET", path, "")
			var got struct {
				Quotas struct{ Resources []struct{ Type string } }
			}
			if err := json.Unmarshal(a.Body, &got); err != nil || a.Status != http.StatusOK || len(got.Quotas.Resources) != 1 {
				t.Errorf("%s%s: %v", version, path, a)
			}
			quotas = append(quotas, got.Quotas.Resources[0].Type)
		}
		group := of.group(queue, "g"+strings.NewReplacer("/", "", ".", "-").Replace(version))
		of.send(queue, texts("from "+version)...)
		if n := len(of.take(i+1, queue, group)); n != i+1 {
			t.Errorf("below %s a new group got %d messages, want %d", version, n, i+1)
		}
		var list struct{ Groups []struct{ Name string } }
		for _, path := range []string{"/groups", "/resourcePathGroups"} {
			of.must(http.StatusOK, &list, "GET", "/queues/"+queue+path, "")
			if len(list.Groups) != i+1 {
				t.Errorf("%s%s lists %v", version, path, list.Groups)
			}
		}
	}
	if len(slices.Compact(quotas)) != 1 || quotas[0] != "queue" {
		t.Errorf("the versions show different quotas: %v", quotas)
	}
}

func TestUnknownURLsAndMethodsAreAnsweredLikeOtherErrors(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	for _, path := range []string{"/nothing", "/v2", "/v2/", "/v3/nothing", "/v4/" + c.project.ID + "/queues", c.base, c.base + "/nothing", c.base + "/queues/" + noQueue + "/nothing"} {
		if a := c.at("GET", path, ""); a.Status != http.StatusNotFound || errorCode(a) != "DMS.10240406" {
			t.Errorf("GET %s: %v, want 404 DMS.10240406", path, a)
		}
	}
	for method, path := range map[string]string{"PUT": "/queues", "PATCH": "/queues/" + noQueue + "/messages", "DELETE": "/quotas"} {
		a := c.call(method, path, "")
		if a.Status != http.StatusMethodNotAllowed || errorCode(a) != "DMS.10240406" || a.Header.Get("Allow") == "" {
			t.Errorf("%s %s: %v, Allow %q; want 405 DMS.10240406", method, path, a, a.Header.Get("Allow"))
		}
	}
}

func TestRequestIDsOfCallersAreKept(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	if got := c.call("GET", "/queues", "", "X-Request-Id", "my-request.0001").Header.Get("X-Request-Id"); got != "my-request.0001" {
		t.Errorf("the request ID became %q", got)
	}
	first := c.call("GET", "/queues", "", "X-Request-Id", "<script>alert(1)</script>").Header.Get("X-Request-Id")
	second := c.call("GET", "/queues", "").Header.Get("X-Request-Id")
	if strings.ContainsAny(first, "<>") || first == second {
		t.Errorf("the request IDs are %q and %q", first, second)
	}
}

func TestCallersHaveToSayWhoTheyAre(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	nobody := NewClient(service.Env.Endpoint, "", Transport{Base: http.DefaultTransport, Description: description})
	for name, tt := range map[string]struct {
		header []string
		status int
		code   string
	}{
		"no credential":           {nil, 401, "DMS.10240103"},
		"empty token":             {[]string{"X-Auth-Token", ""}, 401, "DMS.10240103"},
		"unknown scheme":          {[]string{"Authorization", "Basic ZGVtbzpkZW1v"}, 401, "DMS.10240103"},
		"token that is none":      {[]string{"X-Auth-Token", "token"}, 401, "DMS.10240101"},
		"token cut short":         {[]string{"X-Auth-Token", c.project.Token[:len(c.project.Token)-4]}, 401, "DMS.10240101"},
		"bearer that is none":     {[]string{"Authorization", "Bearer token"}, 401, "DMS.10240101"},
		"signature that is none":  {[]string{"Authorization", "SDK-HMAC-SHA256 Access=x"}, 401, "APIGW.0301"},
		"token of this project":   {[]string{"X-Auth-Token", c.project.Token}, 200, ""},
		"bearer of this project":  {[]string{"Authorization", "Bearer " + c.project.Token}, 200, ""},
		"token and same project":  {[]string{"X-Auth-Token", c.project.Token, "X-Project-Id", c.project.ID}, 200, ""},
		"token and other project": {[]string{"X-Auth-Token", c.project.Token, "X-Project-Id", service.Env.Projects[1].ID}, 401, "DMS.10240104"},
	} {
		a, err := nobody.Do(t.Context(), "GET", c.base+"/queues", "", tt.header...)
		if err != nil {
			t.Fatal(err)
		}
		if a.Status != tt.status || errorCode(a) != tt.code {
			t.Errorf("%s: %v, want %d %s", name, a, tt.status, tt.code)
		}
	}
}

func TestBooleansAndEmptyValuesOfOtherClientsAreUnderstood(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	queue := c.queue(`,"redrive_policy":"enable","max_consume_count":4`)
	group := c.group(queue, "g")
	c.send(queue, texts("x")...)
	for value, want := range map[string]bool{"true": true, "True": true, "TRUE": true, "false": false, "False": false, "": false} {
		var got struct {
			Count *int `json:"max_consume_count"`
		}
		c.must(http.StatusOK, &got, "GET", "/queues/"+queue+"?include_deadletter="+value+"&unknown=parameter", "")
		if (got.Count != nil) != want {
			t.Errorf("include_deadletter=%s: max_consume_count is %v", value, got.Count)
		}
		var list struct {
			Groups []struct {
				Dead *int `json:"produced_deadletters"`
			}
		}
		c.must(http.StatusOK, &list, "GET", "/queues/"+queue+"/groups?include_deadletter="+value, "")
		if (list.Groups[0].Dead != nil) != want {
			t.Errorf("include_deadletter=%s: produced_deadletters is %v", value, list.Groups[0].Dead)
		}
	}
	for value, want := range map[string]int{"True": 1, "False": 0, "": 1} {
		var list struct {
			Groups []struct {
				Produced int `json:"produced_messages"`
			}
		}
		c.must(http.StatusOK, &list, "GET", "/queues/"+queue+"/groups?include_messages_num="+value, "")
		if got := list.Groups[0].Produced; got != want {
			t.Errorf("include_messages_num=%s: produced_messages is %d, want %d", value, got, want)
		}
	}
	c.refused(400, "DMS.10540014", "GET", "/queues/"+queue+"?include_deadletter=yes", "")
	c.refused(400, "DMS.10240014", "GET", groupPath(queue, group)+"/messages?max_msgs=ten", "")
	if got := c.consume(queue, group, "max_msgs=&time_wait=&ack_wait=&tag=&tag_type="); len(got) != 1 {
		t.Errorf("with empty parameters %d messages came, want 1", len(got))
	}
}

func TestBothSpellingsOfSendAreUnderstoodOnAllVersions(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	queue := c.queue("")
	id := regexp.MustCompile(`"id":"[0-9a-f-]{36}"`)
	for _, version := range []string{"/v1.0", "/v2"} {
		for member, want := range map[string]bool{`"returnId":true`: true, `"return_id":true`: true, `"returnId":false`: false, `"return_id":null`: false} {
			a := c.at("POST", version+"/"+c.project.ID+"/queues/"+queue+"/messages", `{`+member+`,"messages":[{"body":"x"}]}`)
			if a.Status != http.StatusCreated || id.Match(a.Body) != want {
				t.Errorf("%s with %s: %v, want an id: %t", version, member, a, want)
			}
		}
		for _, member := range []string{"delayTime", "delay_time"} {
			path := version + "/" + c.project.ID + "/queues/" + queue + "/messages"
			if a := c.at("POST", path, `{"messages":[{"body":"x","`+member+`":604800001}]}`); a.Status != 400 || errorCode(a) != "DMS.10540010" {
				t.Errorf("%s with too long a %s: %v", version, member, a)
			}
		}
	}
	c.refused(400, "DMS.10540001", "POST", "/queues/"+queue+"/messages", `{"returnId":true,"return_id":true,"messages":[{"body":"x"}]}`)
}

func TestBodiesOfRequestsAreReadStrictly(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	queue := c.queue("")
	group := c.group(queue, "g")
	send, ack := "/queues/"+queue+"/messages", groupPath(queue, group)+"/ack"
	for _, tt := range []struct{ code, path, body string }{
		{"DMS.10240009", "/queues", ``},
		{"DMS.10240009", "/queues", `{"name":"a"`},
		{"DMS.10240009", "/queues", `{"name":"a"} {}`},
		{"DMS.10240009", "/queues", `{"name":"a","name":"b"}`},
		{"DMS.10240009", "/queues", `{"name":"a","Name":"b"}`},
		{"DMS.10240009", "/queues", `[]`},
		{"DMS.10240009", "/queues", `{"name":7}`},
		{"DMS.10240009", "/queues/" + queue + "/groups", `{"groups":{}}`},
		{"DMS.10540012", send, ``},
		{"DMS.10540012", send, `{"messages":[{"body":"x"}]`},
		{"DMS.10540012", send, "{\"messages\":[{\"body\":\"\xff\"}]}"},
		{"DMS.10540012", send, `{"messages":[{"body":01}]}`},
		{"DMS.10540012", send, `{"messages":[{"body":"x"}]} x`},
		{"DMS.10540001", send, `{}`},
		{"DMS.10540001", send, `{"messages":[{"body":null}]}`},
		{"DMS.10540001", send, `{"messages":[{"body":"x","body":"y"}]}`},
		{"DMS.10540001", send, `{"messages":[{"attributes":{}}]}`},
		{"DMS.10540012", ack, `{"message":[`},
		{"DMS.10540001", ack, `{"messages":[]}`},
		{"DMS.10540001", ack, `{"message":[{"status":"success"}]}`},
		{"DMS.10540003", ack, `{"message":[{"handler":"h","status":"SUCCESS"}]}`},
	} {
		c.refused(400, tt.code, "POST", tt.path, tt.body)
	}
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	if a := c.call("POST", send, `{"messages":[{"body":`+deep+`}]}`); a.Status != 400 {
		t.Errorf("a body nested 5000 deep: %v", a)
	}
	if a := c.call("POST", send, `{"messages":[{"body":"x"}]}`, "Content-Encoding", "gzip"); a.Status != http.StatusUnsupportedMediaType {
		t.Errorf("an encoded body: %v", a)
	}
	var q struct {
		Produced int `json:"produced_messages"`
	}
	if c.must(200, &q, "GET", "/queues/"+queue, ""); q.Produced != 0 {
		t.Errorf("the queue holds %d messages of refused requests", q.Produced)
	}
}

func TestSingleTagsAndSearchesOfOlderClients(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	c.base = "/v1.0/" + c.project.ID
	one, two := name(t)+"-one", name(t)+"-two"
	first, second := c.namedQueue(one, ""), c.namedQueue(two, "")
	key := "key" + one
	key = key[:min(len(key), 36)]
	tags := func(queue string) string { return "/queue/" + queue + "/tags" }
	c.must(204, nil, "POST", tags(first), fmt.Sprintf(`{"tag":{"key":%q,"value":"a"}}`, key))
	c.must(204, nil, "POST", tags(second), fmt.Sprintf(`{"tag":{"key":%q,"value":"b"}}`, key))
	c.must(204, nil, "POST", tags(second), `{"tag":{"key":"schlüssel 1","value":"wert ü"}}`)
	find := func(action, filter string) (names []string, total int) {
		var got struct {
			Total     int `json:"total_count"`
			Resources []struct {
				Name string `json:"resource_name"`
			}
		}
		c.must(200, &got, "POST", "/queue/resource_instances/action", fmt.Sprintf(`{"action":%q,%s}`, action, filter))
		for _, r := range got.Resources {
			names = append(names, r.Name)
		}
		slices.Sort(names)
		return names, got.Total
	}
	for filter, want := range map[string][]string{
		fmt.Sprintf(`"tags":[{"key":%q,"values":[]}]`, key):                                              {one, two},
		fmt.Sprintf(`"tags":[{"key":%q,"values":["a"]}]`, key):                                           {one},
		fmt.Sprintf(`"tags":[{"key":%q,"values":["c"]}]`, key):                                           nil,
		fmt.Sprintf(`"tags_any":[{"key":%q,"values":["b"]},{"key":"none","values":[]}]`, key):            {two},
		fmt.Sprintf(`"tags":[{"key":%q,"values":["a","b"]}],"not_tags":[{"key":"schlüssel 1"}]`, key):    {one},
		fmt.Sprintf(`"matches":[{"key":"resource_name","value":%q}],"limit":"10","offset":"0"`, one[2:]): {one},
		fmt.Sprintf(`"tags":[{"key":%q,"values":["a","b"]}],"not_tags_any":[{"key":%q}]`, key, key):      nil,
	} {
		names, total := find("filter", filter)
		if !slices.Equal(names, want) || total != len(want) {
			t.Errorf("searching %s finds %v, %d in total; want %v", filter, names, total, want)
		}
		if _, counted := find("count", filter); counted != len(want) {
			t.Errorf("counting %s gives %d, want %d", filter, counted, len(want))
		}
	}
	search := "/queue/resource_instances/action"
	c.refused(400, "DMS.10240041", "POST", search, `{"action":"find"}`)
	c.refused(400, "DMS.10240042", "POST", search, `{"action":"filter","limit":"1001"}`)
	c.refused(400, "DMS.10240042", "POST", search, `{"action":"filter","limit":"0"}`)
	c.refused(400, "DMS.10240043", "POST", search, `{"action":"filter","offset":"-1"}`)

	c.must(204, nil, "DELETE", tags(second)+"/schl%C3%BCssel%201", "")
	c.refused(404, "DMS.10240426", "DELETE", tags(second)+"/schl%C3%BCssel%201", "")
	c.refused(400, "DMS.10240035", "DELETE", tags(second)+"/", "")
	var left struct{ Tags []struct{ Key, Value string } }
	c.must(200, &left, "GET", tags(second), "")
	if diff := cmp.Diff([]struct{ Key, Value string }{{key, "b"}}, left.Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

func TestTheDescriptionIsServedAndComplete(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	a := c.at("GET", "/openapi.yaml", "")
	if a.Status != http.StatusOK || !strings.HasPrefix(string(a.Body), "openapi: 3.1") {
		t.Errorf("the description is %v", a)
	}
	// Every described path takes its methods and, by its own words, no others. No path
	// takes OPTIONS.
	for _, op := range description.Operations() {
		for _, prefix := range op.Prefix {
			path := prefix + strings.NewReplacer("{project_id}", c.project.ID, "{queue_id}", noQueue, "{group_id}", noGroup, "{key}", "k").Replace(op.Path)
			a := c.at("OPTIONS", path, "")
			if a.Status != http.StatusMethodNotAllowed || !slices.Contains(strings.Split(a.Header.Get("Allow"), ", "), op.Method) {
				t.Errorf("%s is described with %s, the service allows %q (%v)", path, op.Method, a.Header.Get("Allow"), a)
			}
		}
	}
}

func TestOperatorsCanAskForHealthAndMetricsBesideTheAPI(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	c.queue("")
	operator := NewClient(service.Env.Admin, "", nil)
	for path, want := range map[string]string{"/livez": "", "/readyz": "", "/metrics": "http_server_request_duration"} {
		a, err := operator.Do(t.Context(), "GET", path, "")
		if err != nil {
			t.Fatal(err)
		}
		if a.Status != http.StatusOK || !strings.Contains(string(a.Body), want) {
			t.Errorf("%s: %v, want 200 with %q", path, a, want)
		}
		if b := c.at("GET", path, ""); b.Status != http.StatusNotFound {
			t.Errorf("%s is served to customers: %v", path, b)
		}
	}
}
