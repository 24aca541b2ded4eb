package mapping

import (
	"container/heap"
	"context"
	"log/slog"
	"sync"
	"time"
)

// handed are the deliveries of one group that this node has handed out and that were
// not settled through it. When one expires it is charged. It is kept only for queues
// with dead letters.
type handed struct {
	mu    sync.Mutex
	out   map[uint64]handOut // by sequence
	order deadlines
	timer *time.Timer
}

type handOut struct {
	seq      uint64
	delivery uint32
	deadline time.Time
	at       time.Time // when it was handed out
}

// deadlines is a heap. What has left the map since is passed over.
type deadlines []handOut

func (h deadlines) Len() int           { return len(h) }
func (h deadlines) Less(i, j int) bool { return h[i].deadline.Before(h[j].deadline) }
func (h deadlines) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *deadlines) Push(x any)        { *h = append(*h, x.(handOut)) }
func (h *deadlines) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// add remembers deliveries; due is called when one of them may have expired.
func (h *handed) add(all []handOut, due func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.out == nil {
		h.out = make(map[uint64]handOut)
	}
	for _, o := range all {
		h.out[o.seq] = o
		heap.Push(&h.order, o)
	}
	if h.timer == nil {
		h.timer = time.AfterFunc(time.Until(h.order[0].deadline), due)
	} else {
		h.timer.Reset(time.Until(h.order[0].deadline))
	}
}

// forget drops deliveries that have been settled, failed or returned.
func (h *handed) forget(seqs ...uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, seq := range seqs {
		delete(h.out, seq)
	}
}

// take1 drops one delivery and returns when it was handed out, or zero.
func (h *handed) take1(seq uint64) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.out[seq].at
	delete(h.out, seq)
	return at
}

// extend gives a delivery that is still out more time.
func (h *handed) extend(seq uint64, delivery uint32, deadline time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o, ok := h.out[seq]
	if !ok || o.delivery != delivery {
		return
	}
	o.deadline = deadline
	h.out[seq] = o
	heap.Push(&h.order, o)
}

// expired takes out what has expired by now, and arms the timer for the next.
func (h *handed) expired(now time.Time) (over []handOut) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.order) > 0 && !h.order[0].deadline.After(now) {
		over = h.take(over)
	}
	if len(h.order) > 0 {
		h.timer.Reset(h.order[0].deadline.Sub(now))
	}
	return over
}

// all takes everything out: the node stops.
func (h *handed) all() (over []handOut) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.order) > 0 {
		over = h.take(over)
	}
	if h.timer != nil {
		h.timer.Stop()
	}
	return over
}

func (h *handed) take(over []handOut) []handOut {
	o := heap.Pop(&h.order).(handOut)
	if h.out[o.seq] == o {
		delete(h.out, o.seq)
		over = append(over, o)
	}
	return over
}

// charge puts on record that deliveries reached a client and were not settled. Some may
// have been settled through another node: what lies below the group's floor has been,
// and for the others the record is never looked at.
func (s *session) charge(q *queue, at reading, over []handOut) {
	if len(over) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.base), holdFor)
	defer cancel()
	info, err := s.consumerInfo(ctx, at)
	var all []booking
	for _, o := range over {
		if err != nil || o.seq > info.AckFloor.Stream {
			all = append(all, booking{seq: o.seq, delivery: o.delivery, charge: true, reason: reasonExpired, at: o.at})
		}
	}
	if err := s.bookAll(ctx, q, at, all); err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "an expired delivery is charged to nobody", slog.String("group", string(at.Group)), slog.Any("err", err))
	}
}
