package modeltest

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"dms/mapping/dms"

	"pgregory.net/rapid"
)

// What operators of queues do between the calls of clients.

// TestLookingChangesNothing looks and searches 1,000 times between random operations. The
// reference knows nothing of looking, so whatever it changes is a deviation.
func TestLookingChangesNothing(t *testing.T) {
	const looks = 1000
	share := int64((looks + *worlds - 1) / *worlds)
	var total atomic.Int64
	t.Run("worlds", func(t *testing.T) {
		for i := range *worlds {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				var done, looked atomic.Int64
				failed := false
				rapid.Check(t, func(rt *rapid.T) {
					if looked.Load() >= share && !failed {
						return
					}
					w := newWorld(t, rt, "", &done)
					defer w.close()
					w.looked = &looked
					w.run(rt, false)
					if errors.Is(w.err, errUndecided) {
						t.Logf("%v", w.err)
						return
					}
					if w.err != nil {
						failed = true
						rt.Fatalf("%v\n%s", w.err, w.story())
					}
				})
				total.Add(looked.Load())
			})
		}
	})
	if n := total.Load(); n < looks && !t.Failed() {
		t.Errorf("%d looks, want %d", n, looks)
	}
}

// peek looks at a queue, and compares with what must and may be there.
func (w *world) peek(t *rapid.T) {
	if len(w.ref.queues) == 0 {
		w.createQueue(t) // most actions are looks: without a queue few others could be done
		return
	}
	q := w.queue(t)
	p := dms.Peek{
		Source: rapid.SampledFrom([]dms.Source{dms.InQueue, dms.InQueue, dms.InBacklog, dms.InFlight, dms.InDead, dms.InDelay}).Draw(t, "source"),
		Newest: rapid.Bool().Draw(t, "newest"),
		Limit:  rapid.IntRange(1, 10).Draw(t, "limit"),
	}
	if p.Source.NeedsGroup() {
		if len(q.groups) == 0 {
			t.SkipNow()
		}
		p.Group = pick(t, "group", q.groups).Ref.Group
	}
	wanted := func(*refMessage) bool { return true }
	switch rapid.IntRange(0, 3).Draw(t, "search") {
	case 0:
		p.Search.Labels = []string{"a"}
		wanted = func(m *refMessage) bool { return slices.Contains(m.labels, "a") }
	case 1:
		p.Search.Filter = `body.endsWith("7")`
		wanted = func(m *refMessage) bool { return m.body[len(m.body)-1] == '7' }
	}
	b, i := w.node(t)
	from := time.Now()
	var got []string
	for {
		page, err := b.Peek(w.ctx, q.Ref, p)
		if w.codeOf(err) != "" {
			w.deviate("peek: %v", err)
			return
		}
		for _, m := range page.Messages {
			got = append(got, bodiesOf([]dms.Delivery{{Payload: m.Payload}})...)
		}
		if p.Cursor = page.Next; p.Cursor == "" {
			break
		}
	}
	w.note("node %d: peek %s %+v -> %v", i, q.Name, p, got)
	if w.looked != nil {
		w.looked.Add(1)
	}
	if p.Source != dms.InQueue {
		return
	}
	for _, m := range q.messages {
		has := slices.Contains(got, m.body)
		if must := wanted(m) && !from.Before(m.until); must && !has {
			w.deviate("peek %s: %s is missing", q.Name, m.body)
		}
		if may := wanted(m) && !time.Now().Before(m.from); has && !may {
			w.deviate("peek %s: %s is not wanted, or not there yet", q.Name, m.body)
		}
	}
}

// calm reports whether the reference knows for certain what the group holds, and nothing
// has died in it: what dies twice is beyond it.
func (g *refGroup) calm() bool {
	if len(g.deaths) > 0 {
		return false
	}
	for _, s := range g.states {
		if s.phase == dead || s.phase != settled && g.dies(s.fmax+1) {
			return false
		}
	}
	return true
}

// anew forgets what the group has done. Its handles are worth nothing any more.
func (w *world) anew(g *refGroup) {
	g.states, g.live, g.order = make(map[*refMessage]*refState), line{}, nil
	w.handed = slices.DeleteFunc(w.handed, func(d *delivery) bool { return d.g == g && d.kind == dms.Live })
}

// move makes a group read everything again, or nothing of what there is.
func (w *world) move(t *rapid.T) {
	g := w.group(t)
	if w.shaky || !g.calm() || g.q.delaying(time.Now()) {
		t.SkipNow()
	}
	to := rapid.SampledFrom([]dms.PositionKind{dms.AtBegin, dms.AtEnd}).Draw(t, "to")
	b, i := w.node(t)
	m, err := b.MoveGroup(w.ctx, g.Ref, dms.Position{To: to}, false)
	w.note("node %d: move %s to %s -> %+v %v", i, g, to, m, err)
	if w.codeOf(err) != "" {
		w.deviate("move: %v", err)
		return
	}
	old := slices.DeleteFunc(slices.Clone(w.handed), func(d *delivery) bool {
		return d.g != g || d.kind != dms.Live || d.settled || time.Until(d.lo) < 5*time.Second
	})
	w.anew(g)
	if to == dms.AtEnd {
		for _, m := range g.q.messages {
			g.at(m).phase = settled
		}
	}
	// What was in flight a moment ago has no effect, through any node.
	for _, d := range old[:min(len(old), 1)] {
		b, i := w.node(t)
		_, err := b.Acknowledge(w.ctx, g.Ref, dms.Live, []dms.Ack{{Handle: d.handle, Success: true}})
		w.note("node %d: ack %s from before the move -> %v", i, d.m.body, err)
		if got := w.codeOf(err); got != dms.HandleInvalid {
			w.deviate("a handle from before a move: %q, want %q", got, dms.HandleInvalid)
		}
	}
}

// purge empties a queue.
func (w *world) purge(t *rapid.T) {
	q := w.queue(t)
	if w.shaky || q.delaying(time.Now()) || slices.ContainsFunc(q.groups, func(g *refGroup) bool {
		// A FIFO group's batch stays outstanding although its messages are gone.
		return !g.calm() || len(g.live.lease) > 0
	}) {
		t.SkipNow()
	}
	for _, dryRun := range []bool{true, false} {
		b, i := w.node(t)
		n, err := b.Purge(w.ctx, q.Ref, dms.Purge{Source: dms.InQueue, DryRun: dryRun})
		w.note("node %d: purge %s (dry run %t) -> %d %v", i, q.Name, dryRun, n, err)
		if w.codeOf(err) != "" || n != int64(len(q.messages)) {
			w.deviate("purge %s (dry run %t): %d, %v, want %d", q.Name, dryRun, n, err, len(q.messages))
			return
		}
	}
	q.messages = nil
	for _, g := range q.groups {
		w.anew(g)
	}
}
