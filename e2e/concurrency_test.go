package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
)

// together makes n calls at once and returns their answers.
func (c customer) together(n int, call func(i int) (method, path, body string)) []Answer {
	c.t.Helper()
	answers, errs := make([]Answer, n), make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			method, path, body := call(i)
			answers[i], errs[i] = c.client.Do(c.t.Context(), method, c.base+path, body)
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			c.t.Fatal(err)
		}
	}
	return answers
}

// tally counts answers by status and error code.
func tally(answers []Answer) map[string]int {
	counts := make(map[string]int)
	for _, a := range answers {
		counts[fmt.Sprint(a.Status, " ", errorCode(a))]++
	}
	return counts
}

func expectTally(t *testing.T, what string, answers []Answer, want map[string]int) {
	t.Helper()
	if got := tally(answers); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: the answers are %v, want %v", what, got, want)
	}
}

func TestOfQueuesOfOneNameCreatedTogetherOneIsMade(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	shared := name(t)
	answers := c.together(8, func(i int) (string, string, string) {
		return "POST", "/queues", fmt.Sprintf(`{"name":%q,"queue_mode":%q}`, shared, []string{"NORMAL", "FIFO"}[i%2])
	})
	expectTally(t, "creating a queue", answers, map[string]int{"201 ": 1, "400 DMS.10240017": 7})
	for _, a := range answers {
		var made struct{ ID string }
		if a.Status != http.StatusCreated {
			continue
		}
		if err := json.Unmarshal(a.Body, &made); err != nil {
			t.Fatal(err)
		}
		gone := c.together(4, func(int) (string, string, string) { return "DELETE", "/queues/" + made.ID, "" })
		if got := tally(gone); got["204 "] == 0 || got["204 "]+got["404 DMS.10240401"] != len(gone) {
			t.Errorf("deleting the queue together: the answers are %v", got)
		}
	}
}

func TestGroupsAndTagsMadeTogetherKeepTheirLimits(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	queue := c.queue("")
	expectTally(t, "groups of one name", c.together(6, func(int) (string, string, string) {
		return "POST", "/queues/" + queue + "/groups", `{"groups":[{"name":"shared"}]}`
	}), map[string]int{"201 ": 1, "400 DMS.10240018": 5})
	expectTally(t, "groups", c.together(6, func(i int) (string, string, string) {
		return "POST", "/queues/" + queue + "/groups", fmt.Sprintf(`{"groups":[{"name":"g%d"}]}`, i)
	}), map[string]int{"201 ": 2, "400 DMS.10240019": 4})
	expectTally(t, "tags", c.together(12, func(i int) (string, string, string) {
		return "POST", "/queue/" + queue + "/tags", fmt.Sprintf(`{"tag":{"key":"k%d","value":"v"}}`, i)
	}), map[string]int{"204 ": 10, "400 DMS.10240044": 2})
	var list struct{ Groups, Tags []struct{ Name, Key string } }
	c.must(http.StatusOK, &list, "GET", "/queues/"+queue+"/groups", "")
	c.must(http.StatusOK, &list, "GET", "/queue/"+queue+"/tags", "")
	if len(list.Groups) != 3 || len(list.Tags) != 10 {
		t.Errorf("there are %d groups and %d tags, want 3 and 10", len(list.Groups), len(list.Tags))
	}
}

func TestOfFIFOConsumersOfOneGroupOneIsServed(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	queue := c.queue(`,"queue_mode":"FIFO"`)
	group := c.group(queue, "g")
	var sent []string
	for i := range 24 {
		sent = append(sent, fmt.Sprintf("m%02d", i))
	}
	for part := range slices.Chunk(sent, 8) {
		c.send(queue, texts(part...)...)
	}
	var got []string
	for len(got) < len(sent) && !t.Failed() {
		var served []delivery
		winners := 0
		for _, a := range c.together(6, func(int) (string, string, string) {
			return "GET", groupPath(queue, group) + "/messages?max_msgs=8&time_wait=1", ""
		}) {
			var batch []delivery
			if err := json.Unmarshal(a.Body, &batch); err != nil {
				t.Fatalf("%v: %v", err, a)
			}
			if len(batch) > 0 {
				winners++
				served = batch
			}
		}
		if winners != 1 {
			t.Errorf("%d consumers were served at once, want 1", winners)
			break
		}
		c.settle(groupPath(queue, group)+"/ack", "success", served...)
		got = append(got, bodies(t, served)...)
	}
	if !slices.Equal(got, sent) {
		t.Errorf("the messages came as %v", got)
	}
}

func TestFIFOOrderIsThatOfOneProducer(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	queue := c.queue(`,"queue_mode":"FIFO"`)
	group := c.group(queue, "g")
	// Each producer waits for its answers, so that its own messages have an order.
	const producers, each = 4, 12
	var all sync.WaitGroup
	for p := range producers {
		all.Go(func() {
			for i := range each {
				a, err := c.client.Do(t.Context(), "POST", c.base+"/queues/"+queue+"/messages", fmt.Sprintf(`{"messages":[{"body":[%d,%d]},{"body":[%d,%d]}]}`, p, 2*i, p, 2*i+1))
				if err != nil || a.Status != http.StatusCreated {
					t.Errorf("sending: %v, %v", a, err)
					return
				}
			}
		})
	}
	all.Wait()
	var next [producers]int
	for seen := 0; seen < producers*each*2; {
		batch := c.consume(queue, group, "time_wait=5")
		if len(batch) == 0 {
			t.Fatalf("after %d messages nothing more comes", seen)
		}
		for _, d := range batch {
			var at [2]int
			if err := json.Unmarshal(d.Message.Body, &at); err != nil {
				t.Fatal(err)
			}
			if at[1] != next[at[0]] {
				t.Fatalf("producer %d: message %d came in place of %d", at[0], at[1], next[at[0]])
			}
			next[at[0]]++
			seen++
		}
		c.settle(groupPath(queue, group)+"/ack", "success", batch...)
	}
}
