package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEmptyConsumeIsAnEmptyArray(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	for _, mode := range []string{"NORMAL", "FIFO"} {
		queue := c.queue(`,"queue_mode":"` + mode + `"`)
		group := c.group(queue, "g")
		for _, path := range []string{"/messages", "/deadletters"} {
			a := c.call("GET", groupPath(queue, group)+path+"?time_wait=1", "")
			if a.Status != http.StatusOK || string(a.Body) != "[]" {
				t.Errorf("%s%s: %v, want []", mode, path, a)
			}
		}
		if got := c.ack(groupPath(queue, group) + "/ack"); got != (ackResult{}) {
			t.Errorf("%s: acknowledging nothing: %+v", mode, got)
		}
	}
}

func TestParkedConsumerWakesWhenAMessageComes(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	for _, mode := range []string{"NORMAL", "FIFO"} {
		queue := c.queue(`,"queue_mode":"` + mode + `"`)
		group := c.group(queue, "g")
		type result struct {
			answer Answer
			err    error
		}
		parked := make(chan result, 1)
		go func() {
			a, err := c.client.Do(t.Context(), "GET", c.base+groupPath(queue, group)+"/messages?time_wait=60", "")
			parked <- result{a, err}
		}()
		// The short poll lasts a second, in which the long one has reached its place.
		if got := c.consume(queue, group, "time_wait=1"); len(got) != 0 {
			t.Fatalf("%s: an empty queue gave %v", mode, got)
		}
		sent := time.Now()
		c.send(queue, texts("wake up")...)
		select {
		case r := <-parked:
			var got []delivery
			if r.err == nil {
				r.err = json.Unmarshal(r.answer.Body, &got)
			}
			if r.err != nil || len(got) != 1 {
				t.Errorf("%s: the parked consumer got %v, %v", mode, r.answer, r.err)
			}
		case <-time.After(30 * time.Second): // half of what it would wait for nothing
			t.Errorf("%s: the parked consumer is still asleep %v after the message was sent", mode, time.Since(sent))
		}
	}
}

func TestFIFOGroupsGetMessagesInOrderOneBatchAtATime(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	queue := c.queue(`,"queue_mode":"FIFO"`)
	first, second := c.group(queue, "first"), c.group(queue, "second")
	var sent []string
	for part := range 3 {
		var batch []string
		for i := range 10 {
			batch = append(batch, fmt.Sprintf("%d-%d", part, i))
		}
		sent = append(sent, batch...)
		c.send(queue, texts(batch...)...)
	}
	ack := groupPath(queue, first) + "/ack"
	got := c.consume(queue, first, "max_msgs=10&time_wait=5")
	if !slices.Equal(bodies(t, got), sent[:10]) {
		t.Fatalf("the first batch is %v, want %v", bodies(t, got), sent[:10])
	}
	if more := c.consume(queue, first, "time_wait=1"); len(more) != 0 {
		t.Errorf("beside an outstanding batch came %v", bodies(t, more))
	}
	if other := c.consume(queue, second, "max_msgs=3&time_wait=5"); !slices.Equal(bodies(t, other), sent[:3]) {
		t.Errorf("the other group got %v, want %v", bodies(t, other), sent[:3])
	}
	// Three are settled, the fourth fails: it is the next to come, and those behind it
	// keep their order.
	r := c.ack(ack, entry(got[0].Handler, "success"), entry(got[1].Handler, "success"), entry(got[2].Handler, "success"),
		entry(got[3].Handler, "fail"), entry(got[4].Handler, "success"))
	if r != (ackResult{Success: 3, Fail: 2}) {
		t.Errorf("acknowledging up to a failure: %+v", r)
	}
	rest := sent[3:]
	for len(rest) > 0 {
		got = c.consume(queue, first, "max_msgs=7&time_wait=20")
		n := min(7, len(rest))
		if !slices.Equal(bodies(t, got), rest[:n]) {
			t.Fatalf("the next batch is %v, want %v", bodies(t, got), rest[:n])
		}
		c.settle(ack, "success", got...)
		rest = rest[n:]
	}
}

func TestEveryGroupGetsEveryMessage(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	for _, mode := range []string{"NORMAL", "FIFO"} {
		queue := c.queue(`,"queue_mode":"` + mode + `"`)
		sent := []string{"a", "b", "c", "d"}
		early := []string{c.group(queue, "early-1"), c.group(queue, "early-2")}
		c.send(queue, texts(sent...)...)
		for _, g := range early {
			got := c.take(4, queue, g)
			c.settle(groupPath(queue, g)+"/ack", "success", got...)
			if b := bodies(t, got); !slices.Equal(slices.Sorted(slices.Values(b)), sent) {
				t.Errorf("%s: a group got %v", mode, b)
			}
		}
		// Consuming takes nothing from groups that come later.
		late := c.group(queue, "late")
		if b := bodies(t, c.take(4, queue, late)); !slices.Equal(slices.Sorted(slices.Values(b)), sent) {
			t.Errorf("%s: a group of later got %v", mode, b)
		}
		c.refused(400, "DMS.10240019", "POST", "/queues/"+queue+"/groups", `{"groups":[{"name":"fourth"}]}`)
		// A new group of an old name does not go on where the old one stood.
		c.must(204, nil, "DELETE", groupPath(queue, early[0]), "")
		c.refused(404, "DMS.10240405", "GET", groupPath(queue, early[0])+"/messages", "")
		if b := bodies(t, c.take(4, queue, c.group(queue, "early-1"))); len(b) != 4 {
			t.Errorf("%s: a group made anew got %v", mode, b)
		}
	}
}

