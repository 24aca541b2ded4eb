package modeltest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"dms/mapping/dms"

	"pgregory.net/rapid"
)

func payloadOf(m *refMessage) []byte {
	b, err := json.Marshal(struct {
		Body string   `json:"body"`
		Tags []string `json:"tags,omitempty"`
	}{m.body, m.labels})
	if err != nil {
		panic("modeltest: a message of our own cannot be encoded: " + err.Error())
	}
	return b
}

func bodiesOf(ds []dms.Delivery) []string {
	bodies := make([]string, len(ds))
	for i, d := range ds {
		var m struct{ Body string }
		if err := json.Unmarshal(d.Payload, &m); err != nil {
			m.Body = "undecodable: " + string(d.Payload)
		}
		bodies[i] = m.Body
	}
	return bodies
}

// drawLabels is a set of up to n of four labels, sorted.
func drawLabels(t *rapid.T, n int) []string {
	if rapid.Bool().Draw(t, "bare") {
		return nil
	}
	labels := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 1, n, rapid.ID[string]).Draw(t, "labels")
	slices.Sort(labels)
	return labels
}

func (w *world) send(t *rapid.T) {
	q := w.queue(t)
	key := ""
	if w.shaky || rapid.IntRange(0, 3).Draw(t, "keyed") == 0 {
		w.serial++
		key = fmt.Sprintf("key %d", w.serial)
	}
	w.put(t, q, key, w.compose(t, rapid.IntRange(1, dms.MaxBatch).Draw(t, "n")))
}

func (w *world) compose(t *rapid.T, n int) []*refMessage {
	delays := rapid.IntRange(0, 7).Draw(t, "delays") == 0
	ms := make([]*refMessage, n)
	for i := range ms {
		w.serial++
		ms[i] = &refMessage{body: fmt.Sprintf("m%d", w.serial), labels: drawLabels(t, dms.MaxLabels)}
		if delays && rapid.Bool().Draw(t, "later") {
			ms[i].delay = time.Duration(rapid.IntRange(1, 20).Draw(t, "delay")) * 100 * time.Millisecond
		}
	}
	return ms
}

