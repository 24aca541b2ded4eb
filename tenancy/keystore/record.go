package keystore

import (
	"encoding/json"
	"fmt"
	"time"

	"dms/tenancy"
	"dms/tenancy/accesskey"
	"dms/tenancy/records"
	"dms/tenancy/seal"
)

// record is what the bucket holds of an access key, as JSON. Fields that a later version
// adds are passed over here, and must mean nothing to this version.
type record struct {
	Project     tenancy.ProjectID   `json:"project"`
	ProjectName string              `json:"project_name,omitempty"`
	Description string              `json:"description,omitempty"`
	Roles       []tenancy.Role      `json:"roles,omitempty"`
	Queues      map[string][]string `json:"queues,omitempty"`
	Created     time.Time           `json:"created"`
	CreatedBy   string              `json:"created_by"`
	Expires     time.Time           `json:"expires,omitzero"`
	Secret      []byte              `json:"secret"` // sealed
	Generation  int                 `json:"generation,omitempty"`
	Rotated     time.Time           `json:"rotated,omitzero"`
	Former      []byte              `json:"former,omitempty"` // sealed, as of the generation before
	FormerUntil time.Time           `json:"former_until,omitzero"`
}

// entry is a record as it is at one revision. A record that was deleted leaves an entry
// without it, so that an older one cannot come back into the mirror.
type entry struct {
	rec      *record
	scope    tenancy.KeyScope
	key      accesskey.Key
	unusable error // why the key cannot be used
	revision uint64
	written  time.Time
}

// setScope stores the scope by name, so that numbers can change their meaning.
func (r *record) setScope(s tenancy.KeyScope) {
	r.Roles, r.Queues = s.Roles, nil
	if len(s.Queues) > 0 {
		r.Queues = make(map[string][]string, len(s.Queues))
	}
	for queue, permissions := range s.Queues {
		for _, p := range permissions {
			r.Queues[queue] = append(r.Queues[queue], p.String())
		}
	}
}

func (r *record) scope() (tenancy.KeyScope, error) {
	s := tenancy.KeyScope{Roles: r.Roles}
	if len(r.Queues) > 0 {
		s.Queues = make(map[string][]tenancy.Permission, len(r.Queues))
	}
	for queue, names := range r.Queues {
		for _, name := range names {
			p, err := tenancy.ParseQueuePermission(name)
			if err != nil {
				return tenancy.KeyScope{}, err
			}
			s.Queues[queue] = append(s.Queues[queue], p)
		}
	}
	return s, s.Validate()
}

// entryOf reads a record. One that is damaged, or sealed with a key that is gone, is
// kept: it can be seen and deleted, but opens nothing.
func entryOf(boxes *seal.Sealer, id string, i records.Item) entry {
	e := entry{revision: i.Revision, written: i.Written}
	if i.Data == nil {
		return e
	}
	var rec record
	if err := json.Unmarshal(i.Data, &rec); err != nil {
		e.unusable = fmt.Errorf("read record: %w", err)
		return e
	}
	e.rec = &rec
	e.scope, e.unusable = rec.scope()
	if e.unusable != nil {
		return e
	}
	e.key = accesskey.Key{
		ID: id, Project: rec.Project, ProjectName: rec.ProjectName, Roles: e.scope.Roles, Queues: e.scope.Queues,
		Expires: rec.Expires, Generation: rec.Generation,
	}
	if e.key.Secret, e.unusable = openSecret(boxes, rec.Secret, bound(rec.Project, id, rec.Generation)); e.unusable != nil {
		return e
	}
	if rec.Former != nil {
		e.key.Former, e.unusable = openSecret(boxes, rec.Former, bound(rec.Project, id, rec.Generation-1))
		e.key.FormerUntil = rec.FormerUntil
	}
	if e.unusable == nil {
		e.unusable = e.key.Validate()
	}
	return e
}

// describe is what may be shown of the key.
func (e entry) describe(id string, used time.Time) tenancy.AccessKey {
	k := tenancy.AccessKey{
		ID: id, Project: e.rec.Project, Description: e.rec.Description, KeyScope: e.scope,
		Created: e.rec.Created, CreatedBy: e.rec.CreatedBy, Expires: e.rec.Expires, LastUsed: used, Rotated: e.rec.Rotated,
	}
	if e.rec.Former != nil {
		k.OverlapEnd = e.rec.FormerUntil
	}
	return k
}
