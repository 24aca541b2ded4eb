package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ledger is what the sender of one queue knows about its messages.
type ledger struct {
	queue, group string
	fifo         bool
	next         int

	stored  []string        // the service said that it has them, in this order
	unknown map[string]bool // there was no answer
	refused map[string]bool // the service said that it has not
}

// newLedgers makes queues of both modes, each with a group.
func newLedgers(c customer, perMode int) []*ledger {
	var all []*ledger
	for i := range 2 * perMode {
		l := &ledger{fifo: i%2 == 1, unknown: make(map[string]bool), refused: make(map[string]bool)}
		mode := "NORMAL"
		if l.fifo {
			mode = "FIFO"
		}
		var made struct{ ID string }
		c.must(http.StatusCreated, &made, "POST", "/queues", fmt.Sprintf(`{"name":"ledger-%d","queue_mode":%q}`, i, mode))
		l.queue = made.ID
		l.group = c.group(l.queue, "g")
		all = append(all, l)
	}
	return all
}

// sendBatch sends some messages and books them by the answer. It reports whether there
// was one. Every third request is one that has to be refused.
func (l *ledger) sendBatch(c customer, n int) (answered bool) {
	var batch, messages []string
	refuse := l.next%3 == 2
	for i := range n {
		batch = append(batch, fmt.Sprintf("%d-%d", l.next, i))
		label := ""
		if refuse && i == n-1 {
			label = `,"tags":["not a label"]`
		}
		messages = append(messages, fmt.Sprintf(`{"body":%q%s}`, batch[i], label))
	}
	l.next++
	a, err := c.client.Do(c.t.Context(), "POST", c.base+"/queues/"+l.queue+"/messages", `{"messages":[`+strings.Join(messages, ",")+`]}`)
	var result struct{ Messages []struct{ State int } }
	switch {
	case err != nil:
		for _, b := range batch {
			l.unknown[b] = true
		}
		return false
	case refuse && a.Status == http.StatusBadRequest:
		for _, b := range batch {
			l.refused[b] = true
		}
		return true
	case a.Status != http.StatusCreated || json.Unmarshal(a.Body, &result) != nil || len(result.Messages) != n:
		c.t.Errorf("a batch of %d was answered with %v", n, a)
		for _, b := range batch {
			l.unknown[b] = true
		}
		return true
	}
	for i, b := range batch {
		if result.Messages[i].State == 0 {
			l.stored = append(l.stored, b)
		} else {
			l.refused[b] = true
		}
	}
	return true
}

// receiveAll consumes until all that must come has come and nothing more is there. It
// settles what it gets, and returns it in order.
func (l *ledger) receiveAll(c customer, must int) []string {
	c.t.Helper()
	var got []string
	due := 0
	waitFor(c.t, func() (bool, string) {
		batch := c.consume(l.queue, l.group, "time_wait=1&ack_wait=15")
		if len(batch) > 0 {
			c.settle(groupPath(l.queue, l.group)+"/ack", "success", batch...)
		}
		for _, b := range bodies(c.t, batch) {
			got = append(got, b)
			if !l.unknown[b] {
				due++
			}
		}
		return len(batch) == 0 && due >= must, fmt.Sprintf("%d of %d messages came from a queue, fifo: %t", due, must, l.fifo)
	})
	return got
}

// check demands that what came is what has been stored, each once and in order if the
// queue has one. What was never answered may be there or not.
func (l *ledger) check(t *testing.T, stored, got []string) {
	t.Helper()
	known := make([]string, 0, len(got))
	for _, b := range got {
		if l.refused[b] {
			t.Errorf("fifo %t: message %s came, which was answered as not stored", l.fifo, b)
		}
		if !l.unknown[b] {
			known = append(known, b)
		}
	}
	stored = slices.Clone(stored)
	if !l.fifo {
		slices.Sort(stored)
		slices.Sort(known)
	}
	if diff := cmp.Diff(stored, known); diff != "" {
		t.Errorf("fifo %t: messages (-stored +consumed):\n%s", l.fifo, diff)
	}
}

func TestAcknowledgedMessagesSurviveACrash(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	p := ownService(t, folder)
	keys := p.Env.Projects[0].SecretKey
	c := customerOf(t, p, 0)
	ledgers := newLedgers(c, 2)

	const before, batch = 320, 5
	var stored atomic.Int64
	var senders sync.WaitGroup
	for _, l := range ledgers {
		senders.Go(func() {
			had := 0
			for l.sendBatch(c, batch) {
				stored.Add(int64(len(l.stored) - had))
				had = len(l.stored)
			}
		})
	}
	waitFor(t, func() (bool, string) {
		return stored.Load() >= before, fmt.Sprintf("%d of %d messages are stored", stored.Load(), before)
	})
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	senders.Wait()

	p = ownService(t, folder)
	if got := p.Env.Projects[0].SecretKey; got != keys {
		t.Error("the access key has another secret after the restart")
	}
	c = customerOf(t, p, 0)
	for _, l := range ledgers {
		for range 3 { // life goes on
			l.sendBatch(c, batch)
		}
		l.check(t, l.stored, l.receiveAll(c, len(l.stored)))
		if len(l.refused) == 0 || len(l.unknown) > batch {
			t.Errorf("fifo %t: %d messages were refused and %d not answered: this is not the load that was meant", l.fifo, len(l.refused), len(l.unknown))
		}
	}
}

