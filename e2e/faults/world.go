package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"dms/e2e/history"
)

// tenant is a project and what it has.
type tenant struct {
	id, token, mark string
	queues          []*queue
}

type queue struct {
	tenant     *tenant
	id         string
	fifo       bool
	maxConsume int // 0 is without dead letters
	groups     []*group
}

type group struct {
	queue   *queue
	id      string
	drained atomic.Bool

	// No counter tells of delayed messages before they are due.
	mu  sync.Mutex
	due map[string]bool // by nonce: whether it is stored and has not come yet
}

// expect notes a delayed message that is stored.
func (q *queue) expect(nonce string) {
	for _, g := range q.groups {
		g.mu.Lock()
		if g.due == nil {
			g.due = make(map[string]bool)
		}
		if _, known := g.due[nonce]; !known { // a copy may have come before the answer
			g.due[nonce] = true
		}
		g.mu.Unlock()
	}
}

// came notes a message that was delivered.
func (g *group) came(nonce string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.due == nil {
		g.due = make(map[string]bool)
	}
	g.due[nonce] = false
}

// awaited is how many delayed messages have not come yet.
func (g *group) awaited() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, missing := range g.due {
		if missing {
			n++
		}
	}
	return n
}

// world is all that the clients of one run share.
type world struct {
	plan    Plan
	nodes   directory
	rec     *history.Recorder
	http    *http.Client
	tenants []*tenant

	mu         sync.Mutex
	complaints []string
	refusals   map[string]int // answers with 4xx, by operation and code
}

func newWorld(p Plan, rec *history.Recorder) *world {
	return &world{plan: p, rec: rec, refusals: make(map[string]int),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// random gives every client its own numbers, all from one seed.
func (w *world) random(name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // a hash never refuses bytes
	return rand.New(rand.NewPCG(w.plan.Seed, h.Sum64()))
}

// complain notes what is wrong beyond what a history can tell.
func (w *world) complain(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.complaints = append(w.complaints, fmt.Sprintf(format, args...))
}

func (w *world) refused(c history.Call, a history.Answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refusals[fmt.Sprintf("%s %d %s", c.Op, a.Status, a.Code)]++
}

func (w *world) groups() []*group {
	var all []*group
	for _, t := range w.tenants {
		for _, q := range t.queues {
			all = append(all, q.groups...)
		}
	}
	return all
}

// setUp makes the queues and groups of every tenant. It is the one place where a call
// that found no answer is made again, under another name.
func (w *world) setUp(ctx context.Context) error {
	for _, t := range w.tenants {
		c := w.caller(t, "setup-%s", t.mark)
		for i, kind := range []struct {
			mode string
			dead bool
		}{{"NORMAL", true}, {"FIFO", true}, {"NORMAL", false}} {
			q := &queue{tenant: t, fifo: kind.mode == "FIFO"}
			policy := ""
			if kind.dead {
				q.maxConsume = w.plan.MaxConsume
				policy = fmt.Sprintf(`,"redrive_policy":"enable","max_consume_count":%d`, q.maxConsume)
			}
			var made struct{ ID string }
			err := c.create(ctx, history.CreateQueue, "", "/queues", func(try int) string {
				return fmt.Sprintf(`{"name":"%s-%d-%d","queue_mode":%q%s}`, t.mark, i, try, kind.mode, policy)
			}, &made)
			if err != nil {
				return err
			}
			q.id = made.ID
			t.queues = append(t.queues, q)
			for k := range 2 {
				var made struct{ Groups []struct{ ID string } }
				err := c.create(ctx, history.CreateGroup, q.id, "/queues/"+q.id+"/groups", func(try int) string {
					return fmt.Sprintf(`{"groups":[{"name":"g%d-%d"}]}`, k, try)
				}, &made)
				if err != nil {
					return err
				}
				if len(made.Groups) != 1 {
					return fmt.Errorf("%d groups were made instead of one", len(made.Groups))
				}
				q.groups = append(q.groups, &group{queue: q, id: made.Groups[0].ID})
			}
		}
	}
	return nil
}

const setUpTries = 5

func (c *caller) create(ctx context.Context, op history.Op, queue, path string, body func(try int) string, into any) error {
	var out outcome
	for try := range setUpTries {
		out = c.record(ctx, history.Call{Op: op, Queue: queue}, request{method: http.MethodPost, path: path, body: body(try), limit: callLimit}, nil)
		if out.status == http.StatusCreated {
			return json.Unmarshal(out.body, into)
		}
		pause(ctx, 200*time.Millisecond)
	}
	return fmt.Errorf("%s: %d %.300s", op, out.status, out.body)
}
