package mapping

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"dms/mapping/dms"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A consumer reads the replica of whoever leads it. When that replica is damaged it goes
// over what it cannot read without a word, and never comes back to it. The stream of a
// queue has no gaps of its own but at its front, so that going over a message shows: the
// sequence of the stream moves on by more than that of the deliveries.

const (
	// bridgePatience is how long a delivery behind a gap is held while the gap is filled;
	// bridgeLimit is how long that is tried.
	bridgePatience = 5 * time.Second
	bridgeLimit    = time.Minute
	bridgePause    = 500 * time.Millisecond
	// bridgeSteps is how often another replica is made to lead, to be asked.
	bridgeSteps = 4
	// bridgeStep is how long that may take. A member that restarts swallows the question.
	bridgeStep = 2 * time.Second
	// bridgeAtOnce bounds the messages that are read and put into the lane at one time.
	bridgeAtOnce = 100
	// bridgePlace keeps places of messages that were gone over apart, in the lane of the
	// group, from those of dead letters.
	bridgePlace = 1 << 62
)

// jump notes a delivery, and returns what lies between it and the one before if the log
// has not delivered all of that, to whichever node; ok is false when nothing is wrong.
// Deliveries to other nodes in between are allowed for, and so are repeated ones, which
// can hide a gap of as many messages.
func (d *dispatcher) jump(at delivered) (g gap, ok bool) {
	if d.filtered.Load() {
		return gap{}, false
	}
	defer d.given.note(at)
	if at.deliveries != 1 {
		return gap{}, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.placed != placed {
		return gap{}, false // it was asked for by a dispatcher that has ended
	}
	last := d.last
	if at.consumerSeq <= last.consumerSeq {
		d.last = at // of a consumer that was made anew
		d.given.startOver()
		return gap{}, false
	}
	if at.streamSeq <= last.streamSeq {
		return gap{}, false
	}
	d.last = at
	if at.streamSeq-last.streamSeq <= at.consumerSeq-last.consumerSeq {
		return gap{}, false
	}
	return gap{from: last.streamSeq + 1, to: at.streamSeq - 1, after: last.consumerSeq, before: at.consumerSeq}, true
}

// behind is an arrival that is kept back so that what comes in order is handed on in order.
type behind struct {
	a    *arrival
	free bool // the gap before it is filled, or there is none right before it
}

// keepBehind keeps an arrival back that has a gap before it, or came after such a one. It
// returns nil if nothing keeps it; a gap ends with a call of handOn.
func (d *dispatcher) keepBehind(a *arrival, gap bool) *behind {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !gap && len(d.behind) == 0 && !d.passing {
		return nil
	}
	h := &behind{a, !gap}
	d.behind = append(d.behind, h)
	return h
}

// handOn ends a gap, and hands on what came up to the next one.
func (d *dispatcher) handOn(h *behind) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h.free = true
	if d.passing {
		return // whoever does that comes to it
	}
	d.passing = true
	for len(d.behind) > 0 && d.behind[0].free {
		next := d.behind[0]
		d.behind = d.behind[1:]
		d.mu.Unlock()
		d.pass(next.a)
		d.mu.Lock()
	}
	d.passing = false
}

// bridge fills a gap before the delivery behind it is handed on. A gap that takes longer
// to fill does not hold it up for ever.
func (d *dispatcher) bridge(h *behind, g gap) {
	done := make(chan struct{})
	d.s.spawn(func() { // ends with the session, or its time
		defer close(done)
		ctx, cancel := context.WithTimeout(d.s.base, bridgeLimit)
		defer cancel()
		if front, err := d.s.front(ctx, d.q.Ref); err == nil {
			g.from = max(g.from, front) // what is before has expired
		}
		if g.explained() {
			return // what lies before was purged or has expired
		}
		rows, sure := d.over(ctx, g)
		for _, row := range rows {
			n, err := d.s.fillGap(ctx, d.q, d.ref.GroupRef, row[0], row[1])
			level := slog.LevelError
			if n == 0 && err == nil {
				level = slog.LevelDebug // they have expired
			} else {
				d.s.b.damaged()
			}
			d.s.log.LogAttrs(ctx, level, "the log went over messages, which are given to the group by themselves", slog.String("queue", string(d.ref.Queue)),
				slog.String("group", string(d.ref.Group)), slog.Uint64("from", row[0]), slog.Uint64("to", row[1]), slog.Bool("sure", sure), slog.Int("found", n), slog.Any("err", err))
		}
	})
	t := time.NewTimer(bridgePatience)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	case <-d.s.base.Done():
	}
	d.handOn(h)
}

var errGone = errors.New("no replica that was asked has all of them")

