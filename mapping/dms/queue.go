package dms

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Mode is a queue's ordering.
type Mode string

const (
	Normal Mode = "NORMAL" // best-effort order, parallel consumers inside a group
	FIFO   Mode = "FIFO"   // strict order, one batch outstanding per group
)

// Published limits of queues.
const (
	Retention      = 72 * time.Hour // how long a message is kept, counted from its visibility
	MinRetention   = time.Hour      // the least and the most that a queue can be changed to
	MaxRetention   = 14 * 24 * time.Hour
	MaxMessageSize = 524288 // bytes of one send and of one delivered batch
	maxNameLen     = 64
	maxGroupName   = 32
	maxDescription = 160
	maxConsume     = 100
)

// NewQueue is what a tenant chooses when it creates a queue. Name and mode are immutable.
type NewQueue struct {
	Name        string
	Description *string // nil when never given, which callers can tell from ""
	Mode        Mode
	// MaxConsumeCount is how often a group may fail a message before it becomes a
	// dead letter, 1 to 100; 0 means that the queue has no dead letters.
	MaxConsumeCount int
}

// DeadLetters reports whether messages are given up after MaxConsumeCount failures.
func (q NewQueue) DeadLetters() bool { return q.MaxConsumeCount > 0 }

// Validate checks every rule that needs no look-up.
func (q NewQueue) Validate() error {
	if n := len(q.Name); n < 1 || n > maxNameLen {
		return Errorf(BadQueueName, "the queue name must have 1 to 64 characters")
	}
	if !plainName(q.Name) {
		return Errorf(BadNameChars, "the name may hold only letters, digits, hyphens and underscores")
	}
	if q.Mode != Normal && q.Mode != FIFO {
		return Errorf(BadManageBody, "queue_mode must be NORMAL or FIFO")
	}
	if err := validateDescription(q.Description); err != nil {
		return err
	}
	if q.MaxConsumeCount < 0 || q.MaxConsumeCount > maxConsume {
		return Errorf(BadMaxConsume, "max_consume_count must be 1 to 100")
	}
	return nil
}

func validateDescription(d *string) error {
	if d == nil {
		return nil
	}
	if utf8.RuneCountInString(*d) > maxDescription {
		return Errorf(BadDescription, "the description must have at most 160 characters")
	}
	if strings.ContainsAny(*d, "<>") {
		return Errorf(BadDescChars, "the description must not contain < or >")
	}
	return nil
}

// QueueChange is what to change about a queue; nil leaves a thing as it is.
type QueueChange struct {
	Description     *string
	MaxConsumeCount *int           // 0 to 100; 0 means no dead letters from now on
	Retention       *time.Duration // whole hours, MinRetention to MaxRetention
}

// Validate checks every rule that needs no look-up.
func (c QueueChange) Validate() error {
	if c.Description == nil && c.MaxConsumeCount == nil && c.Retention == nil {
		return Errorf(BadManageBody, "the request changes nothing: give description, redrive_policy, max_consume_count or retention_hours")
	}
	if err := validateDescription(c.Description); err != nil {
		return err
	}
	if n := c.MaxConsumeCount; n != nil && (*n < 0 || *n > maxConsume) {
		return Errorf(BadMaxConsume, "max_consume_count must be 1 to 100")
	}
	if r := c.Retention; r != nil && (*r < MinRetention || *r > MaxRetention || *r%time.Hour != 0) {
		return Errorf(BadRetention, "retention_hours must be a whole number from %d to %d", MinRetention/time.Hour, MaxRetention/time.Hour)
	}
	return nil
}

// Purge is one request to throw messages away.
type Purge struct {
	Source Source  // InQueue, InBacklog, InDead or InDelay
	Group  GroupID // needed for InBacklog; for InDead "" means all groups
	DryRun bool    // only say how much it would be
}

// Validate checks everything that needs no look-up.
func (p Purge) Validate() error {
	switch p.Source {
	case InQueue, InDelay:
		if p.Group != "" {
			return Errorf(BadManageBody, "group_id cannot be given for the source %s", p.Source)
		}
	case InBacklog:
		if p.Group == "" {
			return Errorf(BadManageBody, "group_id must be given for the source %s", p.Source)
		}
	case InDead:
	default:
		return Errorf(BadManageBody, "source must be queue, backlog, dead_letters or delayed")
	}
	return nil
}

// Position is where a group shall go on reading.
type Position struct {
	To       PositionKind
	Time     time.Time // for AtTime: the first message that became visible then or later
	Sequence uint64    // for AtSequence: the first message to read, 1 or more
}

// PositionKind says how a position is given.
type PositionKind string

const (
	AtBegin    PositionKind = "begin" // the oldest message that is retained
	AtEnd      PositionKind = "end"   // behind the newest
	AtTime     PositionKind = "time"
	AtSequence PositionKind = "sequence"
)

// Validate checks everything that needs no look-up.
func (p Position) Validate() error {
	switch p.To {
	case AtBegin, AtEnd:
	case AtTime:
		if p.Time.IsZero() {
			return Errorf(BadManageBody, "time must be given for the position time")
		}
	case AtSequence:
		if p.Sequence == 0 {
			return Errorf(BadManageBody, "sequence must be given for the position sequence, 1 or more")
		}
	default:
		return Errorf(BadManageBody, "to must be begin, end, time or sequence")
	}
	if p.To != AtTime && !p.Time.IsZero() || p.To != AtSequence && p.Sequence != 0 {
		return Errorf(BadManageBody, "time and sequence are for the positions of their names only")
	}
	return nil
}

// Move is what a move of a group's position does, or would do.
type Move struct {
	From     uint64 // the first message that was not settled before
	To       uint64 // the first message that is read next
	Skipped  int64  // messages not settled that will not be delivered
	Repeated int64  // messages settled before that will be delivered again
	// Exact is false when messages were settled behind one in flight, which the counts
	// then tell apart only roughly.
	Exact bool
}

// NewGroup is a consumer group to make. Position is where it begins; nil is AtBegin.
type NewGroup struct {
	Name     string
	Position *Position
}

// Queue is an existing queue.
type Queue struct {
	NewQueue
	Ref     QueueRef
	Created time.Time
	// Retention is how long messages are kept, counted from their visibility.
	Retention time.Duration
	Messages  int64 // retained messages, delayed ones not counted
	Groups    int   // consumer groups
}

// Group is an existing consumer group. The counters are zero unless asked for.
type Group struct {
	Ref  GroupRef
	Name string
	Counters
}

// Counters of one group. At rest, when no delivery is outstanding, they are exact.
type Counters struct {
	Produced       int64 // retained messages of the queue
	Consumed       int64 // retained messages the group has settled, dead letters included
	Available      int64 // retained messages the group has not settled
	DeadProduced   int64 // dead letters the group has made
	DeadAvailable  int64 // dead letters not yet acknowledged
	OutstandingNow int64 // of Available, those handed out or on their way back at this moment
}

// ValidateGroupName checks a group's name: 1 to 32 letters, digits, "-" and "_".
func ValidateGroupName(name string) error {
	if n := len(name); n < 1 || n > maxGroupName {
		return Errorf(BadGroupName, "the group name must have 1 to 32 characters")
	}
	if !plainName(name) {
		return Errorf(BadNameChars, "the name may hold only letters, digits, hyphens and underscores")
	}
	return nil
}

func plainName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// GroupView says which counters a listing of groups shall carry.
type GroupView struct {
	Counters    bool // Produced, Consumed, Available
	DeadLetters bool // DeadProduced, DeadAvailable
}