func TestConsumersOfOneGroupShareTheMessages(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	queue := c.queue("")
	group := c.group(queue, "g")
	var sent []string
	for i := range 60 {
		sent = append(sent, fmt.Sprintf("m%02d", i))
	}
	for part := range slices.Chunk(sent, 10) {
		c.send(queue, texts(part...)...)
	}
	results := make(chan Answer)
	errs := make(chan error)
	for range 12 {
		go func() {
			a, err := c.client.Do(t.Context(), "GET", c.base+groupPath(queue, group)+"/messages?max_msgs=5&time_wait=5&ack_wait=300", "")
			if err != nil {
				errs <- err
				return
			}
			results <- a
		}()
	}
	var got []string
	for range 12 {
		select {
		case err := <-errs:
			t.Error(err)
		case a := <-results:
			var batch []delivery
			if err := json.Unmarshal(a.Body, &batch); err != nil {
				t.Errorf("%v: %v", err, a)
			}
			got = append(got, bodies(t, batch)...)
		}
	}
	waitFor(t, func() (bool, string) { // a poll may have come away with less than it asked for
		got = append(got, bodies(t, c.consume(queue, group, "time_wait=1&ack_wait=300"))...)
		return len(got) >= len(sent), fmt.Sprintf("%d of %d messages came", len(got), len(sent))
	})
	if slices.Sort(got); !slices.Equal(got, sent) {
		t.Errorf("the consumers got %d messages, want each of %d once: %v", len(got), len(sent), got)
	}
}

func TestUnacknowledgedMessagesComeAgainAndBecomeDeadLetters(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	for _, mode := range []string{"NORMAL", "FIFO"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			c := c
			c.t = t
			queue := c.queue(`,"queue_mode":"` + mode + `","redrive_policy":"enable","max_consume_count":2`)
			group := c.group(queue, "g")
			c.send(queue, texts("forgotten")...)
			started := time.Now()
			first := c.receiveOne(groupPath(queue, group) + "/messages?time_wait=5&ack_wait=15")
			again := c.receiveOne(groupPath(queue, group) + "/messages?time_wait=30&ack_wait=15")
			if passed := time.Since(started); passed < 15*time.Second {
				t.Errorf("the message came again after %v, its ack_wait is 15 s", passed)
			}
			// The handler of the lost delivery is worth nothing any more.
			c.refused(400, "DMS.10542209", "POST", groupPath(queue, group)+"/ack", `{"message":[`+entry(first.Handler, "success")+`]}`)
			if string(again.Message.Body) != `"forgotten"` {
				t.Errorf("%s came again", again.Message.Body)
			}
			// Nobody settles the second delivery either, and nobody asks for a third.
			dead := c.receiveOne(groupPath(queue, group) + "/deadletters?time_wait=50")
			if string(dead.Message.Body) != `"forgotten"` {
				t.Errorf("the dead letter is %s", dead.Message.Body)
			}
			if live := c.consume(queue, group, "time_wait=1"); len(live) != 0 {
				t.Errorf("a dead letter came as a message: %v", bodies(t, live))
			}
		})
	}
}

func TestFIFOGroupsKeepOrderWhenNobodyAcknowledges(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	queue := c.queue(`,"queue_mode":"FIFO"`)
	group := c.group(queue, "g")
	sent := []string{"1", "2", "3", "4"}
	c.send(queue, texts(sent...)...)
	path := groupPath(queue, group)
	first := c.receive(path + "/messages?max_msgs=3&time_wait=5&ack_wait=15")
	c.settle(path+"/ack", "success", first[0])
	again := c.receive(path + "/messages?max_msgs=10&time_wait=40&ack_wait=15")
	if b := bodies(t, again); !slices.Equal(b, sent[1:]) {
		t.Errorf("after the ack_wait came %v, want %v", b, sent[1:])
	}
}

