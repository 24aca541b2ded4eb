package mapping

import (
	"context"
	"math/bits"

	"dms/mapping/dms"

	"github.com/nats-io/nats.go/jetstream"
)

// counters computes what a listing shows of a group. Nothing is counted along the
// way: the figures follow from what is stored and how far the group has come, and
// are exact when nothing is outstanding.
func (s *session) counters(ctx context.Context, q *queue, g groupRecord, state jetstream.StreamState, view dms.GroupView) (c dms.Counters, err error) {
	ref := dms.GroupRef{QueueRef: q.Ref, Group: g.ID}
	if view.Counters {
		c.Produced = int64(state.Msgs)
		meant := state.Msgs // of the retained messages, those with the group's labels
		if len(g.Labels) > 0 {
			if meant, err = s.countLabelled(ctx, q, g, 1); err != nil {
				return c, toError(err)
			}
		}
		available, outstanding, err := s.backlog(ctx, q, ref, g, state)
		if err != nil {
			return c, toError(err)
		}
		available = min(available, meant)
		c.Available, c.OutstandingNow = int64(available), int64(outstanding)
		c.Consumed = int64(meant - available)
		if g.Again {
			left, out, err := s.lane(ctx, q, ref)
			if err != nil {
				return c, toError(err)
			}
			c.Available += left
			c.OutstandingNow += out
		}
	}
	if view.DeadLetters && q.DeadLetters() {
		produced, err := s.count(ctx, deadStream, deadFilter(ref), 1)
		if err != nil {
			return c, toError(err)
		}
		if produced > 0 {
			cur, _, err := s.reader(q, ref, dms.Dead).load(ctx)
			if err != nil {
				return c, toError(err)
			}
			left, err := s.count(ctx, deadStream, deadFilter(ref), cur.Floor+1)
			if err != nil {
				return c, toError(err)
			}
			c.DeadProduced, c.DeadAvailable = int64(produced), int64(left)
		}
	}
	return c, nil
}

// lane is how much of what was given back to the group it has not settled, and how much
// of that is handed out.
func (s *session) lane(ctx context.Context, q *queue, ref dms.GroupRef) (left, outstanding int64, err error) {
	cur, _, err := s.reader(q, ref, dms.Again).load(ctx)
	if err != nil {
		return 0, 0, err
	}
	if cur.Lease != nil && !cur.Lease.Pause {
		outstanding = int64(len(cur.Lease.Seqs))
	}
	n, err := s.count(ctx, deadStream, againFilter(ref), cur.Floor+1)
	return int64(n), outstanding, err
}

// backlog is what the group has not settled, and how much of it is handed out.
func (s *session) backlog(ctx context.Context, q *queue, ref dms.GroupRef, g groupRecord, state jetstream.StreamState) (available, outstanding uint64, err error) {
	// Nothing was ever handed out: all messages from the start of the reading are waiting.
	untouched := func() (uint64, uint64, error) {
		if len(g.Labels) > 0 {
			n, err := s.countLabelled(ctx, q, g, max(g.Start, 1))
			return n, 0, err
		}
		if g.Start <= state.FirstSeq {
			return state.Msgs, 0, nil
		}
		return state.LastSeq + 1 - min(g.Start, state.LastSeq+1), 0, nil
	}
	if !g.Used && q.Mode != dms.FIFO {
		return untouched()
	}
	if q.Mode == dms.FIFO {
		c, _, err := s.reader(q, ref, dms.Live).load(ctx)
		if err != nil {
			return 0, 0, err
		}
		if c.Lease != nil && !c.Lease.Pause {
			outstanding = uint64(len(c.Lease.Seqs))
		}
		if len(g.Labels) > 0 {
			available, err = s.countLabelled(ctx, q, g, c.Floor+1)
			return available, outstanding, err
		}
		if state.Msgs == 0 || c.Floor >= state.LastSeq {
			return 0, outstanding, nil
		}
		return state.LastSeq - max(c.Floor, state.FirstSeq-1), outstanding, nil
	}
	info, err := s.consumerInfo(ctx, reading{ref, g.Gen})
	if code(err) == codeNoConsumer {
		return untouched() // claimed, but not consumed from yet
	}
	if err != nil {
		return 0, 0, err
	}
	outstanding, pending := uint64(info.NumAckPending), info.NumPending
	if len(g.Labels) > 1 && g.Match == dms.AnyLabel {
		// The log counts a message once for each filter it passes.
		if pending, err = s.countLabelled(ctx, q, g, info.Delivered.Stream+1); err != nil {
			return 0, 0, err
		}
	}
	return pending + outstanding, outstanding, nil
}

func (s *session) consumerInfo(ctx context.Context, at reading) (info jetstream.ConsumerInfo, err error) {
	subject := "$JS.API.CONSUMER.INFO." + streamName(at.Queue) + "." + at.consumer()
	err = hold(ctx, func(ctx context.Context) error {
		m, err := s.calls.look(ctx, subject, nil)
		if err != nil {
			return err
		}
		info = jetstream.ConsumerInfo{}
		return reply(m, &info)
	})
	return info, err
}

// countLabelled counts the messages from the sequence on that the group's labels
// select. Subjects that demand a set of labels are disjoint, those of two sets are
// not, so "any of" is counted by inclusion and exclusion.
func (s *session) countLabelled(ctx context.Context, q *queue, g groupRecord, from uint64) (uint64, error) {
	if g.Match == dms.AllLabels {
		return s.countAll(ctx, q, g.Labels, from)
	}
	var total int64
	for set := uint(1); set < 1<<len(g.Labels); set++ {
		var labels []string
		for i, l := range g.Labels {
			if set&(1<<i) != 0 {
				labels = append(labels, l)
			}
		}
		n, err := s.countAll(ctx, q, labels, from)
		if err != nil {
			return 0, err
		}
		if bits.OnesCount(set)%2 == 1 {
			total += int64(n)
		} else {
			total -= int64(n)
		}
	}
	return uint64(max(total, 0)), nil
}

func (s *session) countAll(ctx context.Context, q *queue, labels []string, from uint64) (total uint64, err error) {
	for _, filter := range allOf(q.Ref.Queue, labels) {
		n, err := s.count(ctx, streamName(q.Ref.Queue), filter, from)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}
