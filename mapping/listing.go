package mapping

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"dms/mapping/dms"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// listQueues reads the attributes and sizes of all queues. It asks each stream's
// leader by itself, all at once: the log's own listing stands still for seconds while
// one stream, perhaps one that is just being made, has no leader.
func (s *session) listQueues(ctx context.Context) ([]dms.Queue, error) {
	names, err := s.streamNames(ctx, queuePrefixSubject)
	if err != nil {
		return nil, toError(err)
	}
	infos := make([]*jetstream.StreamInfo, len(names))
	err = hold(ctx, func(ctx context.Context) error { return s.streamInfos(ctx, names, infos) })
	if err != nil {
		return nil, toError(err)
	}
	var queues []dms.Queue
	for i, info := range infos {
		id, ok := parseStreamName(names[i])
		if !ok || info.Config.Name == "" {
			continue // deleted since it was named
		}
		q, err := parseQueueStream(dms.QueueRef{Project: s.project, Queue: id}, info.Config)
		if err != nil {
			return nil, toError(err)
		}
		q.Messages = int64(info.State.Msgs)
		queues = append(queues, q)
	}
	slices.SortFunc(queues, func(a, b dms.Queue) int {
		if c := b.Created.Compare(a.Created); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return queues, nil
}

// streamNames returns the names of the streams that use the subject. It is answered
// from the cluster's own list, whether a stream has a leader or not.
func (s *session) streamNames(ctx context.Context, subject string) (names []string, err error) {
	for {
		var page struct {
			Total   int      `json:"total"`
			Streams []string `json:"streams"`
		}
		request := mustJSON(map[string]any{"offset": len(names), "subject": subject})
		err := hold(ctx, func(ctx context.Context) error {
			m, err := s.calls.ask(ctx, "$JS.API.STREAM.NAMES", request)
			if err != nil {
				return err
			}
			page.Streams = nil
			return reply(m, &page)
		})
		if err != nil {
			return nil, err
		}
		names = append(names, page.Streams...)
		if len(page.Streams) == 0 || len(names) >= page.Total {
			return names, nil
		}
	}
}

// streamInfos fills in what is still missing of infos. A stream that does not exist
// any more gets an empty one.
func (s *session) streamInfos(ctx context.Context, names []string, infos []*jetstream.StreamInfo) error {
	calls := make([]*call, len(names))
	var failed error
	for i, name := range names {
		if infos[i] != nil {
			continue
		}
		c, err := s.calls.start(&nats.Msg{Subject: infoPrefix + name})
		if err != nil {
			failed = err
			continue
		}
		calls[i] = c
	}
	for i, c := range calls {
		if c == nil {
			continue
		}
		info := &jetstream.StreamInfo{}
		m, err := c.wait(ctx)
		if err == nil {
			err = reply(m, info)
		}
		switch {
		case err == nil:
			infos[i] = info
		case code(err) == codeNoStream:
			if err = s.confirmMissing(ctx, names[i], err); code(err) == codeNoStream {
				infos[i] = &jetstream.StreamInfo{}
			} else {
				failed = err
			}
		default:
			failed = err
		}
	}
	return failed
}

// readQueue asks the log for the queue's attributes and the state of its stream.
func (s *session) readQueue(ctx context.Context, ref dms.QueueRef) (dms.Queue, jetstream.StreamState, error) {
	info, err := s.streamInfo(ctx, streamName(ref.Queue), nil)
	if err != nil {
		return dms.Queue{}, jetstream.StreamState{}, toError(err)
	}
	q, err := parseQueueStream(ref, info.Config)
	return q, info.State, toError(err)
}

// streamInfo asks the stream's leader; request may be nil.
func (s *session) streamInfo(ctx context.Context, stream string, request []byte) (info jetstream.StreamInfo, err error) {
	err = hold(ctx, func(ctx context.Context) error {
		m, err := s.calls.look(ctx, infoPrefix+stream, request)
		if err != nil {
			return err
		}
		info = jetstream.StreamInfo{}
		if err = reply(m, &info); code(err) == codeNoStream {
			return s.confirmMissing(ctx, stream, err)
		}
		return err
	})
	return info, err
}

// confirmMissing returns the error that says that a queue's stream does not exist, unless
// the cluster's own list has it. The member that was to lead a new stream says so until it
// has made its own replica, although the others have elected a leader without it.
func (s *session) confirmMissing(ctx context.Context, stream string, missing error) error {
	id, ok := parseStreamName(stream)
	if !ok {
		return missing
	}
	names, err := s.streamNames(ctx, queueSubjects(id))
	switch {
	case err != nil:
		return err
	case slices.Contains(names, stream):
		return fmt.Errorf("%w: %v", jetstream.ErrNoStreamResponse, missing) // it may be asked again
	}
	return missing
}