func TestDeadLettersKeepOrderAndBelongToTheirGroup(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	queue := c.queue(`,"queue_mode":"FIFO","redrive_policy":"enable","max_consume_count":1`)
	failing, other := c.group(queue, "failing"), c.group(queue, "other")
	sent := []string{"1", "2", "3", "4"}
	c.send(queue, texts(sent...)...)
	for range sent {
		d := c.receiveOne(groupPath(queue, failing) + "/messages?time_wait=5&max_msgs=1")
		c.settle(groupPath(queue, failing)+"/ack", "fail", d)
	}
	got := c.takeFrom(4, groupPath(queue, failing)+"/deadletters?time_wait=5")
	if !slices.Equal(bodies(t, got), sent) {
		t.Errorf("the dead letters are %v, want %v", bodies(t, got), sent)
	}
	c.settle(groupPath(queue, failing)+"/deadletters/ack", "success", got...)
	if left := c.deadLetters(queue, failing, "time_wait=1"); len(left) != 0 {
		t.Errorf("settled dead letters came again: %v", bodies(t, left))
	}
	if none := c.deadLetters(queue, other, "time_wait=1"); len(none) != 0 {
		t.Errorf("another group sees the dead letters %v", bodies(t, none))
	}
	if b := bodies(t, c.take(4, queue, other)); !slices.Equal(b, sent) {
		t.Errorf("another group got %v, want %v", b, sent)
	}
}

func TestOnlyTheFirstFailureOfABatchIsCharged(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	for _, mode := range []string{"NORMAL", "FIFO"} {
		queue := c.queue(`,"queue_mode":"` + mode + `","redrive_policy":"enable","max_consume_count":1`)
		group := c.group(queue, "g")
		c.send(queue, texts("x", "y", "z")...)
		got := c.take(3, queue, group)
		r := c.ack(groupPath(queue, group)+"/ack", entry(got[0].Handler, "fail"), entry(got[1].Handler, "fail"), entry(got[2].Handler, "success"))
		if r != (ackResult{Fail: 3}) {
			t.Fatalf("%s: acknowledging: %+v", mode, r)
		}
		again := bodies(t, c.take(2, queue, group))
		want := bodies(t, got[1:])
		slices.Sort(again)
		slices.Sort(want)
		if !slices.Equal(again, want) {
			t.Errorf("%s: %v came again, want %v", mode, again, want)
		}
		dead := c.takeFrom(1, groupPath(queue, group)+"/deadletters?time_wait=5")
		if !slices.Equal(bodies(t, dead), bodies(t, got[:1])) {
			t.Errorf("%s: the dead letters are %v, want %v", mode, bodies(t, dead), bodies(t, got[:1]))
		}
	}
}

func TestLabelsAreGivenByCommaOrByRepeating(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	for _, mode := range []string{"NORMAL", "FIFO"} {
		queue := c.queue(`,"queue_mode":"` + mode + `"`)
		c.send(queue, `{"body":"ab","tags":["a","b"]}`, `{"body":"c","tags":["c"]}`, `{"body":"none"}`, `{"body":"b","tags":["b"]}`)
		for i, query := range []string{"tag=a,b&tag_type=and", "tag=a&tag=b&tag_type=and", "tag=a&tag=b&tag_type=or"} {
			group := c.group(queue, fmt.Sprintf("g%d", i))
			want := [][]string{{"ab"}, {"ab"}, {"ab", "b"}}[i]
			var got []string
			waitFor(t, func() (bool, string) {
				batch := c.consume(queue, group, query+"&time_wait=1")
				if len(batch) > 0 {
					c.settle(groupPath(queue, group)+"/ack", "success", batch...)
				}
				got = append(got, bodies(t, batch)...)
				return len(batch) == 0 && len(got) >= len(want), fmt.Sprintf("%v came", got)
			})
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("%s: %s gives %v, want %v", mode, query, got, want)
			}
			// The same labels in another order or form are the same; others are refused.
			_, match, _ := strings.Cut(query, "tag_type=")
			if more := c.consume(queue, group, "tag=b,a&time_wait=1&tag_type="+match); len(more) != 0 {
				t.Errorf("%s: %v came after everything", mode, bodies(t, more))
			}
			c.refused(400, "DMS.10542204", "GET", groupPath(queue, group)+"/messages?time_wait=1", "")
		}
	}
}

func TestRepeatedSendWithAKeyIsStoredOnce(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	queue := c.queue("")
	body := `{"return_id":true,"messages":[{"body":"x"},{"body":"y"}]}`
	path := "/queues/" + queue + "/messages"
	first := c.call("POST", path, body, "Idempotency-Key", "order-4711")
	second := c.call("POST", path, body, "Idempotency-Key", "order-4711")
	other := c.call("POST", path, body, "Idempotency-Key", "order-4712")
	if first.Status != http.StatusCreated || string(first.Body) != string(second.Body) || string(first.Body) == string(other.Body) {
		t.Errorf("the answers are %v, %v and for another key %v", first, second, other)
	}
	waitFor(t, func() (bool, string) {
		var q struct {
			Produced int `json:"produced_messages"`
		}
		c.must(http.StatusOK, &q, "GET", "/queues/"+queue, "")
		return q.Produced == 4, fmt.Sprintf("the queue holds %d messages, want 4", q.Produced)
	})
}
