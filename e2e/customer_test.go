package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// customer calls the service for one project. Calls that do not reach the service, and
// answers that are not as described, end the test.
type customer struct {
	t       *testing.T
	client  *Client
	project Project
	base    string // "/v2/" and the project
}

// newCustomer returns a customer of the first project of the shared service.
func newCustomer(t *testing.T) customer { return customerOf(t, service, 0) }

func customerOf(t *testing.T, p *Process, project int) customer {
	t.Helper()
	of := p.Env.Projects[project]
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	return customer{
		t: t, project: of, base: "/v2/" + of.ID,
		client: NewClient(p.Env.Endpoint, of.Token, Transport{Base: transport, Description: description}),
	}
}

// call makes a call below the customer's base.
func (c customer) call(method, path, body string, header ...string) Answer {
	c.t.Helper()
	return c.at(method, c.base+path, body, header...)
}

// at makes a call to any path of the service.
func (c customer) at(method, path, body string, header ...string) Answer {
	c.t.Helper()
	a, err := c.client.Do(c.t.Context(), method, path, body, header...)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// must makes a call that has to be answered with a status, and reads the answer into
// result unless that is nil.
func (c customer) must(status int, result any, method, path, body string) {
	c.t.Helper()
	a := c.call(method, path, body)
	if a.Status != status {
		c.t.Fatalf("%s %s %.200s: %v, want %d", method, path, body, a, status)
	}
	if result == nil {
		return
	}
	if err := json.Unmarshal(a.Body, result); err != nil {
		c.t.Fatalf("%s %s: %v: %v", method, path, err, a)
	}
}

// refused makes a call that has to be answered with a status and an error code.
func (c customer) refused(status int, code, method, path, body string) Answer {
	c.t.Helper()
	a := c.call(method, path, body)
	if a.Status != status || errorCode(a) != code {
		c.t.Errorf("%s %s %.200s: %v, want %d %s", method, path, body, a, status, code)
	}
	return a
}

// errorCode returns the code of an error, "" if the answer is none.
func errorCode(a Answer) string {
	var e struct {
		Code string `json:"error_code"`
	}
	if json.Unmarshal(a.Body, &e) != nil {
		return ""
	}
	return e.Code
}

// name makes a name of a test that is unique among all tests and runs.
func name(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("q-%x", time.Now().UnixNano())
}

// queue creates a queue that is deleted when the test ends. More members may follow the
// name, as in `,"queue_mode":"FIFO"`.
func (c customer) queue(members string) string {
	c.t.Helper()
	return c.namedQueue(name(c.t), members)
}

func (c customer) namedQueue(name, members string) string {
	c.t.Helper()
	var made struct{ ID, Name string }
	c.must(http.StatusCreated, &made, "POST", "/queues", `{"name":"`+name+`"`+members+`}`)
	if made.ID == "" || made.Name != name {
		c.t.Fatalf("the queue %s was made as %+v", name, made)
	}
	c.t.Cleanup(func() { c.drop("/queues/" + made.ID) })
	return made.ID
}

// accessKey makes an access key that is deleted when the test ends, and returns the
// project with it in place of its own. The members are those of the request, as in
// `"roles":["viewer"]`. Tests that sign wrongly use keys of their own: a key is locked
// after five wrong signatures in a row.
func (c customer) accessKey(members string) Project {
	c.t.Helper()
	var made struct{ ID, Secret string }
	c.must(http.StatusCreated, &made, "POST", "/access-keys", "{"+members+"}")
	if len(made.ID) != 20 || len(made.Secret) != 40 {
		c.t.Fatalf("an access key was made with an ID of %d and a secret of %d characters", len(made.ID), len(made.Secret))
	}
	c.t.Cleanup(func() { c.drop("/access-keys/" + made.ID) })
	p := c.project
	p.AccessKey, p.SecretKey, p.Token = made.ID, made.Secret, ""
	return p
}

// anAlarm is one that never fires: there is nothing that it looks at.
const anAlarm = `{"name":"a","metric":"queued_messages","comparison":">","threshold":1e9,"queue_id":"` + noQueue + `"}`

// alarm creates an alarm with a description.
func (c customer) alarm(description string) string {
	c.t.Helper()
	var made struct{ ID string }
	c.must(http.StatusCreated, &made, "POST", "/alarms", strings.Replace(anAlarm, "{", fmt.Sprintf(`{"description":%q,`, description), 1))
	c.t.Cleanup(func() { c.drop("/alarms/" + made.ID) })
	return made.ID
}

// drop deletes what a test has made and may have deleted itself. It outlives the test's
// context.
func (c customer) drop(path string) {
	a, err := c.client.Do(detached(c.t), "DELETE", c.base+path, "")
	switch {
	case err != nil:
		c.t.Logf("clean up %s: %v", path, err)
	case a.Status != http.StatusNoContent && a.Status != http.StatusNotFound:
		c.t.Errorf("clean up %s: %v", path, a)
	}
}

// group creates one consumer group.
func (c customer) group(queue, name string) string {
	c.t.Helper()
	var made struct{ Groups []struct{ ID, Name string } }
	c.must(http.StatusCreated, &made, "POST", "/queues/"+queue+"/groups", `{"groups":[{"name":"`+name+`"}]}`)
	if len(made.Groups) != 1 || made.Groups[0].Name != name {
		c.t.Fatalf("the group %s was made as %+v", name, made)
	}
	return made.Groups[0].ID
}

// send sends messages, given as they stand in the array, and returns their IDs.
func (c customer) send(queue string, messages ...string) []string {
	c.t.Helper()
	var sent struct {
		Messages []struct {
			ID    string
			State int
			Error *string
		}
	}
	c.must(http.StatusCreated, &sent, "POST", "/queues/"+queue+"/messages",
		`{"return_id":true,"messages":[`+strings.Join(messages, ",")+`]}`)
	if len(sent.Messages) != len(messages) {
		c.t.Fatalf("%d messages were sent, %d answered", len(messages), len(sent.Messages))
	}
	var ids []string
	for i, m := range sent.Messages {
		if m.State != 0 || m.ID == "" || m.Error != nil {
			c.t.Fatalf("message %d was answered as %+v", i, m)
		}
		ids = append(ids, m.ID)
	}
	return ids
}

// texts makes messages whose bodies are texts.
func texts(bodies ...string) []string {
	var messages []string
	for _, b := range bodies {
		messages = append(messages, fmt.Sprintf(`{"body":%q}`, b))
	}
	return messages
}

// delivery is one consumed message, with body and attributes as they came.
type delivery struct {
	Message struct {
		Body       json.RawMessage
		Attributes json.RawMessage
		Tags       []string
	}
	Handler string
}

func groupPath(queue, group string) string { return "/queues/" + queue + "/groups/" + group }

// consume makes one call; the query is that of the call.
func (c customer) consume(queue, group, query string) []delivery {
	c.t.Helper()
	return c.receive(groupPath(queue, group) + "/messages?" + query)
}

// deadLetters makes one call for dead letters.
func (c customer) deadLetters(queue, group, query string) []delivery {
	c.t.Helper()
	return c.receive(groupPath(queue, group) + "/deadletters?" + query)
}

func (c customer) receive(path string) []delivery {
	c.t.Helper()
	var got []delivery
	c.must(http.StatusOK, &got, "GET", path, "")
	return got
}

// take consumes until n messages have come, and leaves them unacknowledged.
func (c customer) take(n int, queue, group string) []delivery {
	c.t.Helper()
	return c.takeFrom(n, groupPath(queue, group)+"/messages?time_wait=2&max_msgs=10")
}

func (c customer) takeFrom(n int, path string) []delivery {
	c.t.Helper()
	var all []delivery
	waitFor(c.t, func() (bool, string) {
		all = append(all, c.receive(path)...)
		return len(all) >= n, fmt.Sprintf("%d of %d messages came from %s", len(all), n, path)
	})
	return all
}

// entry is one element of an acknowledgement.
func entry(handler, status string) string {
	return fmt.Sprintf(`{"handler":%q,"status":%q}`, handler, status)
}

// ackResult is the answer to an acknowledgement.
type ackResult struct{ Success, Fail int }

// ack settles entries on a path that ends in "ack".
func (c customer) ack(path string, entries ...string) (r ackResult) {
	c.t.Helper()
	c.must(http.StatusOK, &r, "POST", path, `{"message":[`+strings.Join(entries, ",")+`]}`)
	return r
}

// settle acknowledges all deliveries with one status, and demands that it took effect.
func (c customer) settle(path, status string, deliveries ...delivery) {
	c.t.Helper()
	var entries []string
	for _, d := range deliveries {
		entries = append(entries, entry(d.Handler, status))
	}
	want := ackResult{Success: len(entries)}
	if status != "success" {
		want = ackResult{Fail: len(entries)}
	}
	if got := c.ack(path, entries...); got != want {
		c.t.Fatalf("%s of %d messages: %+v, want %+v", status, len(entries), got, want)
	}
}

// bodies returns the bodies, which have to be texts.
func bodies(t *testing.T, deliveries []delivery) []string {
	t.Helper()
	var all []string
	for _, d := range deliveries {
		var s string
		if err := json.Unmarshal(d.Message.Body, &s); err != nil {
			t.Fatalf("the body %s is not a text", d.Message.Body)
		}
		all = append(all, s)
	}
	return all
}
