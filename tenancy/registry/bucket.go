package registry

import (
	"context"
	"encoding/json"
	"fmt"

	"dms/tenancy"
	"dms/tenancy/records"
)

// bucket is where the records of all projects are, by project.
func bucket() records.Config {
	return records.Config{Name: "projects", Description: "projects of the service"}
}

func entryOf(i records.Item) (e entry, err error) {
	e.revision = i.Revision
	if i.Data != nil {
		e.rec, err = decode(i.Data)
	}
	return e, err
}

// read and write are the bucket's, noted in the mirror.
func (r *Registry) read(ctx context.Context, id tenancy.ProjectID) (entry, error) {
	i, err := r.bucket.Read(ctx, string(id))
	if err != nil {
		return entry{}, err
	}
	e, err := entryOf(i)
	if err == nil && e.revision > 0 {
		r.note(id, e)
	}
	return e, err
}

// write puts the record in place of the one at the revision; 0 means that there must be
// none and never was.
func (r *Registry) write(ctx context.Context, id tenancy.ProjectID, at uint64, rec record) (entry, error) {
	data, err := json.Marshal(rec)
	if err != nil {
		return entry{}, fmt.Errorf("write record: %w", err)
	}
	i, err := r.bucket.Write(ctx, string(id), data, at, 0)
	if err != nil {
		return entry{}, err
	}
	e := entry{rec: &rec, revision: i.Revision}
	r.note(id, e)
	return e, nil
}

// forget removes the record at the revision, here and in the bucket.
func (r *Registry) forget(ctx context.Context, id tenancy.ProjectID, at uint64) error {
	i, err := r.bucket.Write(ctx, string(id), nil, at, 0)
	if err == nil {
		r.note(id, entry{revision: i.Revision})
	}
	return err
}
