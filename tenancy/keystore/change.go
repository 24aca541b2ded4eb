package keystore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"dms/mapping/dms"
	"dms/tenancy"
	"dms/tenancy/accesskey"
	"dms/tenancy/records"
)

// MaxOverlap bounds the time for which a rotation leaves the former secret valid.
const MaxOverlap = 7 * 24 * time.Hour

// changeAttempts bounds how often a change starts again because of another one.
const changeAttempts = 10

// Create makes a key of the project for the caller, and returns its secret, which is told
// this once. The key permits no more than the caller may do; made by a key, it does not
// outlive that one.
func (s *Store) Create(ctx context.Context, p tenancy.Project, by tenancy.Identity, n tenancy.NewAccessKey) (tenancy.AccessKey, accesskey.Secret, error) {
	now := s.now()
	if err := n.Validate(now); err != nil {
		return tenancy.AccessKey{}, "", dms.Errorf(dms.BadManageBody, "%s", err)
	}
	if err := mayGive(by, p.ID, n.KeyScope); err != nil {
		return tenancy.AccessKey{}, "", err
	}
	expires, err := s.boundedEnd(by, n.Expires, now)
	if err != nil {
		return tenancy.AccessKey{}, "", err
	}
	if err := s.room(ctx, p.ID, tenancy.MaxAccessKeys-1); err != nil {
		return tenancy.AccessKey{}, "", err
	}
	id, secret := random(idLetters, idLength), accesskey.Secret(random(secretLetters, secretLength))
	rec := record{
		Project: p.ID, ProjectName: p.Name, Description: n.Description,
		Created: now, CreatedBy: by.Subject, Expires: expires, Secret: s.boxes.Append(nil, []byte(secret), bound(p.ID, id, 0)),
	}
	rec.setScope(n.KeyScope)
	e, err := s.save(ctx, id, 0, rec)
	if err != nil {
		return tenancy.AccessKey{}, "", explain(fmt.Errorf("create access key: %w", err))
	}
	// Two nodes may have made the last one at the same time: then both see it here.
	if err := s.room(ctx, p.ID, tenancy.MaxAccessKeys); err != nil {
		if undo := s.remove(ctx, id, e.revision); undo != nil {
			return tenancy.AccessKey{}, "", explain(errors.Join(err, undo))
		}
		return tenancy.AccessKey{}, "", err
	}
	return e.describe(id, time.Time{}), secret, nil
}

