package mapping

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"dms/mapping/dms"
	"dms/tenancy"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// queue is what a session remembers of a queue. Its attributes never change; the
// record does, and is read again when it is told to have changed or something that
// should be in it is not.
type queue struct {
	dms.Queue // without counters
	labels    labelSets

	mu     sync.Mutex
	record *record // nil: not known
	// version counts the changes heard of, so that a record read before a change is
	// not remembered after it.
	version uint64
}

// CreateQueue makes the queue's stream. When it returns, every node can use it.
func (b *Broker) CreateQueue(ctx context.Context, project tenancy.ProjectID, q dms.NewQueue) (dms.Queue, error) {
	if err := q.Validate(); err != nil {
		return dms.Queue{}, err
	}
	s, release, err := b.session(ctx, project)
	if err != nil {
		return dms.Queue{}, err
	}
	defer release()
	limits, err := b.tenants.Project(ctx, project)
	if err != nil {
		return dms.Queue{}, toError(err)
	}
	existing, err := s.free(ctx, q.Name)
	if err != nil {
		return dms.Queue{}, err
	}
	if existing >= limits.Limits.Queues {
		return dms.Queue{}, dms.Errorf(dms.QuotaExceeded, "the project may have at most %d queues", limits.Limits.Queues)
	}
	// The id and the creation time are chosen once: a repeated request makes the same
	// stream, and only a stream of the same name but another id is in the way.
	ref := dms.QueueRef{Project: project, Queue: dms.NewQueueID()}
	created := time.Now().Truncate(time.Second)
	config := queueStream(ref.Queue, q, created)
	for end := time.Now().Add(nameSettles); ; {
		err := hold(ctx, func(ctx context.Context) error {
			_, err := s.js.CreateStream(ctx, config)
			return err
		})
		switch {
		case err == nil:
			return dms.Queue{NewQueue: q, Ref: ref, Created: created}, nil
		case code(err) != codeSubjectsOverlap:
			return dms.Queue{}, toError(fmt.Errorf("create queue %s: %w", ref.Queue, err))
		case time.Now().After(end):
			return dms.Queue{}, nameTaken(q.Name)
		}
		// The name is in use, and if no stream has it, one that has is being made or
		// deleted at this moment. Which of the two is known shortly.
		if _, err := s.free(ctx, q.Name); err != nil {
			return dms.Queue{}, err
		}
		select {
		case <-time.After(firstPause):
		case <-ctx.Done():
			return dms.Queue{}, toError(context.Cause(ctx))
		}
	}
}

// nameSettles is how long a queue that is being made or deleted may take to show.
const nameSettles = 2 * time.Second

// free returns the number of queues unless one has the name. One that is just being
// made counts.
func (s *session) free(ctx context.Context, name string) (int, error) {
	taken, err := s.streamNames(ctx, nameSubject(name))
	if err != nil {
		return 0, toError(err)
	}
	if len(taken) > 0 {
		return 0, nameTaken(name)
	}
	queues, err := s.streamNames(ctx, queuePrefixSubject)
	return len(queues), toError(err)
}

func nameTaken(name string) error {
	return dms.Errorf(dms.QueueExists, "a queue with the name %s exists already", name)
}

// Queues lists all queues of the project, newest first.
func (b *Broker) Queues(ctx context.Context, project tenancy.ProjectID) ([]dms.Queue, error) {
	s, release, err := b.session(ctx, project)
	if err != nil {
		return nil, err
	}
	defer release()
	queues, err := s.listQueues(ctx)
	if err != nil {
		return nil, err
	}
	for i := range queues {
		q, err := s.queue(ctx, queues[i].Ref.Queue)
		if has(err, dms.QueueNotFound) {
			continue // deleted since it was listed; it stands as it was
		}
		if err != nil {
			return nil, err
		}
		r, err := s.freshRecord(ctx, q)
		if err != nil {
			return nil, err
		}
		queues[i].Groups = len(r.Groups)
	}
	return queues, nil
}

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
			infos[i] = &jetstream.StreamInfo{}
		default:
			failed = err
		}
	}
	return failed
}

// Queue returns one queue with its present counters.
func (b *Broker) Queue(ctx context.Context, ref dms.QueueRef) (dms.Queue, error) {
	s, release, err := b.session(ctx, ref.Project)
	if err != nil {
		return dms.Queue{}, err
	}
	defer release()
	found, state, err := s.readQueue(ctx, ref)
	if err != nil {
		return dms.Queue{}, err
	}
	q, err := s.queue(ctx, ref.Queue)
	if err != nil {
		return dms.Queue{}, err
	}
	r, err := s.freshRecord(ctx, q)
	if err != nil {
		return dms.Queue{}, err
	}
	found.Messages, found.Groups = int64(state.Msgs), len(r.Groups)
	return found, nil
}

