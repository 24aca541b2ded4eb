package mapping

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"dms/mapping/dms"

	"github.com/nats-io/nats.go/jetstream"
)

// CreateGroups adds groups to the queue, all or none. A group costs one write; its
// consumer or cursor is made when it first consumes.
func (b *Broker) CreateGroups(ctx context.Context, ref dms.QueueRef, names []string) ([]dms.Group, error) {
	wanted := make([]dms.NewGroup, len(names))
	for i, name := range names {
		wanted[i].Name = name
	}
	return b.CreateGroupsAt(ctx, ref, wanted)
}

// CreateGroupsAt is CreateGroups with positions to begin at.
func (b *Broker) CreateGroupsAt(ctx context.Context, ref dms.QueueRef, wanted []dms.NewGroup) ([]dms.Group, error) {
	for _, w := range wanted {
		if err := dms.ValidateGroupName(w.Name); err != nil {
			return nil, err
		}
		if w.Position != nil {
			if err := w.Position.Validate(); err != nil {
				return nil, err
			}
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
	made := make([]groupRecord, len(wanted))
	groups := make([]dms.Group, len(wanted))
	for i, w := range wanted {
		made[i] = newGroupRecord(w.Name, now)
		if w.Position != nil {
			if made[i].Start, err = s.placeOf(ctx, q, *w.Position); err != nil {
				return nil, toError(err)
			}
		}
		groups[i] = dms.Group{Ref: dms.GroupRef{QueueRef: ref, Group: made[i].ID}, Name: w.Name}
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
	r.Attributes.apply(&found)
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
			err := s.deleteReadings(ctx, ref, "")
			if errors.Is(err, jetstream.ErrStreamNotFound) {
				return nil
			}
			return err
		}),
		s.purge(ctx, deadStream, deadFilter(ref), againFilter(ref)),
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
	for _, kind := range []dms.Kind{dms.Live, dms.Dead, dms.Again} {
		key := readerKey{ref: ref, kind: kind}
		if r, ok := s.readers[key]; ok {
			delete(s.readers, key)
			r.wake()
		}
	}
}

// consumer makes the group's durable consumer as its record says, if it is not there.
func (s *session) consumer(ctx context.Context, at reading, g groupRecord) error {
	config := groupConsumer(at, g.Start, g.Labels, g.Match)
	err := hold(ctx, func(ctx context.Context) error {
		if at.gen > 0 {
			// A move that was cut short may have left the consumer of an earlier reading.
			if err := s.deleteReadings(ctx, at.GroupRef, config.Durable); err != nil {
				return err
			}
		}
		_, err := s.js.CreateConsumer(ctx, streamName(at.Queue), config)
		return err
	})
	if errors.Is(err, jetstream.ErrConsumerExists) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("consumer of group %s: %w", at.Group, err)
	}
	return nil
}

// deleteReadings deletes the group's consumers but the named one.
func (s *session) deleteReadings(ctx context.Context, ref dms.GroupRef, keep string) error {
	stream, err := s.js.Stream(ctx, streamName(ref.Queue))
	if err != nil {
		return err
	}
	names := stream.ConsumerNames(ctx)
	var old []string
	for name := range names.Name() {
		own := name == consumerPrefix(ref.Group) || strings.HasPrefix(name, consumerPrefix(ref.Group)+"_")
		if own && name != keep {
			old = append(old, name)
		}
	}
	if err := names.Err(); err != nil {
		return err
	}
	for _, name := range old {
		err := s.js.DeleteConsumer(ctx, streamName(ref.Queue), name)
		if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return err
		}
	}
	return nil
}

// claim fixes the labels the group reads with, which its first consume does.
func (s *session) claim(ctx context.Context, q *queue, id dms.GroupID, labels []string, match dms.Match) (groupRecord, error) {
	g, err := s.group(ctx, q, id)
	if err != nil {
		return groupRecord{}, err
	}
	if g.Used {
		return g, g.checkLabels(labels, match)
	}
	r, err := s.change(ctx, q, func(r *record) error { return r.lockLabels(id, labels, match) })
	if err != nil {
		return groupRecord{}, err
	}
	return *r.group(id), nil
}
