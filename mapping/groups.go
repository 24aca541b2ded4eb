package mapping

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"dms/mapping/dms"

	"github.com/nats-io/nats.go/jetstream"
)

// CreateGroups adds groups to the queue, all or none. A group costs one write; its
// consumer or cursor is made when it first consumes.
func (b *Broker) CreateGroups(ctx context.Context, ref dms.QueueRef, names []string) ([]dms.Group, error) {
	for _, name := range names {
		if err := dms.ValidateGroupName(name); err != nil {
			return nil, err
		}
	}
	s, release, err := b.session(ctx, ref.Project)
	if err != nil {
		return nil, err
	}
	defer release()
	project, err := b.tenants.Project(ctx, ref.Project)
	if err != nil {
		return nil, toError(err)
	}
	q, err := s.present(ctx, ref)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	made := make([]groupRecord, len(names))
	groups := make([]dms.Group, len(names))
	for i, name := range names {
		made[i] = newGroupRecord(name, now)
		groups[i] = dms.Group{Ref: dms.GroupRef{QueueRef: ref, Group: made[i].ID}, Name: name}
	}
	_, err = s.change(ctx, q, func(r *record) error { return r.addGroups(made, project.Limits.GroupsPerQueue) })
	if err != nil {
		return nil, err
	}
	return groups, nil
}

// Groups lists the queue's groups in the order they were made.
func (b *Broker) Groups(ctx context.Context, ref dms.QueueRef, view dms.GroupView) (dms.Queue, []dms.Group, error) {
	s, release, err := b.session(ctx, ref.Project)
	if err != nil {
		return dms.Queue{}, nil, err
	}
	defer release()
	found, state, err := s.readQueue(ctx, ref)
	if err != nil {
		return dms.Queue{}, nil, err
	}
	q, err := s.queue(ctx, ref.Queue)
	if err != nil {
		return dms.Queue{}, nil, err
	}
	r, err := s.freshRecord(ctx, q)
	if err != nil {
		return dms.Queue{}, nil, err
	}
	found.Messages, found.Groups = int64(state.Msgs), len(r.Groups)
	groups := make([]dms.Group, len(r.Groups))
	for i, g := range r.Groups {
		groups[i] = dms.Group{Ref: dms.GroupRef{QueueRef: ref, Group: g.ID}, Name: g.Name}
		if groups[i].Counters, err = s.counters(ctx, q, g, state, view); err != nil {
			return dms.Queue{}, nil, err
		}
	}
	return found, groups, nil
}

// DeleteGroup removes the group and its dead letters. The queue's messages stay.
func (b *Broker) DeleteGroup(ctx context.Context, ref dms.GroupRef) error {
	s, release, err := b.session(ctx, ref.Project)
	if err != nil {
		return err
	}
	defer release()
	q, err := s.present(ctx, ref.QueueRef)
	if err != nil {
		return err
	}
	if _, err := s.change(ctx, q, func(r *record) error { return r.removeGroup(ref.Group) }); err != nil {
		return err
	}
	s.dropGroup(ref)
	// The group is gone from the record, which is the truth. What remains cannot be
	// reached, because its id is never used again.
	err = errors.Join(
		hold(ctx, func(ctx context.Context) error {
			err := s.js.DeleteConsumer(ctx, streamName(ref.Queue), consumerName(ref.Group))
			if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
				return nil
			}
			return err
		}),
		s.purge(ctx, deadStream, deadFilter(ref)),
		s.ctl.purge(ctx, groupCtlKeys(ref)...),
	)
	if err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "remains of a deleted group stay behind", slog.String("group", string(ref.Group)), slog.Any("err", err))
	}
	return nil
}

// dropGroup ends the polls of a deleted group.
func (s *session) dropGroup(ref dms.GroupRef) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d, ok := s.dispatchers[ref]; ok {
		delete(s.dispatchers, ref)
		d.end(true)
	}
	for _, kind := range []dms.Kind{dms.Live, dms.Dead} {
		key := readerKey{ref: ref, kind: kind}
		if r, ok := s.readers[key]; ok {
			delete(s.readers, key)
			r.wake()
		}
	}
}

// consumer makes the group's durable consumer as its record says, if it is not there.
func (s *session) consumer(ctx context.Context, ref dms.GroupRef, g groupRecord) error {
	config := groupConsumer(ref, g.Labels, g.Match)
	err := hold(ctx, func(ctx context.Context) error {
		_, err := s.js.CreateConsumer(ctx, streamName(ref.Queue), config)
		return err
	})
	if errors.Is(err, jetstream.ErrConsumerExists) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("consumer of group %s: %w", ref.Group, err)
	}
	return nil
}

// claim fixes the labels the group reads with, which its first consume does.
func (s *session) claim(ctx context.Context, q *queue, id dms.GroupID, labels []string, match dms.Match) error {
	g, err := s.group(ctx, q, id)
	if err != nil {
		return err
	}
	if g.Used {
		return g.checkLabels(labels, match)
	}
	_, err = s.change(ctx, q, func(r *record) error { return r.lockLabels(id, labels, match) })
	return err
}