func TestAcknowledgementsSurviveACrash(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	p := ownService(t, folder)
	c := customerOf(t, p, 0)
	ledgers := newLedgers(c, 1)
	const each = 90
	for _, l := range ledgers {
		for len(l.stored) < each {
			if l.sendBatch(c, 10); t.Failed() {
				t.FailNow()
			}
		}
	}

	// Consumers work until the crash; what they book as unknown may have been settled.
	settled := make([]map[string]bool, len(ledgers))
	var count atomic.Int64
	var consumers sync.WaitGroup
	for i, l := range ledgers {
		settled[i] = make(map[string]bool)
		consumers.Go(func() {
			for c.settleSome(l, settled[i]) {
				count.Add(1)
			}
		})
	}
	waitFor(t, func() (bool, string) {
		return count.Load() >= 16, fmt.Sprintf("%d batches are settled", count.Load())
	})
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	consumers.Wait()

	p = ownService(t, folder)
	c = customerOf(t, p, 0)
	for i, l := range ledgers {
		var left []string
		for _, b := range l.stored {
			if !settled[i][b] && !l.unknown[b] {
				left = append(left, b)
			}
		}
		if len(left) == 0 || len(settled[i]) == 0 {
			t.Errorf("fifo %t: %d messages are settled, %d left: the crash did not come in between", l.fifo, len(settled[i]), len(left))
		}
		l.check(t, left, l.receiveAll(c, len(left)))
	}
}

// settleSome consumes and settles a few messages. It returns false when the service has
// gone or there are no more.
func (c customer) settleSome(l *ledger, settled map[string]bool) bool {
	path := c.base + groupPath(l.queue, l.group)
	a, err := c.client.Do(c.t.Context(), "GET", path+"/messages?max_msgs=3&time_wait=1&ack_wait=15", "")
	if err != nil {
		return false
	}
	var got []delivery
	if err := json.Unmarshal(a.Body, &got); err != nil {
		c.t.Errorf("consuming: %v", a)
		return false
	}
	if len(got) == 0 {
		return false
	}
	var entries, batch []string
	for _, d := range got {
		entries = append(entries, entry(d.Handler, "success"))
		batch = append(batch, strings.Trim(string(d.Message.Body), `"`))
	}
	a, err = c.client.Do(c.t.Context(), "POST", path+"/ack", `{"message":[`+strings.Join(entries, ",")+`]}`)
	for _, b := range batch {
		if err != nil {
			l.unknown[b] = true
		} else {
			settled[b] = true
		}
	}
	if err == nil && string(a.Body) != fmt.Sprintf(`{"success":%d,"fail":0}`, len(got)) {
		c.t.Errorf("settling %d messages: %v", len(got), a)
	}
	return err == nil
}

func TestARestartKeepsEverything(t *testing.T) {
	t.Parallel()
	for how, end := range map[string]func(*testing.T, *Process) error{
		"in order":   func(t *testing.T, p *Process) error { return p.Stop(detached(t)) },
		"by a crash": func(_ *testing.T, p *Process) error { return p.Kill() },
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			p := ownService(t, folder)
			c := customerOf(t, p, 0)
			ledgers := newLedgers(c, 1)
			delayed, l := ledgers[0], ledgers[1]
			c.must(http.StatusNoContent, nil, "POST", "/queue/"+l.queue+"/tags", `{"tag":{"key":"k","value":"v"}}`)
			c.send(l.queue, `{"body":"kept","attributes":{"a":1},"tags":["t"]}`)
			c.send(l.queue, `{"body":"late","delay_time":1000}`)
			c.send(l.queue, `{"body":"much later","delay_time":604800000}`)
			c.send(delayed.queue, `{"body":"due meanwhile","delay_time":4000}`, `{"body":"due after that","delay_time":16000}`)
			var key struct{ ID, Secret string }
			c.must(http.StatusCreated, &key, "POST", "/access-keys", `{"roles":["viewer"],"description":"kept"}`)
			alarm := c.alarm("")
			see := func(c customer) []string { return victim{queue: l.queue, accessKey: key.ID}.state(c) }
			waitFor(t, func() (bool, string) {
				got := see(c)[0]
				return strings.Contains(got, `"produced_messages":2`), got
			})
			before := see(c)
			if err := end(t, p); err != nil {
				t.Fatal(err)
			}
			c = customerOf(t, ownService(t, folder), 0)
			if diff := cmp.Diff(before, see(c)); diff != "" {
				t.Errorf("what is seen after the restart (-before +after):\n%s", diff)
			}
			if a := c.at("GET", c.base+"/alarms/"+alarm, ""); a.Status != http.StatusOK {
				t.Errorf("the alarm after the restart: %v", a)
			}
			signIn := fmt.Sprintf(`{"auth":{"identity":{"methods":["application_credential"],"application_credential":{"id":%q,"secret":%q}}}}`, key.ID, key.Secret)
			if a := c.at("POST", "/v3/auth/tokens", signIn); a.Status != http.StatusCreated {
				t.Errorf("the access key after the restart: %v", a)
			}
			got := c.take(2, l.queue, l.group)
			if b := bodies(t, got); !slices.Equal(b, []string{"kept", "late"}) || string(got[0].Message.Attributes) != `{"a":1}` || !slices.Equal(got[0].Message.Tags, []string{"t"}) {
				t.Errorf("after the restart came %v: %+v", b, got)
			}
			if b := delayed.receiveAll(c, 2); !slices.Equal(b, []string{"due meanwhile", "due after that"}) {
				t.Errorf("of the delayed messages came %v", b)
			}
		})
	}
}
