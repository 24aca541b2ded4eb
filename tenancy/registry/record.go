package registry

import (
	"encoding/json"
	"fmt"
	"time"

	"dms/tenancy"
)

// record is what the bucket holds about a project, as JSON. Fields that a later version
// adds are passed over here, and must mean nothing to this version.
type record struct {
	Name     string  `json:"name,omitempty"`
	Limits   limits  `json:"limits"`            // as wanted
	Applied  *limits `json:"applied,omitempty"` // as storage has them; nil before there is any
	Layout   int     `json:"layout,omitempty"`  // tenancy.Layout when that was done
	Deleting bool    `json:"deleting,omitempty"`
	// BoundOnly is the switch of tenancy.Project. A version that passes over it admits
	// more than it should, so it is switched on when all nodes know it.
	BoundOnly bool      `json:"bound_only,omitempty"`
	Created   time.Time `json:"created"`
}

// limits is the stored form of tenancy.Limits.
type limits struct {
	Queues         int   `json:"queues"`
	GroupsPerQueue int   `json:"groups_per_queue"`
	StoredBytes    int64 `json:"stored_bytes"`
}

// entry is a record as it is at one revision of its key. A record that was deleted
// leaves an entry without it, so that an older one cannot come back into the mirror.
type entry struct {
	rec      *record
	revision uint64
}

func decode(b []byte) (*record, error) {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("read record: %w", err)
	}
	return &r, nil
}

// usable reports whether the project can be admitted.
func (e entry) usable() bool {
	return e.rec != nil && !e.rec.Deleting && e.rec.Applied != nil
}

// settled reports whether nothing is left to do for the record.
func (e entry) settled() bool {
	return e.rec == nil || e.fits() && e.rec.Layout == tenancy.Layout
}

// fits reports whether storage has the limits that are wanted.
func (e entry) fits() bool { return e.usable() && *e.rec.Applied == e.rec.Limits }

// project is the project as it may be used now.
func (e entry) project(id tenancy.ProjectID) tenancy.Project {
	return tenancy.Project{ID: id, Name: e.rec.Name, Limits: tenancy.Limits(*e.rec.Applied), BoundOnly: e.rec.BoundOnly}
}

// wanted is the project as it is to become.
func (e entry) wanted(id tenancy.ProjectID) tenancy.Project {
	return tenancy.Project{ID: id, Name: e.rec.Name, Limits: tenancy.Limits(e.rec.Limits), BoundOnly: e.rec.BoundOnly}
}

// footprint is the most that the project may hold before and after what is still due.
func (e entry) footprint() int64 {
	if e.rec == nil {
		return 0
	}
	size := tenancy.Limits(e.rec.Limits).Footprint()
	if e.rec.Applied != nil {
		size = max(size, tenancy.Limits(*e.rec.Applied).Footprint())
	}
	return size
}
