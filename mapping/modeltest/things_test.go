package modeltest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"dms/mapping/dms"

	"pgregory.net/rapid"
)

// What there is: queues, groups, nodes and members come and go.

func (w *world) createQueue(t *rapid.T) {
	q := dms.NewQueue{
		Name:            rapid.SampledFrom([]string{"orders", "bills", "mails"}).Draw(t, "name"),
		Mode:            rapid.SampledFrom([]dms.Mode{dms.Normal, dms.FIFO}).Draw(t, "mode"),
		MaxConsumeCount: rapid.IntRange(0, 3).Draw(t, "max_consume_count"),
	}
	b, i := w.node(t)
	made, err := b.CreateQueue(w.ctx, w.project.ID, q)
	w.note("node %d: create queue %+v -> %v", i, q, err)
	want := dms.Code("")
	if slices.ContainsFunc(w.ref.queues, func(o *refQueue) bool { return o.Name == q.Name }) {
		want = dms.QueueExists
	}
	if w.ref.wrong == "keeps names" && slices.ContainsFunc(w.gone, func(g *refGroup) bool { return g.q.Name == q.Name && !slices.Contains(w.ref.queues, g.q) }) {
		want = dms.QueueExists
	}
	if got := w.codeOf(err); got != want {
		w.deviate("create queue %s: %q, want %q", q.Name, got, want)
	}
	if err == nil {
		w.ref.queues = append(w.ref.queues, &refQueue{Queue: made, keys: make(map[string][]*refMessage)})
	}
}

func (w *world) createGroup(t *rapid.T) {
	q := w.queue(t)
	names := rapid.SliceOfN(rapid.SampledFrom([]string{"one", "two", "three", "four"}), 1, 2).Draw(t, "names")
	b, i := w.node(t)
	made, err := b.CreateGroups(w.ctx, q.Ref, names)
	w.note("node %d: create groups %s %v -> %v", i, q.Name, names, err)
	want := make(map[dms.Code]bool)
	for j, name := range names {
		if slices.Contains(names[:j], name) || slices.ContainsFunc(q.groups, func(g *refGroup) bool { return g.Name == name }) {
			want[dms.GroupExists] = true
		}
	}
	if len(q.groups)+len(names) > w.project.Limits.GroupsPerQueue {
		want[dms.TooManyGroups] = true
	}
	if got := w.codeOf(err); got != "" || len(want) > 0 {
		if !want[got] {
			w.deviate("create groups %v: %q, want one of %v", names, got, want)
		}
		return
	}
	for j, g := range made {
		if g.Name != names[j] {
			w.deviate("create groups: %s at the place of %s", g.Name, names[j])
		}
		q.groups = append(q.groups, &refGroup{Group: g, q: q, r: w.ref, states: make(map[*refMessage]*refState)})
	}
}

// delete takes a group, or less often a queue with all it has.
func (w *world) delete(t *rapid.T) {
	q := w.queue(t)
	b, i := w.node(t)
	if len(q.groups) == 0 || rapid.IntRange(0, 2).Draw(t, "queue") == 0 {
		err := b.DeleteQueue(w.ctx, q.Ref)
		w.note("node %d: delete queue %s -> %v", i, q.Name, err)
		if err != nil {
			w.deviate("delete queue: %v", err)
		}
		w.ref.queues = slices.DeleteFunc(w.ref.queues, func(o *refQueue) bool { return o == q })
		w.gone = append(w.gone, q.groups...)
		return
	}
	g := pick(t, "group", q.groups)
	err := b.DeleteGroup(w.ctx, g.Ref)
	w.note("node %d: delete group %s -> %v", i, g, err)
	if w.codeOf(err) != "" {
		w.deviate("delete group: %v", err)
	}
	q.groups = slices.DeleteFunc(q.groups, func(o *refGroup) bool { return o == g })
	w.gone = append(w.gone, g)
}

