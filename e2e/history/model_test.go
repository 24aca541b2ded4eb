package history

import (
	"cmp"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// world simulates a correct service and its clients in virtual time. Each request has
// one instant at which it happens, somewhere between its start and its end.
type world struct {
	rng    *rand.Rand
	now    time.Duration
	events events
	calls  []Call
	x      Expect
	queues []*simQueue
	serial int
	quiet  bool // no more trouble: everything is to be settled
	faults []Window
}

type simQueue struct {
	Queue
	log    []Item
	keys   map[string]bool // keys stored
	groups []*simGroup
}

type simGroup struct {
	id    string
	queue *simQueue
	live  simStore
	dead  simStore
}

// simStore is a cursor of a group, or its dead letters.
type simStore struct {
	items   []simItem
	settled int64
}

type simItem struct {
	Item
	done     bool
	failures int
	until    time.Duration // leased
	lease    int           // the delivery that holds it
}

type event struct {
	at time.Duration
	do func()
}

type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at < e[j].at }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func (w *world) in(d time.Duration, do func()) { heap.Push(&w.events, event{w.now + d, do}) }

func (w *world) run(until func() bool) {
	for len(w.events) > 0 && !until() {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
}

func (w *world) chance(percent int) bool { return !w.quiet && w.rng.IntN(100) < percent }

func (w *world) between(from, to time.Duration) time.Duration {
	return from + time.Duration(w.rng.Int64N(int64(to-from)))
}

func newWorld(seed uint64, producers, messages int) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 1))}
	for i, tenant := range []string{tenant, other} {
		w.x.Tenants = append(w.x.Tenants, Tenant{ID: tenant})
		for j := range 2 {
			q := &simQueue{Queue: Queue{Tenant: tenant, ID: fmt.Sprintf("queue%d%d", i, j), FIFO: j == 1, MaxConsume: 2}, keys: make(map[string]bool)}
			for k := range 2 {
				g := &simGroup{id: fmt.Sprintf("group%d%d%d", i, j, k), queue: q}
				q.groups = append(q.groups, g)
				q.Groups = append(q.Groups, Group{ID: g.id})
				for range 3 {
					w.consume(g, false)
				}
				w.consume(g, true)
			}
			w.queues = append(w.queues, q)
			for p := range producers {
				w.produce(q, fmt.Sprintf("producer%d", p), 0, messages)
			}
		}
	}
	return w
}

// call writes the call of a request that happens now.
func (w *world) call(c Call, early, late time.Duration) (start, end time.Duration) {
	c.Start, c.End = max(0, w.now-early), w.now+late
	if c.Status == 0 && c.Result == OK {
		c.Status = 200
	}
	c.ID, c.Client = int64(len(w.calls)+1), "c"
	w.calls = append(w.calls, c)
	return c.Start, c.End
}

// lost makes a call's outcome unknown.
func lost(c *Call) {
	c.Result = Unknown
	c.Items = slices.Clone(c.Items)
	for i := range c.Items {
		c.Items[i].Result = Unknown
	}
}

// produce sends batches one after the other until enough were sent.
func (w *world) produce(q *simQueue, producer string, sent, want int) {
	if sent >= want {
		return
	}
	early := w.between(0, 200*time.Millisecond)
	w.in(early+w.between(0, time.Second), func() {
		c := Call{Op: Send, Tenant: q.Tenant, Queue: q.ID, Result: OK, Status: 201}
		for range 1 + w.rng.IntN(5) {
			sent++
			w.serial++
			b := Body{Tenant: q.Tenant, Queue: q.ID, Producer: producer, Seq: int64(sent), Nonce: fmt.Sprint(w.serial)}
			c.Items = append(c.Items, Item{Body: b, Digest: fmt.Sprint("d", w.serial), Result: OK})
		}
		if w.chance(50) {
			c.Key = fmt.Sprint("key", w.serial)
		}
		w.attempt(q, c, early, func(time.Duration) { w.produce(q, producer, sent, want) })
	})
}

