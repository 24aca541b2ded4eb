package history

import (
	"cmp"
	"slices"
	"sort"
	"time"
)

// Order is K7, for FIFO queues: (a) first deliveries of one producer in send order,
// (b) nothing later delivered before the earlier is settled, (c) order inside a batch,
// (d) after a failure or the end of a lease the same message comes next, and one
// linear order of all calls (see Linear). Messages that a group never got are losses,
// and deliveries after settling are K5's; neither is told again here.
func Order(r *Run) []Violation {
	return append(r.order(), Linear(r).Violations...)
}

// order is (a) to (d).
func (r *Run) order() []Violation {
	var out []Violation
	for _, q := range r.queues {
		if !q.FIFO {
			continue
		}
		for _, g := range q.groups {
			f := &fifo{run: r, group: g}
			f.prepare()
			out = append(out, f.firsts()...)
			out = append(out, f.overtakes()...)
			out = append(out, f.inBatches()...)
			out = append(out, f.resumes()...)
		}
	}
	return out
}

// fifo is one group of a FIFO queue.
type fifo struct {
	run   *Run
	group *groupRun
	freed []time.Duration // by message: from when on it may be settled or a dead letter
}

func (f *fifo) prepare() {
	f.freed = make([]time.Duration, len(f.group.live))
	for i, n := range f.group.queue.msgs {
		f.freed[i] = min(f.group.live[i].maySettle(), f.run.deadFrom(f.group, &f.run.msgs[n]))
	}
}

func (f *fifo) msg(i int32) *message { return &f.run.msgs[f.group.queue.msgs[i]] }

// ordered reports whether a message has one place in the log that its sends bound.
func ordered(m *message) bool { return m.copies == 1 && m.delay == 0 }

// precedes reports whether a is surely before b in the log.
func (f *fifo) precedes(a, b *message) bool {
	if a == b || !ordered(a) || b.copies != 1 {
		return false
	}
	if a.stored < b.start+b.delay {
		return true
	}
	x, y := a.sends[0], b.sends[0]
	return ordered(b) && x.call == y.call && x.item < y.item
}

// siblings visits the messages before m in the request that sent it.
func (f *fifo) siblings(m *message, visit func(*message)) {
	at := m.sends[0]
	for _, it := range f.run.calls[at.call].Items[:at.item] {
		if n, ok := f.run.byNonce[it.Body.Nonce]; ok {
			visit(&f.run.msgs[n])
		}
	}
}

func (f *fifo) delivered(i int32) bool { return len(f.group.live[i].given) > 0 }

func (f *fifo) out(rule, detail string, earlier, later *message, places ...place) Violation {
	v := f.run.about(f.group.violation("K7", rule), earlier)
	v.Detail = detail + " " + later.body.String()
	v = f.run.with(v, later.sends...)
	return f.run.with(v, places...)
}

// firsts is (a). Of a producer's later messages, the one whose first delivery ended
// earliest decides.
func (f *fifo) firsts() []Violation {
	by := make(map[string][]int32)
	for i := range int32(len(f.group.live)) {
		if m := f.msg(i); f.delivered(i) && ordered(m) {
			by[m.body.Producer] = append(by[m.body.Producer], i)
		}
	}
	var out []Violation
	for _, mine := range by {
		slices.SortStableFunc(mine, func(a, b int32) int { return cmp.Compare(f.msg(a).start, f.msg(b).start) })
		soonest := make([]int32, len(mine)) // of mine[k:]
		for k := len(mine) - 1; k >= 0; k-- {
			soonest[k] = mine[k]
			if k+1 < len(mine) && f.group.live[soonest[k+1]].given[0].end < f.group.live[mine[k]].given[0].end {
				soonest[k] = soonest[k+1]
			}
		}
		for k, i := range mine {
			a := f.msg(i)
			d := f.group.live[i].given[0]
			check := func(j int32) {
				if e := f.group.live[j].given[0]; e.end < d.start && f.precedes(a, f.msg(j)) {
					out = append(out, f.out("(a) first delivery out of order", "delivered after", a, f.msg(j), e.place, d.place))
				}
			}
			next := k + 1 + sort.Search(len(mine)-k-1, func(n int) bool { return f.msg(mine[k+1+n]).start > a.stored })
			if next < len(mine) {
				check(soonest[next])
			}
			for n := k + 1; n < next && f.msg(mine[n]).sends[0].call == a.sends[0].call; n++ {
				check(mine[n])
			}
		}
	}
	return out
}