// knock uses what has been deleted. Another node may take a moment to hear of it, in
// which it may say that there is nothing, but never that something was done.
func (w *world) knock(t *rapid.T) {
	if len(w.gone) == 0 {
		t.SkipNow()
	}
	g := pick(t, "deleted", w.gone)
	b, i := w.node(t)
	want := dms.GroupNotFound
	if !slices.Contains(w.ref.queues, g.q) {
		want = dms.QueueNotFound
	}
	req := dms.Receive{Kind: dms.Live, Max: 1, Wait: 60 * time.Millisecond, AckWait: 30 * time.Second, Labels: g.labels, Match: g.match}
	message := dms.Message{Payload: []byte(`{"body":"to nobody"}`)}
	var do func() (did int, err error)
	what := rapid.SampledFrom([]string{"consume", "consume dead", "ack", "delete", "groups", "send", "send later"}).Draw(t, "what")
	if want == dms.GroupNotFound && (what == "send" || what == "send later" || what == "groups") {
		t.SkipNow()
	}
	switch what {
	case "consume", "consume dead":
		if what != "consume" {
			req.Kind = dms.Dead
		}
		do = func() (int, error) {
			batch, err := b.Receive(w.ctx, g.Ref, req)
			return len(batch.Deliveries), err
		}
	case "ack":
		do = func() (int, error) { return b.Acknowledge(w.ctx, g.Ref, dms.Live, nil) }
	case "delete":
		do = func() (int, error) { return 1, b.DeleteGroup(w.ctx, g.Ref) }
	case "groups":
		do = func() (int, error) {
			_, _, err := b.Groups(w.ctx, g.q.Ref, dms.GroupView{Counters: true})
			return 1, err
		}
	default:
		if what == "send later" {
			message.Delay = time.Hour
		}
		do = func() (int, error) {
			_, err := b.Send(w.ctx, g.q.Ref, dms.Send{Messages: []dms.Message{message}})
			return 1, err
		}
	}
	ctx, cancel := context.WithTimeout(w.ctx, w.long)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		did, err := do()
		got := w.codeOf(err)
		w.note("node %d: %s on deleted %s -> %d %v", i, what, g, did, err)
		switch {
		case got == want:
			return
		case got == dms.GroupNotFound:
			// The group is gone and the queue's last member has not heard yet.
		case err != nil || did > 0:
			w.deviate("%s on deleted %s: did %d, %q, want %q", what, g, did, got, want)
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.deviate("%s on deleted %s: %q after %v, want %q", what, g, got, w.long, want)
			return
		}
	}
}

// restartNode ends a node in good order and starts it again.
func (w *world) restartNode(t *rapid.T) {
	for _, q := range w.ref.queues {
		if q.Mode == dms.FIFO && q.delaying(time.Now()) {
			t.SkipNow() // the order in which the delayed messages become visible would be open
		}
	}
	i := rapid.IntRange(0, len(w.nodes)-1).Draw(t, "which")
	if w.nodes[i] == nil {
		t.SkipNow()
	}
	w.stop(i)
	w.start(i)
	w.note("node %d: restarted", i)
}

// member takes a member down with its node, as a crash does, or brings it back.
func (w *world) member(t *rapid.T) {
	if w.down < 0 {
		i := rapid.IntRange(0, 2).Draw(t, "member")
		w.down, w.shaky = i, true
		for _, d := range w.handed {
			d.lost = d.lost || d.node == i && time.Now().Before(d.hi)
		}
		cluster.Kill(i)
		if i < len(w.nodes) {
			w.stop(i)
		}
		w.note("member %d is down", i)
		w.ref.shaken(time.Now())
		w.unsure = time.Now().Add(2 * lostFor)
		return
	}
	w.revive()
}

func (w *world) revive() {
	if w.down < 0 {
		return
	}
	i := w.down
	cluster.Restart(w.tb, i)
	w.down = -1
	if i < len(w.nodes) {
		w.start(i)
	}
	w.note("member %d is back", i)
}

