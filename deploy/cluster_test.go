package deploy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"dms/deploy/deploytest"
	"dms/tenancy"

	"github.com/nats-io/nats-server/v2/server"
)

// caller speaks to one node with a token, on connections of its own.
type caller struct {
	t      *testing.T
	base   string
	token  string
	client *http.Client
}

func newCaller(t *testing.T, url string, project tenancy.ProjectID, token string) *caller {
	return &caller{t, url + "/v2/" + string(project), token, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
}

// do answers with the status, after decoding a JSON answer into out.
func (c *caller) do(method, path, body string, out any) int {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", c.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if out != nil && resp.StatusCode < 300 {
		if err := json.NewDecoder(bytes.NewReader(data)).Decode(out); err != nil {
			c.t.Fatalf("%s %s answers %q: %v", method, path, data, err)
		}
	}
	return resp.StatusCode
}

// must is do, and fails the test unless the status is the wanted one.
func (c *caller) must(want int, method, path, body string, out any) {
	c.t.Helper()
	if got := c.do(method, path, body, out); got != want {
		c.t.Fatalf("%s %s answers %d, want %d", method, path, got, want)
	}
}

type created struct{ ID string }

func makeQueue(c *caller) (queue, group string) {
	c.t.Helper()
	var q created
	c.must(201, "POST", "/queues", `{"name":"orders"}`, &q)
	var g struct{ Groups []created }
	c.must(201, "POST", "/queues/"+q.ID+"/groups", `{"groups":[{"name":"billing"}]}`, &g)
	return "/queues/" + q.ID, "/queues/" + q.ID + "/groups/" + g.Groups[0].ID
}

func TestThreeNodesAreOneService(t *testing.T) {
	c := deploytest.Start(t)
	t.Run("roles", func(t *testing.T) { nodesAgreeOnRoles(t, c) })
	t.Run("messages", func(t *testing.T) { messagesPassThroughAnyNode(t, c) })
}

// A message goes in through one node, comes out of another, and is acknowledged
// through the third; then the cluster does the same with one node stopped and back.
func messagesPassThroughAnyNode(t *testing.T, c *deploytest.Cluster) {
	project := c.AccessKey(0).Project
	token := c.Token(t, project, tenancy.Manager)
	via := func(i int) *caller { return newCaller(t, c.URL(t, i), project, token) }

	queue, group := makeQueue(via(0))
	pass := func(body string, sender, receiver, settler int) {
		t.Helper()
		via(sender).must(201, "POST", queue+"/messages", `{"messages":[{"body":"`+body+`"}]}`, nil)
		var got []struct {
			Message struct{ Body string }
			Handler string
		}
		via(receiver).must(200, "GET", group+"/messages?time_wait=30", "", &got)
		if len(got) != 1 || got[0].Message.Body != body {
			t.Fatalf("received %+v, want one message %q", got, body)
		}
		var settled struct{ Success, Fail int }
		via(settler).must(200, "POST", group+"/ack", `{"message":[{"handler":"`+got[0].Handler+`","status":"success"}]}`, &settled)
		if settled.Success != 1 || settled.Fail != 0 {
			t.Fatalf("acknowledged %+v, want one success", settled)
		}
	}
	pass("all three", 0, 1, 2)
	c.Stop(t, 2)
	pass("two of three", 1, 0, 1)
	c.Restart(t, 2)
	pass("three again", 2, 2, 0)
}

func nodesAgreeOnRoles(t *testing.T, c *deploytest.Cluster) {
	project := c.AccessKey(0).Project
	viewer := c.Token(t, project, tenancy.Viewer)
	for i := range deploytest.Size {
		caller := newCaller(t, c.URL(t, i), project, viewer)
		caller.must(200, "GET", "/queues", "", nil)
		if status := caller.do("POST", "/queues", `{"name":"q"}`, nil); status != 403 {
			t.Errorf("node %d lets a viewer create a queue: %d, want 403", i, status)
		}
		if status := newCaller(t, c.URL(t, i), c.AccessKey(1).Project, viewer).do("GET", "/queues", "", nil); status != 401 {
			t.Errorf("node %d lets a member of one project into another: %d, want 401", i, status)
		}
	}
}

// A consumer that waits is answered when its node stops; a new one is not kept waiting.
func TestStoppingANodeEndsItsLongPolls(t *testing.T) {
	c := deploytest.Start(t)
	project := c.AccessKey(1).Project
	caller := newCaller(t, c.URL(t, 0), project, c.Token(t, project, tenancy.Manager))
	_, group := makeQueue(caller)

	type answer struct {
		status   int
		messages []json.RawMessage
	}
	answered := make(chan answer, 1)
	go func() { // ends with the answer, which is awaited below
		var a answer
		a.status = caller.do("GET", group+"/messages?time_wait=60", "", &a.messages)
		answered <- a
	}()
	waitFor(t, "the poll to wait in storage", func() (string, bool) {
		waiting := waitingPulls(t, c)
		return fmt.Sprintf("%d pulls wait", waiting), waiting > 0
	})
	c.Stop(t, 0)
	select {
	case a := <-answered:
		if a.status != 200 || a.messages == nil || len(a.messages) != 0 {
			t.Errorf("the waiting consumer got %d %s, want 200 and an empty list", a.status, a.messages)
		}
	case <-time.After(time.Minute):
		t.Fatal("the waiting consumer was not answered")
	}
}

// waitingPulls counts the pulls that wait at the leaders of consumers.
func waitingPulls(t *testing.T, c *deploytest.Cluster) (n int) {
	t.Helper()
	for i := range deploytest.Size {
		info, err := c.Member(t, i).Jsz(&server.JSzOptions{Accounts: true, Streams: true, Consumer: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, account := range info.AccountDetails {
			for _, stream := range account.Streams {
				for _, consumer := range stream.Consumer {
					n += consumer.NumWaiting
				}
			}
		}
	}
	return n
}

// waitFor polls a condition and reports its last state when time is up.
func waitFor(t *testing.T, what string, condition func() (state string, ok bool)) {
	t.Helper()
	waitWithin(t, time.Minute, what, condition)
}

// recovery is how long tests wait for nodes that are started anew, replaced or repaired:
// a start alone is held for minutes on a machine that does much else.
const recovery = 3 * time.Minute

func waitWithin(t *testing.T, most time.Duration, what string, condition func() (state string, ok bool)) {
	t.Helper()
	deadline := time.NewTimer(most)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		state, ok := condition()
		if ok {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("waited in vain for %s; last state: %s", what, state)
		case <-tick.C:
		}
	}
}