// fillGap puts into the group's lane what the stream holds between two sequences, and
// returns how much that was. It asks the replica of this node and the leader's, again
// and again, since a damaged replica is made to give up the lead.
func (s *session) fillGap(ctx context.Context, q *queue, ref dms.GroupRef, from, to uint64) (n int, err error) {
	stream := streamName(ref.Queue)
	for ; from <= to; from += bridgeAtOnce {
		end := min(to, from+bridgeAtOnce-1)
		found := make(map[uint64]found)
		var gone error // what was missing at last
		for attempt := 0; ; attempt++ {
			missing, err := s.gather(ctx, q.Ref, from, end, found)
			if err == nil && missing == 0 {
				break
			}
			if err == nil {
				gone = fmt.Errorf("%w: %d of %d to %d are missing", errGone, missing, from, end)
			}
			// What expired or was purged between two questions is not missing: look again.
			if attempt > 0 {
				s.b.damaged()
			}
			if err == nil && attempt > 0 && attempt <= bridgeSteps {
				// The leader may be the one that is damaged, and this node's replica it.
				step, cancel := context.WithTimeout(ctx, bridgeStep)
				_, err = s.calls.ask(step, stepDownPrefix+stream, nil)
				cancel()
			}
			select {
			case <-ctx.Done():
				// What there is, is not held back for what is not.
				late, cancel := context.WithTimeout(context.WithoutCancel(ctx), holdFor)
				defer cancel()
				return n, errors.Join(gone, err, s.intoLane(late, q, ref, found, &n))
			case <-time.After(bridgePause):
			}
		}
		if err := s.intoLane(ctx, q, ref, found, &n); err != nil {
			return n, err
		}
	}
	return n, nil
}

// gather adds what two replicas have between two sequences to what was found, and
// returns how many are missing still. What has expired is not missing.
func (s *session) gather(ctx context.Context, queue dms.QueueRef, from, to uint64, into map[uint64]found) (missing int, err error) {
	stream := streamName(queue.Queue)
	for next := from; next <= to; { // an answer is limited in bytes
		near, err := s.scan(ctx, stream, ">", next, int(to-next+1))
		if err != nil {
			return 0, err
		}
		if len(near) == 0 {
			break
		}
		for _, f := range near {
			if f.seq <= to {
				into[f.seq] = f
			}
		}
		next = near[len(near)-1].seq + 1
	}
	var gone []uint64
	for seq := from; seq <= to; seq++ {
		if _, ok := into[seq]; ok {
			continue
		}
		m, err := s.stored(ctx, stream, seq)
		if absent(err) {
			gone = append(gone, seq)
			continue
		}
		if err != nil {
			return 0, err
		}
		if into[seq], err = m.found(); err != nil {
			return 0, err
		}
	}
	if len(gone) == 0 {
		return 0, nil
	}
	front, err := s.front(ctx, queue) // it may take seconds, and is nearly never asked for
	if err != nil {
		return 0, err
	}
	expired, _ := slices.BinarySearch(gone, front)
	return len(gone) - expired, nil
}

// intoLane puts messages of the queue into the group's lane, each once however often, and
// from however many nodes, that is done.
func (s *session) intoLane(ctx context.Context, q *queue, ref dms.GroupRef, all map[uint64]found, n *int) error {
	if len(all) == 0 {
		return nil
	}
	if err := s.openAgain(ctx, q, ref); err != nil {
		return err
	}
	var out []*outgoing
	for seq, f := range all {
		sum := sha256.Sum256(fmt.Appendf(nil, "gap\n%s\n%s\n%d", ref.Queue, ref.Group, seq))
		var id uuid.UUID
		copy(id[:], sum[:])
		id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // version 8, the variant of RFC 9562
		out = append(out, &outgoing{id: f.id(), message: &nats.Msg{
			Subject: againSubject(ref, bridgePlace|seq),
			Data:    f.payload,
			Header: nats.Header{
				jetstream.MsgIDHeader:               {id.String()},
				jetstream.ExpectedLastSubjSeqHeader: {"0"},
				headerID:                            {string(f.id())},
				headerSource:                        {strconv.FormatUint(seq, 10)},
			},
		}})
	}
	slices.SortFunc(out, func(a, b *outgoing) int { return slices.Compare([]byte(a.message.Subject), []byte(b.message.Subject)) })
	return hold(ctx, func(ctx context.Context) error {
		s.storeEach(ctx, out)
		stored := 0
		for _, o := range out {
			switch {
			case o.stored || wrongSequence(o.err): // the latter means that it was done
				stored++
			case o.err != nil:
				return o.err
			default:
				return o.last
			}
		}
		*n += stored
		return nil
	})
}
