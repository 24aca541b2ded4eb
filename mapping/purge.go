package mapping

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

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
	n, last, err := s.purgeUpTo(ctx, stream, filter, p.DryRun)
	if absentStream(err) && stream != streamName(ref.Queue) {
		return 0, nil // there has never been anything
	}
	if err != nil || p.DryRun || p.Source == dms.InDelay {
		return n, toError(err)
	}
	if err := s.passPurged(ctx, q, p, last); err != nil {
		// What was thrown away is gone. A replica that is behind may show some of it yet.
		s.log.LogAttrs(ctx, slog.LevelWarn, "a group may not have heard of a purge", slog.String("queue", string(ref.Queue)), slog.Any("err", err))
	}
	return n, nil
}

// passPurged brings the groups past what was thrown away, which a replica that has not
// heard of it yet would still hand out.
func (s *session) passPurged(ctx context.Context, q *queue, p dms.Purge, last uint64) error {
	ctx, cancel := context.WithTimeout(ctx, holdFor)
	defer cancel()
	r, err := s.freshRecord(ctx, q)
	if err != nil {
		return err
	}
	var failed error
	for _, g := range r.Groups {
		ref := dms.GroupRef{QueueRef: q.Ref, Group: g.ID}
		switch {
		case p.Source == dms.InDead:
			if p.Group == "" || p.Group == g.ID {
				failed = errors.Join(failed, s.reader(q, ref, dms.Dead).skip(ctx, last))
			}
		case !g.Used:
		case q.Mode == dms.FIFO:
			failed = errors.Join(failed, s.reader(q, ref, dms.Live).skip(ctx, last))
		default:
			failed = errors.Join(failed, s.awaitFloor(ctx, reading{ref, g.Gen}, last))
		}
	}
	return failed
}

// skip moves the cursor past the place, unless something is handed out: what is behind it
// is looked for when that has been settled.
func (r *reader) skip(ctx context.Context, place uint64) error {
	_, err := r.update(ctx, func(c *cursor) (bool, error) {
		if c.Lease != nil || c.Floor >= place {
			return false, nil
		}
		c.newHead(0)
		c.Floor = place
		return true, nil
	})
	return err
}

// awaitFloor waits until the member that serves the group has nothing left up to the
// place.
func (s *session) awaitFloor(ctx context.Context, at reading, place uint64) error {
	for pause := firstPause; ; pause = min(2*pause, longestStop) {
		info, err := s.consumerInfo(ctx, at)
		if code(err) == codeNoConsumer || err == nil && info.AckFloor.Stream >= place {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// purgeUpTo removes what the stream holds now, as far as it matches the filter, or counts
// it, and tells the last place there was. A request that is repeated after its answer was lost removes nothing more, so that
// the count is taken before.
func (s *session) purgeUpTo(ctx context.Context, stream, filter string, count bool) (purged int64, last uint64, err error) {
	info, err := s.streamInfo(ctx, stream, nil)
	if err != nil {
		return 0, 0, err
	}
	n := info.State.Msgs
	if filter != "" {
		if n, err = s.count(ctx, stream, filter, 1); err != nil {
			return 0, 0, err
		}
	}
	if count || n == 0 {
		return int64(n), info.State.LastSeq, nil
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
		return 0, 0, fmt.Errorf("purge %s: %w", stream, err)
	}
	return int64(n), info.State.LastSeq, nil
}
