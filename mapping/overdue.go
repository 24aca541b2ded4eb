package mapping

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"dms/mapping/dms"

	"github.com/nats-io/nats.go"
)

const (
	// Delayed messages lie in slots by when they are due, and the slots in hours, so
	// that whatever has not come due can be found without reading what is not due yet.
	slotLength = 10 * time.Second
	slotHour   = time.Hour
	// overdueAfter is how long after the end of its slot a message counts as overdue. The
	// log needs a moment, and an election (4 to 9 s) when its leader dies.
	overdueAfter = 10 * time.Second
	overdueEvery = 5 * time.Second
	// clockSkew is by how much the clocks of two nodes may differ.
	clockSkew = time.Hour
)

// overdue looks for delayed messages that have not come due by themselves, and moves
// them. The log fires a schedule once: what becomes of it when the account is full, or
// the change it proposed is lost, it notices only at its next election.
type overdue struct {
	v    *mover
	from time.Time // every slot before it is empty; zero: not known
}

// run looks until the session ends, and first at what an earlier run left behind.
func (o *overdue) run() {
	ctx := o.v.s.base
	tick := time.NewTicker(overdueEvery)
	defer tick.Stop()
	for {
		if !o.v.active.Load() {
			o.from = time.Time{}
		} else if err := o.pass(ctx); err != nil && ctx.Err() == nil {
			o.v.complain(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// pass looks once into every slot that should be empty by now. A slot in which something
// is left is looked into again by the next pass.
func (o *overdue) pass(ctx context.Context) error {
	if o.from.IsZero() {
		info, err := o.v.s.streamInfo(ctx, delayStream, nil)
		if err != nil || info.State.Msgs == 0 {
			return err
		}
		// Nothing is due long before it was stored.
		o.from = info.State.FirstTime.Add(-clockSkew).Truncate(slotHour)
	}
	until := time.Now().Add(-overdueAfter)
	empty := true
	for at := o.from; ; {
		length, filter := slotLength, delaySlot(at)
		if at.Equal(at.Truncate(slotHour)) && !at.Add(slotHour).After(until) {
			length, filter = slotHour, delayHour(at)
		}
		if at.Add(length).After(until) {
			return nil
		}
		cleared, err := o.clear(ctx, filter)
		if err != nil {
			return err
		}
		at = at.Add(length)
		// A send that is held while its leader is away arrives that much later, perhaps in
		// a slot that was empty before.
		if empty = empty && cleared && !at.After(until.Add(-holdFor)); empty {
			o.from = at
		}
	}
}

// clear moves all messages that match the filter and reports whether it could.
func (o *overdue) clear(ctx context.Context, filter string) (all bool, err error) {
	all = true
	for seq := uint64(1); ; {
		var batch []*dueMessage
		for len(batch) < moverBatch {
			m, err := o.v.s.readStored(ctx, delayStream, map[string]any{"seq": seq, "next_by_subj": filter})
			if code(err) == codeNoMessage {
				break
			}
			if err != nil {
				return false, err
			}
			seq = m.Message.Seq + 1
			d, err := readOverdue(m)
			if err != nil {
				o.v.complain(err)
				all = false
				continue
			}
			batch = append(batch, d)
		}
		if len(batch) == 0 {
			return all, nil
		}
		moved, err := o.move(ctx, batch)
		o.v.s.log.LogAttrs(ctx, slog.LevelWarn, "delayed messages had not come due by themselves",
			slog.Int("found", len(batch)), slog.Int("moved", moved), slog.Any("err", err))
		all = all && moved == len(batch)
	}
}

func readOverdue(m storedMessage) (*dueMessage, error) {
	header, err := nats.DecodeHeadersMsg(m.Message.Header)
	if err != nil {
		return nil, err
	}
	d, err := newDueMessage(&nats.Msg{Subject: m.Message.Subject, Header: header, Data: m.Message.Data})
	if err != nil {
		return nil, err
	}
	d.seq = m.Message.Seq
	return d, nil
}

// move stores the messages in their queues, and then removes them from the delay store.
// Each has its id: what the log or another node moves at the same moment is stored once.
func (o *overdue) move(ctx context.Context, batch []*dueMessage) (moved int, err error) {
	err = o.v.attempt(ctx, batch)
	if errors.Is(err, nats.ErrNoResponders) {
		for _, d := range batch {
			d.moved = d.moved || o.v.orphan(ctx, d)
		}
	}
	var done []*nats.Msg
	for _, d := range batch {
		if d.moved {
			done = append(done, &nats.Msg{Subject: msgDeletePrefix + delayStream, Data: mustJSON(map[string]any{"seq": d.seq, "no_erase": true})})
		}
	}
	ctx, cancel := context.WithTimeout(ctx, attemptFor)
	defer cancel()
	o.v.s.calls.askAll(ctx, done, func(_ int, answer *nats.Msg, failed error) {
		if failed == nil {
			failed = reply(answer, nil)
		}
		if failed == nil || absent(failed) {
			moved++
			return
		}
		err = failed
	})
	return moved, err
}

// orphan reports whether a due message's queue has been deleted. Deleting a queue removes
// its delayed messages, so that few are met; but right after a change a leader of the
// cluster may not know of a queue that is there, and a message that was acknowledged to
// its sender must not be lost to that.
func (v *mover) orphan(ctx context.Context, d *dueMessage) bool {
	return time.Since(d.due) > goneAfter && has(v.s.gone(ctx, d.queue), dms.QueueNotFound)
}

// goneAfter is how long after it was due a message is given up when its queue is said not
// to exist.
const goneAfter = 10 * time.Minute