// resend repeats a send under its key, perhaps with more messages than before.
func (w *world) resend(t *rapid.T) {
	q := w.queue(t)
	var keys []string
	for key, ms := range q.keys {
		if len(ms) > 0 && time.Since(ms[0].from) < 90*time.Second { // known for two minutes
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		t.SkipNow()
	}
	slices.Sort(keys)
	key := rapid.SampledFrom(keys).Draw(t, "key")
	ms := slices.Clone(q.keys[key])
	if len(ms) < dms.MaxBatch && rapid.Bool().Draw(t, "more") {
		ms = append(ms, w.compose(t, 1)...)
	}
	w.put(t, q, key, ms)
}

func (w *world) put(t *rapid.T, q *refQueue, key string, ms []*refMessage) {
	b, i := w.node(t)
	req := dms.Send{Key: key}
	var words []string
	for _, m := range ms {
		req.Messages = append(req.Messages, dms.Message{Payload: payloadOf(m), Labels: m.labels, Delay: m.delay})
		words = append(words, fmt.Sprint(m.body, m.labels, m.delay))
	}
	from := time.Now()
	sent, err := b.Send(w.ctx, q.Ref, req)
	w.note("node %d: send to %s %q: %s -> %v", i, q.Name, key, strings.Join(words, " "), err)
	if w.codeOf(err) != "" {
		w.deviate("send: %v", err)
		return
	}
	var ids []dms.MessageID
	for j, s := range sent {
		if w.codeOf(s.Err) != "" {
			w.deviate("send message %d: %v", j, s.Err)
			return
		}
		ids = append(ids, s.ID)
	}
	if err := q.sent(w.ref, key, ms, ids, from, time.Now()); err != nil {
		w.deviate("%v", err)
	}
}

func (w *world) consume(t *rapid.T) {
	g := w.group(t)
	labels, match := g.labels, g.match
	if !g.used && rapid.IntRange(0, 2).Draw(t, "filter") == 0 || rapid.IntRange(0, 19).Draw(t, "others") == 0 {
		labels, match = drawLabels(t, 2), rapid.SampledFrom([]dms.Match{dms.AnyLabel, dms.AllLabels}).Draw(t, "match")
	}
	w.take(t, g, dms.Live, labels, match, false)
}

func (w *world) consumeDead(t *rapid.T) {
	var gs []*refGroup
	for _, g := range w.groups() {
		if len(g.states) > 0 {
			gs = append(gs, g)
		}
	}
	if len(gs) == 0 {
		t.SkipNow()
	}
	w.take(t, pick(t, "group", gs), dms.Dead, nil, 0, false)
}

// giveBack consumes and returns the batch, as is done for a client that has gone.
func (w *world) giveBack(t *rapid.T) {
	g := w.group(t)
	w.take(t, g, dms.Live, g.labels, g.match, true)
}

func (w *world) take(t *rapid.T, g *refGroup, kind dms.Kind, labels []string, match dms.Match, back bool) {
	b, i := w.node(t)
	req := dms.Receive{
		Kind: kind, Max: rapid.IntRange(1, dms.MaxBatch).Draw(t, "max"), Labels: labels, Match: match,
		AckWait: rapid.SampledFrom([]time.Duration{1500 * time.Millisecond, 2 * time.Second, 30 * time.Second, 30 * time.Second, 2 * time.Minute}).Draw(t, "ack_wait"),
	}
	patient := rapid.IntRange(0, 4).Draw(t, "patient") > 0
	if kind == dms.Live && g.lock(labels, match) {
		_, err := b.Receive(w.ctx, g.Ref, req)
		w.note("node %d: consume %s with other labels %v %v -> %v", i, g, labels, match, err)
		if got := w.codeOf(err); got != dms.ConsumeFailed {
			w.deviate("consume with other labels: %q, want %q", got, dms.ConsumeFailed)
		}
		return
	}
	w.receive(g, i, req, patient, back)
}

// receive consumes; a patient call asks again for what must come, until it does.
func (w *world) receive(g *refGroup, i int, req dms.Receive, patient, back bool) []*delivery {
	begun := time.Now()
	must := patient && g.pending(req.Kind, begun)
	req.Wait = 60 * time.Millisecond
	if must {
		req.Wait = onePoll
	}
	var batch dms.Batch
	var bodies []string
	var from, until time.Time
	for {
		var err error
		ready := g.ready(req.Kind, time.Now())
		from = time.Now()
		batch, err = w.nodes[i].Receive(w.ctx, g.Ref, req)
		until = time.Now()
		bodies = bodiesOf(batch.Deliveries)
		w.note("node %d: consume %s kind %d max %d wait %v ack_wait %v, took %v -> %v %v", i, g, req.Kind, req.Max, req.Wait, req.AckWait, until.Sub(from).Round(time.Millisecond), bodies, err)
		if w.codeOf(err) != "" {
			w.deviate("consume: %v", err)
			return nil
		}
		// The first consume of a group makes its consumer, which takes its time.
		if must && g.served && until.Sub(from) >= req.Wait && slices.ContainsFunc(bodies, func(b string) bool { return ready[b] }) {
			w.deviate("consume %s: what was there from the start was held back for %v", g, req.Wait)
			return nil
		}
		g.served = g.served || req.Kind == dms.Live
		if !must || len(bodies) > 0 {
			break
		}
		if time.Since(begun) > w.long {
			w.deviate("consume %s kind %d: nothing came within %v", g, req.Kind, w.long)
			return nil
		}
	}
	ds, err := g.delivered(req, batch.Deliveries, bodies, from, until)
	if err != nil {
		w.deviate("%v", err)
		return nil
	}
	if back && len(ds) > 0 {
		w.note("         given back")
		batch.Return()
		l := &g.live
		if g.q.Mode == dms.FIFO {
			l.end(g)
		}
		for _, d := range ds {
			g.at(d.m).phase = free
		}
		return nil
	}
	for _, d := range ds {
		d.node = i
	}
	w.handed = append(w.handed, ds...)
	return ds
}

// batches are the handles of the group that were handed out in one call, newest first.
func (w *world) batches(g *refGroup, most int) (bs [][]*delivery) {
	for i := len(w.handed) - 1; i >= 0 && len(bs) < most; {
		j := i
		for j > 0 && w.handed[j-1].batch == w.handed[i].batch {
			j--
		}
		if w.handed[i].g == g {
			bs = append(bs, w.handed[j:i+1])
		}
		i = j - 1
	}
	return bs
}

// ack settles a batch as clients do: from the front, up to a failure, mostly once.
func (w *world) ack(t *rapid.T) {
	var open []*delivery // one of each batch with something outstanding
	for _, d := range w.handed {
		if !d.settled && !d.failed && d.g.present() && time.Now().Before(d.hi) && (len(open) == 0 || open[len(open)-1].batch != d.batch) {
			open = append(open, d)
		}
	}
	if len(open) == 0 {
		t.SkipNow()
	}
	one := pick(t, "batch", open)
	var items []item
	for _, d := range w.handed {
		if d.batch == one.batch && !d.settled && !d.failed {
			items = append(items, item{d: d, handle: d.handle, success: true})
		}
	}
	items = items[:rapid.IntRange(1, len(items)).Draw(t, "up to")]
	if rapid.Bool().Draw(t, "fails") {
		items[rapid.IntRange(0, len(items)-1).Draw(t, "failure")].success = false
	}
	w.settle(t, one.g, one.kind, items)
}

// ackOdd acknowledges what no client should: any handles in any order.
func (w *world) ackOdd(t *rapid.T) {
	g := w.group(t)
	kind := rapid.SampledFrom([]dms.Kind{dms.Live, dms.Live, dms.Live, dms.Dead}).Draw(t, "kind")
	var from []*delivery
	for _, b := range w.batches(g, 3) {
		from = append(from, b...)
	}
	if len(w.handed) > 0 && rapid.IntRange(0, 3).Draw(t, "foreign") == 0 {
		from = append(from, pick(t, "other", w.handed))
	}
	if newest := w.batches(g, 1); len(newest) > 0 && rapid.IntRange(0, 3).Draw(t, "gaps") == 0 {
		// In order, but not all of them.
		var items []item
		for _, d := range newest[0] {
			if rapid.IntRange(0, 2).Draw(t, "left out") > 0 {
				items = append(items, item{d: d, handle: d.handle, success: true})
			}
		}
		w.settle(t, g, newest[0][0].kind, items)
		return
	}
	var items []item
	if len(from) > 0 {
		for range rapid.IntRange(0, 4).Draw(t, "handles") {
			d := pick(t, "handle", from)
			items = append(items, item{d: d, handle: d.handle})
		}
	}
	if rapid.IntRange(0, 5).Draw(t, "forge") == 0 {
		forged := "x"
		if len(from) > 0 {
			h := []byte(from[0].handle)
			h[rapid.IntRange(0, len(h)-1).Draw(t, "byte")] ^= 1
			forged = string(h)
		}
		items = append(items, item{handle: dms.Handle(forged)})
	}
	for i := range items {
		items[i].success = rapid.IntRange(0, 3).Draw(t, "success") > 0
	}
	w.settle(t, g, kind, items)
}

func (w *world) settle(t *rapid.T, g *refGroup, kind dms.Kind, items []item) {
	_, i := w.node(t)
	w.acknowledge(g, i, kind, items)
}

func (w *world) acknowledge(g *refGroup, i int, kind dms.Kind, items []item) {
	acks := make([]dms.Ack, len(items))
	words := make([]string, len(items))
	for j, it := range items {
		acks[j] = dms.Ack{Handle: it.handle, Success: it.success}
		words[j] = "forged"
		if it.d != nil {
			words[j] = fmt.Sprintf("%s#%d.%d", it.d.m.body, it.d.batch, it.d.place)
		}
		if !it.success {
			words[j] += " fail"
		}
	}
	from := time.Now()
	n, err := w.nodes[i].Acknowledge(w.ctx, g.Ref, kind, acks)
	w.note("node %d: ack %s kind %d [%s] took %v -> %d %v", i, g, kind, strings.Join(words, ", "), time.Since(from).Round(time.Millisecond), n, err)
	if err := g.acknowledged(kind, items, from, time.Now(), n, w.codeOf(err)); err != nil {
		w.deviate("%v", err)
	}
}

func (g *refGroup) present() bool {
	return slices.Contains(g.r.queues, g.q) && slices.Contains(g.q.groups, g)
}

// look compares what is listed. Figures follow the log by a moment, so they are asked
// for until they agree.
func (w *world) look(t *rapid.T) {
	_, i := w.node(t)
	w.compare(i, w.queue(t))
}

func (w *world) compare(i int, q *refQueue) {
	ctx, cancel := context.WithTimeout(w.ctx, min(w.long, 15*time.Second))
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		problem := w.differs(i, q)
		if problem == "" {
			w.note("node %d: counters of %s agree", i, q.Name)
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.deviate("%s", problem)
			return
		}
	}
}