// overtakes is (b): every delivery is held against all messages that surely stand
// before it and surely were neither settled nor dead letters when it ended.
func (f *fifo) overtakes() []Violation {
	var before []int32 // whose place is bounded, by the end of storing
	for i := range int32(len(f.group.live)) {
		if m := f.msg(i); f.delivered(i) && ordered(m) && m.stored != never {
			before = append(before, i)
		}
	}
	slices.SortFunc(before, func(a, b int32) int { return cmp.Compare(f.msg(a).stored, f.msg(b).stored) })
	open := newPeaks(len(before), func(k int) time.Duration { return f.freed[before[k]] })
	var out []Violation
	for i := range int32(len(f.group.live)) {
		t, m := &f.group.live[i], f.msg(i)
		if m.copies != 1 || m.start == never {
			continue
		}
		prefix := sort.Search(len(before), func(k int) bool { return f.msg(before[k]).stored >= m.start+m.delay })
		for _, d := range t.given {
			if t.settledBefore(d.start) || f.wasDead(i, d.start) {
				continue
			}
			if a := f.overtaken(m, d, before, prefix, open); a != nil {
				out = append(out, f.out("(b) overtaken", "neither settled nor given up when this came:", a, m,
					append(places(&f.group.live[a.number]), d.place)...))
			}
		}
	}
	return out
}

func (f *fifo) overtaken(m *message, d delivery, before []int32, prefix int, open peaks) *message {
	var found *message
	judge := func(a *message) bool {
		if a != m && f.delivered(a.number) && f.freed[a.number] > d.end && !f.inCall(a.number, d.call) {
			found = a
		}
		return found != nil
	}
	open.above(prefix, d.end, func(k int) bool { return judge(f.msg(before[k])) })
	if found == nil && ordered(m) {
		f.siblings(m, func(a *message) {
			if a.queue == m.queue && ordered(a) && a.result != Fail {
				judge(a)
			}
		})
	}
	return found
}

func (f *fifo) inCall(i int32, call int32) bool {
	return slices.ContainsFunc(f.group.live[i].given, func(d delivery) bool { return d.call == call })
}

func (f *fifo) wasDead(i int32, at time.Duration) bool {
	dead := f.group.dead[i].given
	return len(dead) > 0 && dead[0].end < at
}

// inBatches is (c).
func (f *fifo) inBatches() []Violation {
	var out []Violation
	for _, c := range f.group.receives {
		items := f.batch(c)
		for j := range items {
			for i := range j {
				if a, b := items[j], items[i]; a != nil && b != nil && f.precedes(a, b) {
					out = append(out, f.out("(c) order inside a batch", "stood behind", a, b, place{c, int32(j)}))
				}
			}
		}
	}
	return out
}

// batch returns the messages of a receive; nil stands for one that was not sent here.
func (f *fifo) batch(call int32) []*message {
	items := f.run.calls[call].Items
	out := make([]*message, len(items))
	for i := range items {
		if n, why := f.run.identify(f.group, &items[i]); why == "" {
			out[i] = &f.run.msgs[n]
		}
	}
	return out
}

// resumes is (d), for batches whose order is sure because their calls do not overlap.
func (f *fifo) resumes() []Violation {
	var out []Violation
	calls := f.run.calls
	got := f.group.receives
	for k := 0; k+1 < len(got); k++ {
		c, next := &calls[got[k]], &calls[got[k+1]]
		if c.End >= next.Start || k > 0 && calls[got[k-1]].End >= c.Start ||
			k+2 < len(got) && calls[got[k+2]].Start <= next.End {
			continue
		}
		if head := f.mustResume(got[k], got[k+1]); head != nil {
			v := f.out("(d) another message after a failure or timeout", "the next batch began with",
				head, f.batch(got[k+1])[0], append(places(&f.group.live[head.number]), place{got[k+1], 0})...)
			out = append(out, v)
		}
	}
	return out
}

// mustResume returns the message of call c that the next batch should have begun with,
// or nil when it began as it may.
func (f *fifo) mustResume(c, next int32) *message {
	first := f.batch(next)[0]
	from, to := f.run.calls[next].Start, f.run.calls[next].End
	if first == nil || first.copies != 1 || f.group.live[first.number].settledBefore(from) || f.wasDead(first.number, from) {
		return nil
	}
	for _, m := range f.batch(c) {
		switch {
		case m == nil:
		case m.copies != 1 || m == first:
			return nil
		case f.freed[m.number] > to:
			return m
		}
	}
	return nil
}
