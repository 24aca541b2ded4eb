package mapping

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"dms/mapping/dms"

	"github.com/nats-io/nats.go/jetstream"
)

// progress is how far a group has come in its queue, at one moment.
type progress struct {
	g         groupRecord
	floor     uint64 // everything up to here is settled
	delivered uint64 // everything behind is waiting
	pending   int64  // how much between the two is in flight, if it is a consumer's
	certain   bool   // everything between the two is in flight
	none      bool   // nothing between the two is in flight
	leased    []uint64
	until     time.Time // of the leased ones
	fifo      bool
}

// progressOf asks the leaders. It changes nothing.
func (s *session) progressOf(ctx context.Context, q *queue, g groupRecord, state jetstream.StreamState) (progress, error) {
	ref := dms.GroupRef{QueueRef: q.Ref, Group: g.ID}
	p := progress{g: g, floor: max(g.Start, 1) - 1, fifo: q.Mode == dms.FIFO}
	p.delivered = p.floor
	if p.fifo {
		r := s.reader(q, ref, dms.Live)
		c, _, err := r.load(ctx)
		if err != nil {
			return progress{}, err
		}
		p.floor, p.delivered = c.Floor, c.Floor
		if c.Lease != nil {
			p.leased = c.Lease.Seqs
			p.delivered = p.leased[len(p.leased)-1]
			if left := r.leaseLeft(c); left > 0 {
				p.until = time.Now().Add(left)
			}
		}
		return p, nil
	}
	if !g.Used {
		return p, nil
	}
	info, err := s.consumerInfo(ctx, reading{ref, g.Gen})
	if code(err) == codeNoConsumer {
		return p, nil
	}
	if err != nil {
		return progress{}, err
	}
	p.floor = max(info.AckFloor.Stream, p.floor)
	p.delivered = max(info.Delivered.Stream, p.floor)
	first := max(p.floor+1, state.FirstSeq)
	p.pending = int64(info.NumAckPending)
	p.none = p.pending == 0
	p.certain = p.delivered+1 >= first && uint64(info.NumAckPending) == p.delivered+1-first
	return p, nil
}

// state is what has become of a message with these labels, dead letters apart.
func (p progress) state(seq uint64, labels []string) (dms.State, time.Time) {
	switch {
	case !matchesLabels(p.g.Labels, p.g.Match, labels):
		return dms.Unwanted, time.Time{}
	case seq < p.g.Start:
		return dms.Skipped, time.Time{}
	case seq <= p.floor:
		return dms.Settled, time.Time{}
	case seq > p.delivered:
		return dms.Waiting, time.Time{}
	case p.fifo && slices.Contains(p.leased, seq):
		return dms.Leased, p.until
	case p.fifo:
		return dms.Waiting, time.Time{}
	case p.none:
		return dms.Settled, time.Time{}
	case p.certain:
		return dms.Leased, time.Time{}
	}
	return dms.Delivered, time.Time{}
}

// Message returns one message of the queue and what has become of it for every group.
func (b *Broker) Message(ctx context.Context, ref dms.QueueRef, seq uint64) (dms.History, error) {
	s, release, err := b.session(ctx, ref.Project)
	if err != nil {
		return dms.History{}, err
	}
	defer release()
	q, err := s.present(ctx, ref)
	if err != nil {
		return dms.History{}, err
	}
	h, err := s.history(ctx, q, seq)
	return h, toError(err)
}

func (s *session) history(ctx context.Context, q *queue, seq uint64) (dms.History, error) {
	stored, err := s.stored(ctx, streamName(q.Ref.Queue), seq)
	if code(err) == codeNoMessage {
		return dms.History{}, dms.Errorf(dms.MessageNotFound, "the queue has no message %d: it has expired, was purged or was never sent", seq)
	}
	if err != nil {
		return dms.History{}, err
	}
	f, err := stored.found()
	if err != nil {
		return dms.History{}, err
	}
	var h dms.History
	h.Message, _ = inQueue(f)
	info, err := s.streamInfo(ctx, streamName(q.Ref.Queue), nil)
	if err != nil {
		return dms.History{}, err
	}
	r, err := s.freshRecord(ctx, q)
	if err != nil {
		return dms.History{}, err
	}
	for _, g := range r.Groups {
		one, err := s.historyOf(ctx, q, g, info.State, h.Message)
		if err != nil {
			return dms.History{}, err
		}
		h.Groups = append(h.Groups, one)
	}
	return h, nil
}

func (s *session) historyOf(ctx context.Context, q *queue, g groupRecord, state jetstream.StreamState, m dms.Peeked) (dms.GroupHistory, error) {
	one := dms.GroupHistory{Group: g.ID, Name: g.Name}
	p, err := s.progressOf(ctx, q, g, state)
	if err != nil {
		return one, err
	}
	if one.State, one.Until = p.state(m.Sequence, m.Labels); one.State == dms.Unwanted || one.State == dms.Skipped {
		return one, nil
	}
	at := reading{dms.GroupRef{QueueRef: q.Ref, Group: g.ID}, g.Gen}
	if p.fifo {
		c, _, err := s.reader(q, at.GroupRef, dms.Live).load(ctx)
		if err != nil {
			return one, err
		}
		at.gen, one.Failed = c.Gen, c.failuresOf(m.Sequence)
	} else {
		value, revision, err := s.ctl.get(ctx, tallyKey(at, m.Sequence))
		var t tally
		if err == nil && revision > 0 {
			err = json.Unmarshal(value, &t)
		}
		if err != nil {
			return one, err
		}
		one.Failed = len(t.Charged)
	}
	if one.State == dms.Waiting {
		return one, nil
	}
	letter, err := s.readStored(ctx, deadStream, map[string]any{"last_by_subj": deadSubject(at, m.Sequence)})
	if absent(err) {
		return one, nil
	}
	if err != nil {
		return one, err
	}
	f, err := letter.found()
	if err != nil {
		return one, err
	}
	l, _ := deadLetterOf(f)
	one.State, one.Dead, one.Until = dms.Buried, &l, time.Time{}
	return one, nil
}
