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

// backlog is what the group has not settled, and how much of it is handed out.
func (s *session) backlog(ctx context.Context, q *queue, ref dms.GroupRef, g groupRecord, state jetstream.StreamState) (available, outstanding uint64, err error) {
	if !g.Used {
		return state.Msgs, 0, nil
	}
	if q.Mode == dms.FIFO {
		c, _, err := s.reader(q, ref, dms.Live).load(ctx)
		if err != nil {
			return 0, 0, err
		}
		if c.Lease != nil {
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
	info, err := s.consumerInfo(ctx, ref)
	if code(err) == codeNoConsumer {
		if len(g.Labels) > 0 {
			available, err = s.countLabelled(ctx, q, g, 1)
			return available, 0, err
		}
		return state.Msgs, 0, nil // claimed, but not consumed from yet
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

func (s *session) consumerInfo(ctx context.Context, ref dms.GroupRef) (info jetstream.ConsumerInfo, err error) {
	subject := "$JS.API.CONSUMER.INFO." + streamName(ref.Queue) + "." + consumerName(ref.Group)
	err = hold(ctx, func(ctx context.Context) error {
		m, err := s.calls.ask(ctx, subject, nil)
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
