package modeltest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dms/deploy/engine/enginetest"
	"dms/mapping"
	"dms/mapping/dms"
	"dms/tenancy"
	"dms/tenancy/accounts"

	"pgregory.net/rapid"
)

// world is one project served by real nodes, and the reference beside it. The first
// deviation ends it.
type world struct {
	ctx     context.Context
	tb      testing.TB
	project tenancy.Project
	nodes   []*mapping.Broker // nil while its member is down
	ref     *reference
	handed  []*delivery // all handles, oldest first
	gone    []*refGroup // deleted, with their queue or alone
	unheard map[dms.QueueID]time.Time
	down    int // the member that is down, or -1
	shaky   bool
	long    time.Duration // how long to wait for what must come; a node that stops may lose a delivery
	serial  int
	unsure  time.Time // until then what a member lost may still come
	begun   time.Time
	err     error
	open    bool          // a call was answered by "try again"
	done    *atomic.Int64 // operations
	looked  *atomic.Int64 // peeks; not nil in a world that looks often

	mu    sync.Mutex
	trace []string
}

// logLine takes what a node logs into the story.
type logLine struct {
	w    *world
	node int
}

func (l logLine) Write(b []byte) (int, error) {
	l.w.note("node %d logs: %s", l.node, strings.TrimSpace(string(b)))
	return len(b), nil
}

// newWorld makes a project with one or two nodes and a first queue with a group.
func newWorld(tb testing.TB, t *rapid.T, w wrong, done *atomic.Int64) *world {
	made := bareWorld(tb, w, done)
	made.nodes = make([]*mapping.Broker, rapid.IntRange(1, 2).Draw(t, "nodes"))
	for i := range made.nodes {
		made.start(i)
	}
	return made
}

// bareWorld makes a project that no node serves yet.
func bareWorld(tb testing.TB, w wrong, done *atomic.Int64) *world {
	p := enginetest.NewProject()
	if err := cluster.Accounts().Provision(tb.Context(), p); err != nil {
		tb.Fatalf("provision: %v", err)
	}
	return &world{
		ctx: tb.Context(), tb: tb, project: p, down: -1, long: lostFor + 13*time.Second, begun: time.Now(), done: done,
		ref:     &reference{wrong: w, ids: make(map[dms.MessageID]bool)},
		unheard: make(map[dms.QueueID]time.Time),
	}
}

func (w *world) start(i int) {
	b, err := newBroker(w.project, i, len(w.nodes), logLine{w, i})
	if err != nil {
		w.tb.Fatalf("node %d: %v", i, err)
	}
	w.nodes[i] = b
	// A node that takes part has the project open, and so takes up what was left.
	if _, err := b.Queues(w.ctx, w.project.ID); err != nil {
		w.deviate("open the project on node %d: %s: %v", i, w.codeOf(err), err)
	}
}

func (w *world) stop(i int) {
	if w.nodes[i] == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), 20*time.Second)
	defer cancel()
	if err := w.nodes[i].Close(ctx); err != nil {
		w.deviate("close node %d: %v", i, err)
	}
	w.nodes[i] = nil
}

// close ends the world with all it has stored: a long run has thousands, and every
// stream that is left costs the members something.
func (w *world) close() {
	for i := range w.nodes {
		w.stop(i)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), time.Minute)
	defer cancel()
	err := cluster.Accounts().Delete(ctx, w.project.ID)
	for errors.Is(err, accounts.ErrUnavailable) && ctx.Err() == nil {
		err = cluster.Accounts().Delete(ctx, w.project.ID) // it waits for answers itself
	}
	if err != nil {
		w.tb.Logf("delete the project: %v", err)
	}
}

// errUndecided ends a sequence in which a call was answered by "try again": the service
// may say so when the machine is too busy, and what the call did is open.
var errUndecided = errors.New("undecided")

// deviate notes the first deviation.
func (w *world) deviate(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
		if w.open {
			w.err = fmt.Errorf("%w: %w", errUndecided, w.err)
		}
		w.note("DEVIATION: %v", w.err)
	}
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace = append(w.trace, fmt.Sprintf("%7.3fs ", time.Since(w.begun).Seconds())+fmt.Sprintf(format, args...))
}

func (w *world) story() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.trace, "\n")
}

// node draws one that runs.
func (w *world) node(t *rapid.T) (*mapping.Broker, int) {
	var up []int
	for i, b := range w.nodes {
		if b != nil {
			up = append(up, i)
		}
	}
	if len(up) == 0 {
		t.SkipNow()
	}
	i := pick(t, "node", up)
	return w.nodes[i], i
}

func (w *world) queue(t *rapid.T) *refQueue {
	if len(w.ref.queues) == 0 {
		t.SkipNow()
	}
	return pick(t, "queue", w.ref.queues)
}

func (w *world) groups() (gs []*refGroup) {
	for _, q := range w.ref.queues {
		gs = append(gs, q.groups...)
	}
	return gs
}

func (w *world) group(t *rapid.T) *refGroup {
	gs := w.groups()
	if len(gs) == 0 {
		t.SkipNow()
	}
	return pick(t, "group", gs)
}

// pick draws an index, which is all of it that is printed.
func pick[T any](t *rapid.T, what string, from []T) T {
	return from[rapid.IntRange(0, len(from)-1).Draw(t, what)]
}

func (g *refGroup) String() string { return g.q.Name + "/" + g.Name }

func (w *world) codeOf(err error) dms.Code {
	if err == nil {
		return ""
	}
	if own, ok := errors.AsType[*dms.Error](err); ok {
		w.open = w.open || own.Code == dms.Unavailable
		return own.Code
	}
	return dms.Code("not an error of the service: " + err.Error())
}

// run does a sequence of operations and settles everything at its end.
func (w *world) run(t *rapid.T, restarts bool) {
	actions := make(map[string]func(*rapid.T))
	add := func(weight int, name string, f func(*rapid.T)) {
		for i := range weight {
			actions[fmt.Sprintf("%s%d", name, i)] = func(t *rapid.T) {
				if w.err != nil {
					return
				}
				f(t)
				w.done.Add(1)
			}
		}
	}
	add(5, "send", w.send)
	add(2, "resend", w.resend)
	add(8, "consume", w.consume)
	add(2, "consumeDead", w.consumeDead)
	add(8, "ack", w.ack)
	add(3, "ackOdd", w.ackOdd)
	add(1, "giveBack", w.giveBack)
	add(1, "createQueue", w.createQueue)
	add(2, "createGroup", w.createGroup)
	add(1, "delete", w.delete)
	add(1, "knock", w.knock)
	add(2, "look", w.look)
	add(1, "move", w.move)
	add(1, "purge", w.purge)
	if w.looked != nil {
		add(30, "peek", w.peek)
	} else {
		add(2, "peek", w.peek)
	}
	if restarts {
		add(2, "member", w.member)
	} else {
		add(1, "restartNode", w.restartNode)
	}
	w.createQueue(t)
	w.createGroup(t)
	t.Repeat(actions)
	if w.err == nil {
		w.drain()
	}
}
