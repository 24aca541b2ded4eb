package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"os"
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

// World is all that the clients of one history share.
type World struct {
	plan    Plan
	nodes   directory
	rec     *history.Recorder
	file    *os.File
	path    string // of the history
	http    *http.Client
	tenants []*tenant

	mark time.Time // when the part of the run began that is under way
	took map[string]time.Duration

	mu         sync.Mutex
	operations []Operation
	complaints []string
	refusals   map[string]int // answers with 4xx, by operation and code
}

// New begins a history in a file. The caller must Close the world.
func New(p Plan, path string) (*World, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if p.CallLimit == 0 {
		p.CallLimit = callLimit
	}
	return &World{
		plan: p, path: path, file: file, rec: history.NewRecorder(file), refusals: make(map[string]int),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
		mark: time.Now(), took: make(map[string]time.Duration),
	}, nil
}

// Close ends the history and all connections. It may be called again.
func (w *World) Close() error {
	w.http.CloseIdleConnections()
	if err := errors.Join(w.rec.Close(), w.file.Close()); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// Now is the time since the history began, as it stands in its calls.
func (w *World) Now() time.Duration { return w.rec.Now() }

// Place tells where the API of a node is, from 0. It may change at any time.
func (w *World) Place(node int, url string) { w.nodes.set(node, url) }

// Admit adds a project. The mark stands in all its names; nobody else may see it.
func (w *World) Admit(project, token, mark string) {
	w.tenants = append(w.tenants, &tenant{id: project, token: token, mark: mark})
}

// Random gives every client its own numbers, all from one seed.
func (w *World) Random(name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // a hash never refuses bytes
	return rand.New(rand.NewPCG(w.plan.Seed, h.Sum64()))
}

// complain notes what is wrong beyond what a history can tell.
func (w *World) complain(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.complaints = append(w.complaints, fmt.Sprintf(format, args...))
}

func (w *World) refused(c history.Call, a history.Answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refusals[fmt.Sprintf("%s %d %s", c.Op, a.Status, a.Code)]++
}

func (w *World) groups() []*group {
	var all []*group
	for _, t := range w.tenants {
		for _, q := range t.queues {
			all = append(all, q.groups...)
		}
	}
	return all
}

// SetUp makes the queues and groups of every tenant. It is the one place where a call
// that found no answer is made again, under another name.
func (w *World) SetUp(ctx context.Context) error {
	defer w.lap("1 start")
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
				if err := c.addGroup(ctx, q, fmt.Sprintf("g%d", k)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

const setUpTries = 5

func (c *caller) create(ctx context.Context, op history.Op, queue, path string, body func(try int) string, into any) error {
	var out outcome
	for try := range setUpTries {
		out = c.record(ctx, history.Call{Op: op, Queue: queue}, request{method: http.MethodPost, path: path, body: body(try), limit: c.w.plan.CallLimit}, nil)
		if out.status == http.StatusCreated {
			return json.Unmarshal(out.body, into)
		}
		Pause(ctx, 200*time.Millisecond)
	}
	return fmt.Errorf("%s: %d %.300s", op, out.status, out.body)
}