// room refuses when the project has more keys than most.
func (s *Store) room(ctx context.Context, project tenancy.ProjectID, most int) error {
	if err := s.scan(ctx); err != nil {
		return explain(fmt.Errorf("count access keys: %w", err))
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := 0
	for _, e := range s.mirror.keys {
		if e.rec != nil && e.rec.Project == project {
			n++
		}
	}
	if n > most {
		return &dms.Error{Code: dms.TooManyAccessKeys}
	}
	return nil
}

// Change changes a key. The caller must be permitted everything that the key permits,
// before and after.
func (s *Store) Change(ctx context.Context, project tenancy.ProjectID, id string, by tenancy.Identity, c tenancy.KeyChange) (tenancy.AccessKey, error) {
	now := s.now()
	e, err := s.change(ctx, project, id, by, func(rec *record) error {
		if c.Description != nil {
			if err := tenancy.ValidateKeyDescription(*c.Description); err != nil {
				return dms.Errorf(dms.BadManageBody, "%s", err)
			}
			rec.Description = *c.Description
		}
		if c.Scope != nil {
			if err := c.Scope.Validate(); err != nil {
				return dms.Errorf(dms.BadManageBody, "%s", err)
			}
			if err := mayGive(by, project, *c.Scope); err != nil {
				return err
			}
			rec.setScope(*c.Scope)
		}
		if c.Expires != nil {
			if !c.Expires.IsZero() && !c.Expires.After(now) {
				return dms.Errorf(dms.BadManageBody, "the key would have expired already: delete it instead")
			}
			var err error
			if rec.Expires, err = s.boundedEnd(by, *c.Expires, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return tenancy.AccessKey{}, err
	}
	return e.describe(id, s.lastUsed(id)), nil
}

// Rotate gives a key a new secret and returns it, this once. The one before stays valid
// for the overlap, but not beyond the end of the key; with it ends what was obtained with
// it. A secret that was still valid from the last rotation ends now.
func (s *Store) Rotate(ctx context.Context, project tenancy.ProjectID, id string, by tenancy.Identity, overlap time.Duration) (tenancy.AccessKey, accesskey.Secret, error) {
	if overlap < 0 || overlap > MaxOverlap {
		return tenancy.AccessKey{}, "", dms.Errorf(dms.BadManageBody, "the overlap must be 0 to %d seconds", int(MaxOverlap/time.Second))
	}
	now := s.now()
	secret := accesskey.Secret(random(secretLetters, secretLength))
	e, err := s.change(ctx, project, id, by, func(rec *record) error {
		rec.Former, rec.FormerUntil = nil, time.Time{}
		if overlap > 0 {
			rec.Former, rec.FormerUntil = rec.Secret, now.Add(overlap)
		}
		rec.Generation++
		rec.Rotated = now
		rec.Secret = s.boxes.Append(nil, []byte(secret), bound(project, id, rec.Generation))
		return nil
	})
	if err != nil {
		return tenancy.AccessKey{}, "", err
	}
	return e.describe(id, s.lastUsed(id)), secret, nil
}

// Delete removes a key. Every node refuses it, and the tokens it was exchanged for,
// within seconds.
func (s *Store) Delete(ctx context.Context, project tenancy.ProjectID, id string) error {
	for range changeAttempts {
		e, err := s.find(ctx, project, id)
		if err != nil {
			return err
		}
		if err = s.remove(ctx, id, e.revision); err == nil {
			return nil
		}
		if !errors.Is(err, records.ErrConflict) {
			return explain(fmt.Errorf("delete access key: %w", err))
		}
	}
	return explain(records.ErrConflict)
}

// DeleteAll removes all keys of a project that is being deleted. It may be called again.
func (s *Store) DeleteAll(ctx context.Context, project tenancy.ProjectID) error {
	if err := s.scan(ctx); err != nil {
		return explain(fmt.Errorf("delete access keys: %w", err))
	}
	s.mu.RLock()
	var ids []string
	for id, e := range s.mirror.keys {
		if e.rec != nil && e.rec.Project == project {
			ids = append(ids, id)
		}
	}
	s.mu.RUnlock()
	for _, id := range ids {
		err := s.Delete(ctx, project, id)
		if err != nil && !errors.Is(err, &dms.Error{Code: dms.AccessKeyNotFound}) {
			return err
		}
	}
	return nil
}

// change reads, changes and writes a record until nobody else was faster.
func (s *Store) change(ctx context.Context, project tenancy.ProjectID, id string, by tenancy.Identity, edit func(*record) error) (entry, error) {
	for range changeAttempts {
		e, err := s.find(ctx, project, id)
		if err != nil {
			return entry{}, err
		}
		if e.unusable != nil {
			return entry{}, dms.Errorf(dms.BadManageBody, "the key is damaged: delete it")
		}
		if err := mayGive(by, project, e.scope); err != nil {
			return entry{}, err
		}
		rec := *e.rec
		if err := edit(&rec); err != nil {
			return entry{}, err
		}
		if e, err = s.save(ctx, id, e.revision, rec); err == nil {
			return e, nil
		}
		if !errors.Is(err, records.ErrConflict) {
			return entry{}, explain(fmt.Errorf("change access key: %w", err))
		}
		// The write in the way may be agreed on but not readable yet.
		select {
		case <-ctx.Done():
			return entry{}, explain(context.Cause(ctx))
		case <-time.After(rereadEvery):
		}
	}
	return entry{}, explain(records.ErrConflict)
}

// find reads a key of the project from the leader. One of another project does not
// exist.
func (s *Store) find(ctx context.Context, project tenancy.ProjectID, id string) (entry, error) {
	if k, ok := s.configured.AccessKey(id); ok && k.Project == project {
		return entry{}, &dms.Error{Code: dms.AccessKeyFixed}
	}
	if len(id) != idLength {
		return entry{}, &dms.Error{Code: dms.AccessKeyNotFound}
	}
	for i := range len(id) {
		if c := id[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return entry{}, &dms.Error{Code: dms.AccessKeyNotFound}
		}
	}
	i, err := s.bucket.Read(ctx, kindKey+id)
	if err != nil {
		return entry{}, explain(err)
	}
	e := entryOf(s.boxes, id, i)
	if e.rec == nil || e.rec.Project != project {
		return entry{}, &dms.Error{Code: dms.AccessKeyNotFound}
	}
	return e, nil
}

// save writes a record and notes it, so that this node knows it at once.
func (s *Store) save(ctx context.Context, id string, at uint64, rec record) (entry, error) {
	data, err := json.Marshal(rec)
	if err != nil {
		return entry{}, err
	}
	i, err := s.bucket.Write(ctx, kindKey+id, data, at, 0)
	if err != nil {
		return entry{}, err
	}
	s.learn(i)
	return entryOf(s.boxes, id, i), nil
}

func (s *Store) remove(ctx context.Context, id string, at uint64) error {
	i, err := s.bucket.Write(ctx, kindKey+id, nil, at, markLife)
	if err != nil {
		return err
	}
	s.learn(i)
	return nil
}

// learn notes what this node has written itself. A scan that starts over meanwhile
// finds it in the bucket.
func (s *Store) learn(i records.Item) {
	s.mu.RLock()
	m := s.mirror
	s.mu.RUnlock()
	s.note(m, i)
}

func (s *Store) now() time.Time { return s.opts.Now().UTC().Truncate(time.Second) }

// mayGive refuses to give what the caller does not have.
func mayGive(by tenancy.Identity, project tenancy.ProjectID, scope tenancy.KeyScope) error {
	if scope.Within(by, project) {
		return nil
	}
	return dms.Errorf(dms.AccessDenied, "an access key cannot permit more than the caller's own roles do")
}

// boundedEnd is the end of a key that the caller wants to end at the given time, or not
// at all. Without a wish it is as late as it may be.
func (s *Store) boundedEnd(by tenancy.Identity, wanted, now time.Time) (time.Time, error) {
	var latest time.Time
	if s.opts.MaxLife > 0 {
		latest = now.Add(s.opts.MaxLife)
	}
	if by.KeyID != "" {
		k, ok := s.AccessKey(by.KeyID)
		if !ok {
			return time.Time{}, dms.Wrap(dms.AccessDenied, errors.New("the key that asks is gone"))
		}
		until, ok := k.Until(by.KeyGeneration, now)
		if !ok {
			return time.Time{}, dms.Wrap(dms.AccessDenied, errors.New("the key that asks has ended"))
		}
		if !until.IsZero() && (latest.IsZero() || until.Before(latest)) {
			latest = until
		}
	}
	switch {
	case latest.IsZero():
		return wanted, nil
	case wanted.IsZero():
		return latest, nil
	case wanted.After(latest):
		return time.Time{}, dms.Errorf(dms.BadManageBody, "the key must end by %s", latest.Format(time.RFC3339))
	}
	return wanted, nil
}