// attempt stores a batch and repeats it when the answer was lost.
func (w *world) attempt(q *simQueue, c Call, early time.Duration, then func(time.Duration)) {
	unanswered := w.chance(5)
	if !q.keys[c.Key] && !(unanswered && w.rng.IntN(2) == 0) {
		q.keys[c.Key] = c.Key != ""
		for _, it := range c.Items {
			q.log = append(q.log, it)
			for _, g := range q.groups {
				g.live.items = append(g.live.items, simItem{Item: it})
			}
		}
	}
	seen := c
	if unanswered {
		lost(&seen)
		seen.Status = 503
	}
	_, end := w.call(seen, early, w.between(0, 200*time.Millisecond))
	if unanswered && w.chance(70) {
		early = w.between(0, 200*time.Millisecond)
		w.in(end-w.now+early+1, func() { w.attempt(q, c, early, then) })
		return
	}
	w.in(end-w.now+1, func() { then(end) })
}

// consume receives and acknowledges for ever.
func (w *world) consume(g *simGroup, dead bool) {
	early := w.between(0, 2*time.Second)
	w.in(early+1, func() {
		store, op := &g.live, Receive
		if dead {
			store, op = &g.dead, DeadReceive
		}
		wait := 15 * time.Second * time.Duration(1+w.rng.IntN(3))
		c := Call{Op: op, Tenant: g.queue.Tenant, Queue: g.queue.ID, Group: g.id, AckWait: wait, Result: OK}
		lease := len(w.calls) + 1
		if w.chance(2) {
			w.fault(store)
		}
		taken := w.take(g, store, dead, wait, lease)
		for place, i := range taken {
			it := store.items[i].Item
			it.Handle = fmt.Sprintf("%d.%d", lease, place)
			c.Items = append(c.Items, it)
		}
		silent := w.chance(2)
		if silent {
			c.Items, c.Result, c.Status = nil, Unknown, 0
		}
		start, end := w.call(c, early, w.between(0, 500*time.Millisecond))
		if len(c.Items) == 0 || w.chance(5) {
			w.in(end-w.now, func() { w.consume(g, dead) })
			return
		}
		w.acknowledge(g, dead, taken, c, start+wait, lease, end)
	})
}

// fault frees a leased message early, as a lost message between servers can.
func (w *world) fault(store *simStore) {
	for i := range store.items {
		if it := &store.items[i]; !it.done && it.until > w.now {
			w.faults = append(w.faults, Window{Name: "early", Start: w.now - 1, End: w.now + 1})
			it.until, it.lease = 0, 0
			return
		}
	}
}

// take leases up to five messages; those of a FIFO queue are a run of the oldest.
func (w *world) take(g *simGroup, store *simStore, dead bool, wait time.Duration, lease int) []int {
	first := true
	for i := range store.items {
		it := &store.items[i]
		if it.done || it.lease == 0 || it.until > w.now {
			continue
		}
		it.lease = 0
		if !dead && (!g.queue.FIFO || first) {
			w.failed(g, it)
		}
		first = first && it.done
	}
	var taken []int
	for i := range store.items {
		it := &store.items[i]
		switch {
		case it.done:
			continue
		case it.lease != 0 && g.queue.FIFO && !dead:
			return taken
		case it.lease != 0:
			continue
		}
		taken = append(taken, i)
		it.lease, it.until = lease, w.now+wait+time.Second
		if len(taken) == 5 {
			break
		}
	}
	return taken
}

func (w *world) failed(g *simGroup, it *simItem) {
	if it.failures++; it.failures >= g.queue.MaxConsume {
		it.done = true
		g.live.settled++
		g.dead.items = append(g.dead.items, simItem{Item: it.Item})
	}
}

