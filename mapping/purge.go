package mapping

import (
	"context"
	"fmt"

	"dms/mapping/dms"
)

// Purge throws messages away and returns how many, or how many it would. It takes what
// was there when it began; what is sent meanwhile stays.
//
// What is thrown out of a queue is gone for all its groups. A message of it that is in
// flight can still be acknowledged, and is not offered again. A backlog is thrown away by
// moving its group to the end; the queue keeps the messages.
func (b *Broker) Purge(ctx context.Context, ref dms.QueueRef, p dms.Purge) (int64, error) {
	if err := p.Validate(); err != nil {
		return 0, err
	}
	if p.Source == dms.InBacklog {
		m, err := b.MoveGroup(ctx, dms.GroupRef{QueueRef: ref, Group: p.Group}, dms.Position{To: dms.AtEnd}, p.DryRun)
		return m.Skipped, err
	}
	s, release, err := b.session(ctx, ref.Project)
	if err != nil {
		return 0, err
	}
	defer release()
	q, err := s.present(ctx, ref)
	if err != nil {
		return 0, err
	}
	stream, filter := streamName(ref.Queue), ""
	switch p.Source {
	case dms.InDelay:
		stream, filter = delayStream, delayFilter(ref.Queue)
	case dms.InDead:
		stream, filter = deadStream, deadQueueFilter(ref.Queue)
		if p.Group != "" {
			if _, err := s.group(ctx, q, p.Group); err != nil {
				return 0, err
			}
			filter = deadFilter(dms.GroupRef{QueueRef: ref, Group: p.Group})
		}
	}
	n, err := s.purgeUpTo(ctx, stream, filter, p.DryRun)
	if absentStream(err) && stream != streamName(ref.Queue) {
		return 0, nil // there has never been anything
	}
	return n, toError(err)
}

// purgeUpTo removes what the stream holds now, as far as it matches the filter, or counts
// it. A request that is repeated after its answer was lost removes nothing more, so that
// the count is taken before.
func (s *session) purgeUpTo(ctx context.Context, stream, filter string, count bool) (int64, error) {
	info, err := s.streamInfo(ctx, stream, nil)
	if err != nil {
		return 0, err
	}
	n := info.State.Msgs
	if filter != "" {
		if n, err = s.count(ctx, stream, filter, 1); err != nil {
			return 0, err
		}
	}
	if count || n == 0 {
		return int64(n), nil
	}
	request := map[string]any{"seq": info.State.LastSeq + 1}
	if filter != "" {
		request["filter"] = filter
	}
	err = hold(ctx, func(ctx context.Context) error {
		m, err := s.calls.ask(ctx, purgePrefix+stream, mustJSON(request))
		if err != nil {
			return err
		}
		return reply(m, nil)
	})
	if err != nil {
		return 0, fmt.Errorf("purge %s: %w", stream, err)
	}
	return int64(n), nil
}