// drain settles everything, and compares what there was in all.
func (w *world) drain() {
	w.note("drain")
	w.revive()
	for _, q := range w.ref.queues {
		for j, g := range q.groups {
			if !g.used {
				g.lock(nil, dms.AnyLabel)
			}
			for _, kind := range []dms.Kind{dms.Live, dms.Dead} {
				if w.drainStore(g, j%len(w.nodes), kind); w.err != nil {
					return
				}
			}
		}
		w.compare(len(w.nodes)-1, q)
		if err := q.sameOrder(); err != nil {
			w.deviate("%v", err)
		}
		if w.err != nil {
			return
		}
	}
}

// drainStore settles what is handed out and consumes the rest, until nothing is left
// by the reference's account, and then nothing may come.
func (w *world) drainStore(g *refGroup, i int, kind dms.Kind) {
	for _, d := range slices.Clone(w.handed) {
		outstanding := d.g == g && d.kind == kind && !d.settled && !d.failed && time.Until(d.lo) > time.Second
		if outstanding && (kind == dms.Dead || g.at(d.m).d == d) {
			w.acknowledge(g, i, kind, []item{{d: d, handle: d.handle, success: true}})
		}
	}
	end := time.Now().Add(4 * lostFor)
	req := dms.Receive{Kind: kind, Max: dms.MaxBatch, AckWait: dms.DefaultAckWait, Labels: g.labels, Match: g.match}
	for w.err == nil && (g.left(kind) > 0 || g.unsure() > 0 && time.Now().Before(w.unsure)) {
		if time.Now().After(end) {
			w.deviate("drain %s kind %d: %d are left", g, kind, g.left(kind))
			return
		}
		ds := w.receive(g, i, req, true, false)
		if len(ds) == 0 {
			continue
		}
		items := make([]item, len(ds))
		for j, d := range ds {
			items[j] = item{d: d, handle: d.handle, success: true}
		}
		w.acknowledge(g, i, kind, items)
	}
	if w.err == nil {
		w.receive(g, i, req, false, false)
	}
	if n := g.unsure(); kind == dms.Dead && n > 0 {
		w.deviate("drain %s: %d messages are neither delivered nor dead", g, n)
	}
}

// unsure is how many messages may have died when a member went down.
func (g *refGroup) unsure() (n int) {
	for _, m := range g.meant() {
		if s := g.at(m); s.phase == free && g.dies(s.fmax) {
			n++
		}
	}
	return n
}

// left is how many messages of the group, or dead letters, are not settled.
func (g *refGroup) left(kind dms.Kind) (n int) {
	for _, m := range g.meant() {
		s := g.at(m)
		if kind == dms.Dead && (s.phase == dead && !s.deadDone || g.dying(m, time.Now().Add(time.Hour))) {
			n++
		}
		if kind == dms.Live && (s.phase == free && !g.dies(s.fmax) || s.phase == leased && !g.dying(m, time.Now().Add(time.Hour))) {
			n++
		}
	}
	return n
}

// sameOrder checks that all groups of a FIFO queue got the messages in one order.
func (q *refQueue) sameOrder() error {
	for _, a := range q.groups {
		for _, b := range q.groups {
			both := func(ms, others []*refMessage) (names []string) {
				for _, m := range ms {
					if slices.Contains(others, m) {
						names = append(names, m.body)
					}
				}
				return names
			}
			if x, y := both(a.order, b.order), both(b.order, a.order); !slices.Equal(x, y) {
				return fmt.Errorf("%s and %s got the messages in two orders:\n%v\n%v", a, b, x, y)
			}
		}
	}
	return nil
}

// delaying reports whether messages of the queue may still be on their way into it.
func (q *refQueue) delaying(now time.Time) bool {
	return slices.ContainsFunc(q.messages, func(m *refMessage) bool { return m.delay > 0 && now.Before(m.until) })
}
