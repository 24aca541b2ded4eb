package history

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// story builds a history by hand. Times are seconds; messages are numbers of one
// producer, "p", unless they are sent with sendAs.
type story struct {
	t     *testing.T
	calls []*Call
	x     Expect
	known map[int]Item
}

const (
	tenant = "0123456789abcdef0123456789abcdef"
	other  = "fedcba9876543210fedcba9876543210"
)

// newStory has the standard queue "q" and the FIFO queue "f", both with the groups "g"
// and "h" and dead letters after 2 failures, and a queue "o" of another tenant. Only
// group "g" is read to the end.
func newStory(t *testing.T) *story {
	groups := func() []Group { return []Group{{ID: "g"}, {ID: "h", Open: true, DeadOpen: true}} }
	return &story{t: t, known: make(map[int]Item), x: Expect{
		Tenants: []Tenant{{ID: tenant, Marks: []string{"alpha-"}}, {ID: other, Marks: []string{"beta-"}}},
		Queues: []Queue{
			{Tenant: tenant, ID: "q", MaxConsume: 2, Groups: groups()},
			{Tenant: tenant, ID: "f", FIFO: true, MaxConsume: 2, Groups: groups()},
			{Tenant: other, ID: "o", Groups: groups()},
		},
	}}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (s *story) call(op Op, queue, group string, from, to float64, items []Item) *Call {
	c := &Call{ID: int64(len(s.calls) + 1), Client: "c", Node: "n1", Op: op, Tenant: tenant, Queue: queue,
		Group: group, Start: seconds(from), End: seconds(to), Status: 200, Result: OK, Items: items}
	s.calls = append(s.calls, c)
	return c
}

// none turns a call into one without an answer.
func none(c *Call) {
	c.Status, c.Result = 0, Unknown
	for i := range c.Items {
		c.Items[i].Result = Unknown
	}
}

// refuse turns a call into one answered with 400 and a code.
func refuse(c *Call, code string) {
	c.Status, c.Result, c.Code = 400, Fail, code
	for i := range c.Items {
		c.Items[i].Result = Fail
	}
}

func (s *story) sendAs(producer, queue string, from, to float64, numbers ...int) *Call {
	var items []Item
	for _, n := range numbers {
		it := Item{Body: Body{Tenant: tenant, Queue: queue, Producer: producer, Seq: int64(n), Nonce: fmt.Sprint("nonce", n)},
			Digest: fmt.Sprint("digest", n), Result: OK}
		s.known[n] = it
		items = append(items, it)
	}
	return s.call(Send, queue, "", from, to, items)
}

func (s *story) send(queue string, from, to float64, numbers ...int) *Call {
	return s.sendAs("p", queue, from, to, numbers...)
}

// receive delivers messages to a group; the handles are those of handle(call, place).
func (s *story) receive(op Op, queue, group string, from, to float64, numbers ...int) *Call {
	var items []Item
	for i, n := range numbers {
		it, ok := s.known[n]
		if !ok {
			s.t.Fatalf("message %d was not sent", n)
		}
		it.Handle = handle(len(s.calls)+1, i)
		items = append(items, it)
	}
	return s.call(op, queue, group, from, to, items)
}

func (s *story) get(queue, group string, from, to float64, numbers ...int) *Call {
	return s.receive(Receive, queue, group, from, to, numbers...)
}

func handle(call, place int) string { return fmt.Sprintf("handle%d.%d", call, place) }

// ack acknowledges deliveries of one call: one letter for each place, y for success
// counted so, n for failure, b for success counted as failed, - for none.
func (s *story) ack(op Op, group string, of *Call, from, to float64, letters string) *Call {
	var items []Item
	for i, l := range letters {
		it := Item{Handle: handle(int(of.ID), i), Result: OK}
		switch l {
		case '-':
			continue
		case 'n':
			it.Negative, it.Result = true, Fail
		case 'b':
			it.Result = Fail
		}
		items = append(items, it)
	}
	return s.call(op, of.Queue, group, from, to, items)
}

func (s *story) yes(of *Call, from, to float64) *Call {
	letters := strings.Repeat("y", len(of.Items))
	return s.ack(Ack, of.Group, of, from, to, letters)
}

func (s *story) misuse(why Misuse, queue, group string, of *Call, from, to float64) *Call {
	return s.call(Ack, queue, group, from, to, []Item{{Handle: handle(int(of.ID), 0), Misuse: why}})
}

func (s *story) fault(from, to float64) {
	s.x.Faults = append(s.x.Faults, Window{Name: "kill", Start: seconds(from), End: seconds(to)})
}

// open declares that group "g" of a queue was not read to its end.
func (s *story) open(queue string) {
	for i := range s.x.Queues {
		if q := &s.x.Queues[i]; q.ID == queue {
			q.Groups[0].Open, q.Groups[0].DeadOpen = true, true
		}
	}
}

// retry lets the standard and FIFO queues have no dead letters.
func (s *story) retry() {
	for i := range s.x.Queues {
		s.x.Queues[i].MaxConsume = 0
	}
}

func (s *story) count(queue string, produced, consumed, available, inFlight, dead, deadLeft int64) {
	s.x.Counters = append(s.x.Counters, Counters{Tenant: tenant, Queue: queue, Group: "g", Produced: produced,
		Consumed: consumed, Available: available, InFlight: inFlight, DeadProduced: dead, DeadAvailable: deadLeft})
}

func (s *story) run() *Run {
	s.t.Helper()
	h := &History{}
	for _, c := range s.calls {
		h.Calls = append(h.Calls, *c)
	}
	r, err := NewRun(h, s.x)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}