func (w *world) acknowledge(g *simGroup, dead bool, taken []int, got Call, deadline time.Duration, lease int, end time.Duration) {
	early := w.between(1, 300*time.Millisecond)
	pause := w.between(0, time.Second)
	if w.chance(2) {
		pause = 2 * time.Minute
	}
	w.in(end-w.now+early+pause, func() {
		store, op := &g.live, Ack
		if dead {
			store, op = &g.dead, DeadAck
		}
		c := Call{Op: op, Tenant: got.Tenant, Queue: got.Queue, Group: got.Group, Result: OK}
		for _, it := range got.Items {
			c.Items = append(c.Items, Item{Handle: it.Handle, Negative: w.chance(10)})
		}
		refused := w.now >= deadline
		for _, i := range taken {
			refused = refused || store.items[i].lease != lease
		}
		unanswered := w.chance(3)
		switch {
		case refused:
			c.Result, c.Status, c.Code = Fail, 400, "DMS.10542209"
			for i := range c.Items {
				c.Items[i].Result = Fail
			}
		case !unanswered || w.rng.IntN(2) == 0:
			w.apply(g, dead, store, taken, c.Items)
		}
		if unanswered {
			lost(&c)
			c.Status, c.Code = 504, ""
		}
		_, end := w.call(c, early, w.between(0, 300*time.Millisecond))
		w.in(end-w.now, func() { w.consume(g, dead) })
	})
}

// apply settles up to the first failure; the rest goes back, and only the first pays.
func (w *world) apply(g *simGroup, dead bool, store *simStore, taken []int, items []Item) {
	broken := false
	for at, i := range taken {
		it := &store.items[i]
		if !broken && !items[at].Negative {
			it.done, items[at].Result = true, OK
			store.settled++
			continue
		}
		items[at].Result = Fail
		it.lease, it.until = 0, 0
		if !broken && !dead {
			w.failed(g, it)
		}
		broken = true
	}
}

// finish stops all trouble, waits until everything is settled and reads the counters.
func (w *world) finish() *History {
	w.quiet = true
	w.run(func() bool { return w.rest() })
	end := w.now + 10*time.Minute
	w.run(func() bool { return w.now > end })
	for _, q := range w.queues {
		for _, g := range q.groups {
			w.x.Counters = append(w.x.Counters, Counters{Tenant: q.Tenant, Queue: q.ID, Group: g.id,
				Produced: int64(len(q.log)), Consumed: g.live.settled, Available: int64(len(q.log)) - g.live.settled,
				DeadProduced: int64(len(g.dead.items)), DeadAvailable: int64(len(g.dead.items)) - g.dead.settled})
		}
		w.x.Queues = append(w.x.Queues, q.Queue)
	}
	w.x.Faults = w.faults
	slices.SortFunc(w.calls, func(a, b Call) int { return cmp.Compare(a.End, b.End) })
	return &History{Calls: w.calls}
}

func (w *world) rest() bool {
	for _, q := range w.queues {
		for _, g := range q.groups {
			if int64(len(g.live.items)) != g.live.settled || int64(len(g.dead.items)) != g.dead.settled {
				return false
			}
		}
	}
	return true
}

func simulate(t testing.TB, seed uint64, producers, messages int) (*History, Expect) {
	t.Helper()
	w := newWorld(seed, producers, messages)
	at := len(w.queues) * producers * messages
	w.run(func() bool { return w.serial >= at })
	return w.finish(), w.x
}

func TestNothingIsSaidAgainstACorrectService(t *testing.T) {
	seen := make(map[Class]int)
	for seed := range uint64(10) {
		h, x := simulate(t, seed, 3, 60)
		r, err := NewRun(h, x)
		if err != nil {
			t.Fatal(err)
		}
		rep := Judge(r)
		if !rep.OK() || rep.Linearity.Undecided > 0 {
			t.Fatalf("seed %d:\n%v", seed, rep)
		}
		for c, n := range rep.Duplicates {
			seen[c] += n
		}
	}
	for _, c := range []Class{AckTimeout, NegativeAck, UnknownAck, FaultWindow, Resent} {
		if seen[c] == 0 {
			t.Errorf("no duplicate of class %q in any history: %v", c, seen)
		}
	}
}
