package watch

import (
	"context"
	"errors"
	"time"

	"dms/mapping/dms"
	"dms/monitor/sample"
	"dms/tenancy"
)

// ErrConflict is what Records answer when a record is not at the expected revision.
var ErrConflict = errors.New("the record was changed by somebody else")

// Record is one record with its key.
type Record struct {
	Key      string
	Value    []byte
	Revision uint64 // 0: there is none
}

// Records are changed by compare-and-set and read from where they were last written.
type Records interface {
	Get(ctx context.Context, key string) (Record, error)
	// Put replaces the record at the revision, 0 for a new one, or answers ErrConflict.
	Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	Delete(ctx context.Context, key string) error
	// List returns the records whose keys match and that changed at the revision or later.
	List(ctx context.Context, pattern string, from uint64) ([]Record, error)
}

// Journal is an append-only store of what happened to alarms.
type Journal interface {
	Append(ctx context.Context, key, id string, value []byte) error
	Read(ctx context.Context, key string, from time.Time, f func(at time.Time, value []byte) error) error
	Forget(ctx context.Context, key string) error
}

// Project is what was collected of one project.
type Project struct {
	tenancy.Project
	Queues []dms.QueueFigures
	Used   int64 // bytes stored
	Err    error // nothing is known of it this time
}

// Collected is what all nodes say at one moment.
type Collected struct {
	At       time.Time
	Projects []Project
	Runs     map[string][]sample.Counted // by a run of a node
	Missing  int                         // nodes that did not answer
}

// Collector asks all nodes.
type Collector interface {
	Collect(context.Context) (Collected, error)
}
