package mapping

import (
	"context"
	"slices"
	"strings"

	"dms/mapping/dms"
	"dms/tenancy"
)

// QueueTags returns the queue's resource tags in the order they were first set.
func (b *Broker) QueueTags(ctx context.Context, ref dms.QueueRef) ([]dms.Tag, error) {
	s, release, err := b.session(ctx, ref.Project)
	if err != nil {
		return nil, err
	}
	defer release()
	q, err := s.present(ctx, ref)
	if err != nil {
		return nil, err
	}
	r, err := s.freshRecord(ctx, q)
	if err != nil {
		return nil, err
	}
	return r.tags(), nil
}

// PutTags adds tags, replacing the values of keys the queue has. All or none.
func (b *Broker) PutTags(ctx context.Context, ref dms.QueueRef, tags []dms.Tag) error {
	for _, t := range tags {
		if err := t.Validate(); err != nil {
			return err
		}
	}
	return b.changeRecord(ctx, ref, func(r *record) error { return r.putTags(tags) })
}

// RemoveTags takes tags away and returns how many of them the queue had.
func (b *Broker) RemoveTags(ctx context.Context, ref dms.QueueRef, tags []dms.TagRemoval) (removed int, err error) {
	err = b.changeRecord(ctx, ref, func(r *record) error {
		removed = r.removeTags(tags)
		return nil
	})
	return removed, err
}

func (b *Broker) changeRecord(ctx context.Context, ref dms.QueueRef, f func(*record) error) error {
	s, release, err := b.session(ctx, ref.Project)
	if err != nil {
		return err
	}
	defer release()
	q, err := s.present(ctx, ref)
	if err != nil {
		return err
	}
	_, err = s.change(ctx, q, f)
	return err
}

// change changes the queue's record, and forgets what was remembered of it.
func (s *session) change(ctx context.Context, q *queue, f func(*record) error) (*record, error) {
	r, err := s.ctl.change(ctx, q.Ref.Queue, f)
	if has(err, dms.GroupNotFound) {
		// What was remembered had the group. It is gone, perhaps with its queue.
		q.forget()
		if err := s.gone(ctx, q.Ref.Queue); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, toError(err)
	}
	q.forget()
	return r, nil
}

// present returns the queue after asking the log whether it still exists.
func (s *session) present(ctx context.Context, ref dms.QueueRef) (*queue, error) {
	if err := s.gone(ctx, ref.Queue); err != nil {
		return nil, err
	}
	return s.queue(ctx, ref.Queue)
}

// ProjectTags returns all tag keys of the project's queues with their values, sorted.
func (b *Broker) ProjectTags(ctx context.Context, project tenancy.ProjectID) ([]dms.TagValues, error) {
	found, err := b.FindQueues(ctx, project, dms.TagQuery{})
	if err != nil {
		return nil, err
	}
	values := make(map[string][]string)
	for _, q := range found {
		for _, t := range q.Tags {
			values[t.Key] = append(values[t.Key], t.Value)
		}
	}
	all := make([]dms.TagValues, 0, len(values))
	for key, v := range values {
		slices.Sort(v)
		all = append(all, dms.TagValues{Key: key, Values: slices.Compact(v)})
	}
	slices.SortFunc(all, func(a, b dms.TagValues) int { return strings.Compare(a.Key, b.Key) })
	return all, nil
}

// FindQueues returns the queues that the query selects, newest first.
func (b *Broker) FindQueues(ctx context.Context, project tenancy.ProjectID, query dms.TagQuery) ([]dms.TaggedQueue, error) {
	if err := query.Validate(); err != nil {
		return nil, err
	}
	s, release, err := b.session(ctx, project)
	if err != nil {
		return nil, err
	}
	defer release()
	queues, err := s.listQueues(ctx)
	if err != nil {
		return nil, err
	}
	var found []dms.TaggedQueue
	for _, q := range queues {
		r, _, err := s.ctl.record(ctx, q.Ref.Queue)
		if err != nil {
			return nil, toError(err)
		}
		if tags := r.tags(); query.Matches(q.Name, tags) {
			found = append(found, dms.TaggedQueue{Queue: q.Ref.Queue, Name: q.Name, Tags: tags})
		}
	}
	return found, nil
}