func (w *world) differs(i int, q *refQueue) string {
	from := time.Now()
	_, groups, err := w.nodes[i].Groups(w.ctx, q.Ref, dms.GroupView{Counters: true, DeadLetters: true})
	if w.codeOf(err) != "" || len(groups) != len(q.groups) {
		return fmt.Sprintf("groups of %s: %d, want %d: %v", q.Name, len(groups), len(q.groups), err)
	}
	for j, g := range q.groups {
		least, most := g.bounds(from)
		_, mostNow := g.bounds(time.Now())
		least.Available = min(least.Available, mostNow.Available)
		if c := groups[j].Counters; groups[j].Ref != g.Ref || !within(c, least, widest(most, mostNow)) {
			return fmt.Sprintf("counters of %s:\n got %+v\nfrom %+v\n to  %+v", g, c, least, mostNow)
		}
	}
	return ""
}

func widest(a, b dms.Counters) dms.Counters {
	return dms.Counters{
		Produced: max(a.Produced, b.Produced), Consumed: max(a.Consumed, b.Consumed), Available: max(a.Available, b.Available),
		DeadProduced: max(a.DeadProduced, b.DeadProduced), DeadAvailable: max(a.DeadAvailable, b.DeadAvailable),
		OutstandingNow: max(a.OutstandingNow, b.OutstandingNow),
	}
}
