package sample

import (
	"time"

	"dms/mapping/dms"
	"dms/tenancy"
)

// Key is what a row is about: a queue, or one of its groups.
type Key struct {
	Queue dms.QueueID
	Group dms.GroupID // "" for the queue itself
}

// Level is the level of the metrics in a row with this key.
func (k Key) Level() Level {
	if k.Group == "" {
		return Queue
	}
	return Group
}

// Row is the figures of one queue or group, in the order of Metrics.
type Row struct {
	Key
	QueueName string // for people; a row that was stored has none
	GroupName string
	Values    []int64
}

// Value returns the figure at the place, and false if it is not known. Rows that were
// stored by an earlier version may be shorter than Metrics.
func (r Row) Value(place int) (int64, bool) {
	if place >= len(r.Values) || r.Values[place] == Missing {
		return 0, false
	}
	return r.Values[place], true
}

// Frame is a project at one moment.
type Frame struct {
	Project tenancy.ProjectID
	At      time.Time
	Rows    []Row
	// Partial are the queues of which not every group could be asked. What is missing
	// from any other queue does not exist.
	Partial map[dms.QueueID]bool
}