// DeleteQueue removes the queue with its messages, groups and dead letters.
func (b *Broker) DeleteQueue(ctx context.Context, ref dms.QueueRef) error {
	s, release, err := b.session(ctx, ref.Project)
	if err != nil {
		return err
	}
	defer release()
	if _, _, err := s.readQueue(ctx, ref); err != nil {
		return err
	}
	err = hold(ctx, func(ctx context.Context) error { return s.js.DeleteStream(ctx, streamName(ref.Queue)) })
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return toError(fmt.Errorf("delete queue %s: %w", ref.Queue, err))
	}
	s.drop(ref.Queue)
	// The queue is gone; what is left of it cannot be reached by anyone, since ids
	// are never used again. Failing to remove it costs space, not correctness.
	err = errors.Join(
		s.ctl.purge(ctx, queueCtlKeys(ref.Queue)...),
		s.purge(ctx, deadStream, deadQueueFilter(ref.Queue)),
		s.purge(ctx, delayStream, "dly."+queueKey(ref.Queue)+".>", "due."+queueKey(ref.Queue)+".>"),
	)
	if err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "remains of a deleted queue stay behind", slog.String("queue", string(ref.Queue)), slog.Any("err", err))
	}
	return nil
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
		m, err := s.calls.ask(ctx, infoPrefix+stream, request)
		if err != nil {
			return err
		}
		info = jetstream.StreamInfo{}
		return reply(m, &info)
	})
	return info, err
}

// queue returns what is remembered of the queue, or reads it. QueueNotFound is only
// answered when the log has just said so.
func (s *session) queue(ctx context.Context, id dms.QueueID) (*queue, error) {
	s.mu.Lock()
	q, ok := s.queues[id]
	s.mu.Unlock()
	if ok {
		return q, nil
	}
	found, _, err := s.readQueue(ctx, dms.QueueRef{Project: s.project, Queue: id})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if q, ok := s.queues[id]; ok {
		return q, nil
	}
	q = &queue{Queue: found}
	s.queues[id] = q
	return q, nil
}

// forget makes the next look at the queue's record read it again.
func (s *session) forget(id dms.QueueID) {
	s.mu.Lock()
	q := s.queues[id]
	s.mu.Unlock()
	if q != nil {
		q.forget()
	}
}

func (q *queue) forget() {
	q.mu.Lock()
	q.record, q.version = nil, q.version+1
	q.mu.Unlock()
}

// drop forgets the queue altogether: it has been deleted.
func (s *session) drop(id dms.QueueID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.queues, id)
	for ref, d := range s.dispatchers {
		if ref.Queue == id {
			delete(s.dispatchers, ref)
			d.end()
		}
	}
	for key, r := range s.readers {
		if key.ref.Queue == id {
			delete(s.readers, key)
			r.wake()
		}
	}
}

// gone is called when the log no longer serves the queue. It tells a queue that was
// deleted, perhaps on another node, from one whose leader is away.
func (s *session) gone(ctx context.Context, id dms.QueueID) error {
	_, err := s.streamInfo(ctx, streamName(id), nil)
	if code(err) == codeNoStream {
		s.drop(id)
	}
	return toError(err)
}

// freshRecord reads the record from its leader.
func (s *session) freshRecord(ctx context.Context, q *queue) (*record, error) {
	q.mu.Lock()
	version := q.version
	q.mu.Unlock()
	r, _, err := s.ctl.record(ctx, q.Ref.Queue)
	if err != nil {
		return nil, toError(err)
	}
	q.mu.Lock()
	if q.version == version {
		q.record = r
	}
	q.mu.Unlock()
	return r, nil
}

// group returns the group's record. What is remembered is believed when it has the
// group, and asked again when it has not.
func (s *session) group(ctx context.Context, q *queue, id dms.GroupID) (groupRecord, error) {
	q.mu.Lock()
	r := q.record
	q.mu.Unlock()
	if r != nil {
		if g := r.group(id); g != nil {
			return *g, nil
		}
	}
	r, err := s.freshRecord(ctx, q)
	if err != nil {
		return groupRecord{}, err
	}
	if g := r.group(id); g != nil {
		return *g, nil
	}
	// The record goes with its queue, so it is asked which of the two is missing.
	if err := s.gone(ctx, q.Ref.Queue); err != nil {
		return groupRecord{}, err
	}
	return groupRecord{}, dms.Errorf(dms.GroupNotFound, "the consumer group does not exist")
}
