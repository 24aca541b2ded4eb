package deploy_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"dms/deploy/deploytest"
	"dms/tenancy"
)

// watcher follows the events of a project at one node.
type watcher struct {
	t     *testing.T
	lines *bufio.Reader
	mark  string // of the last event
	last  string
}

func (c *caller) watch(mark string) *watcher {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 3*time.Minute)
	c.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/events", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", c.token)
	if mark != "" {
		req.Header.Set("Last-Event-ID", mark)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		c.t.Fatalf("events are answered with %d", resp.StatusCode)
	}
	return &watcher{t: c.t, lines: bufio.NewReader(resp.Body)}
}

// until reads to an event with all the parts and returns its data.
func (w *watcher) until(event string, parts ...string) string {
	w.t.Helper()
	name := ""
	for {
		line, err := w.lines.ReadString('\n')
		if err != nil {
			w.t.Fatalf("waiting for %s with %q: %v; the last event was %s", event, parts, err, w.last)
		}
		line = strings.TrimSuffix(line, "\n")
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			w.mark = id
		}
		if n, ok := strings.CutPrefix(line, "event: "); ok {
			name = n
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		w.last = name + " " + data
		all := name == event
		for _, part := range parts {
			all = all && strings.Contains(data, part)
		}
		if all {
			return data
		}
	}
}

func TestEventsGoOnThroughAnotherNode(t *testing.T) {
	c := deploytest.Start(t)
	project := c.AccessKey(0).Project
	token := c.Token(t, project, tenancy.Manager)
	at := func(node int) *caller { return newCaller(t, c.URL(t, node), project, token) }
	work := at(0)
	queue, group := makeQueue(work)
	send := func() { work.must(201, "POST", queue+"/messages", `{"messages":[{"body":"a"}]}`, nil) }

	w := at(1).watch("")
	w.until("queues", `"full":true`, queue[len("/queues/"):])
	send()
	w.until("groups", `"available_messages":1,"in_flight_messages":0`)
	work.must(200, "GET", group+"/messages?max_msgs=1&time_wait=10", "", nil)
	w.until("groups", `"available_messages":1,"in_flight_messages":1`)
	work.must(201, "POST", "/alarms", `{"name":"backlog","metric":"available_messages","comparison":">","threshold":100}`, nil)
	w.until("alarms", `"name":"backlog"`)

	stopped := make(chan struct{})
	go func() { // awaited below
		defer close(stopped)
		c.Stop(t, 1)
	}()
	w.until("bye", `"reason":"draining"`)
	again := at(2).watch(w.mark)
	again.until("queues", `"full":true`, queue[len("/queues/"):])
	<-stopped
	send()
	// The members that led the queue and its group may have changed.
	again.until("groups", `"available_messages":2`)
	work.must(204, "DELETE", queue, "", nil)
	again.until("queues", `"removed":["`+queue[len("/queues/"):]+`"]`)
}
