package dms

import "time"

// Limits of redriving dead letters.
const (
	MaxChosen      = 1000   // dead letters chosen one by one
	MaxRate        = 10_000 // messages in a second
	MaxRunningJobs = 5      // of one project
	MaxJobs        = 100    // kept of one project, finished ones for a week
)

// JobID identifies a job of a project: a random UUID in its lower-case form.
type JobID string

// ParseJobID refuses everything but the canonical form, as an unknown job.
func ParseJobID(s string) (JobID, error) {
	if !canonicalUUID(s) {
		return "", Errorf(JobNotFound, "the project has no job with this ID")
	}
	return JobID(s), nil
}

// Target is where dead letters go.
type Target string

const (
	ToGroup Target = "group" // back to the group they died in, and to no other
	ToQueue Target = "queue" // into their queue like new messages: every group gets them
	ToOther Target = "other" // into another queue of the project
)

// Redrive is one request to give dead letters of a group another chance.
type Redrive struct {
	Target Target
	Other  QueueID // for ToOther
	// Sequences chooses dead letters by the places that a peek told; empty takes all that
	// the search wants.
	Sequences []uint64
	Search    Search
	Rate      int  // messages in a second at most; 0 means no limit
	Stop      bool // at the first message that cannot be moved
	DryRun    bool // only count
}

// Validate checks everything that needs no look-up.
func (r Redrive) Validate() error {
	switch r.Target {
	case ToGroup, ToQueue:
		if r.Other != "" {
			return Errorf(BadManageBody, "queue_id is for the target other")
		}
	case ToOther:
		if r.Other == "" {
			return Errorf(BadManageBody, "queue_id must be given for the target other")
		}
	default:
		return Errorf(BadManageBody, "target must be group, queue or other")
	}
	if len(r.Sequences) > MaxChosen {
		return Errorf(BadManageBody, "sequences must have at most %d elements", MaxChosen)
	}
	if r.Rate < 0 || r.Rate > MaxRate {
		return Errorf(BadManageBody, "rate must be 0 to %d messages per second", MaxRate)
	}
	return r.Search.Validate()
}

// JobState is how far a job is.
type JobState string

const (
	JobRunning   JobState = "running"
	JobDone      JobState = "done"
	JobCancelled JobState = "cancelled"
	JobFailed    JobState = "failed" // it stopped at a failure
)

// Job is a redrive on its way, or one that has ended. A job goes on when the node that
// works on it dies.
type Job struct {
	ID      JobID
	State   JobState
	Group   GroupRef
	Request Redrive
	Total   int64  // dead letters there were to look at when it began
	Moved   int64  // given another chance
	Skipped int64  // not wanted, or in the hands of a consumer of dead letters
	Failed  int64  // could not be moved, and are still dead letters
	Problem string // why the latest one could not be moved
	Created time.Time
	Updated time.Time
}
